"""A machine of two equal sockets, one of which the configuration calls far."""

import os
from pathlib import Path

import helpers
from helpers import MIB, listed

CONFIG = Path("/etc/bede/config.yaml")
TIERS = Path("/sys/devices/virtual/memory_tiering")
BOUND = 32 * MIB


def is_one_tier():
    """Whether this machine has far memory by configuration alone."""
    nodes = Path("/sys/devices/system/node/has_memory").read_text().strip()
    lists = [path.read_text().strip() for path in TIERS.glob("memory_tier*/nodelist")]
    return nodes == "0-1" and len([one for one in lists if one]) == 1


def call_far(text="far_nodes: [1]\n"):
    """Name the far node, for Bede and for the sampler."""
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(text)
    os.environ["BEDE_LOCAL_NODES"] = "0"
    helpers.run("systemctl", "try-restart", "bede-agent.service")


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
