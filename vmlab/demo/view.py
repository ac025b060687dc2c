# SPDX-License-Identifier: Apache-2.0
"""The live view: on a terminal a block that is redrawn, else one plain line a second."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from vmlab.demo.series import MIB, Sample

REDRAW_SECONDS = 0.2
LINE_SECONDS = 1.0
EIGHTHS = " ▏▎▍▌▋▊▉█"
LOCAL, FAR, BOUND, BAD, DIM, PLAIN = "\033[34m", "\033[33m", "\033[1m", "\033[31m", "\033[2m", "\033[0m"


NOTHING = Sample(0.0, 0, 0, 0, 0, 0)


@dataclass
class State:
    """What is shown."""

    title: str
    bound: int
    total: int  #: bytes that a full bar stands for
    stage: str = ""
    sample: Sample = NOTHING
    highest: int = 0

    def add(self, sample: Sample) -> None:
        """Take in the newest sample."""
        self.sample = sample
        self.highest = max(self.highest, sample.local)
        self.total = max(self.total, sample.local, sample.far)

    def overshoot(self) -> str:
        """The highest overshoot so far, as a share of the bound."""
        beyond = self.highest - self.bound
        return "none" if beyond <= 0 else f"{100 * beyond / self.bound:.2f} %"


def bar(size: int, total: int, width: int, mark: int | None = None, fancy: bool = True) -> str:
    """A bar of exactly *width* columns for *total* bytes, filled up to *size*, with a line at *mark*."""
    eighths = round(min(size / total, 1.0) * width * 8) if total else 0
    full, rest = divmod(eighths, 8)
    cells = ["█" if fancy else "#"] * full
    if fancy and rest:
        cells.append(EIGHTHS[rest])
    cells += [" "] * (width - len(cells))
    if mark is not None and total:
        at = min(round(mark / total * width), width - 1)
        if at >= full:
            cells[at] = "│" if fancy else "|"
    return "".join(cells)


def plain(state: State) -> str:
    """One line for a log."""
    sample = state.sample
    return (
        f"{sample.seconds:6.1f} s  {state.stage:22}  local {sample.local / MIB:6.1f} MiB"
        f"  far {sample.far / MIB:6.1f} MiB  bound {state.bound / MIB:g} MiB  overshoot {state.overshoot()}"
    )


def block(state: State, width: int, fancy: bool = True, colour: bool = False) -> list[str]:
    """The lines of the block, none longer than *width* columns (not counting colour codes)."""

    def painted(text: str, how: str) -> str:
        return f"{how}{text}{PLAIN}" if colour else text

    sample = state.sample
    room = max(width - 23, 4)
    near = bar(sample.local, state.total, room, state.bound, fancy)
    away = bar(sample.far, state.total, room, None, fancy)
    beyond = state.highest > state.bound
    facts = f"bound {state.bound / MIB:g} MiB   highest local {state.highest / MIB:.1f} MiB"
    last = f"   overshoot {state.overshoot()}"
    stage = f"{sample.seconds:6.1f} s  {state.stage}"
    lines = [
        painted(state.title[:width], BOUND),
        stage[:width],
        f"local  {painted(near, LOCAL)}  {sample.local / MIB:8.1f} MiB",
        f"far    {painted(away, FAR)}  {sample.far / MIB:8.1f} MiB",
    ]
    fits = (facts + last)[:width]
    cut = len(facts)
    lines.append(fits[:cut] + (painted(fits[cut:], BAD) if beyond and fits[cut:] else fits[cut:]))
    return lines if width >= 27 else [text[:width] for text in (state.title, stage, plain(state))]


class View:
    """Shows a state on *out* as it changes."""

    def __init__(
        self, out: TextIO, state: State, width: Callable[[], int], terminal: bool, colour: bool
    ) -> None:
        self.out, self.state, self.width = out, state, width
        self.terminal, self.colour = terminal, colour
        self.fancy = (out.encoding or "").lower().replace("-", "") == "utf8"
        self.drawn = 0  #: lines of the block that are on the terminal
        self.last = float("-inf")

    def show(self, now: bool = False) -> None:
        """Draw again if enough time has passed, or at once with *now*."""
        moment = time.monotonic()
        if not now and moment - self.last < (REDRAW_SECONDS if self.terminal else LINE_SECONDS):
            return
        self.last = moment
        if not self.terminal:
            self.out.write(plain(self.state) + "\n")
        else:
            lines = block(self.state, self.width() - 1, self.fancy, self.colour)
            up = f"\033[{self.drawn}A" if self.drawn else ""
            self.out.write(up + "".join(f"\r{text}\033[K\n" for text in lines) + "\033[J")
            self.drawn = len(lines)
        self.out.flush()
