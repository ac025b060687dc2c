# SPDX-License-Identifier: Apache-2.0
"""How bad a short time was for a container, as far as local memory goes: one number.

It is the slowdown that the far hits cause at most, as a share of the budget. Where nobody knows the hits, it
is what was promoted and what was not allowed to be, per second and byte of the bound, as a share of `CHURN`.
Above 1 it is bad.
"""

import math
from dataclasses import dataclass

from ocihook.errors import InputError
from ocihook.sizing.curve import Latencies

#: Share of a processor below which a container is idle: what it waits for matters to nobody.
IDLE = 0.01
#: Of the bound in a second, what is promoted or denied where local memory is far too small: all of it in less
#: than two minutes. A settled load is below a tenth of that (docs/figures.md, moved).
CHURN = 0.01


@dataclass(frozen=True)
class Window:
    """What was counted in the *seconds* up to the time *at*. Sizes are in bytes.

    *busy*: processors that it used, 0.5 is half of one. *local*: the share of hits that were local, and
    *best* what it would be with the best pages; None if nobody knows. *promoted*, *denied*: bytes that were
    promoted, and that the bound kept from being promoted.
    """

    at: float
    seconds: float
    bound: int
    busy: float
    local: float | None
    best: float | None = None
    promoted: int = 0
    denied: int = 0

    def __post_init__(self) -> None:
        shares = [share for share in (self.local, self.best) if share is not None]
        if not 0 < self.seconds < math.inf or self.bound < 1 or not all(0 <= share <= 1 for share in shares):
            raise InputError("a window has no time, no bound or no share of hits", "Report this as a bug")


@dataclass(frozen=True)
class Rules:
    """What a signal is measured by: latencies, and the budget of slowdown as a share (0.1 is 10 %)."""

    latencies: Latencies
    budget: float

    def __post_init__(self) -> None:
        if not 0 < self.budget < math.inf:
            raise InputError(f"a budget of slowdown of {self.budget}", "Give a number above 0, such as 0.1")

    def signal(self, window: Window) -> float | None:
        """Return how bad a window is: 1 is what is accepted. None if it says nothing: it was idle."""
        if window.busy < IDLE:
            return None
        if window.local is None:
            return (window.promoted + window.denied) / window.seconds / window.bound / CHURN
        return self.latencies.slowdown(window.local) / self.budget

    def bad(self, window: Window) -> bool:
        """Return whether a window is suspicious. What the best pages would cure, the agent does by itself."""
        signal = self.signal(window)
        cured = window.best is not None and self.latencies.slowdown(window.best) <= self.budget
        return signal is not None and signal > 1 and not (window.local is not None and cured)
