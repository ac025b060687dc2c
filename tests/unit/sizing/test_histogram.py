# SPDX-License-Identifier: Apache-2.0
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.sizing.histogram import BUCKETS, DAY, LARGEST, SCALE, Histogram, bucket, restored, start

MIB = 1 << 20
SIZES = st.integers(0, LARGEST)
#: (seconds, bytes): days to years apart, in any order
SAMPLES = st.lists(st.tuples(st.floats(0, 4e9), SIZES), min_size=1, max_size=30)


def filled(samples: list[tuple[float, int]]) -> Histogram:
    histogram = Histogram()
    for at, value in samples:
        histogram = histogram.added(at, value)
    return histogram


@given(SIZES)
def test_a_size_is_in_its_bucket(value: int) -> None:
    number = bucket(value)
    # One byte more or less, as floats are not exact where a bucket ends.
    assert start(number) <= value + 1 + value * 1e-9
    assert value <= start(number + 1) + 1 + value * 1e-9


def test_what_is_larger_than_all_buckets_is_in_the_last_one() -> None:
    assert bucket(1 << 60) == BUCKETS - 1


def test_a_percentile_is_at_most_a_bucket_too_much() -> None:
    histogram = filled([(0.0, number * MIB) for number in range(1, 101)])
    for share in (0.5, 0.9, 0.99, 1.0):
        true = 100 * share * MIB
        assert true <= histogram.percentile(share) <= true * 1.05 + MIB + 1
    assert Histogram().percentile(0.5) == 0


def test_a_sample_counts_half_after_a_half_life() -> None:
    old = filled([(0.0, 100 * MIB)] * 10)
    # Ten old samples count as five now, so four new ones are not yet the median, and six are.
    assert old.merged(filled([(DAY, 1000 * MIB)] * 4)).percentile(0.5) < 200 * MIB
    assert old.merged(filled([(DAY, 1000 * MIB)] * 6)).percentile(0.5) > 900 * MIB


@given(SAMPLES)
def test_the_order_of_samples_does_not_matter(samples: list[tuple[float, int]]) -> None:
    forth, back = filled(samples), filled(samples[::-1])
    latest = max(at for at, _ in samples)
    one, other = (each.merged(Histogram(reference=latest)) for each in (forth, back))
    for a, b in zip(one.weights, other.weights, strict=True):
        assert math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12)


@given(SAMPLES, SAMPLES)
def test_merging_is_adding_all_samples(
    first: list[tuple[float, int]], second: list[tuple[float, int]]
) -> None:
    merged, whole = filled(first).merged(filled(second)), filled(first + second)
    assert merged.percentile(0.999) == whole.merged(Histogram()).percentile(0.999)


@given(SAMPLES)
def test_weights_stay_finite_over_many_years(samples: list[tuple[float, int]]) -> None:
    histogram = filled([*samples, (4e11, MIB)])
    assert math.isfinite(histogram.total)
    assert histogram.percentile(0.9) <= 2.1 * MIB + 1  # the others have faded


@settings(max_examples=50)
@given(SAMPLES)
def test_a_checkpoint_is_short_and_comes_back(samples: list[tuple[float, int]]) -> None:
    histogram = filled(samples)
    text = json.dumps(histogram.checkpoint())
    assert len(text) < 150 + 13 * BUCKETS
    back = restored(json.loads(text))
    assert back.reference == histogram.reference
    assert math.isclose(back.total, histogram.total)
    worst = histogram.total / SCALE
    for a, b in zip(histogram.weights, back.weights, strict=True):
        assert abs(a - b) <= worst * BUCKETS
    assert restored(Histogram().checkpoint()).empty


GOOD = filled([(1e6, 5 * MIB), (2e6, 7 * MIB)]).checkpoint()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "text",
        {},
        {**GOOD, "more": 1},
        {**GOOD, "version": 2},
        {**GOOD, "version": True},
        {**GOOD, "half_life": 0},
        {**GOOD, "half_life": "a day"},
        {**GOOD, "reference": -1},
        {**GOOD, "reference": 1e15},
        {**GOOD, "total": math.nan},
        {**GOOD, "total": math.inf},
        {**GOOD, "total": 0},
        {**GOOD, "total": 10**400},
        {**GOOD, "weights": {}},
        {**GOOD, "weights": [[1, 5]] * 2},
        {**GOOD, "weights": [[1, 5, 6]]},
        {**GOOD, "weights": [[-1, 5]]},
        {**GOOD, "weights": [[1.5, 5]]},
        {**GOOD, "weights": [[BUCKETS, 5]]},
        {**GOOD, "weights": [[1, SCALE + 1]]},
        {**GOOD, "weights": [[1, 0]]},
        {**GOOD, "weights": [[1, None]]},
        {**GOOD, "weights": [[number, 1] for number in range(BUCKETS + 1)]},
    ],
)
def test_a_malformed_checkpoint_is_refused_with_a_hint(wrong: object) -> None:
    with pytest.raises(InputError) as caught:
        restored(wrong)
    assert caught.value.hint


@pytest.mark.parametrize(("at", "value", "weight"), [(0.0, -1, 1.0), (0.0, 1, 0.0), (math.nan, 1, 1.0)])
def test_what_is_no_sample_is_refused(at: float, value: int, weight: float) -> None:
    with pytest.raises(InputError):
        Histogram().added(at, value, weight)


def test_half_lives_do_not_mix() -> None:
    with pytest.raises(InputError):
        Histogram().merged(Histogram(half_life=60.0))
