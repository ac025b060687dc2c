# SPDX-License-Identifier: Apache-2.0
"""Limits other than the bound keep their meaning: at these the kernel swaps as it would without Bede."""

import pytest
from helpers import CGROUPS, MIB, Container, nothing_left, slack
from on import STOCK, on, rarely

pytestmark = [on(STOCK), pytest.mark.usefixtures("unbalanced", "swap")]
LIMIT = 128  #: MiB
DEMAND = 176
CASES = [("memory.high", 256), ("memory.high", 32), ("memory.max", 256), ("memory.max", 32)]


def swaps(bound, edit):
    """Check that a container at its limit keeps all of its memory, some of it in swap, and is held."""
    with Container("crun", "limited", f"{bound}M", DEMAND, edit=edit) as container:
        container.fill()
        container.go_on()
        assert int(container.read("memory.swap.current")) > 0
        assert container.sample()[0] <= bound * MIB + slack(bound * MIB)
        status, out, _ = container.stop()
        assert (status, out.splitlines()[-1]) == (7, f"kept {DEMAND} MiB")
    nothing_left(container.cgroup)


@pytest.mark.parametrize(("name", "bound"), [CASES[0], *rarely(*CASES[1:])])
def test_its_own(name, bound):
    """The bound may be below that limit or above it."""

    def edit(config):
        config["linux"]["resources"] = {"unified": {name: str(LIMIT * MIB)}}

    swaps(bound, edit)


@pytest.fixture
def above():
    """A parent cgroup with a limit, such as a pod's or a slice's."""
    parent = CGROUPS / "pod"
    parent.mkdir()
    yield parent
    parent.rmdir()


@pytest.mark.rarely
@pytest.mark.parametrize(("name", "bound"), [CASES[-1], *rarely(*CASES[:-1])])
def test_of_a_cgroup_above(above, name, bound):
    (above / name).write_text(str(LIMIT * MIB))

    def edit(config):
        config["linux"]["cgroupsPath"] = "/pod/limited"

    swaps(bound, edit)
    if name == "memory.max":
        assert "oom_kill 0" in (above / "memory.events").read_text().splitlines()
