# SPDX-License-Identifier: Apache-2.0
import dataclasses
import statistics
from collections.abc import Callable
from random import Random

import pytest
import sizing_loads as loads
import sizing_traces as traces
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.sizing.signals import CHURN, Rules, Window
from ocihook.sizing.suffering import (
    GROWTH,
    LONGEST_WAIT,
    PROBE,
    START,
    SUSPICIOUS,
    WAIT,
    Action,
    Detector,
    Phase,
    refused,
    step,
)

BOUND = 64 << 20
MIB = 1 << 20
#: a time and the bound in bytes → what is counted in the window up to then
Load = Callable[[float, int], Window]


def window(at: float, bound: int, local: float | None, **more: float) -> Window:
    return dataclasses.replace(Window(at, 10.0, bound, 1.0, local), **more)


def helped(at: float, bound: int) -> Window:
    """Many far hits, and fewer with a larger bound."""
    return window(at, bound, 0.7 if bound == BOUND else 0.8)


def unhelped(at: float, bound: int) -> Window:
    """As many far hits with a larger bound."""
    return window(at, bound, 0.7)


@dataclasses.dataclass
class Run:
    """A detector and the bound that it sets; *log* has what it did, and when."""

    detector: Detector = dataclasses.field(default_factory=Detector)
    bound: int = BOUND
    at: float = 0.0
    log: list[tuple[float, Action]] = dataclasses.field(default_factory=list)

    def over(self, seconds: float, load: Load) -> "Run":
        end = self.at + seconds
        while self.at < end:
            self.at += 10.0
            self.detector, action = step(self.detector, load(self.at, self.bound), traces.RULES)
            if action is Action.GROW:
                self.bound = self.detector.probe_bound
            elif action is Action.RETURN:
                self.bound = self.detector.bound
            if action is not Action.NONE:
                self.log.append((self.at, action))
        return self

    def grows(self) -> list[float]:
        return [at for at, action in self.log if action is Action.GROW]


def test_who_is_helped_by_a_probe_suffers_and_has_its_bound_back() -> None:
    run = Run().over(START + 300, helped)
    began = START + SUSPICIOUS * 10
    assert run.log == [(began, Action.GROW), (began + PROBE, Action.RETURN)]
    assert run.detector.suffers
    assert run.detector.help == pytest.approx(1 / 3)
    assert run.bound == BOUND
    assert run.over(3600, helped).detector.suffers
    assert len(run.log) == 2  # what is known is not asked again


def test_who_is_not_helped_is_asked_ever_more_seldom() -> None:
    run = Run().over(48 * 3600, unhelped)
    assert not run.detector.suffers
    assert run.bound == BOUND
    gaps = [later - sooner for sooner, later in zip(run.grows(), run.grows()[1:], strict=False)]
    assert gaps[:3] == [WAIT * factor + 2 * PROBE for factor in (1, 2, 4)]
    assert max(gaps) == LONGEST_WAIT + 2 * PROBE
    assert len(gaps) < 20


def test_another_level_of_the_signal_is_another_matter() -> None:
    run = Run().over(6 * 3600, unhelped)
    assert run.at < run.detector.until
    # Twice as many far hits: no wait of hours.
    run.over(300, lambda at, bound: window(at, bound, 0.4 if bound == BOUND else 0.6))
    assert run.detector.suffers


def test_a_phase_that_ends_during_a_probe_is_no_help() -> None:
    for length in range(10, 130, 10):
        run = Run().over(START + 30, unhelped)
        assert run.detector.phase is Phase.PROBING
        run.over(length, unhelped).over(600, lambda at, bound: window(at, bound, 1.0))
        assert not run.detector.suffers
        assert run.bound == BOUND


def test_a_start_an_idle_time_and_what_the_agent_cures_are_not_suspicious() -> None:
    assert not Run().over(START, helped).log
    assert not Run().over(3600, lambda at, bound: window(at, bound, 0.2, busy=0.001)).log
    assert not Run().over(3600, lambda at, bound: window(at, bound, 0.2, best=0.99)).log
    short = Run().over(START + 10, lambda at, bound: window(at, bound, 1.0))
    for _ in range(20):  # two bad windows, and a good one
        short.over(20, helped).over(10, lambda at, bound: window(at, bound, 1.0))
    assert not short.log


