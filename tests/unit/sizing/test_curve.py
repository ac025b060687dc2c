# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import json
import math
from random import Random

import pytest
import sizing_loads as loads
from hypothesis import given, settings
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.sizing.curve import Latencies, fitted
from ocihook.sizing.histogram import DAY
from ocihook.sizing.history import CELLS, UNSETTLED, History, Point, Sample, restored

MIB = 1 << 20
SHARES = st.floats(0, 1)
SAMPLE = st.builds(
    Sample,
    at=st.floats(0, 4e9),
    local=st.integers(1, 1 << 44),
    share=SHARES,
    best=st.none() | SHARES,
    curve=st.lists(st.builds(Point, st.integers(1, 1 << 44), SHARES), max_size=5).map(tuple),
)
HISTORY = st.lists(SAMPLE, min_size=1, max_size=25)


def of(samples: list[Sample]) -> History:
    history = History()
    for sample in samples:
        history = history.added(sample)
    return history


@given(HISTORY, st.none() | st.integers(1, 1 << 44))
def test_a_curve_rises_and_its_inverse_agrees(samples: list[Sample], whole: int | None) -> None:
    curve = fitted(of(samples), whole)
    assert all(a.size < b.size and a.share <= b.share for a, b in itertools.pairwise(curve.points))
    for size in [1, *curve.measured, 1 << 45]:
        share = curve.share(size)
        assert 0 <= share <= 1 + 1e-9
        assert 0 <= curve.confidence(size) < 1
        needed = curve.size(share)
        assert needed is not None
        # It rounds up to a byte, and floats are not exact.
        assert needed <= size * (1 + 1e-6) + 1
        assert curve.share(needed) >= share - 1e-6
    assert curve.size(1.1) is None


@given(HISTORY)
def test_the_fit_keeps_the_weighted_mean(samples: list[Sample]) -> None:
    history = of(samples)
    shares = [point.share for point in fitted(history).points]
    cells = history.now()
    assert math.isclose(
        sum(cell.weight * share for cell, share in zip(cells, shares, strict=True)),
        sum(cell.weight * cell.share for cell in cells),
        abs_tol=1e-6,
    )


def test_violators_are_pooled_by_weight() -> None:
    samples = [Sample(0.0, 10 * MIB, 0.8)] * 3 + [Sample(0.0, 20 * MIB, 0.4), Sample(0.0, 40 * MIB, 0.9)]
    points = fitted(of(samples)).points
    assert [point.share for point in points] == pytest.approx([0.7, 0.7, 0.9])


def test_a_chord_lies_between_measured_sizes_and_known_ends() -> None:
    history = of([Sample(0.0, 20 * MIB, 0.6), Sample(0.0, 40 * MIB, 0.8)])
    known, open_ended = fitted(history, 80 * MIB), fitted(history)
    assert known.share(10 * MIB) == pytest.approx(0.3)
    assert known.share(30 * MIB) == pytest.approx(0.7)
    assert known.share(60 * MIB) == pytest.approx(0.9)
    assert (known.share(80 * MIB), known.share(1 << 40)) == (1.0, 1.0)
    assert open_ended.share(80 * MIB) == pytest.approx(0.8)  # nobody has seen more
    assert known.size(0.9) == pytest.approx(60 * MIB, abs=2)
    assert open_ended.size(0.9) is None


def test_without_a_measurement_a_curve_is_chance_and_nobody_believes_it() -> None:
    curve = fitted(History(), 100 * MIB)
    assert curve.share(25 * MIB) == 0.25
    assert curve.confidence(25 * MIB) == 0
    assert fitted(History()).share(MIB) == 0


def test_confidence_grows_with_samples_time_and_nearness() -> None:
    load, random = loads.zipf(), Random(1)
    size = load.whole // 4

    def trust(samples: int, at: int, sizes: list[int], whole: int | None = None) -> float:
        return fitted(loads.measured(load, sizes, random, 0.02, samples), whole).confidence(at)

    assert trust(1, size, [size]) < trust(12, size, [size]) < trust(144, size, [size]) < 1
    assert trust(144, size, [size]) > 0.6
    beyond = [trust(144, factor * size, [size]) for factor in (1, 2, 4, 16)]
    assert beyond == sorted(beyond, reverse=True)
    assert beyond[-1] < 0.01
    # The same distance is believed more with a known end, and more yet between two measured sizes.
    ended = trust(144, 2 * size, [size], load.whole)
    between = trust(144, 2 * size, [size, 4 * size])
    assert beyond[1] < ended < between
    # Many samples of one minute are no day.
    hasty = of([Sample(float(at), size, 0.5) for at in range(60)])
    assert fitted(hasty).confidence(size) < 0.01


