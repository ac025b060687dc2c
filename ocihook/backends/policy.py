# SPDX-License-Identifier: Apache-2.0
"""Memory policies of a container's tasks: given by the wrapper to itself, or by the hook to waiting tasks.

A task keeps its policy over fork and exec. The native module loads only if a policy is really to be given.
"""

import os

from ocihook import fs, host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_TRIES = 50  # tries, 10 ms apart, to find a thread waiting in a system call: ptrace injects only there


def load_native() -> "ModuleType":
    """Import the native module, even if the interpreter runs without site packages. Return the module.

    Raises ImportError.
    """
    try:
        from ocihook import native
    except ImportError:
        import site

        site.main()
        from ocihook import native
    return native


def take(kind: str, mask: int = 0) -> None:
    """Give this process a policy: *kind* is the name of a mode in the native module. Best effort.

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