def test_who_falls_idle_in_a_probe_has_its_bound_back_and_is_asked_later() -> None:
    run = Run().over(START + 50, unhelped)
    assert run.bound > BOUND
    run.over(60, lambda at, bound: window(at, bound, 0.2, busy=0.0))
    assert run.bound == BOUND
    assert run.detector.until > run.at
    assert run.over(WAIT + 300, helped).detector.suffers


def test_without_hits_what_is_promoted_and_denied_tells() -> None:
    def denied(at: float, bound: int) -> Window:
        rate = 3 * CHURN if bound == BOUND else CHURN
        return window(at, bound, None, promoted=round(5 * rate * bound), denied=round(5 * rate * bound))

    assert Run().over(START + 300, denied).detector.suffers
    assert not Run().over(3600, lambda at, bound: window(at, bound, None, promoted=bound // 100)).log


def test_hits_that_are_unknown_meanwhile_are_not_mixed_with_the_others() -> None:
    def sometimes(at: float, bound: int) -> Window:
        return helped(at, bound) if at % 20 else window(at, bound, None, promoted=bound)

    run = Run().over(START + 30, helped).over(300, sometimes)
    assert run.detector.suffers
    assert run.detector.help == pytest.approx(1 / 3)


def test_a_bound_that_somebody_else_sets_is_left_alone() -> None:
    run = Run().over(START + 30, unhelped)
    run.bound = 4 * BOUND  # in the middle of a probe
    run.over(40, unhelped)
    assert run.detector.bound == run.bound == 4 * BOUND
    # What suffers and is given more is watched anew.
    more = Run().over(START + 300, helped)
    more.bound = 2 * BOUND
    assert not more.over(10, helped).detector.suffers


def test_a_probe_that_finds_no_memory_is_put_off() -> None:
    run = Run().over(START + 30, helped)
    run.detector, run.bound = refused(run.detector, run.at), BOUND
    assert not run.over(WAIT - 10, helped).grows()[1:]
    assert run.over(200, helped).detector.suffers
    # The caller who says nothing, and leaves the bound as it is, is understood as well.
    silent = Run().over(START + 30, helped)
    silent.bound = BOUND
    silent.over(40, helped)
    assert silent.detector.phase is Phase.WATCHING


@given(st.lists(st.tuples(st.none() | st.floats(0, 1), st.floats(0, 2), st.integers(0, 3)), max_size=200))
def test_whatever_is_counted_a_probe_is_short_and_comes_back(
    counted: list[tuple[float | None, float, int]],
) -> None:
    detector, bound, at, grown = Detector(), BOUND, START, 0.0
    for local, busy, moved in counted:
        at += 10.0
        counts = window(at, bound, local, busy=busy, promoted=moved * MIB)
        detector, action = step(detector, counts, traces.RULES)
        if action is Action.GROW:
            bound = detector.probe_bound
        elif action is Action.RETURN:
            bound = detector.bound
        assert bound <= BOUND * (1 + GROWTH) + 1
        grown = grown + 10 if bound > BOUND else 0.0
        assert grown <= PROBE
        assert (bound > BOUND) == (detector.phase is Phase.PROBING)


def test_most_suffering_is_found_and_little_else() -> None:
    """docs/sizing.md has the figures of more pods."""
    score = traces.score(range(20))
    recall = score.found / score.episodes
    print(f"{score.episodes} episodes, {recall:.3f} found, {statistics.median(score.delay):.0f} s later")
    print(f"{sum(score.alarms)} false alarms in {score.days:.0f} days, {score.clear} of them not at the edge")
    assert score.episodes > 200
    assert recall >= 0.95
    assert sum(score.alarms) <= score.days
    assert sum(alarms <= 1 for alarms in score.alarms) >= 0.9 * len(score.alarms)


def test_the_traces_have_what_they_are_to_have() -> None:
    phases = [phase for seed in range(30) for phase in traces.pod(seed).phases]
    assert {phase.kind for phase in phases} == {"start", *traces.KINDS}
    assert 0.2 < statistics.fmean(phase.suffers for phase in phases) < 0.8
    # A scan is slow without being helped.
    scan = traces._CURVES["scan"](Random(1))
    assert loads.CXL.slowdown(scan(0.25)) > 2 * traces.RULES.budget
    assert not traces.suffers(scan, 0.25, 1.0)


@pytest.mark.parametrize("change", [{"seconds": 0.0}, {"bound": 0}, {"local": 1.5}, {"best": -0.1}])
def test_what_is_no_window_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError):
        dataclasses.replace(window(0.0, BOUND, 0.5), **change)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(InputError):
        Rules(loads.CXL, 0.0)
