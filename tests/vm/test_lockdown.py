# SPDX-License-Identifier: Apache-2.0
"""Bounds under the kernel lockdown of Secure Boot, which keeps everybody out of debugfs."""

import re

import machines
import pytest

#: locks the kernel down, as far as Secure Boot does, restarts the agent, and runs tests of the guest's suite
SCRIPT = f"""
mount -t securityfs none /sys/kernel/security
echo integrity > /sys/kernel/security/lockdown
! cat /sys/kernel/debug/lru_gen >/dev/null 2>&1 || exit 3
systemctl restart bede-agent || exit 4
{" ".join(machines.PYTEST)} "$@" || exit
python3 {machines.THERE}/lib/bounds.py read
"""
LOADS = "anon-8 or thp-8 or workers or shmem"
#: highest overshoot of a file that is read, whose page cache the kernel demotes itself: docs/holding.md
READ = 0.02


@pytest.mark.parametrize("kernel", ("debian-6.12", pytest.param("debian-7.3", marks=pytest.mark.rarely)))
def test_bounds_hold_under_lockdown(kernel: str) -> None:
    boot = machines.boot(
        *("sh", "-c", SCRIPT, "sh", f"{machines.THERE}/suite/test_bounds.py", "-s", "-k", LOADS),
        kernel=kernel,
        topology="two-tier",
        clock="counted",
    )
    assert boot.status == 0, boot.tail()
    assert " 4 passed" in boot.out
    found = re.search(r"^read +[0-9]+ MiB +[0-9.]+ MiB +([0-9.]+) %", boot.out, re.MULTILINE)
    assert found is not None, boot.out
    assert float(found[1]) / 100 <= READ, boot.out
