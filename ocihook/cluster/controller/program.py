# SPDX-License-Identifier: Apache-2.0
"""`bede-controller`: the program."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys

from ocihook import host
from ocihook.cluster import door

PROGRAM = "bede-controller"
METRICS = 9476
WHAT = "Tells the scheduler what local memory nodes have, and nodes what their pods are bound to."


def parser() -> argparse.ArgumentParser:
    """Return the parser of its arguments."""
    made = door.parser(PROGRAM, WHAT)
    door.add_namespace(made)
    what = "where Prometheus gets figures of the cluster; 0 for nowhere (default: %(default)s)"
    made.add_argument("--metrics", metavar="PORT", type=int, default=METRICS, help=what)
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the program. Return its exit status."""
    args = parser().parse_args(argv)

    def run() -> None:
        from ocihook.cluster.api import connect
        from ocihook.cluster.controller import metrics
        from ocihook.cluster.controller.main import Controller
        from ocihook.cluster.controller.trust import Trust
        from ocihook.cluster.lease import Lease, Where
        from ocihook.cluster.watching import tell
        from ocihook.errors import ClusterError

        def lost() -> None:
            tell(PROGRAM, "the lease is lost: another controller may act now, and this one begins anew")
            # At once: what is under way here must not go on. But it does not end, since the kubelet waits for
            # minutes before it starts a program again that has ended several times.
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

        api = connect(args.kubeconfig)
        controller = Controller(api)
        controller.start()
        trust = Trust(api, args.namespace)
        if args.metrics:
            metrics.serve(controller, trust, args.metrics)
        # Two in different pods of one host may have one name and one number, but not in one namespace.
        namespace = os.stat(host.path("/proc/self/ns/pid")).st_ino
        holder = f"{socket.gethostname()}-{namespace}-{os.getpid()}"  # the same after it has begun anew
        lease = Lease(connect(args.kubeconfig), Where(args.namespace, PROGRAM, holder))
        tell(PROGRAM, "waits for its turn")
        lease.wait(lambda error: tell(PROGRAM, error.message))
        lease.keep(lost)
        tell(PROGRAM, "acts")
        # A process that was stopped for a while does not know yet that it has lost the lease.
        api.before_change = lambda: None if lease.holds() else lost()
        trust.start()
        try:
            controller.run()
        finally:
            with contextlib.suppress(ClusterError):
                lease.release()

    return door.checked(PROGRAM, run)
