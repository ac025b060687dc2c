# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes cluster of one node in the machine: Debian's own, built from its source package.

The programs are on a disk of their own (`build.py`). `guest/` has the files that make a cluster of them;
`bede-cluster` starts it before the machine's command.
"""

from collections.abc import Mapping
from pathlib import Path

GUEST = Path(__file__).parent / "guest"
PROGRAMS = "/opt/cluster/bin"  #: where the programs' disk is mounted in the machine
BEFORE = ("bede-cluster",)  #: goes before the command
LEAST = 2048  #: MiB of each of the machine's nodes, if the user names no sizes
#: the command's variables, in addition to those of every machine
ENVIRONMENT = {"KUBECONFIG": "/etc/kubernetes/admin.conf"}


def members() -> Mapping[str, Path]:
    """Files for the machine, by their names in it."""
    return {str(path.relative_to(GUEST)): path for path in sorted(GUEST.rglob("*")) if path.is_file()}
