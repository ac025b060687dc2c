# SPDX-License-Identifier: Apache-2.0
"""The figures of bench/placement.py, from reports whose figures are known."""

from pathlib import Path
from typing import Any

import figures
import loads
import pytest

from vmlab.model.oracle import Best

BEST = Best(pages=10, chosen=frozenset(), misses=1000, steady=0.85, moving=0.9, chance=0.25, whole=0.55)
MISSES = 1000  #: of a round


def counts(local: float, ms: float = 100) -> dict[str, Any]:
    """Of the load in one round, whose misses were local to this share."""
    return {"cpu_ms": ms, "user_misses": [int(MISSES * local), int(MISSES * (1 - local))]}


def report(ways: dict[str, tuple[float, float]], kind: str) -> dict[str, Any]:
    """One in which the load's rounds took so many ms in each way, and the agent so many of all."""
    intervals = []

    def mark(label: str, cgroups: dict[str, Any]) -> None:
        intervals.append({"label": label, "pages": {"moved": 0}, "cgroups": cgroups})

    for way, (ms, agent) in ways.items():
        rounds = loads.LOADS[kind].rounds
        mark(f"begin {way}", {"/": counts(0, 1e6), figures.AGENT: counts(0, 1e6)})
        mark(f"{kind} 0", {"/load": counts(1, 1e6)})
        for number in range(1, rounds + 1):
            mark(f"{kind} {number}", {"/load": counts(1, ms), figures.AGENT: counts(0, agent / rounds)})
        mark(f"end {way}", {})
        mark("between", {figures.AGENT: counts(0, 1e6)})
    return {"intervals": intervals}


def test_again_counts_from_the_change_to_the_end_of_the_rounds_that_are_good() -> None:
    goal = BEST.chance + 0.9 * (BEST.steady - BEST.chance)
    after = [counts(0.3)] * 7 + [counts(goal + 0.01)] * 5
    assert figures.again(after, BEST) == pytest.approx(1.0)


def test_an_oracle_of_whole_huge_pages_has_an_efficiency_of_its_own() -> None:
    assert figures.efficiency(BEST.steady, BEST) == pytest.approx(1)
    assert figures.efficiency(BEST.whole, BEST) == pytest.approx(0.5)


def test_one_good_round_is_not_again() -> None:
    assert figures.again([*[counts(0.3)] * 7, counts(0.8), *[counts(0.3)] * 7], BEST) is None


def test_cost_is_all_time_beyond_that_of_the_other_way() -> None:
    rounds = loads.LOADS["zipf"].rounds
    told = report({"local": (100, 50), "bede": (101, 150)}, "zipf")
    cost = figures.Run(told, Path(), "k", "zipf", 1, 1).cost("bede", "local")
    assert cost.seconds == pytest.approx(0.101 * rounds)
    assert cost.cpu == pytest.approx(150 / (101 * rounds))
    assert cost.cost == pytest.approx((101 * rounds + 150) / (100 * rounds + 50) - 1)


def test_a_load_that_has_not_ended_has_no_figures() -> None:
    told = report({"local": (100, 50)}, "zipf")
    assert figures.Run(told, Path(), "k", "zipf", 1, 1).has_ended("local")
    del told["intervals"][-4]
    assert not figures.Run(told, Path(), "k", "zipf", 1, 1).has_ended("local")
    assert not figures.Run(told, Path(), "k", "zipf", 1, 1).has_ended("bede")


def test_without_an_oracle_there_is_no_efficiency(tmp_path: Path) -> None:
    told = report({"bede": (100, 50)}, "zipf")
    samples = [f"{n},{30 * figures.MIB},{98 * figures.MIB}" for n in range(40)]
    (tmp_path / "bede.csv").write_text("\n".join(["seconds,local,far", *samples]))
    row = figures.Run(told, tmp_path, "k", "zipf", 4, 1).row("bede", None, 900.0)
    assert row.efficiency is None
    assert row.speed == pytest.approx(0.9)
    assert " | - | 0.900 | " in figures.table([row])


def test_a_bound_of_all_is_never_reached() -> None:
    assert loads.bound_of(1) >= 2 * loads.SIZE
    assert loads.bound_of(4) * 4 == loads.SIZE


@pytest.mark.parametrize("kind", loads.LOADS)
def test_the_shorter_run_ends_where_the_longer_one_does(kind: str) -> None:
    """The kinds that read a twentieth of their memory in its order each round are at the same one."""
    load = loads.LOADS[kind]
    assert load.last <= load.short <= load.rounds
    assert not load.moves or load.last <= load.short // 2
    if kind in ("scan", "kmeans"):
        assert (load.rounds - load.short) % 20 == 0


@pytest.mark.parametrize("kind", [kind for kind, load in loads.LOADS.items() if not load.program])
def test_each_load_is_a_kind_that_the_program_explains(kind: str) -> None:
    source = Path(__file__).parents[3] / "tests/vm/guest/workloads/patterns.c"
    assert f"\n * {kind} " in source.read_text()


def test_what_a_load_gives_back_at_its_end_is_not_its_local_usage(tmp_path: Path) -> None:
    rows = [(40, 88)] + [(30, 98)] * 40 + [(20, 60), (0, 0), (0, 0)]
    lines = [f"{n},{local * figures.MIB},{far * figures.MIB}" for n, (local, far) in enumerate(rows)]
    (tmp_path / "bede.csv").write_text("\n".join(["seconds,local,far", *lines]))
    run = figures.Run({}, tmp_path, "k", "zipf", 4, 1)
    assert run.usage("bede") == pytest.approx((30 / 32, 0, 40 / 32 - 1))
