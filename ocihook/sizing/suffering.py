# SPDX-License-Identifier: Apache-2.0
"""Tells whether a container suffers from too little local memory: it looks, and then it tries.

Many far hits alone prove nothing. A scan has them, with more local memory as well as without, and so has a
load that uses all of its memory evenly. So when three windows in a row are bad, the bound is raised by a
quarter for a minute, and taken back. Only if the signal falls while the bound is larger, and rises again
afterwards, is local memory the cause. (To take a treatment back is the A-B-A design of single-case
experiments: Barlow and Hersen, "Single Case Experimental Designs", 1984. A phase of the load that ends by
chance falls as well, but does not rise again.)

A `Detector` never changes: `step` takes one and a window and returns another one, and what to do.
"""

import enum
import math
import statistics
from dataclasses import dataclass, replace

from ocihook.sizing.signals import Rules, Window

SUSPICIOUS = 3  #: bad windows in a row before anything is tried: less is often noise, or the start of a phase
GROWTH = 0.25  #: of the bound, by which a probe raises it: enough to be seen, little enough to be lent
PROBE = 60.0  #: seconds that a probe lasts, and the time after it in which the signal has to rise again
#: Seconds after a change of the bound that say nothing: the agent fills free room within a second, and learns
#: other pages within ten (docs/placement.md).
SETTLE = 15.0
#: Seconds after a container's first window in which nothing is suspicious: programs read their data then, and
#: the agent does not know the pages yet.
START = 180.0
#: The least share of the signal by which a quarter more local memory has to lower it. Evenly used memory
#: under a bound of an eighth falls by 4 %, Zipf 0.99 under a quarter by 10 %: the first is not worth the
#: memory.
HELP = 0.05
#: Standard errors by which a fall has to be above 0 to be believed after one probe, and after all of them.
#: The first is strict, as the windows are few.
CERTAIN = 3.0
LIKELY = 2.0
#: Standard errors below `HELP` at which there is no fall: less, and another probe is made.
HOPELESS = 2.0
#: Standard errors by which the times before and after a probe may differ to be one. If they do by more,
#: something else has changed as well, and the better of them is what the probe has to be better than.
ALIKE = 2.5
#: The signal that the windows after a probe have to have, in the mean. They were not chosen for being bad, as
#: those before it were, and drifting noise of 1 to 2 % of the hits is a tenth of a budget of 10 %.
CLEAR = 1.1
ROUNDS = 4  #: probes at most for one suspicion: four minutes of a quarter more
#: Seconds to the next probe after one that has not helped, doubled each time, and at most: phases of minutes
#: are asked about again soon, and what stays as it is four times a day.
WAIT = 300.0
LONGEST_WAIT = 6 * 3600.0
#: Share by which three windows have to differ from the last vain probe to be another matter, for which the
#: wait begins anew. It is above the noise, and below the difference of two phases.
OTHER = 0.3
#: Windows in a row that are idle, or of another matter than what was tried, after which a container
#: does not suffer any more. With noise of 2 % and a budget of 10 % one window differs that much by chance.
GOOD = 6


#: Share by which a bound may differ from the one asked for, as it is rounded to pages.
ROUNDED = 0.01


class Phase(enum.Enum):
    """What a detector does."""

    WATCHING = "watching"
    PROBING = "probing"  #: the bound is larger
    CHECKING = "checking"  #: the bound is back
    SUFFERING = "suffering"


class Action(enum.Enum):
    """What the caller has to do to the bound."""

    NONE = "none"
    GROW = "grow"  #: to `Detector.probe_bound`, now
    RETURN = "return"  #: to `Detector.bound`, now


@dataclass(frozen=True)
class Fall:
    """By what share the signal fell while the bound was larger, and the standard error of that."""

    share: float
    error: float


