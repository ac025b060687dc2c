# SPDX-License-Identifier: Apache-2.0
"""The figures of bench/placement.py, from reports whose figures are known."""

from pathlib import Path
from typing import Any

import figures
import loads
import pytest

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


def test_a_load_that_has_not_ended_has_no_figures() -> None:
    told = report({"local": (100, 50)}, "zipf")
    assert figures.Run(told, Path(), "k", "zipf", 1, 1).has_ended("local")
    del told["intervals"][-4]
    assert not figures.Run(told, Path(), "k", "zipf", 1, 1).has_ended("local")
    assert not figures.Run(told, Path(), "k", "zipf", 1, 1).has_ended("bede")


@pytest.mark.parametrize("kind", loads.LOADS)
def test_each_load_is_a_kind_that_the_program_explains(kind: str) -> None:
    source = Path(__file__).parents[3] / "tests/vm/guest/workloads/patterns.c"
    assert f"\n * {kind} " in source.read_text()
