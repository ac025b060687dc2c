# SPDX-License-Identifier: Apache-2.0
"""`bede metrics`: answers requests of Prometheus."""

import argparse
import signal
import sys

from ocihook.agent import supervisor
from ocihook.metrics import serve

DETAILS = """\
It answers GET /metrics on a loopback address or a Unix socket. It keeps no figures itself, but asks the agent
and the kernel at each request. It is off unless you turn it on:

  systemctl enable --now bede-metrics.service

examples/prometheus has a configuration for Prometheus and a dashboard for Grafana.

examples:
  sudo bede metrics
  sudo bede metrics --listen 127.0.0.1:9000
  sudo bede metrics --listen /run/bede/metrics.sock
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where to listen."""
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        default=serve.DEFAULT,
        help="a loopback address and port, or the path of a socket (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Answer requests until told to end. Return the exit status."""
    where = serve.address(args.listen)

    def ready(text: str) -> None:
        print(f"bede metrics: {text}", file=sys.stderr, flush=True)
        supervisor.tell("READY=1")

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        serve.serve(where, ready)
    except KeyboardInterrupt:
        return 0
    return 0
