# SPDX-License-Identifier: Apache-2.0
"""``memory.node_limit`` of a patched kernel: how much memory of each node a cgroup may use. Pure.

It is one line, ``N0=134217728 N1=max``. A bound is on all local nodes together, but the kernel has a limit
for each node: :func:`split` turns the former into the latter.
"""

from ocihook import fs
from ocihook.errors import InputError
from ocihook.spec import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

NAME = "memory.node_limit"
PAGE = 4096


def parse(text: str) -> dict[int, int | None]:
    """Return the limits in *text*, in bytes by node; None is "max". Raises InputError."""
    limits: dict[int, int | None] = {}
    for pair in text.split():
        name, equals, value = pair.partition("=")
        node = fs.node(name[1:])
        if name[:1] != "N" or not equals or node is None or node in limits:
            raise InputError(
                f"{NAME}: cannot read {pair[:40]!a}", "Write each node once, as N0=128M or N1=max"
            )
        limits[node] = None if value == "max" else _bytes(value, node)
    return limits


def _bytes(value: str, node: int) -> int:
    # The kernel accepts, and so shows, larger limits than any machine has memory.
    if value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return size.parse(value, f"{NAME}: N{node}:")


def dump(limits: "dict[int, int | None] | dict[int, int]") -> str:
    """Return *limits* in the kernel's format."""
    pairs = sorted(limits.items())
    return " ".join(f"N{node}={'max' if value is None else value}" for node, value in pairs)


def split(bound: int, local: "Collection[int]", own: dict[int, int]) -> dict[int, int]:
    """Return the limit of each *local* node, in whole pages (as bytes), together at most *bound*.

    Each node gets the same, except that a node with a smaller bound in *own* gets that one, and the others
    share the rest. Even if all work is on one node, it can use the whole bound: once that node's share is
    full, the kernel allocates from the next nearest node, and local nodes are nearer than far ones.
    """
    left = bound // PAGE
    limits = {}
    nodes = sorted(local, key=lambda node: (own.get(node, bound), node))
    for waiting, node in zip(range(len(nodes), 0, -1), nodes, strict=True):
        pages = min(left // waiting, own.get(node, bound) // PAGE)
        limits[node] = pages * PAGE
        left -= pages
    return limits


def own_of(limits: dict[int, int]) -> dict[int, int]:
    """Return the bounds of single nodes from which :func:`split` made *limits*.

    A bound above an even share left no trace in them.
    """
    level = max(limits.values(), default=0)
    # Even shares may differ by one page.
    return {node: value for node, value in limits.items() if value + PAGE < level}


def smaller(given: dict[int, int | None], ours: dict[int, int]) -> dict[int, int | None]:
    """Return the smaller limit of each node. Nodes that only *given* has keep their limit."""
    both = dict(given)
    for node, value in ours.items():
        user = given.get(node)
        both[node] = value if user is None else min(value, user)
    return both


def bound_of(limits: dict[int, int | None], local: "Collection[int]") -> int | None:
    """Return the bound on all *local* nodes together; None if one of them has no limit."""
    found = [limits.get(node) for node in local]
    finite = [value for value in found if value is not None]
    return sum(finite) if finite and len(finite) == len(found) else None
