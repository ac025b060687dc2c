# SPDX-License-Identifier: Apache-2.0
"""Profiles that are of no use, and why: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ocihook.cluster.profiles import Profile

REFUSED = "LocalMemoryProfileRefused"
UNUSED = "LocalMemoryProfileUnused"
#: Seconds for which a profile may have no pod before that is told: it may have been made before them.
ALONE = 300.0
#: Seconds after which it is told again: an API server forgets events after an hour.
AGAIN = 3600.0


class Mistakes:
    """Which profiles are of no use, so that each is told of once in an hour."""

    def __init__(self) -> None:
        self._alone: dict[str, float] = {}  # since when a profile has had no pod, by its uid
        self._told: dict[str, tuple[str, float]] = {}  # what was told, and when

    def news(
        self, profiles: Collection[Profile], used: Collection[str], now: float
    ) -> Iterator[tuple[Profile, str, str]]:
        """Yield (profile, reason, text) where something is wrong.

        *used* has the uids of the profiles that some pod has, and *now* is by a monotonic clock. *profiles*
        are all that there are.
        """
        self._alone = {
            one.uid: self._alone.get(one.uid, now)
            for one in profiles
            if one.uid not in used and not one.mistake
        }
        self._told = {one.uid: self._told[one.uid] for one in profiles if one.uid in self._told}
        for one in profiles:
            if one.mistake:
                reason, text = REFUSED, f"{one.mistake}: nothing is learned or recommended"
            elif now - self._alone.get(one.uid, now) >= ALONE:
                labels = ", ".join(f"{name}={value}" for name, value in one.selector)
                reason, text = UNUSED, f"no pod with local memory has {labels or 'its labels'}"[:200]
            else:
                self._told.pop(one.uid, None)
                continue
            before, at = self._told.get(one.uid, ("", 0.0))
            if text != before or now - at >= AGAIN:
                self._told[one.uid] = (text, now)
                yield one, reason, text
