# SPDX-License-Identifier: Apache-2.0
"""`bede top`: the bound containers, live, on the whole screen."""

import argparse
import contextlib
import io
import os
import signal
import sys
import time
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live

from ocihook.cli import terminal
from ocihook.errors import InputError
from ocihook.watch import order, roster, screen
from ocihook.watch.keys import Keys
from ocihook.watch.roster import Roster
from ocihook.watch.snapshot import Row, Snapshots

DETAILS = """\
There is a line for each container: its local usage against its bound as a bar (an arrow after the mark means
that it exceeds its bound), its far usage, what is demoted and promoted each second, how long tasks waited for
memory, and events. A wider terminal shows longer bars and more columns. If the agent does not answer, the
screen says so, and goes on with what the kernel counts.

keys:
  q                 quit
  s S, > <, arrows  sort by the next column, or the one before
  n l b f d p w o   sort by name, local, bound, far, demoted, promoted, pressure (waiting), overshoot;
                    the same key again: reverse the order
  r                 reverse the order
  up down, j k      scroll; also by page
  h                 help

examples:
  sudo bede top
  sudo bede top --sort demoted --interval 0.5
  ssh -t host sudo bede top
"""
LEAST = 0.1  #: seconds: the shortest interval
MOVES = {"down": 1, "j": 1, "up": -1, "k": -1}
STEPS = {"s": 1, ">": 1, "right": 1, "S": -1, "<": -1, "left": -1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the containers, the sort key to begin with, and the interval."""
    add = parser.add_argument
    add("containers", nargs="*", metavar="CONTAINER", help="only these (default: all)")
    add("--sort", default="local", metavar="KEY", help=f"{', '.join(order.KEYS)}, or its letter")
    add(
        "--interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="time between two measurements (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Show the screen until the user, or a signal, ends it. Return the exit status."""
    view = screen.View(order.Order(order.parse(args.sort)), interval=args.interval)
    roster.check(args.interval, LEAST)
    if not (terminal.is_terminal() and sys.stdin.isatty()):
        raise InputError("bede top needs a terminal", "Use bede stats --follow, which prints lines")
    view.host = os.uname().nodename
    view.fancy = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    with Roster(args.containers) as found, Snapshots(found) as snapshots:
        screenful = Screen(found, snapshots, view)
        while (ended := screenful.show()) == signal.SIGTSTP:
            # the terminal has its old settings by now; after `fg` this goes on
            os.kill(os.getpid(), signal.SIGSTOP)
    return 0 if ended in (0, signal.SIGINT) else 128 + ended


class Screen:
    """The loop that updates the screen and handles keys."""

    def __init__(self, found: Roster, snapshots: Snapshots, view: screen.View) -> None:
        self.found, self.snapshots, self.view = found, snapshots, view
        self.rows: list[Row] = []
        # A shell may export these two: they hold the terminal's size at that time, not its size now.
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.console = Console(highlight=False, emoji=False, markup=False, _environ=environment)

    def show(self) -> int:
        """Show the screen until the user quits, or a signal ends it.

        Return 0, or the number of the signal.
        """
        live = Live(
            console=self.console,
            screen=True,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with _quiet() as said, Keys(sys.stdin.fileno()) as keys, live:
            due = 0.0
            while True:
                if time.monotonic() >= due:
                    self.rows = self.snapshots.take()
                    due = time.monotonic() + self.view.interval
                self._draw(live, said.getvalue())
                pressed = keys.wait(due - time.monotonic())
                if keys.signals:
                    return keys.signals.pop()
                for key in pressed:
                    if key in ("q", "Q", "\x03"):
                        return 0
                    self._press(key)

    def _press(self, key: str) -> None:
        view = self.view
        if key in ("h", "?"):
            view.help = not view.help
        elif key == "r":
            view.order.reversed = not view.order.reversed
        elif key in STEPS:
            view.order.step(STEPS[key])
        elif key in order.LETTERS:
            view.order.choose(order.LETTERS[key])
        elif key in MOVES:
            view.first += MOVES[key]
        elif key in ("page-down", " ", "page-up"):
            page = max(self.console.size.height - 4, 1)
            view.first += -page if key == "page-up" else page

    def _draw(self, live: Live, said: str) -> None:
        width, height = self.console.size
        last = said.strip().splitlines()[-1:]
        if self.found.error:
            self.view.note = (
                f"{self.found.error}; bounds and names are as they were, the rest is the kernel's"
            )
        else:
            self.view.note = last[0] if last else ""
        self.view.clock = time.strftime("%H:%M:%S")
        live.update(Group(*screen.lines(self.rows, self.view, width, height)), refresh=True)


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Collect standard error meanwhile, so that the view can show it instead of being written over."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        yield said
