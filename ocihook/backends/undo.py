"""Giving a container everything back that a bound has taken, by its record."""

from ocihook.backends import tier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.state.records import Record


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
