# SPDX-License-Identifier: Apache-2.0
"""The full-screen view of bound containers, as lines of Rich texts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ocihook.errors import printable
from ocihook.watch import bar, naming, table
from ocihook.watch.order import Order
from ocihook.watch.snapshot import Row

HELP = "q quit  ←→ or s S sort by  r reverse  ↑↓ scroll  n l b f d p w o  h help"
HELP_LINES = (
    "q  quit                      n l b f d p  sort by name, local, bound, far,",
    "s > →  sort by the next      w o          demoted, promoted, pressure (wait),",
    "S < ←  by the one before                  overshoot; again: reverse",
    "r  reverse                   ↑ ↓ j k      scroll, also by page",
    "bar: local usage; the mark is the bound, an arrow is usage past it",
    "HITS: % of the memory in use that is local / that could be under the bound",
    "WAIT: % of the last 10 s in which some task waited for memory",
    "EVENTS: x killed, s stalls, m memory.max, o over the limit, h fence met",
)
#: red is for problems, yellow for far memory
USED, FREE, FAR, PAST, DIM, HEAD = "blue", "bright_black", "yellow", "bold red", "dim", "reverse"
ASCII = str.maketrans(
    {"←": "<", "→": ">", "↑": "^", "↓": "v", "▼": "v", "▲": "^", "…": "~", "·": "-", "█": "#", "░": "."}
)
LEAST_NAME, LEAST_BAR = 8, 10


@dataclass
class View:
    """What the user has chosen, and the messages to show."""

    order: Order = field(default_factory=Order)
    first: int = 0  #: number of containers that are scrolled out at the top
    help: bool = False
    note: str = ""
    host: str = ""
    clock: str = ""  #: the time of day
    interval: float = 1.0  #: seconds
    fancy: bool = True  #: whether the terminal shows more than ASCII


@dataclass(frozen=True)
class Column:
    """One column: its head, its width, its sort key, and its cell."""

    head: str
    width: int
    key: str
    cell: Callable[[Row], Text]


def columns(width: int, rows: Sequence[Row] = ()) -> list[Column]:
    """Return the columns that fit into *width* characters.

    The bar gets its least width, then the names of *rows* get what they need, and the bar gets the rest.
    """
    fixed = [
        Column("LOCAL", 6, "local", _local),
        Column("BOUND", 5, "bound", lambda row: Text(table.size(row.bound))),
        Column("FAR", 5, "far", lambda row: Text(table.size(row.far), style=FAR if row.far else "")),
        Column("DEMOT/s", 8, "demoted", lambda row: _rate(row.demoting)),
        Column("PROMO/s", 8, "promoted", lambda row: _rate(row.promoting)),
        Column("WAIT", 5, "pressure", _wait),
        Column("EVENTS", 8, "", _events),
    ]
    for at, column, least in (
        (1, Column("%", 5, "", _share), 92),
        (4, Column("OVER", 5, "overshoot", _over), 100),
        (5, Column("LOCAL:FAR", 12, "", lambda row: _shares(row, 12)), 118),
        (8, Column("HITS", 7, "", lambda row: Text(table.hits(row.container))), 126),
        (7, Column("STEER/s", 8, "", lambda row: _rate(row.steering)), 136),
    ):
        if width >= least:
            fixed.insert(at, column)
    left = width - sum(column.width + 1 for column in fixed) - 1
    titles = naming.titles([row.container for row in rows])
    longest = max(map(cell_len, titles), default=0)
    name = max(min(longest, left - LEAST_BAR), LEAST_NAME)
    long = max(left - name, LEAST_BAR)
    shown = {row.container.cgroup: text for row, text in zip(rows, naming.fit(titles, name), strict=True)}
    return [
        Column("NAME", name, "name", lambda row: Text(shown[row.container.cgroup], style="bold")),
        Column("", long, "", lambda row: _bar(row, long)),
        *fixed,
    ]


def lines(rows: Sequence[Row], view: View, width: int, height: int) -> list[Text]:
    """Return the screen: exactly *height* lines, none wider than *width*."""
    shown = columns(width, rows)
    top = [_title(rows, view, width)]
    if view.note:
        top.append(Text(printable(view.note), style=PAST))
    if view.help:
        top += [Text(line, style=DIM) for line in HELP_LINES]
    top.append(_head(shown, view, width))
    room = max(height - len(top) - 1, 1)
    ordered = view.order.sorted(rows)
    # If not all rows fit, one line is needed to say how many more there are.
    fits = room if len(ordered) <= room else max(room - 1, 1)
    view.first = max(0, min(view.first, len(ordered) - fits))
    body = [_line(shown, row, view.fancy) for row in ordered[view.first : view.first + fits]]
    below = len(ordered) - view.first - len(body)
    if len(ordered) > fits:
        said = [f"{view.first} above"] if view.first else []
        said += [f"and {below} more"] if below else []
        body.append(Text("  … " + ", ".join(said), style=DIM))
    if not ordered:
        body.append(Text("no bound container runs", style=DIM))
    blank = [Text("")] * (height - len(top) - len(body) - 1)
    found = [*top, *body, *blank, Text(HELP, style=DIM)][:height]
    for line in found:
        if not view.fancy:
            plain = line.plain.translate(ASCII)
            line.plain = "".join(char if char.isascii() else "?" for char in plain)
        line.truncate(width)
        line.no_wrap = True
    return found


def _title(rows: Sequence[Row], view: View, width: int) -> Text:
    local, bound, far = (sum(getattr(row, name) for row in rows) for name in ("local", "bound", "far"))
    over = sum(row.local > row.bound for row in rows)
    left = Text.assemble(("bede top", "bold"))
    count = f"{len(rows)} container{'' if len(rows) == 1 else 's'}"
    left.append(f"  {count}, local {table.size(local)} of {table.size(bound)}, far {table.size(far)}")
    if over:
        left.append(f"  {over} over", PAST)
    right = f"{view.host}  {view.interval:g} s  {view.clock}".strip()
    for text in (right, f"{view.interval:g} s  {view.clock}", view.clock):
        if left.cell_len + len(text) + 2 <= width:
            left.append(" " * (width - left.cell_len - cell_len(text)))
            left.append(text, DIM)
            break
    return left


def _head(shown: Sequence[Column], view: View, width: int) -> Text:
    parts = []
    for column in shown:
        text = column.head
        if column.key and column.key == view.order.key:
            arrow = "▼" if view.order.descending else "▲"
            text = arrow + text if len(text) < column.width else arrow + text[: column.width - 1]
        parts.append(text.ljust(column.width) if column.key == "name" else text.rjust(column.width))
    # The bar has no head, so that is the place for the sort key if no shown column has it.
    if not any(column.key == view.order.key for column in shown):
        parts[1] = f"by {view.order.key}"[: shown[1].width].ljust(shown[1].width)
    return Text(set_cell_size(" ".join(parts), width), style=HEAD)


def _line(shown: Sequence[Column], row: Row, fancy: bool) -> Text:
    line = Text()
    for at, column in enumerate(shown):
        cell = column.cell(row) if column.head or fancy else _bar(row, column.width, fancy=False)
        cell.truncate(column.width, overflow="ellipsis")
        blank = " " * (column.width - cell.cell_len)
        line.append(" " if at else "")
        line.append_text(Text(blank) + cell if at > 1 else cell + Text(blank))
    return line


def _bar(row: Row, width: int, fancy: bool = True) -> Text:
    used, room, mark = bar.parts(row.local, row.bound, width, fancy)
    over = row.local > row.bound
    return Text.assemble((used, PAST if over else USED), (room, FREE), (mark, PAST if over else FREE))


def _shares(row: Row, width: int) -> Text:
    local, far = bar.shares(row.local, row.far, width)
    return Text.assemble(("█" * local, USED), ("░" * far, FAR))


def _local(row: Row) -> Text:
    return Text(table.size(row.local), style=PAST if row.local > row.bound else USED)


def _share(row: Row) -> Text:
    return Text(table.per_cent(row.share), style=PAST if row.local > row.bound else "")


def _over(row: Row) -> Text:
    """Return the cell with the highest overshoot so far."""
    return Text(table.size(row.overshoot), style="red") if row.overshoot else Text("·", style=DIM)


def _rate(value: float | None) -> Text:
    quiet = value is not None and not round(value)
    return Text("·" if quiet else table.size(value), style=DIM if quiet or value is None else "")


def _wait(row: Row) -> Text:
    value = row.counters.pressure.some if row.counters.pressure else None
    hard = value is not None and value >= 10
    return Text(table.per_cent(value), style="red" if hard else DIM if not value else "")


def _events(row: Row) -> Text:
    counts = row.counters
    style = "red" if counts.oom_kill else "yellow" if counts.stalls or counts.max or counts.over else ""
    return Text(table.events(counts, narrow=True), style=style or DIM)
