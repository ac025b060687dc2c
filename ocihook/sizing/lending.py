# SPDX-License-Identifier: Apache-2.0
"""Shares out the local memory of one node: who lends, who borrows, and in which order bounds change.

A container's request is guaranteed: it gets that much whenever it needs it. A container that needs less, by
its recommendation, lends the rest, but only while somebody wants it. Two kinds want it: borrowers, which have
no guarantee and can be evicted, and containers that need more than they requested.

`plan` is a function of what is there now, and what it returns settles: planned again after its changes were
made, it has none. Among equals (of the same priority) memory is shared by max-min fairness: nobody gets more
while somebody who wants it has less (Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ocihook.errors import InputError
from ocihook.sizing.recommend import Recommendation
from ocihook.sizing.suffering import GROWTH

MINIMUM = 4 << 20  #: bytes: the smallest bound that there is, as ocihook/spec/annotation.py has it
#: Share of a bound by which a new one has to differ to be set, if nobody needs it: moving pages costs more
#: than what a few per cent gain, and recommendations vary by that much.
CHURN = 0.05
PAGE = 4096  #: bytes: shares are rounded down to whole pages, as the kernel counts


@dataclass(frozen=True)
class Container:
    """A container with a guarantee. Sizes in bytes; *bound* is the present one, 0 before it has started.

    *advice*: what is recommended; None if nothing is known, and then it lends nothing. *suffers*: whether it
    was found to be held too short. *priority*: who is higher gets more than its request before others do, and
    lends after them.
    """

    key: str
    request: int
    bound: int
    advice: Recommendation | None = None
    suffers: bool = False
    priority: int = 0

    @property
    def kept(self) -> int:
        """The bytes that it does not lend: all of its request if it needs that, or if nothing is known."""
        if self.advice is None or self.suffers:
            return self.request
        return min(max(self.advice.floor, self.advice.target, MINIMUM), self.request)

    @property
    def wished(self) -> int:
        """The bytes that it wants beyond its request.

        Who suffers wants what is of use, and at least as much as the probe added, since that has helped. What
        it has got it keeps as long as nobody else wants it: a container that was cured by it would suffer
        again.
        """
        if self.kept < self.request:
            return 0
        most = math.ceil(self.request * (1 + GROWTH))
        target = self.request
        if self.advice is not None:
            most, target = max(most, self.advice.max), self.advice.target
        return max((most if self.suffers else max(target, min(self.bound, most))) - self.request, 0)


@dataclass(frozen=True)
class Borrower:
    """A container that has only what others lend. Sizes in bytes; with less than *floor* it is evicted.

    *bound* is the present one, 0 before it has started. *priority*: who is higher gets more first.
    """

    key: str
    wants: int
    bound: int
    floor: int = MINIMUM
    priority: int = 0


@dataclass(frozen=True)
class Change:
    """The bound of *key* goes from *before* to *after* bytes. After 0 the container is to be evicted."""

    key: str
    before: int
    after: int


@dataclass(frozen=True)
class Plan:
    """*changes* in their order: each is made, and complete, before the next one.

    *lendable*: bytes that borrowers may have in all, now or by further lending: what the node can offer them.
    *waiting*: keys of borrowers that have not started, and for which there is no room.
    """

    changes: tuple[Change, ...]
    lendable: int
    waiting: tuple[str, ...]

    @property
    def evicted(self) -> tuple[str, ...]:
        """Keys of borrowers that are to be evicted."""
        return tuple(change.key for change in self.changes if not change.after)


def plan(total: int, containers: Sequence[Container], borrowers: Sequence[Borrower] = ()) -> Plan:
    """Return what to change. *total*: bytes of local memory that may be given out, DRAM less a reserve.

    If the bounds fit into *total* before, they do after each single change. If they do not, as when the
    reserve has grown, each change brings them nearer, until they fit. Afterwards no container has less than
    its advice's floor, or than its request if that is less. Raises InputError if the requests do not fit, or
    a size is impossible.

    While a probe runs (suffering.py), what it adds is no part of *total*, and the container's bound is that
    without it. Where that leaves too little for the requests, the probe has to end first.
    """
    _check(total, containers, borrowers)
    requested = sum(one.request for one in containers)
    lendable = total - sum(one.kept for one in containers)
    admitted = _admitted(lendable, borrowers)
    extra = _extra(lendable, containers, admitted)
    wanted = {one.key: one.request for one in containers}
    wanted.update({one.key: 0 for one in borrowers})
    wanted.update(_lent(containers, sum(extra.values()) - (total - requested)))
    for key, size in extra.items():
        wanted[key] += size
    bounds = {one.key: one.bound for one in containers} | {one.key: one.bound for one in borrowers}
    needs = {one.key: min(one.kept, wanted[one.key]) for one in containers}
    needs.update({one.key: one.floor for one in admitted})
    final = _calmed(total, wanted, bounds, needs)
    gone = {one.key for one in borrowers} - {one.key for one in admitted}
    return Plan(
        _ordered(bounds, final, [one.key for one in borrowers]),
        max(lendable - sum(extra.get(one.key, 0) for one in containers), 0),
        tuple(sorted(key for key in gone if not bounds[key])),
    )


def _check(total: int, containers: Sequence[Container], borrowers: Sequence[Borrower]) -> None:
    keys = [one.key for one in containers] + [one.key for one in borrowers]
    if len(set(keys)) < len(keys):
        raise InputError("two containers have the same key", "Report this as a bug")
    for one in containers:
        if one.request < MINIMUM or one.bound < 0:
            raise InputError(f"{one.key} requests {one.request} bytes", "The smallest bound is 4M")
    for other in borrowers:
        if not MINIMUM <= other.floor <= other.wants or other.bound < 0:
            raise InputError(
                f"{other.key} wants {other.wants} bytes, and {other.floor} at least",
                "The smallest bound is 4M",
            )
    requested = sum(one.request for one in containers)
    if requested > total:
        raise InputError(
            f"{requested} bytes are requested, and there are {total}",
            "Remove containers from this node, or give it a smaller reserve",
        )


def _admitted(lendable: int, borrowers: Sequence[Borrower]) -> list[Borrower]:
    """Who can have its floor: the higher priority, then who runs already, then by name."""
    found = []
    for one in sorted(borrowers, key=lambda one: (-one.priority, not one.bound, one.key)):
        if one.floor <= lendable:
            lendable -= one.floor
            found.append(one)
    return found


def _extra(lendable: int, containers: Sequence[Container], admitted: Sequence[Borrower]) -> dict[str, int]:
    """The bytes that each gets beyond its request, a borrower's being 0."""
    claims = [(one.priority, one.key, 0, one.wished) for one in containers if one.wished]
    claims += [(one.priority, one.key, one.floor, one.wants) for one in admitted]
    left = lendable - sum(one.floor for one in admitted)
    found = {}
    for priority in sorted({claim[0] for claim in claims}, reverse=True):
        equals = {key: (least, most) for rank, key, least, most in claims if rank == priority}
        # Of the floors, which are theirs already, each one's share is made up by what is left.
        shares = fair(left + sum(least for least, _ in equals.values()), equals)
        left -= sum(shares[key] - least for key, (least, _) in equals.items())
        found.update(shares)
    return found


