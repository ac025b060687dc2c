# SPDX-License-Identifier: Apache-2.0
"""A bound as `bede set` takes it."""

from ocihook.backends import checks
from ocihook.cgroup import memory
from ocihook.cgroup.path import Cgroup
from ocihook.spec import annotation
from ocihook.topology import nodes

MAX = "max"
DEFAULT = "default"  #: the bound that the container's annotations ask for
_MIB = 1 << 20


def resolve(text: str, cgroup: Cgroup, local: tuple[int, ...]) -> int:
    """Return the bytes that *text* means as a bound of *cgroup*. Raises InputError, OSError.

    *text* is a value of ``bede.local``, or "max", which means all memory of the *local* nodes.
    """
    if text == MAX:
        return nodes.room(local)[1] // _MIB * _MIB
    return annotation.Amount(annotation.LOCAL, text, "the bound").resolve(memory.container_limit(cgroup))


def useless(text: str, bound: int, cgroup: Cgroup, local: tuple[int, ...]) -> str:
    """Return why *bound*, to which *text* was resolved, has no effect; "" if it has one. Raises OSError.

    "max" asks for a bound without an effect, so there is no complaint about that.
    """
    return "" if text == MAX else checks.useless(bound, {}, memory.container_limit(cgroup), local)