@dataclass(frozen=True)
class Detector:
    """What is known of one container. The default is one that has just started.

    *bound*: bytes before the probe. *since*: when the present phase began; *until*: no probe before that
    time. *help*: by what share the signal falls with a quarter more local memory, if it suffers.
    """

    phase: Phase = Phase.WATCHING
    bound: int = 0
    help: float = 0.0
    since: float = 0.0
    until: float = 0.0
    started: float = -math.inf  #: when its first window began
    wait: float = WAIT
    level: float = 0.0  #: the signal after the last probe; 0: none is remembered
    run: int = 0  #: windows in a row that were bad, or, if it suffers, that were not
    by_hits: bool = True  #: whether the signals below are of hits, or else of what was promoted
    before: tuple[float, ...] = ()  #: signals with the smaller bound before the probe
    during: tuple[float, ...] = ()  #: with the larger one
    after: tuple[float, ...] = ()  #: with the smaller one again
    falls: tuple[Fall, ...] = ()  #: of the probes of this suspicion

    @property
    def probe_bound(self) -> int:
        """The bound of a probe, in bytes."""
        return math.ceil(self.bound * (1 + GROWTH))

    @property
    def suffers(self) -> bool:
        """Whether more local memory has been seen to help, and the signal is still bad."""
        return self.phase is Phase.SUFFERING


def step(detector: Detector, window: Window, rules: Rules) -> tuple[Detector, Action]:
    """Return what is known after one more window, and what to do now.

    Windows come in the order of time, each as long as the caller likes; ten seconds are well, as a probe then
    has four to five. The caller sets the bound at once, or, if it cannot spare the memory, calls `refused`.
    """
    if detector.started == -math.inf:
        first = window.at - window.seconds
        detector = replace(detector, started=first, since=first, bound=window.bound)
    if detector.phase is Phase.WATCHING:
        return _watch(detector, window, rules)
    if detector.phase is Phase.SUFFERING:
        return _suffer(detector, window, rules), Action.NONE
    return _try(detector, window, rules)


def refused(detector: Detector, at: float) -> Detector:
    """Return the detector of a container whose probe found no free memory: it asks again after `WAIT`."""
    return _reset(detector, at, at + WAIT)


def _reset(detector: Detector, at: float, until: float) -> Detector:
    """What is watched again from *at* on, and not probed before *until*."""
    fresh = replace(detector, phase=Phase.WATCHING, since=at, until=until, run=0, help=0.0)
    return replace(fresh, before=(), during=(), after=(), falls=())


def _watch(detector: Detector, window: Window, rules: Rules) -> tuple[Detector, Action]:
    if window.bound != detector.bound:  # somebody else has changed it
        detector = _reset(detector, window.at, 0.0)
        return replace(detector, bound=window.bound, wait=WAIT, level=0.0), Action.NONE
    signal = rules.signal(window)
    early = window.at - detector.started <= START or not _settled(detector, window)
    if signal is None or early or not rules.bad(window):
        # Long quiet: what was tried in vain is forgotten, but not for each short pause of it.
        if window.at > detector.until + 2 * detector.wait:
            detector = replace(detector, wait=WAIT, level=0.0)
        return replace(detector, run=0, before=()), Action.NONE
    by_hits = window.local is not None
    earlier = detector.before if by_hits == detector.by_hits else ()
    before = (*earlier, signal)[-2 * SUSPICIOUS :]
    detector = replace(detector, run=detector.run + 1, before=before, by_hits=by_hits)
    latest = before[-SUSPICIOUS:]
    if detector.level > 0 and all(abs(each / detector.level - 1) > OTHER for each in latest):
        until = min(detector.until, detector.since + WAIT)
        detector = replace(detector, until=until, level=0.0, wait=WAIT, before=latest)
    if detector.run < SUSPICIOUS or window.at < detector.until:
        return detector, Action.NONE
    return replace(detector, phase=Phase.PROBING, since=window.at, during=(), after=()), Action.GROW


