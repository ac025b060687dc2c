# SPDX-License-Identifier: Apache-2.0
"""The patched kernel's tests with the LRU of two lists, which hosts have that turned the newer one off."""

import machines
import pytest

OFF = "echo 0 >/sys/kernel/mm/lru_gen/enabled"
FILES = ("test_node_limit.py", "test_node_limit_moves.py", "test_node_limit_demotion.py")


@pytest.mark.rarely
@pytest.mark.parametrize("kernel", ("bede-6.12", "bede-7.3"))
def test_limits_hold_with_two_lists(kernel: str) -> None:
    machines.passes(*(f"suite/{file}" for file in FILES), kernel=kernel, first=OFF)
