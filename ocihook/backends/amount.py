"""A bound as `bede set` takes it."""

from ocihook.cgroup import memory
from ocihook.cgroup.path import Cgroup
from ocihook.spec import annotation
from ocihook.topology import nodes

MAX = "max"
_MIB = 1 << 20


def resolve(text: str, cgroup: Cgroup, local: tuple[int, ...]) -> int:
    """The bytes that *text* means for that container: as ``bede.local``, or "max", all of the *local* nodes.

    Raises InputError, OSError.
    """
    if text == MAX:
        return nodes.room(local)[1] // _MIB * _MIB
    return annotation.Amount(annotation.LOCAL, text).resolve(memory.container_limit(cgroup))
