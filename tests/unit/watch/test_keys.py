# SPDX-License-Identifier: Apache-2.0
"""Keys from a pseudo terminal."""

import os
import signal
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.watch.keys import Keys, parse


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo terminal: the person's and the program's."""
    master, slave = os.openpty()
    yield master, slave
    for fd in (master, slave):
        os.close(fd)


def test_parse() -> None:
    assert parse("q") == ["q"]
    assert parse("\x1b[A\x1b[Bx\x1bOC\x1b[6~\x1b[5~") == ["up", "down", "x", "right", "page-down", "page-up"]
    assert parse("\x1b[1;5Cz\x1b[15~") == ["z"]  # unknown sequences are not taken for letters
    assert parse("\x03\n\t") == ["\x03"]


@given(st.text())
def test_nothing_is_too_odd(text: str) -> None:
    parse(text)


def test_keys_come_at_once_and_unechoed(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    before = termios.tcgetattr(slave)
    with Keys(slave) as keys:
        assert keys.wait(0) == []
        os.write(master, b"s\x1b[C")
        assert keys.wait(10) == ["s", "right"]
    assert termios.tcgetattr(slave) == before
    os.write(slave, b".")
    assert os.read(master, 10) == b"."  # nothing that was typed is echoed


def test_signals_wake_and_their_old_meaning_comes_back(terminal: tuple[int, int]) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGWINCH)}
    with Keys(terminal[1]) as keys:
        os.kill(os.getpid(), signal.SIGWINCH)
        assert keys.wait(60) == []
        assert keys.signals == set()  # a change of the window's size ends nothing
        os.kill(os.getpid(), signal.SIGTERM)
        assert keys.wait(60) == []
        assert keys.signals == {signal.SIGTERM}
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_the_terminal_is_given_back_when_something_fails(terminal: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminal[1])
    with pytest.raises(ZeroDivisionError), Keys(terminal[1]):
        assert termios.tcgetattr(terminal[1]) != before
        raise ZeroDivisionError
    assert termios.tcgetattr(terminal[1]) == before


def test_a_terminal_that_has_gone_is_a_hangup() -> None:
    master, slave = os.openpty()
    with Keys(slave) as keys:
        os.close(master)
        assert keys.wait(10) == []
        assert keys.signals == {signal.SIGHUP}
    os.close(slave)