def fair(amount: int, claims: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Return a max-min fair share of *amount* bytes for each of *claims*, key → (least, most) bytes.

    Each gets its least at least, which has to fit, and its most at most. Shares between these are whole
    pages.
    """
    # All are filled up to one level, as far as their least and their most allow.
    low, high = 0, max((most for _, most in claims.values()), default=0) // PAGE + 2
    while high - low > 1:
        level = (low + high) // 2
        if sum(_filled(level * PAGE, *claim) for claim in claims.values()) <= amount:
            low = level
        else:
            high = level
    shares = {key: _filled(low * PAGE, *claim) for key, claim in claims.items()}
    left = amount - sum(shares.values())
    for key in sorted(claims):  # less than a page for each is left
        more = _filled((low + 1) * PAGE, *claims[key]) - shares[key]
        if more <= left:
            shares[key], left = shares[key] + more, left - more
    return shares


def _filled(level: int, least: int, most: int) -> int:
    return min(max(level, least), most)


def _lent(containers: Sequence[Container], needed: int) -> dict[str, int]:
    """Bounds of those that lend, so that *needed* bytes come of it. The lowest priority lends first."""
    found: dict[str, int] = {}
    for priority in sorted({one.priority for one in containers}):
        equals = [one for one in containers if one.priority == priority and one.kept < one.request]
        spare = {one.key: (0, one.request - one.kept) for one in equals}
        whole = sum(most for _, most in spare.values())
        if needed > 0 and spare:
            # What they keep of it is shared fairly, so none lends all of it while another lends nothing.
            rest = fair(max(whole - needed, 0), spare)
            found.update({one.key: one.kept + rest[one.key] for one in equals})
            needed -= whole - sum(rest.values())
    return found


def _calmed(
    total: int, wanted: dict[str, int], bounds: dict[str, int], needs: dict[str, int]
) -> dict[str, int]:
    """The bounds to set: the wanted ones, or the present ones where the difference is too small to matter."""
    final = dict(wanted)
    near = [
        key
        for key, size in sorted(wanted.items())
        if size and abs(size - bounds[key]) <= CHURN * bounds[key] and bounds[key] >= needs[key]
    ]
    # First those that would grow: they leave room for others, which then need not shrink.
    for key in sorted(near, key=lambda key: bounds[key] - wanted[key]):
        if sum(final.values()) - final[key] + bounds[key] <= total:
            final[key] = bounds[key]
    return final


def _ordered(bounds: dict[str, int], final: dict[str, int], borrowers: Iterable[str]) -> tuple[Change, ...]:
    changes = [Change(key, bounds[key], size) for key, size in final.items() if size != bounds[key]]
    lent = set(borrowers)
    shrinks = [change for change in changes if change.after < change.before]
    grows = [change for change in changes if change.after > change.before]
    # Evictions first, then borrowers, then lenders; what grows back to a request before what is lent.
    shrinks.sort(key=lambda change: (change.after > 0, change.key not in lent, change.key))
    grows.sort(key=lambda change: (change.key in lent, change.key))
    return (*shrinks, *grows)


def applied(
    containers: Sequence[Container], borrowers: Sequence[Borrower], change: Change
) -> tuple[list[Container], list[Borrower]]:
    """Return what is there after one change; who is evicted is gone."""
    kept = [replace(one, bound=change.after) if one.key == change.key else one for one in containers]
    others = [replace(one, bound=change.after) if one.key == change.key else one for one in borrowers]
    return kept, [one for one in others if one.key != change.key or change.after]
