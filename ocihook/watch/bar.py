# SPDX-License-Identifier: Apache-2.0
"""A bar of local usage against its bound. Pure."""

from __future__ import annotations

EIGHTHS = " ▏▎▍▌▋▊▉█"
PLAIN = " #"


def parts(local: int, bound: int, width: int, fancy: bool = True) -> tuple[str, str, str]:
    """Return the bar in three parts: usage, free room, and the bound's mark with the overshoot.

    Together they have *width* columns. The mark is two columns before the end. Behind it, one arrow means any
    overshoot, two arrows mean a tenth of the bound or more.
    """
    room = max(width - 3, 1)
    share = local / bound if bound else 0.0
    eighths = min(round(share * room * 8), room * 8)
    full, rest = divmod(eighths, 8)
    used = ("█" if fancy else "#") * full
    if rest and fancy:
        used += EIGHTHS[rest]
    past = 0 if share <= 1 else 1 if share < 1.1 else 2
    mark = "▏" if fancy else "|"
    beyond = ("▶" if fancy else ">") * past
    return used, " " * (room - len(used)), f"{mark}{beyond:2}"


def shares(local: int, far: int, width: int) -> tuple[int, int]:
    """Return *width* columns, split between *local* and *far* in proportion; both get some if not zero."""
    total = local + far
    if not total or width < 2:
        return 0, 0
    columns = round(width * local / total)
    columns = max(columns, 1) if local else 0
    columns = min(columns, width - 1) if far else width
    return columns, width - columns
