# SPDX-License-Identifier: Apache-2.0
"""Memory policies of a container's tasks: given by the wrapper to itself, or by the hook to waiting tasks.

A task keeps its policy over fork and exec. The native module loads only if a policy is really to be given.
"""

import os

from ocihook import fs, host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

NOT_STARTED = ("creating", "created")  #: statuses of containers whose tasks may still get another policy
_TRIES = 50  # tries, 10 ms apart, to find a thread waiting in a system call: ptrace injects only there


def recorded(container: str) -> list[dict[str, str]]:
    """Return the ``cpuset`` of each record of a container with that id; none if they cannot be read.

    Nothing tells which of two engines that use one id calls.
    """
    from ocihook.errors import BedeError
    from ocihook.state import records

    if os.geteuid() != 0:
        return []
    try:
        found, _ = records.listing(container)
    except BedeError:
        return []
    return [record.cpuset for record in found]


def load_native() -> "ModuleType":
    """Import the module of policies, even if the interpreter runs without site packages. Return it.

    Raises ImportError.
    """
    try:
        from ocihook import mempolicy
    except ImportError:
        import site

        site.main()
        from ocihook import mempolicy
    return mempolicy


def take(kind: str, mask: int = 0) -> None:
    """Give this process a policy: *kind* is the name of a mode in mempolicy.py. Best effort.

    *mask* has the policy's nodes; 0 for a policy without nodes.
    """
    try:
        native = load_native()
        native.set_policy(getattr(native, kind), mask)
    except (ImportError, OSError):
        pass  # the hook tries ptrace, and reports errors


def inject(pid: int, kind: str, mask: int = 0) -> None:
    """Give all threads of *pid* a policy, as :func:`take` does. Raises ImportError, OSError."""
    native = load_native()
    for name in sorted(os.listdir(host.path(f"/proc/{pid}/task")), key=int):
        try:
            native.inject_policy(int(name), getattr(native, kind), mask, _TRIES)
        except ProcessLookupError:
            continue


def of(pid: int) -> set[str]:
    """Return the policies of the memory areas of *pid*, as numa_maps(5) shows them. Raises OSError.

    An area without a policy of its own shows the task's.
    """
    lines = fs.read(host.path(f"/proc/{pid}/numa_maps")).splitlines()
    return {line.split(" ", 2)[1] for line in lines}
