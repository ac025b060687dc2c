# SPDX-License-Identifier: Apache-2.0
"""The patched kernel's tests with the LRU of two lists, which hosts have that turned the newer one off."""

import machines
import pytest

OFF = "echo 0 >/sys/kernel/mm/lru_gen/enabled"
FILES = (
    "test_node_limit.py",
    "test_node_limit_moves.py",
    "test_node_limit_demotion.py",
    "test_node_limit_others.py",
)
#: Not understood yet: see docs/kernel.md. A kswapd that is awake for any reason swaps where the other LRU
#: drops page cache, which the first test cannot tell from what a limit has caused. In the second one the
#: first child gave 4.5 of 8 MiB once.
OPEN = "(test_page_cache_on_the_far_node_makes_room_without_swapping or test_no_child_gives_for_all)"


@pytest.mark.rarely
@pytest.mark.parametrize("kernel", ("bede-6.12",))
def test_limits_hold_with_two_lists(kernel: str) -> None:
    machines.passes(*(f"suite/{file}" for file in FILES), kernel=kernel, first=OFF, without=OPEN)
