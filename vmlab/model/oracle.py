# SPDX-License-Identifier: Apache-2.0
"""The best placement there is, from a log of misses by page: what any other one is measured against.

It knows the future and moves pages at no cost. A log is what `plugin/pages.c` writes: for each epoch the
number of pages, then for each page its name and its misses. All are 64-bit numbers in the host's byte order.
"""

import heapq
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ocihook.errors import InputError

PAGE = 4096
HUGE_SHIFT = 9  #: of a page's number: 512 of them are a huge page's
SPACE_SHIFT = 44  #: as in plugin/pages.h; the highest bit is always set
Epoch = Counter[int]  #: a page's name → its misses


@dataclass(frozen=True)
class Best:
    """What the oracle reaches with *pages* pages local.

    *chosen*: the best set that never changes. *steady* is its share of all misses (H*), *moving* that of a
    set chosen anew for each epoch, *chance* what a random set would have. *whole* is that of the best set of
    whole huge pages, if all memory were in these.
    """

    pages: int
    chosen: frozenset[int]
    misses: int
    steady: float
    moving: float
    chance: float
    whole: float


def space(name: int) -> int:
    """The number of a page's address space; 0 for the kernel's, which nobody places."""
    return name >> SPACE_SHIFT & (1 << (63 - SPACE_SHIFT)) - 1


def read(path: Path) -> list[Epoch]:
    """The epochs of a log, with the pages of programs alone."""
    numbers = array("Q")
    try:
        numbers.frombytes(path.read_bytes())
    except OSError as exc:
        raise InputError(f"cannot read {path}: {exc.strerror}") from None
    except ValueError:
        raise InputError(f"{path} is no log of misses") from None
    epochs, at = [], 0
    while at < len(numbers):
        start, at = at + 1, at + 1 + 2 * numbers[at]
        if at > len(numbers):
            raise InputError(f"{path} is no log of misses, or is cut off")
        pages = zip(numbers[start:at:2], numbers[start + 1 : at : 2], strict=True)
        epochs.append(Counter({name: count for name, count in pages if space(name)}))
    return epochs


def best(epochs: list[Epoch], pages: int) -> Best:
    """The oracle for a bound of *pages* pages. An `InputError` if nothing missed."""
    total: Epoch = Counter()
    for epoch in epochs:
        total.update(epoch)
    misses = total.total()
    if not misses:
        raise InputError("the log has no misses", "Call bede-mark --follow and --epoch in the machine")
    chosen = heapq.nlargest(pages, total, key=total.__getitem__)
    huge = Counter[int]()
    for name, count in total.items():
        huge[name >> HUGE_SHIFT] += count
    moving = sum(sum(heapq.nlargest(pages, epoch.values())) for epoch in epochs)
    return Best(
        pages=pages,
        chosen=frozenset(chosen),
        misses=misses,
        steady=sum(total[name] for name in chosen) / misses,
        moving=moving / misses,
        chance=min(1.0, pages / len(total)),
        whole=sum(heapq.nlargest(pages >> HUGE_SHIFT, huge.values())) / misses,
    )


def write(chosen: frozenset[int], epochs: int, path: Path) -> None:
    """The placement *chosen*, in a log's format, for a replay: the same in each of *epochs* epochs."""
    one = array("Q", [len(chosen)])
    for name in sorted(chosen):
        one.extend((name, 1))
    with path.open("wb") as file:
        for _ in range(epochs):
            one.tofile(file)
