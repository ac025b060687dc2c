# SPDX-License-Identifier: Apache-2.0
"""`bede set` and restarts by engines: the bound stays as it was set, by the kernel's figures."""

from pathlib import Path

import pytest
from detached import Detached
from held import BOUND, DEMAND, SIZE
from helpers import IS_PATCHED, MIB, nothing_left, run, slack, wait_until
from on import PATCHED, STOCK, on, rarely

pytestmark = [
    on(STOCK),
    on(PATCHED, rarely=True),
    on(STOCK, "two-socket", rarely=True),
    pytest.mark.usefixtures("unbalanced"),
]

BOUNDS = Path("/run/bede/bounds")
SET = 32 * MIB


def at(container, bound):
    """Wait until the container is at *bound*, and check that it goes on there."""

    def is_there():
        return 0.75 * bound <= container.sample()[0] <= bound + slack(bound)

    wait_until(f"it is at {bound >> 20} MiB", is_there)
    container.go_on()
    wait_until(f"it is at {bound >> 20} MiB again", is_there)


def set_to(container, bound):
    done = run("bede", "set", container.name, bound)
    assert (done.returncode, done.stderr) == (0, "")


def kept(container):
    """The file that keeps what `bede set` chose."""
    return BOUNDS / run(container.engine, "inspect", "--format", "{{.Id}}", container.name).stdout.strip()


def restarted(container):
    """Let the engine restart the container, and wait until it has filled its memory again."""
    before = container.pid
    (container.gate / "full").unlink()
    done = run(container.engine, "restart", "-t", "0", container.name)
    assert done.returncode == 0, done.stderr
    container.found(before)
    container.fill()


@pytest.mark.parametrize("runtime", ("podman-crun", *rarely("docker", "podman-runc")))
def test_a_bound_that_was_set_outlives_restarts(runtime):
    with Detached(runtime, "again", SIZE, DEMAND) as container:
        container.fill()
        at(container, BOUND)
        set_to(container, "32M")
        for _ in range(2):
            restarted(container)
            at(container, SET)
        set_to(container, "default")
        at(container, BOUND)
        restarted(container)
        at(container, BOUND)
        assert container.stop() == 7
        assert not kept(container).exists()
    nothing_left(container.cgroup)


@pytest.mark.rarely
def test_what_was_set_is_for_that_container_alone():
    with Detached("podman-crun", "again", SIZE, DEMAND) as container:
        container.fill()
        set_to(container, "32M")
        before = kept(container)
        assert before.exists()
    with Detached("podman-crun", "again", SIZE, DEMAND) as container:
        container.fill()
        at(container, BOUND)
        set_to(container, "24M")
        assert kept(container).exists()
        # Without a record nobody knows the bundle, by which one sees that a container of Podman's has ended.
        assert before.exists() == IS_PATCHED
        set_to(container, "default")
        assert not kept(container).exists()
    nothing_left(container.cgroup)


def test_a_choice_that_cannot_be_read_is_said_and_forgotten():
    with Detached("podman-crun", "again", SIZE, DEMAND) as container:
        container.fill()
        set_to(container, "32M")
        kept(container).write_text("{")
        restarted(container)
        at(container, BOUND)
        assert not kept(container).exists()
    nothing_left(container.cgroup)
