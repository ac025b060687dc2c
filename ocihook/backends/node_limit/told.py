# SPDX-License-Identifier: Apache-2.0
"""What `bede doctor` and `bede explain` say about ``node_limit``."""

from __future__ import annotations

from collections.abc import Iterator

from ocihook import fs, host
from ocihook.backends import choose, telling
from ocihook.backends.backend import Explanation
from ocihook.config import Config
from ocihook.control.status import Status
from ocihook.errors import BedeError
from ocihook.finding import GOOD, Finding
from ocihook.spec import nodelimit
from ocihook.topology import nodes


def examine() -> Iterator[Finding]:
    """Yield the finding about NUMA balancing."""
    mode = host.balancing()
    if mode:
        yield Finding("memory", "balancing", GOOD, f"mode {mode}: promotes within the bounds")
    else:
        yield telling.no_balancing(mode)


def explain(container: Status, cgroup_fd: int, config: Config) -> Explanation:
    """Return how the limits hold the container. Raises OSError."""
    limits = fs.read(nodelimit.NAME, dir_fd=cgroup_fd).strip()
    if host.balancing():
        promotion = "NUMA balancing promotes what is used, up to the bound"
    else:
        promotion = telling.NO_PROMOTION
    return Explanation(
        "by the runtime at its start (bede-runtime), or by the createRuntime hook",
        {},
        [("held by", f"the kernel: {nodelimit.NAME} is {limits}")],
        promotion,
        f"on a stock kernel {choose.stock(config).alternative(container, config)}",
    )


def alternative(container: Status, config: Config) -> str:
    """Return how this backend would hold the bound of *container*; the caller completes the sentence."""
    try:
        local = nodes.find(config.far_nodes).local
    except BedeError:
        local = (0,)
    own = {int(node): value for node, value in container.nodes.items()}
    limits = nodelimit.dump(nodelimit.split(container.bound, local, own))
    return (
        f"on a kernel with Bede's patches the same annotation becomes {nodelimit.NAME} = {limits}:"
        " what does not fit is allocated far at once, memory.high stays its user's, promotion stops"
        " at the bound, and "
    )
