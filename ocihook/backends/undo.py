"""Giving a container everything back that a bound has taken, by its record."""

from ocihook.backends import choose, tier
from ocihook.errors import BedeError
from ocihook.state import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.state.records import Record


def forget(record: "Record") -> bool:
    """Remove *record* and what was there for it alone; False when it had gone. Raises AccessError."""
    removed = records.remove(record.key)
    if record.backend == choose.MIGRATE:
        from ocihook.cgroup import cpuset, path

        try:
            cpuset.let_go(record.cgroup, record.cgroup_ino, path.mount_point())
        except BedeError:
            return removed
    return removed


def give_back(cgroup_fd: int, record: "Record") -> None:
    """Its own ``memory.high``, swap and cpuset; all that can be, also where one cannot. Raises OSError."""
    failed: OSError | None = None
    try:
        tier.release(cgroup_fd, record.user_high)
        tier.let_swap(cgroup_fd, record.user_swap_max)
    except OSError as error:
        failed = error
    if record.cpuset:
        from ocihook.backends import migrate

        migrate.release(cgroup_fd, record.cpuset)
    if failed is not None:
        raise failed
