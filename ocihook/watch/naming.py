# SPDX-License-Identifier: Apache-2.0
"""Names of containers for display: shortened only if there is no room, and always distinct. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ocihook.cgroup import names
from ocihook.cgroup.names import escaped
from ocihook.control.status import Status

CUT = "…"  #: stands for what is left out
LEAST = 12  #: characters that a column of names has at least, however narrow the terminal is


def ids(containers: Sequence[Status]) -> list[str]:
    """Return an id for each of ``containers.listing()`` that `bede set` accepts.

    It is as short as engines show it, but longer if two would be the same.
    """
    ways: tuple[Callable[[Status], str], ...] = (
        lambda container: names.short(container.id),
        lambda container: container.id,
        lambda container: container.cgroup,  # two runtimes may use one id
    )
    return _distinct(containers, ways)


def titles(containers: Sequence[Status]) -> list[str]:
    """Return the name of each container, else its id; names that two engines use have the id added."""
    ways: tuple[Callable[[Status], str], ...] = (
        lambda container: container.name or names.short(container.id),
        lambda container: f"{container.name} {names.short(container.id)}".strip(),
        lambda container: container.cgroup,
    )
    return _distinct(containers, ways)


def _distinct(containers: Sequence[Status], ways: Sequence[Callable[[Status], str]]) -> list[str]:
    """Return a text for each container, by the first of *ways* that makes it unique, else by the last."""
    found: dict[int, str] = {}
    for way in ways:
        texts = {at: escaped(way(containers[at])) for at in range(len(containers)) if at not in found}
        # A container that is listed twice does not conflict with itself.
        texts_of = {(containers[at].cgroup, text) for at, text in [*texts.items(), *found.items()]}
        taken = Counter(text for _, text in texts_of)
        last = way is ways[-1]
        found |= {at: text for at, text in texts.items() if last or taken[text] == 1}
    return [found[at] for at in range(len(containers))]


def fit(texts: Sequence[str], width: int) -> list[str]:
    """Return *texts*, cut to *width* characters; different ones stay different if *width* allows it.

    A text that is too long is cut in the middle, since names mostly differ at either end. If two become the
    same by that, the cut moves so that a difference remains.
    """
    width = max(width, 1)
    cut = {text: text if len(text) <= width else _cut(text, (width - 1) // 2, width) for text in texts}
    groups: dict[str, list[str]] = {}
    for text, short in cut.items():
        groups.setdefault(short, []).append(text)
    taken = set(groups)
    for short, alike in groups.items():
        if len(alike) > 1:
            fixed = {short} if short in alike else set()  # one of the texts that was short enough uncut
            found = _parted(sorted(set(alike) - fixed), width, taken - {short} | fixed)
            taken |= set(found.values())
            cut |= found
    return [cut[text] for text in texts]


def _cut(text: str, head: int, width: int) -> str:
    """Return *text* cut to *width* characters: its first *head* ones, the mark of a cut, and its end."""
    tail = width - head - 1
    return text[:head] + CUT + (text[-tail:] if tail else "")


def _parted(alike: list[str], width: int, taken: set[str]) -> dict[str, str]:
    """Return short forms of *alike*, different from each other and from all of *taken*."""
    first = next((at for at, chars in enumerate(zip(*alike, strict=False)) if len(set(chars)) > 1), 0)
    for head in sorted(range(width), key=lambda head: abs(head - width // 2)):
        found = {text: _cut(text, head, width) for text in alike}
        if _differs(found, taken):
            return found
    # The difference is in the middle, where the cut would be: leave out the beginning instead.
    found = {text: CUT + text[max(first - 2, 0) :][: width - 1] for text in alike}
    if _differs(found, taken):
        return found
    for at, text in enumerate(alike, 1):
        mark = f"{CUT}{at}"
        found[text] = text[: max(width - len(mark), 0)] + mark[-width:]
    return found


def _differs(found: dict[str, str], taken: set[str]) -> bool:
    return len(set(found.values())) == len(found) and not taken.intersection(found.values())


def narrowed(columns: Sequence[list[str]], over: int) -> list[list[str]]:
    """Return *columns* of names made narrower by *over* characters in total.

    The widest column becomes narrower first, and none narrower than LEAST.
    """
    widths = [max(map(len, column), default=0) for column in columns]
    for _ in range(over):
        at = max(range(len(widths)), key=lambda at: widths[at])
        if widths[at] <= LEAST:
            break
        widths[at] -= 1
    return [fit(column, width) for column, width in zip(columns, widths, strict=True)]
