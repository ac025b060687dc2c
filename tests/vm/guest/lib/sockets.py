# SPDX-License-Identifier: Apache-2.0
"""A machine of two equal sockets, one of which the configuration calls far."""

from pathlib import Path

from helpers import MIB, listed, slack, wait_until

TIERS = Path("/sys/devices/virtual/memory_tiering")
BOUND = 32 * MIB
#: The mover works in batches: so far below its bound may a container be that could have more.
UNUSED = 0.05


def is_one_tier():
    """Whether this machine has far memory by configuration alone."""
    nodes = Path("/sys/devices/system/node/has_memory").read_text().strip()
    lists = [path.read_text().strip() for path in TIERS.glob("memory_tier*/nodelist")]
    return nodes == "0-1" and len([one for one in lists if one]) == 1


def settled(container, bound=BOUND):
    """Wait until it has of its bound what it can have, and no more."""
    wait_until(
        f"its local usage is {bound >> 20} MiB",
        lambda: bound * (1 - UNUSED) <= container.sample()[0] <= bound + slack(bound),
    )


def placing(call, node):
    """An edit of a bundle: its workload binds its memory to *node* itself, by that system call."""

    def edit(config):
        config["process"]["args"][-1] += f" {call} {node}"

    return edit


def also(*edits):
    """Several edits, one after the other."""

    def edit(config):
        for one in edits:
            one(config)

    return edit


def resources(**cpu):
    """An edit of a bundle: its cpuset."""

    def edit(config):
        config["linux"].setdefault("resources", {})["cpu"] = cpu

    return edit


def mems(container):
    """The nodes it may use now, as its own list says."""
    return container.read("cpuset.mems")


def own(name):
    """Bytes that its programs have placed themselves, as `bede ps` says."""
    return listed()[name]["own"]
