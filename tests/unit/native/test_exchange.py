# SPDX-License-Identifier: Apache-2.0
"""The exchange of pages on simulated memory: which pages become local, at what price, and how soon."""

import itertools
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE_BYTES = 4096
PAGES = 32768  #: 128 MiB
RATE = 10_000_000  #: accesses a second that miss all caches
SEEDS = range(3)
SHARES = (2, 4, 8)


@dataclass(frozen=True)
class Turn:
    """What one measurement and the exchange after it came to; see exchange.c. Counts are from the start."""

    seconds: float
    local: float  #: share of the accesses
    best: float
    cpu_us: int
    moved: int
    vain: int
    highest: int
    hits_local: int  #: thousandths, as Bede estimates them
    hits_best: int
    pages: int  #: that are local

    def efficiency(self, bound: int) -> float:
        """0 for *bound* random pages being local, 1 for the best ones."""
        return (self.local - bound / PAGES) / (self.best - bound / PAGES)


def run(
    program: Path, load: str, share: int, seed: int, seconds: float, *more: str, rate: int = RATE
) -> list[Turn]:
    """Run *load* for so long; the bound is 1/*share* of its memory. It is never passed, whatever happens."""
    bound = PAGES // share
    words = [program, load, PAGES, bound, seed, rate, seconds, *more]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=True)
    turns = []
    for line in done.stdout.splitlines():
        at, local, best, *counts = line.split()
        turns.append(Turn(float(at), float(local), float(best), *map(int, counts)))
    assert all(turn.highest <= bound for turn in turns)
    return turns


def estimate(turns: list[Turn]) -> float:
    """What is local of what could be, as estimated in the second half: one sample alone has 1024 pages."""
    later = [turn for turn in turns if turn.seconds > turns[-1].seconds / 2]
    return sum(turn.hits_local for turn in later) / sum(turn.hits_best for turn in later)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("load", "least"), [("zipf", 0.95), ("region", 0.98), ("scan", 0.97)])
