# SPDX-License-Identifier: Apache-2.0
"""A machine of two equal sockets, one of which the configuration calls far."""

from pathlib import Path

from helpers import MIB, listed, slack, wait_until

TIERS = Path("/sys/devices/virtual/memory_tiering")
BOUND = 32 * MIB
#: The mover works in batches: local usage may be this share of the bound lower than it could be.
UNUSED = 0.05


def is_one_tier():
    """Whether this machine has two nodes of one tier, so that only the configuration calls one far."""
    nodes = Path("/sys/devices/system/node/has_memory").read_text().strip()
    lists = [path.read_text().strip() for path in TIERS.glob("memory_tier*/nodelist")]
    return nodes == "0-1" and len([one for one in lists if one]) == 1


def settled(container, bound=BOUND):
    """Wait until the container's local usage is at its bound."""
    wait_until(
        f"its local usage is {bound >> 20} MiB",
        lambda: bound * (1 - UNUSED) <= container.sample()[0] <= bound + slack(bound),
    )


def placing(call, node):
    """An edit of a bundle's config: the workload binds its memory to *node* itself, by *call*."""

    def edit(config):
        config["process"]["args"][-1] += f" {call} {node}"

    return edit


def also(*edits):
    """One edit that does several, one after the other."""

    def edit(config):
        for one in edits:
            one(config)

    return edit


def resources(**cpu):
    """An edit of a bundle's config: sets its CPU resources, such as its cpuset."""

    def edit(config):
        config["linux"].setdefault("resources", {})["cpu"] = cpu

    return edit


def mems(container):
    """The container's own cpuset.mems."""
    return container.read("cpuset.mems")


def own(name):
    """Bytes of program-bound memory, as `bede ps` says."""
    return listed()[name]["own"]
