# SPDX-License-Identifier: Apache-2.0
"""Memory policies, by the C extension. Apart from native.py, whose imports a start would wait for."""

import errno
import os
import time

import ocihook._native as _native

#: Memory policies: the kernel's default, the one that steers, and the one that NUMA balancing leaves alone.
DEFAULT_POLICY, STEERING_POLICY, LOCAL_POLICY = (
    _native.lib.BEDE_POLICY_DEFAULT,
    _native.lib.BEDE_POLICY_RELATIVE,
    _native.lib.BEDE_POLICY_LOCAL,
)


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")


def set_policy(mode: int, mask: int) -> None:
    """Give the calling thread the memory policy *mode*, which its children inherit. Raises OSError.

    *mask* has the policy's nodes; 0 for a policy without nodes.
    """
    _check(_native.lib.bede_policy_set(mode, mask), "cannot set a policy")


def inject_policy(tid: int, mode: int, mask: int, tries: int) -> None:
    """Give thread *tid* the memory policy *mode* with the nodes in *mask*. Raises OSError.

    The thread must wait in a system call. If it does not, try again, *tries* times in all, 10 ms apart.
    """
    for left in reversed(range(tries)):
        result = _native.lib.bede_policy_inject(tid, mode, mask)
        if result != -errno.EAGAIN or not left:
            _check(result, "cannot give a policy")
            return
        time.sleep(0.01)
