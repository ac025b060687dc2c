# SPDX-License-Identifier: Apache-2.0
"""Datagrams of the process connector, as the kernel lays them out (linux/cn_proc.h)."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from ocihook import native
from ocihook.native import Event

FORK, EXEC, EXIT = 0x1, 0x2, 0x80000000


def datagram(what: int, *numbers: int, idx: int = 1, val: int = 1) -> bytes:
    netlink = struct.pack("=IHHII", 76, 3, 0, 0, 0)
    connector = struct.pack("=IIIIHH", idx, val, 5, 0, 40, 0)
    return netlink + connector + struct.pack("=IIQ", what, 0, 123456789) + struct.pack("=6I", *numbers)


def test_a_fork() -> None:
    text = datagram(FORK, 50, 51, 60, 60, 0, 0)
    assert native.parse_event(text) == Event("fork", 60, 51, 123456789)


def test_a_thread_is_no_process() -> None:
    assert native.parse_event(datagram(FORK, 50, 51, 61, 60, 0, 0)) is None


def test_an_executed_program() -> None:
    assert native.parse_event(datagram(EXEC, 71, 70, 0, 0, 0, 0)) == Event("exec", 70, 0, 123456789)


def test_what_is_of_no_use() -> None:
    assert native.parse_event(datagram(EXIT, 71, 70, 0, 17, 1, 1)) is None
    assert native.parse_event(datagram(FORK, 50, 51, 60, 60, 0, 0, idx=2)) is None


@given(st.binary(max_size=300))
def test_whatever_comes(text: bytes) -> None:
    native.parse_event(text)


@given(st.integers(0, 75))
def test_what_is_cut_off(length: int) -> None:
    found = native.parse_event(datagram(FORK, 50, 51, 60, 60, 0, 0)[:length])
    assert found is None or length >= 68