def _suffer(detector: Detector, window: Window, rules: Rules) -> Detector:
    signal = rules.signal(window)
    # Not `bad`: a signal that the noise takes above 1 and below it in turns is one matter, not many.
    same = signal is not None and detector.level > 0 and abs(signal / detector.level - 1) <= OTHER
    run = 0 if same else detector.run + 1
    # It was given more, or does something else: either way it is watched as if nothing had been.
    if window.bound != detector.bound or run >= GOOD:
        return replace(_reset(detector, window.at, 0.0), bound=window.bound, wait=WAIT, level=0.0)
    return replace(detector, run=run)


def _try(detector: Detector, window: Window, rules: Rules) -> tuple[Detector, Action]:
    """The two halves of a probe: the larger bound, and the smaller one again."""
    probing = detector.phase is Phase.PROBING
    signal = rules.signal(window)
    if signal is None:  # an idle container shows nothing: ask again when it works
        return _reset(detector, window.at, window.at + WAIT), _back(probing)
    if _settled(detector, window):
        expected = detector.probe_bound if probing else detector.bound
        if probing and window.bound == detector.bound:
            return refused(detector, window.at), Action.NONE
        if abs(window.bound - expected) > ROUNDED * expected:  # somebody else has changed it
            return replace(_reset(detector, window.at, 0.0), bound=window.bound), Action.NONE
        # Of another kind than the signals before the probe, it cannot be compared with them.
        if probing and detector.by_hits == (window.local is not None):
            detector = replace(detector, during=(*detector.during, signal))
        elif detector.by_hits == (window.local is not None):
            detector = replace(detector, after=(*detector.after, signal))
    if window.at - detector.since < PROBE:
        return detector, Action.NONE
    if probing:
        return replace(detector, phase=Phase.CHECKING, since=window.at), Action.RETURN
    if not detector.during or not detector.after:  # windows as long as the probe: they tell nothing apart
        return _reset(detector, window.at, window.at + WAIT), Action.NONE
    return _judge(detector, window.at)


def _back(probing: bool) -> Action:
    return Action.RETURN if probing else Action.NONE


def _settled(detector: Detector, window: Window) -> bool:
    """Whether all of the window lies late enough after the last change of the bound."""
    return window.at - window.seconds >= detector.since + SETTLE or not detector.since


def _judge(detector: Detector, at: float) -> tuple[Detector, Action]:
    falls = (*detector.falls, _fall(detector))
    share = statistics.fmean(fall.share for fall in falls)
    error = math.hypot(*(fall.error for fall in falls)) / len(falls)
    needed = CERTAIN if len(falls) < ROUNDS else LIKELY
    level = statistics.fmean(detector.after)
    if share >= HELP and share >= needed * error and level >= CLEAR:
        found = replace(detector, phase=Phase.SUFFERING, since=at, run=0, help=share, level=level)
        return found, Action.NONE
    if len(falls) < ROUNDS and share + HOPELESS * error >= HELP:
        # The time after this probe is the time before the next one.
        again = replace(detector, phase=Phase.PROBING, since=at, falls=falls, before=detector.after)
        return replace(again, during=(), after=()), Action.GROW
    vain = _reset(detector, at, at + detector.wait)
    return replace(vain, level=level, wait=min(2 * detector.wait, LONGEST_WAIT)), Action.NONE


def _fall(detector: Detector) -> Fall:
    """The fall against the times before and after: a phase that began or ended meanwhile is none."""
    parts = (detector.before, detector.after, detector.during)
    means = [statistics.fmean(part) for part in parts]
    # Windows of one bound vary alike, whichever it is, so their variance is taken together.
    squares = sum((each - mean) ** 2 for part, mean in zip(parts, means, strict=True) for each in part)
    variance = squares / max(sum(map(len, parts)) - len(parts), 1)
    before, after, during = map(len, parts)
    if abs(means[0] - means[1]) <= ALIKE * math.sqrt(variance * (1 / before + 1 / after)):
        level, count = statistics.fmean(parts[0] + parts[1]), before + after
    else:
        level, count = min((means[0], before), (means[1], after))
    if not level:
        return Fall(0.0, 0.0)
    return Fall((level - means[2]) / level, math.sqrt(variance * (1 / count + 1 / during)) / level)
