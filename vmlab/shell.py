# SPDX-License-Identifier: Apache-2.0
"""`bede vm shell`: a root shell in a throw-away machine, on this terminal."""

import contextlib
import os
import signal
import socket
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ocihook.errors import InputError
from vmlab import cache, machine, protocol, run
from vmlab.progress import Progress


def shell(options: run.Options) -> int:
    """Boot, connect this terminal to a shell until the shell ends, and return its status."""
    if not sys.stdin.isatty():
        raise InputError("bede vm shell needs a terminal", "Use bede vm run -- COMMAND")
    progress = Progress()
    size = os.get_terminal_size(sys.stdin.fileno())
    with cache.scratch() as work, run.terminated(), run.left_behind(options.out, work) as tar:
        made = run.prepare(options, work, progress, tty=(size.lines, size.columns))
        progress.stage("booting; leave the shell with `exit` or Ctrl-D")
        with machine.Running(made, str(work)) as running, _raw(), _resized(running) as resize:
            keyboard = (sys.stdin.fileno(), running.sockets[protocol.STDIN])
            threading.Thread(target=_type, args=keyboard, daemon=True).start()
            sinks: dict[str, BinaryIO] = {"bede.stdout": sys.stdout.buffer, "bede.out": tar}
            return machine.follow(running, sinks, None, lambda _: resize()).status


@contextlib.contextmanager
def _resized(running: machine.Running) -> Iterator[Callable[[], None]]:
    """Send the terminal's size to the machine whenever it changes; the yielded function sends it now."""

    def resize() -> None:
        size = os.get_terminal_size(sys.stdin.fileno())
        with contextlib.suppress(OSError):
            running.sockets[protocol.WINDOW].send(f"{size.lines} {size.columns}\n".encode())

    before = signal.signal(signal.SIGWINCH, lambda *_: resize())
    try:
        yield resize
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _type(keyboard: int, end: socket.socket) -> None:
    # `follow` never reads from this socket, so it may block here.
    end.setblocking(True)
    with contextlib.suppress(OSError):
        while data := os.read(keyboard, 4096):
            end.sendall(data)
