# SPDX-License-Identifier: Apache-2.0
"""Far memory that shrinks and grows while a container is bound, and what the agent logs about it."""

import pytest
from helpers import MIB, Container, listed, nothing_left
from memory import Journal, emptied, far_size, goes_and_comes, online
from on import STOCK, on

pytestmark = [on(STOCK), pytest.mark.usefixtures("unbalanced")]
BOUND = 16 * MIB


def test_far_memory_shrinks_and_grows():
    whole, journal = far_size(), Journal()
    with emptied() as gone:
        says = f"node 1 has {far_size()} of {whole} MiB now (far)"
        assert len(journal.says(says)) < len(gone)
        online(gone[:2])
        with Container("crun", "shrunk", "16M", 80) as container:
            container.fill()
            for step in goes_and_comes(container, gone, BOUND):
                lines = journal.says(f"node 1 has {far_size()} of {whole} MiB now (far)")
                assert len(lines) < len(gone), step
            (one,) = listed().values()
            assert one["bound"] == BOUND
            assert container.stop()[0] == 7
        nothing_left(container.cgroup)
    journal.says(f"node 1 has {whole} of {whole} MiB now (far)")
