# SPDX-License-Identifier: Apache-2.0
"""The verdict on a bound that follows from samples."""

import pytest

from ocihook.errors import InputError
from vmlab.demo import sampler, series
from vmlab.demo.series import MIB, Sample, Workload

BOUND = 100 * MIB
WHOLE = Workload(status=0, keys=10, loaded=10, good=10, evicted=0, ended=4.0)


def at(seconds: float, local: float, far: float = 0) -> Sample:
    return Sample(seconds, int(local * MIB), int(far * MIB), 0, 0, 0)


def test_csv_comes_back_as_it_was() -> None:
    samples = [at(0.0, 1), at(0.0102, 2, 3)]
    text = series.to_csv(samples)
    assert text.startswith(sampler.HEADER + "\n")
    assert series.parse_csv(text) == samples


@pytest.mark.parametrize(
    "text", ["", "a,b\n", f"{sampler.HEADER}\n1,2\n", f"{sampler.HEADER}\n1,x,3,4,5,6\n"]
)
def test_what_is_no_csv_of_the_sampler_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        series.parse_csv(text)


def test_mean_runs_from_the_crossing_to_the_end_weighted_by_time() -> None:
    # crosses at 1 s; 1 s at 100, then 2 s at 94; samples before and after do not count
    samples = [at(0, 10), at(1, 100, 50), at(2, 94, 60), at(4, 94, 60), at(5, 1, 1)]
    verdict = series.judge(samples, BOUND, ended=4.0)
    assert verdict.crossed == 1
    assert verdict.mean == pytest.approx(96 * MIB)
    assert verdict.far == 60 * MIB
    assert verdict.overshoot == 0
    assert verdict.held


def test_a_demand_that_never_passes_the_bound_has_no_mean() -> None:
    verdict = series.judge([at(0, 10), at(1, 20)], BOUND)
    assert verdict.mean is None
    assert "never passed" in series.line(verdict, WHOLE)


def test_no_samples_are_judged_without_failing() -> None:
    assert series.judge([], BOUND).highest == 0


@pytest.mark.parametrize(("highest", "held"), [(100, True), (101, True), (101.1, False)])
def test_one_percent_of_overshoot_is_tolerated(highest: float, held: bool) -> None:
    verdict = series.judge([at(0, highest, 1), at(1, 1, 1)], BOUND)
    assert verdict.held is held
    assert series.passed(verdict, WHOLE) is held


def test_the_line_is_one_line_with_everything() -> None:
    verdict = series.judge([at(0, 100.5, 10), at(1, 98, 310), at(2, 98, 300)], BOUND)
    assert series.line(verdict, WHOLE) == (
        "held: bound 100.0 MiB, highest local 100.5 MiB, overshoot 0.50 MiB (0.50 %), mean local 99.2 MiB "
        "(99.2 %) while demand was high, far 310.0 MiB, 10 of 10 keys there, exit status 0"
    )


@pytest.mark.parametrize(
    "workload",
    [
        None,
        Workload(1, 10, 10, 10, 0, 4.0),
        Workload(0, 10, 10, 9, 0, 4.0),
        Workload(0, 10, 9, 9, 0, 4.0),
        Workload(0, 10, 10, 10, 1, 4.0),
    ],
)
def test_a_workload_that_failed_or_lost_a_key_is_no_success(workload: Workload | None) -> None:
    verdict = series.judge([at(0, 99, 50), at(1, 99, 50)], BOUND)
    assert not series.passed(verdict, workload)
    assert series.line(verdict, workload).startswith("failed: ")