def test_the_hot_pages_become_local(exchange: Path, load: str, least: float, share: int, seed: int) -> None:
    """Soon, at two percent of a CPU at most in a minute, and nearly nothing is moved in vain."""
    turns = run(exchange, load, share, seed, 60)
    assert turns[-1].efficiency(PAGES // share) > least
    soon = [turn for turn in turns if turn.seconds < 5][-1]
    assert soon.efficiency(PAGES // share) > 0.9
    assert turns[-1].cpu_us < 60e6 * 0.02
    assert turns[-1].vain * 10 <= turns[-1].moved
    assert 0.9 <= estimate(turns) <= 1.05


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("load", ["records", "tree"])
def test_pages_that_hardly_differ_are_told_apart(exchange: Path, load: str, share: int, seed: int) -> None:
    """Each has many records, and those that are used most are in the cache: many windows tell, and soon."""
    turns = run(exchange, load, share, seed, 60)
    soon = [turn for turn in turns if turn.seconds < 20][-1]
    assert soon.efficiency(PAGES // share) > 0.9
    assert turns[-1].efficiency(PAGES // share) > 0.94
    assert turns[-1].cpu_us < 60e6 * 0.02
    assert turns[-1].vain * 10 <= turns[-1].moved


@pytest.mark.parametrize("share", SHARES[1:])
@pytest.mark.parametrize(("load", "least"), [("zipf", 0.95), ("records", 0.94)])
def test_buffers_that_come_and_go_keep_no_room_unused(
    exchange: Path, load: str, least: float, share: int
) -> None:
    """They count as local at times, so a ticket is less than was made room for."""
    turns = run(exchange, load, share, 1, 60, "buffers")
    later = [turn.pages for turn in turns if turn.seconds > 5]
    assert statistics.mean(later) > PAGES // share * 0.98
    assert turns[-1].efficiency(PAGES // share) > least
    assert turns[-1].vain * 10 <= turns[-1].moved


@pytest.mark.parametrize("kind", [("huge",), ("huge", "buffers")])
@pytest.mark.parametrize("share", SHARES[1:])
@pytest.mark.parametrize("load", ["zipf", "tree"])
def test_room_too_small_for_a_huge_page_is_for_others(
    exchange: Path, load: str, share: int, kind: tuple[str, ...]
) -> None:
    """All huge pages are always in use here: accessed bits tell none from another, but they cost no room."""
    turns = run(exchange, load, share, 1, 60, *kind)
    later = [turn.pages for turn in turns if turn.seconds > 5]
    assert statistics.mean(later) > PAGES // share * 0.98
    assert turns[-1].vain * 4 <= turns[-1].moved


@pytest.mark.parametrize("share", SHARES)
def test_huge_pages_that_fit_into_no_free_room_are_exchanged(exchange: Path, share: int) -> None:
    """Looking for smaller ones does not keep them from it."""
    turns = run(exchange, "region", share, 1, 20, "huge", "buffers")
    soon = [turn for turn in turns if turn.seconds < 6][-1]
    assert soon.efficiency(PAGES // share) > 0.98


@pytest.mark.parametrize("share", SHARES)
def test_a_load_that_rests_at_times_is_not_learned_anew(exchange: Path, share: int) -> None:
    """It uses the same pages when it works again, so nothing has to be moved for it."""
    turns = run(exchange, "bursts", share, 1, 60)
    later = [turn for turn in turns if turn.seconds > 10]
    assert min(turn.efficiency(PAGES // share) for turn in later) > 0.97
    assert later[-1].moved - later[0].moved < PAGES // share / 2
    assert turns[-1].cpu_us < 60e6 * 0.04
    assert turns[-1].vain * 100 <= turns[-1].moved


@pytest.mark.parametrize("share", SHARES)
def test_what_changes_little_by_little_is_followed(exchange: Path, share: int) -> None:
    """Many windows would tell more of what was than of what is."""
    turns = run(exchange, "gradual", share, 1, 120)
    later = [turn.efficiency(PAGES // share) for turn in turns if turn.seconds > 10]
    assert statistics.mean(later) > 0.94
    assert turns[-1].cpu_us < 120e6 * 0.03
    assert turns[-1].vain * 10 <= turns[-1].moved


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("rate", [RATE, RATE // 100])
def test_nothing_is_moved_where_all_is_used_alike(exchange: Path, rate: int, share: int, seed: int) -> None:
    """By chance some pages are seen more often than others, in each measurement others."""
    turns = run(exchange, "uniform", share, seed, 60, rate=rate)
    assert turns[-1].moved * PAGE_BYTES < 1 << 20
    # Nor is it learned anew because a few of them are not seen in some windows.
    assert turns[-1].cpu_us < 60e6 * 0.016


@pytest.mark.parametrize("share", SHARES)
def test_chance_among_warm_pages_moves_none(exchange: Path, share: int) -> None:
    """A few are hot and become local; the rest is used alike, and often."""
    turns = run(exchange, "steps", share, 1, 60)
    promoted = [turn.moved / 2 for turn in turns if turn.seconds > 10]
    assert turns[-1].efficiency(PAGES // share) > 0.99
    assert max(after - before for before, after in itertools.pairwise(promoted)) < PAGES // share * 0.02
    assert turns[-1].cpu_us < 60e6 * 0.02


@pytest.mark.parametrize(
    "kind", [("processes",), ("unfenced",), ("huge",), ("huge", "processes", "unfenced")]
)
@pytest.mark.parametrize("share", SHARES[:2])
def test_of_several_processes_and_sizes(exchange: Path, share: int, kind: tuple[str, ...]) -> None:
    """A huge page takes the place of many small ones, whoever has them."""
    turns = run(exchange, "region", share, 1, 60, *kind)
    assert turns[-1].efficiency(PAGES // share) > 0.98


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("load", "least"), [("zipf", 0.95), ("region", 0.98), ("moved", 0.95)])
def test_memory_that_processes_share_is_hot_for_all_of_them(
    exchange: Path, load: str, least: float, share: int
) -> None:
    """What one process uses much, another one hardly ever: it is not demoted for the sake of the other."""
    turns = run(exchange, load, share, 1, 60, "shared")
    assert turns[-1].efficiency(PAGES // share) > least
    assert turns[-1].vain * 10 <= turns[-1].moved
    assert 0.9 <= estimate(turns) <= 1.05


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("load", ["region", "zipf"])
def test_what_is_demoted_for_memory_that_comes_and_goes_is_promoted_again(
    exchange: Path, load: str, share: int
) -> None:
    """Each time, and no local page is given away for it."""
    turns = run(exchange, load, share, 1, 60, "churn")
    assert min(turn.efficiency(PAGES // share) for turn in turns if turn.seconds > 10) > 0.95
    assert turns[-1].vain * 100 < turns[-1].moved


@pytest.mark.parametrize("share", SHARES)
def test_measurements_that_lack_samples_do_not_undo_what_others_told(exchange: Path, share: int) -> None:
    turns = run(exchange, "zipf", share, 1, 60, "sampled")
    assert min(turn.efficiency(PAGES // share) for turn in turns if turn.seconds > 10) > 0.9
    assert turns[-1].vain * 10 <= turns[-1].moved


@pytest.mark.parametrize("load", ["zipf", "region"])
def test_what_cannot_be_moved_is_in_nobodys_way(exchange: Path, load: str) -> None:
    """Half of the local pages cannot be, the first to be tried, as if processes elsewhere had mapped them."""
    turns = run(exchange, load, 4, 1, 30, "stuck")
    assert turns[-1].efficiency(PAGES // 4) > (0.9 if load == "zipf" else 0.5)
    if load == "region":
        assert turns[-1].hits_local / turns[-1].hits_best == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("load", "patience"), [("jump", 2), ("moved", 10)])
def test_other_pages_become_hot(exchange: Path, load: str, patience: float, share: int, seed: int) -> None:
    """After half a minute: 90 % of what can be reached is reached again soon, and moving stays cheap."""
    bound = PAGES // share
    turns = run(exchange, load, share, seed, 60)
    before = [turn for turn in turns if turn.seconds < 30][-1]
    after = next(turn for turn in turns if turn.seconds > 30 and turn.efficiency(bound) > 0.9)
    assert before.efficiency(bound) > 0.9
    assert after.seconds < 30 + patience
    assert turns[-1].cpu_us < 60e6 * 0.03
    assert turns[-1].vain * 10 <= turns[-1].moved


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", SHARES)
def test_a_change_does_not_wait_as_long_as_what_was_learned_before_has_cost(
    exchange: Path, share: int, seed: int
) -> None:
    """On a slow processor, soon after much was learned: there are looks for it meanwhile."""
    turns = run(exchange, "jump", share, seed, 30, "slow")
    after = next(turn for turn in turns if turn.seconds > 15 and turn.efficiency(PAGES // share) > 0.9)
    assert after.seconds < 15 + 10


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_used_in_turns_is_local_as_a_whole(exchange: Path, seed: int) -> None:
    """In a moment only one half of it is in use: the other one is not forgotten for that."""
    share = 8
    turns = run(exchange, "turns", share, seed, 60)
    assert min(turn.efficiency(PAGES // share) for turn in turns if turn.seconds > 10) > 0.95
    assert turns[-1].cpu_us < 60e6 * 0.03
    assert turns[-1].vain * 10 <= turns[-1].moved
