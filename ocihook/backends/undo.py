# SPDX-License-Identifier: Apache-2.0
"""Undoes a bound by its record: puts back all settings of the container that it had replaced."""

from ocihook.backends import choose
from ocihook.errors import BedeError
from ocihook.state import mark, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.state.records import Record


def forget(record: "Record") -> bool:
    """Remove *record* and what existed for it alone. Return False if it was gone. Raises AccessError."""
    removed = records.remove(record.key)
    try:
        choose.named(record.backend).forget(record)
    except BedeError:
        return removed
    return removed


def give_back(cgroup_fd: int, record: "Record") -> None:
    """Put back the user's ``memory.high``, swap limit and cpuset; if one fails, still try the others.

    Raises OSError.
    """
    choose.named(record.backend).release(cgroup_fd, record)


def give_back_limits(
    cgroup_fd: int, user_high: int | None, user_swap_max: int | None, cpuset: dict[str, str]
) -> None:
    """Put back the given settings like :func:`give_back`, without a record. Raises OSError."""
    from ocihook.backends import fence

    failed: OSError | None = None
    for give, own in ((fence.release, user_high), (fence.let_swap, user_swap_max)):
        try:
            give(cgroup_fd, own)
        except OSError as error:
            failed = error
    if cpuset:
        from ocihook.backends.migrate import steering

        steering.release(cgroup_fd, cpuset)
    if failed is not None:
        raise failed
    # remove the mark last: while the fence may still be there, the mark must be there, too
    mark.remove(cgroup_fd)
