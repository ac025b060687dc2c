# SPDX-License-Identifier: Apache-2.0
"""The loop: descriptors, timers, pauses."""

import os

import pytest

from ocihook.loop import Loop


@pytest.fixture
def pipe() -> tuple[int, int]:
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


def test_it_calls_what_is_ready_until_it_is_stopped(pipe: tuple[int, int]) -> None:
    loop, seen = Loop(), []
    loop.add(pipe[0], lambda: (seen.append(os.read(pipe[0], 10)), loop.stop()))
    loop.after(0, lambda: os.write(pipe[1], b"x"))
    loop.run()
    assert seen == [b"x"]


def test_times_come_in_order() -> None:
    loop, seen = Loop(), []
    for delay in (0.02, 0, 0.01):
        loop.after(delay, lambda delay=delay: seen.append(delay))
    loop.after(0.03, loop.stop)
    loop.run()
    assert seen == [0, 0.01, 0.02]


def test_a_pause_gathers_what_comes(pipe: tuple[int, int]) -> None:
    loop, seen = Loop(), []

    def ready() -> None:
        loop.pause(pipe[0], 0.05)
        seen.append(os.read(pipe[0], 10))

    loop.add(pipe[0], ready)
    os.write(pipe[1], b"a")
    loop.after(0.01, lambda: os.write(pipe[1], b"b"))
    loop.after(0.02, lambda: os.write(pipe[1], b"c"))
    loop.after(0.2, loop.stop)
    loop.run()
    assert seen == [b"a", b"bc"]


def test_one_that_was_removed_while_it_paused(pipe: tuple[int, int]) -> None:
    loop, seen = Loop(), []
    loop.add(pipe[0], lambda: (loop.pause(pipe[0], 0.01), seen.append(1), loop.remove(pipe[0])))
    os.write(pipe[1], b"a")
    loop.after(0.05, loop.stop)
    loop.run()
    assert seen == [1]
    loop.remove(pipe[0])