def test_a_sample_counts_half_after_a_half_life() -> None:
    old = [Sample(0.0, MIB, 0.2)] * 2
    (point,) = fitted(of([*old, Sample(DAY, MIB, 0.8)])).points
    assert point.share == pytest.approx(0.5)


def test_a_sample_of_an_agent_that_learns_counts_little() -> None:
    learning, settled = Sample(0.0, MIB, 0.2, best=0.9), Sample(0.0, MIB, 0.8, best=0.82)
    (point,) = fitted(of([learning, settled])).points
    assert point.share > 0.72
    # But a load that never settles has a curve.
    assert [cell.weight for cell in of([learning]).now()] == pytest.approx([UNSETTLED])


def test_a_prediction_counts_less_than_a_measurement_and_not_at_the_measured_size() -> None:
    predicted = tuple(Point(size * MIB, share) for size, share in ((10, 0.9), (20, 0.8)))
    history = of([Sample(0.0, 10 * MIB, 0.5, curve=predicted)])
    assert [(round(cell.share, 9), cell.measured) for cell in history.cells] == [(0.5, True), (0.8, False)]
    once = of([Sample(0.0, 10 * MIB, 0.5, curve=predicted), Sample(0.0, 20 * MIB, 0.7)])
    assert once.cells[1].share == pytest.approx((0.25 * 0.8 + 0.7) / 1.25)
    assert once.cells[1].measured


@given(HISTORY)
def test_a_history_is_bounded_and_its_checkpoint_comes_back(samples: list[Sample]) -> None:
    history = of(samples)
    text = json.dumps(history.checkpoint())
    assert len(text) < 200 + 60 * CELLS
    back = restored(json.loads(text))
    for size in (MIB, *fitted(history).measured):
        assert fitted(back).confidence(size) == pytest.approx(fitted(history).confidence(size), abs=0.01)


def test_no_history_has_more_cells_than_it_may() -> None:
    history = of([Sample(0.0, MIB, 0.1)] * 3 + [Sample(0.0, round(MIB * 1.1**at), 0.5) for at in range(200)])
    assert len(history.cells) == CELLS
    assert history.cells[0].size == MIB  # of which there were three


GOOD = of([Sample(1e6, MIB, 0.5), Sample(2e6, 3 * MIB, 0.7)]).checkpoint()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {**GOOD, "more": 1},
        {**GOOD, "first": 1e9},  # after the last one
        {**GOOD, "cells": [[MIB, 0.5, 1.0]]},
        {**GOOD, "cells": [[MIB, 1.5, 1.0, True]]},
        {**GOOD, "cells": [[0, 0.5, 1.0, True]]},
        {**GOOD, "cells": [[MIB, 0.5, -1.0, True]]},
        {**GOOD, "cells": [[MIB, 0.5, math.nan, True]]},
        {**GOOD, "cells": [[MIB, 0.5, 1.0, 1]]},
        {**GOOD, "cells": [[MIB, 0.5, 1.0, True]] * (CELLS + 1)},
    ],
)
def test_a_malformed_checkpoint_is_refused_with_a_hint(wrong: object) -> None:
    with pytest.raises(InputError) as caught:
        restored(wrong)
    assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"share": 1.1},
        {"share": math.nan},
        {"local": 0},
        {"at": math.inf},
        {"curve": (Point(0, 0.5),)},
        {"best": 2.0},
    ],
)
def test_what_is_no_sample_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        of([dataclasses.replace(Sample(0.0, MIB, 0.5), **change)])


@settings(max_examples=50)
@given(SHARES, st.floats(0.01, 1))
def test_slowdown_and_share_are_each_others_inverse(share: float, waits: float) -> None:
    latencies = Latencies(90, 250, waits)
    assert latencies.share(latencies.slowdown(share)) == pytest.approx(share, abs=1e-9)
    assert latencies.slowdown(1) == 0
    assert Latencies(90, 250).slowdown(0) == pytest.approx(160 / 90)
    assert latencies.share(100) == 0


@pytest.mark.parametrize(
    "wrong", [(0, 250, 1), (250, 90, 1), (90, 250, 0), (90, 250, 1.1), (90, math.inf, 1)]
)
def test_impossible_latencies_are_refused(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(InputError):
        Latencies(*wrong)


def test_far_memory_as_fast_as_local_slows_nothing() -> None:
    assert Latencies(90, 90).slowdown(0) == 0
    assert Latencies(90, 90).share(0.1) == 0
