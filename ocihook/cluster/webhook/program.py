# SPDX-License-Identifier: Apache-2.0
"""`bede-webhook`: the program."""

from __future__ import annotations

import argparse

from ocihook.cluster import door, words

PROGRAM = "bede-webhook"
WHAT = "Completes pods that ask for local memory, and refuses what cannot be."
PORT = 9443
PODS, NODES = "/pods", "/nodelocalmemories"  #: the paths that the webhook configurations name


def parser() -> argparse.ArgumentParser:
    """Return the parser of its arguments."""
    made = door.parser(PROGRAM, WHAT)
    door.add_namespace(made)
    made.add_argument("--port", type=int, default=PORT, help="where to listen (default: %(default)s)")
    what = "the directory of tls.crt and tls.key (default: %(default)s)"
    made.add_argument("--certificate", metavar="DIR", default="/etc/bede-webhook", help=what)
    what = "a runtime class that holds bounds; the first one is for pods that name none (default: bede)"
    made.add_argument("--runtime-class", metavar="NAME", action="append", help=what)
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the program. Return its exit status."""
    args = parser().parse_args(argv)
    classes = tuple(args.runtime_class or (words.CLASS,))

    def run() -> None:
        from ocihook.cluster import profiles
        from ocihook.cluster.api import connect
        from ocihook.cluster.profiles import PROFILES, Profile
        from ocihook.cluster.watching import Mirror, tell
        from ocihook.cluster.webhook import review, server
        from ocihook.cluster.webhook.placed import Placed

        api = connect(args.kubeconfig)
        placed = Placed(api, args.namespace)
        known: Mirror[Profile] = Mirror(
            api, PROFILES, profiles.parse_short, lambda before, now: None, profiles.LISTED
        )
        known.start(PROGRAM)

        def advised(namespace: str, labels: dict[str, str]) -> dict[str, int]:
            return profiles.sizes(profiles.chosen(known.all(), namespace, labels))

        paths: dict[str, server.Answer] = {
            PODS: lambda raw: review.of_pod(raw, classes, advised),
            NODES: lambda raw: review.of_node(raw, args.namespace, placed.node_of),
        }
        server.serve(args.port, args.certificate, paths, lambda: tell(PROGRAM, f"listens at {args.port}"))

    return door.checked(PROGRAM, run)
