# SPDX-License-Identifier: Apache-2.0
"""Who on a node lends local memory, and who borrows it: pure.

Only what containers have requested and do not need is lent, never what nobody has requested: the scheduler
may give that to a pod at any moment, and the pod's containers use it as soon as they start. So the sum of all
bounds never passes the sum of all requests.

A lender that ends takes its memory along. Until its node has looked at its containers, within a second, a new
pod may then start while somebody still has what was lent; the node takes that back at once, also from a
borrower that no controller has told it of: the pod says that it borrows. A borrower still has the least bound
then, until the controller has evicted it: so much, for each of them, the sum may be more.

A borrower waits until its node offers enough. So lenders' bounds fall first; once their node has reported
that, the memory is offered. When nobody borrows any more, the offer ends before lenders get it back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ocihook.cluster.objects import Bound, NodeLocalMemory, Slot
from ocihook.cluster.pods import Pod, at_once
from ocihook.errors import InputError
from ocihook.sizing import lending
from ocihook.sizing.lending import Borrower
from ocihook.sizing.recommend import Recommendation
from ocihook.spec.annotation import MINIMUM

Advise = Callable[[Pod, str], Recommendation | None]  #: what is recommended for a pod's container
#: Share of what a borrower requested with which it goes on; with less it is evicted, to begin elsewhere.
LEAST = 0.5
_NOBODY = ""  # takes what has been requested and is not there, before others borrow


@dataclass(frozen=True)
class Shares:
    """The local memory of one node, as it is to be shared; sizes in bytes."""

    bounds: tuple[Bound, ...]  #: of all containers, sorted
    offered: int  #: lent memory that the scheduler may count on now
    borrowed: int  #: of what is offered, what pods have: that is not taken back while they run
    lendable: int  #: lent memory that there could be
    evicted: tuple[str, ...] = ()  #: uids of the pods that have to go, since what they borrowed is needed


def share(
    pods: Sequence[Pod],
    local: NodeLocalMemory | None,
    advise: Advise,
    waiting: Mapping[str, int],
) -> Shares:
    """Return how the memory of the node with these *pods* is shared.

    *waiting* has the bytes that borrowers want who may come to this node, by the uid of the pod.
    """
    is_well = local is None or not local.fails  # else no borrower could start there
    owners = {one.slot: pod for pod in pods for one in pod.bounds}
    present = {one.slot: one.size for one in local.bounds} if local else {}
    guaranteed = [one for pod in pods for one in pod.bounds if one.request]
    lent = [one for pod in pods for one in pod.bounds if not one.request]
    suffering = (
        {one.slot for one in local.report.containers if one.suffers} if local and local.report else set()
    )
    unstarted = _unstarted(pods, local)
    # Not those that end before the next one starts: what they have requested is not there beside the others'.
    given = [
        lending.Container(
            _key(one.slot),
            one.request,
            present.get(one.slot, one.request),
            None if one.slot in unstarted else advise(owners[one.slot], one.slot.container),
            one.slot in suffering,
        )
        for one in guaranteed
        if one.request >= MINIMUM and one.slot.container not in owners[one.slot].first
    ]
    taken = [one for one in (_Loan(pod, present) for pod in pods) if one.wants]
    # All of what a pod waits for has to be there: it has asked for that much to begin with.
    # One that has come to this node still waits for a moment, by what was assigned; it counts once.
    came = {pod.uid for pod in pods}
    wanted = [
        Borrower(uid, size, 0, size) for uid, size in waiting.items() if size >= MINIMUM and uid not in came
    ]
    total = sum(one.request for one in given)
    short = min(_short(pods, local), total - sum(one.kept for one in given)) if taken or wanted else 0
    if short >= MINIMUM:
        wanted.append(Borrower(_NOBODY, short, short, short, priority=1))
    try:
        plan = lending.plan(total, given, [*(one.borrower for one in taken), *wanted])
    except InputError:  # sizes that no admission has let pass
        return Shares(tuple(sorted([*guaranteed, *lent])), 0, 0, 0)
    after = {change.key: change.after for change in plan.changes} | dict.fromkeys(plan.waiting, 0)
    bounds = [
        one
        if one.slot.container in owners[one.slot].first
        else one._replace(size=after.get(_key(one.slot), present.get(one.slot, one.size)))
        for one in guaranteed
    ]
    borrowed_by = {slot: size for one in taken for slot, size in one.shared(after.get(one.pod.uid)).items()}
    bounds += [one._replace(size=borrowed_by.get(one.slot, MINIMUM)) for one in lent]
    gone = {one.pod.uid for one in taken if after.get(one.pod.uid) == 0 and not one.pod.going}
    # Not what those have who go: another one would come in their place, and have no room either.
    borrowed = sum(pod.lent for pod in pods if not pod.going)
    return Shares(
        bounds=tuple(sorted(bounds)),
        offered=max(_free(bounds, local) - short, 0) if is_well and (waiting or borrowed) else 0,
        borrowed=borrowed,
        lendable=max(plan.lendable - short, 0) if is_well else 0,
        evicted=tuple(sorted(gone)),
    )


class _Loan:
    """What one pod borrows, for all of its containers: these share it as they have asked for it.

    One that ends before the next one starts leaves it to that one.
    """

    def __init__(self, pod: Pod, present: Mapping[Slot, int]) -> None:
        self.pod = pod
        self._present = present
        self._asked = [one for one in pod.bounds if not one.request and one.size >= MINIMUM]
        self.wants = self._at_once({one.slot: one.size for one in self._asked})
        self._floors = {one.slot: max(MINIMUM, int(one.size * LEAST)) for one in self._asked}

    @property
    def borrower(self) -> Borrower:
        """The pod as the plan has it. Until its node has been told of it, those that were told are first."""
        before = self._at_once({one.slot: self._present.get(one.slot, 0) for one in self._asked})
        return Borrower(self.pod.uid, self.wants, before, self._at_once(self._floors))

    def shared(self, size: int | None) -> dict[Slot, int]:
        """Return the bounds with which its containers have *size* bytes at once; None for those of now."""
        if size is None:
            return {one.slot: min(self._present.get(one.slot, one.size), one.size) for one in self._asked}
        floor = self._at_once(self._floors)
        more, most = min(max(size - floor, 0), self.wants - floor), self.wants - floor
        bounds = {}
        for one in self._asked:
            least = self._floors[one.slot] if size else MINIMUM
            bounds[one.slot] = least + ((one.size - least) * more // most if more else 0)
        return bounds

    def _at_once(self, sizes: Mapping[Slot, int]) -> int:
        return at_once((one.slot.container in self.pod.first, sizes[one.slot]) for one in self._asked)


def _key(slot: Slot) -> str:
    return f"{slot.pod_uid}/{slot.container}"


def _unstarted(pods: Sequence[Pod], local: NodeLocalMemory | None) -> set[Slot]:
    """Return the containers whose memory one that ends before them may have now: they lend nothing yet."""
    reported = {one.slot for one in local.report.containers} if local and local.report else set()
    return {
        one.slot
        for pod in pods
        if any(one.request and one.slot.container in pod.first for one in pod.bounds)
        for one in pod.bounds
        if one.slot not in reported
    }


def _short(pods: Sequence[Pod], local: NodeLocalMemory | None) -> int:
    """Return the bytes that have been requested and are not there, as when the reserve has grown since."""
    if local is None or local.report is None or not local.report.ready.holds:
        return 0
    return max(sum(pod.request for pod in pods) - local.report.capacity, 0)


def _free(bounds: Sequence[Bound], local: NodeLocalMemory | None) -> int:
    """Return the bytes that lenders have given up, by what their node reports, and do not get back now."""
    if local is None or local.report is None:
        return 0
    held: dict[Slot, int] = {}
    for one in local.report.containers:
        held[one.slot] = max(one.bound, held.get(one.slot, 0))
    # A container that is not reported may start at any moment, with all that it requested. Some have more.
    given_up = (one.request - max(held.get(one.slot, one.request), one.size) for one in bounds if one.request)
    return max(sum(given_up), 0)


def assigned(
    waiting: Sequence[Pod], lendable: Mapping[str, int], vain: Collection[tuple[str, str]] = ()
) -> dict[str, dict[str, int]]:
    """Return which nodes make room for which waiting pods: by the node's name, bytes by the pod's uid.

    *lendable* has the bytes that each node could lend. The scheduler decides in the end: a node where it does
    not place a pod is among the *vain* pairs of uid and node, and others are tried before it.
    """
    left = dict(lendable)
    found: dict[str, dict[str, int]] = {}
    for pod in sorted(waiting, key=lambda pod: (-pod.lent, pod.key)):
        fitting = [name for name in sorted(left) if left[name] >= pod.lent]
        if not fitting:
            continue
        name = max(fitting, key=lambda name, uid=pod.uid: ((uid, name) not in vain, left[name]))  # type: ignore[misc]
        left[name] -= pod.lent
        found.setdefault(name, {})[pod.uid] = pod.lent
    return found
