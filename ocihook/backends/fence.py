# SPDX-License-Identifier: Apache-2.0
"""The fence on a stock kernel: ``memory.high``, kept at the usage plus what is left of the bound.

A task that would exceed the bound exceeds ``memory.high`` first, and the kernel makes it reclaim, which
demotes on a tiered host, before it returns to user space. The first fence, written here, works without an
agent; the agent moves it as memory is demoted (native/holder.c).
"""

from ocihook import fs, host
from ocihook.cgroup import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.cgroup.path import Cgroup
    from ocihook.topology.nodes import Tiers


def engage(cgroup: "Cgroup", bound: int, tiers: "Tiers", user_high: int | None) -> None:
    """Write the first fence for *bound* bytes, and forbid more swap: reclaim must demote. Raises OSError."""
    used = memory.usage(cgroup.fd)
    local, far = memory.local_far(fs.read("memory.numa_stat", dir_fd=cgroup.fd), tiers.local, tiers.far)
    # The rest of the usage is kernel memory. The runtime may free some when it executes the container's
    # program, which would leave too much room for local memory; so only the agent adds it to the fence.
    fence = max(max(bound, local) + far, used)
    if user_high is not None:
        fence = min(fence, user_high)
    # Forbid swap first, as there may never be an agent; one takes over (native/swapguard.c). But not if
    # there is another limit: without swap, tasks would be killed at it or wait there for ever.
    if user_high is None and not memory.is_limited(cgroup.fd):
        try:  # noqa: SIM105 - contextlib would be one more import in every container's start
            fs.write("memory.swap.max", fs.read("memory.swap.current", dir_fd=cgroup.fd), dir_fd=cgroup.fd)
        except OSError:
            pass  # this kernel has no swap limits, or the cgroup has none
    fs.write("memory.high", str(fence // host.PAGE * host.PAGE), dir_fd=cgroup.fd)


def release(cgroup_fd: int, user_high: int | None) -> None:
    """Put the user's own ``memory.high`` back (None: "max"). Raises OSError."""
    fs.write("memory.high", "max" if user_high is None else str(user_high), dir_fd=cgroup_fd)


def let_swap(cgroup_fd: int, user_swap_max: int | None) -> None:
    """Put the user's own ``memory.swap.max`` back (None: "max"), where there is one. Raises OSError."""
    if memory.limit_or_none(cgroup_fd, "memory.swap.max") != user_swap_max:
        fs.write("memory.swap.max", "max" if user_swap_max is None else str(user_swap_max), dir_fd=cgroup_fd)
