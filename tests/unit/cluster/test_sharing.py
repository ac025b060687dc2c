# SPDX-License-Identifier: Apache-2.0
"""Who lends and who borrows: the rules, and a cluster in which pods come and go at random."""

import random
from dataclasses import dataclass, field, replace

import pytest
from test_admission import applied, container, pod

from ocihook.cluster import admission, pods
from ocihook.cluster.controller import sharing
from ocihook.cluster.controller.sharing import Shares, assigned, share
from ocihook.cluster.controller.waiting import HOLD, LONG, Waiting
from ocihook.cluster.node import plan
from ocihook.cluster.objects import Bound, Bounded, NodeLocalMemory, Ready, Report, Slot
from ocihook.cluster.pods import Pod
from ocihook.cluster.words import BORROWERS, LENT, RESOURCE
from ocihook.control.status import Status
from ocihook.errors import InputError
from ocihook.sizing.recommend import Recommendation

MIB = 1 << 20
CAPACITY = 1024 * MIB
READY = Ready(True, "x", "")


def made(uid: str, request: int = 0, lent: int = 0, node: str = "n1") -> Pod:
    bound = Bound(Slot(uid, "c"), request or lent, request)
    return Pod("ns", uid, uid, node, request, lent, (bound,), (("c", request),))


def reported(sizes: dict[str, int], spec: tuple[Bound, ...]) -> NodeLocalMemory:
    held = tuple(Bounded(Slot(uid, "c"), "ns", uid, size, 0, 0) for uid, size in sizes.items())
    return NodeLocalMemory("n1", bounds=spec, report=Report(CAPACITY, 0, READY, held))


def sizes(shares: Shares) -> dict[str, int]:
    return {one.slot.pod_uid: one.size // MIB for one in shares.bounds}


def needs(**targets: int) -> sharing.Advise:
    """Advice by the pod's uid, in MiB."""

    def advise(pod: Pod, container: str) -> Recommendation | None:
        target = targets.get(pod.uid)
        return None if target is None else Recommendation(target * MIB // 2, target * MIB, target * MIB, 1.0)

    return advise


def test_nobody_lends_while_nobody_wants_it() -> None:
    found = share([made("a", 512 * MIB)], None, needs(a=128), {})
    assert (sizes(found), found.offered, found.lendable) == ({"a": 512}, 0, 384 * MIB)


def test_room_is_made_first_and_offered_when_it_is_there() -> None:
    lender = made("a", 512 * MIB)
    first = share([lender], None, needs(a=128), {"b": 256 * MIB})
    assert (sizes(first), first.offered) == ({"a": 256}, 0)
    still = share([lender], reported({"a": 512 * MIB}, first.bounds), needs(a=128), {"b": 256 * MIB})
    assert (still.bounds, still.offered) == (first.bounds, 0)
    done = share([lender], reported({"a": 256 * MIB}, first.bounds), needs(a=128), {"b": 256 * MIB})
    assert (done.bounds, done.offered) == (first.bounds, 256 * MIB)
    both = [lender, made("b", lent=256 * MIB)]
    runs = share(both, reported({"a": 256 * MIB}, first.bounds), needs(a=128), {})
    assert (sizes(runs), runs.offered) == ({"a": 256, "b": 256}, 256 * MIB)
    # Where no bound can be held no further borrower could start, and the one that is there keeps what it has.
    for reason in ("AgentDown", "NoFarMemory"):
        local = reported({"a": 256 * MIB}, first.bounds)
        assert local.report is not None
        local = replace(local, report=replace(local.report, ready=Ready(False, reason, "")))
        waits = share([lender], local, needs(a=128), {"b": 256 * MIB})
        assert (waits.offered, waits.lendable) == (0, 0)
        assert share(both, local, needs(a=128), {}).borrowed == 256 * MIB
    # A borrower that has come is still assigned for a moment; nobody lends for it twice.
    assert share(both, reported({"a": 256 * MIB}, first.bounds), needs(a=128), {"b": 256 * MIB}) == runs


def test_a_container_that_is_not_reported_has_given_nothing_up() -> None:
    lender = made("a", 512 * MIB)
    first = share([lender], None, needs(a=128), {"b": 256 * MIB})
    assert share([lender], reported({}, first.bounds), needs(a=128), {"b": 256 * MIB}).offered == 0


def test_a_lender_that_needs_it_gets_it_back() -> None:
    both = [made("a", 512 * MIB), made("b", lent=256 * MIB)]
    spec = share(both, reported({"a": 256 * MIB, "b": 256 * MIB}, ()), needs(a=128), {}).bounds
    local = reported({"a": 256 * MIB, "b": 256 * MIB}, spec)
    found = share(both, local, needs(a=350), {})
    assert sizes(found) == {"a": 350, "b": 162}
    assert found.evicted == ()
    found = share(both, local, needs(a=500), {})
    assert found.evicted == ("b",)
    assert sizes(found) == {"a": 512, "b": 4}
    assert (found.offered, found.borrowed) == (0, 256 * MIB)  # what it has is not taken back while it runs
    leaving = share([both[0], replace(both[1], going=True)], local, needs(a=500), {})
    assert (leaving.evicted, leaving.offered, leaving.borrowed) == ((), 0, 0)


def test_a_lender_that_goes_takes_its_memory_along() -> None:
    alone = share([made("b", lent=256 * MIB)], None, needs(), {})
    assert alone.evicted == ("b",)


def test_the_fullest_lender_makes_room_and_the_largest_pod_is_first() -> None:
    waiting = [made("x", lent=100, node=""), made("y", lent=300, node=""), made("z", lent=900, node="")]
    assert assigned(waiting, {"n1": 350, "n2": 120}) == {"n1": {"y": 300}, "n2": {"x": 100}}
    assert assigned(waiting, {}) == {}


def test_where_the_scheduler_does_not_place_a_pod_another_node_makes_room() -> None:
    pod, lendable = made("x", lent=100, node=""), {"cordoned": 300, "usable": 200}
    waiting = Waiting()
    first = assigned([pod], lendable, waiting.vain(0.0))
    assert first == {"cordoned": {"x": 100}}
    waiting.assign(first, 0.0)
    waiting.assign(first, LONG / 2)
    assert assigned([pod], lendable, waiting.vain(LONG)) == {"usable": {"x": 100}}
    waiting.assign({}, LONG)
    assert waiting.vain(9 * LONG) == set()


def test_what_was_left_is_offered_for_a_while() -> None:
    waiting = Waiting()
    assert list(waiting.assign({"n1": {"x": 7}}, 0.0)) == ["n1"]
    assert list(waiting.assign({"n1": {"x": 7}}, 0.0)) == []
    waiting.left(made("y", lent=5), 100.0)
    assert waiting.at("n1", 100.0) == {"x": 7, "y": 5}
    assert waiting.until("n1") == 100.0 + HOLD
    assert waiting.at("n1", 100.0 + HOLD) == {"x": 7}
    assert waiting.until("n1") is None
    assert list(waiting.assign({}, 0.0)) == ["n1"]
    assert waiting.at("n1", 100.0) == {}


def test_a_borrowers_request_becomes_its_bound() -> None:
    asking = pod(container("web"))
    asking["spec"]["containers"][0]["resources"] = {"limits": {LENT: "64Mi"}}
    patched = applied(asking, admission.create(asking, advised={"web": MIB}))
    assert patched["metadata"]["annotations"] == {"bede.local/web": "64Mi", BORROWERS: "web"}
    assert patched["spec"]["containers"][0]["resources"] == {"limits": {LENT: "64Mi"}}
    kept = pods.keep({**patched, "metadata": {**patched["metadata"], "namespace": "ns", "uid": "u"}})
    assert kept is not None
    assert (kept.request, kept.lent, kept.bounds) == (0, 64 * MIB, (Bound(Slot("u", "web"), 64 * MIB, 0),))
    asking["spec"]["containers"][0]["resources"]["limits"][RESOURCE] = "64Mi"
    with pytest.raises(InputError, match="requests both"):
        admission.create(asking)


def chain(uid: str, names: str, sizes: tuple[int, ...], is_lent: bool) -> Pod:
    """A pod with an init container for each name but the last one."""
    bounds = tuple(
        Bound(Slot(uid, name), size * MIB, 0 if is_lent else size * MIB)
        for name, size in zip(names, sizes, strict=True)
    )
    most = max(sizes) * MIB
    request, lent = (0, most) if is_lent else (most, 0)
    return Pod("ns", uid, uid, "n1", request, lent, bounds, first=frozenset(names[:-1]))


def test_what_one_container_after_another_borrows_is_borrowed_once() -> None:
    both = [made("a", 512 * MIB), chain("b", "xyzc", (256, 256, 100, 256), is_lent=True)]
    spec = (Bound(Slot("a", "c"), 256 * MIB, 512 * MIB),)
    local = reported({"a": 256 * MIB}, spec)
    found = share(both, local, needs(a=128), {})
    assert (found.evicted, found.offered) == ((), 256 * MIB)
    asked = {one.slot.container: one.size // MIB for one in found.bounds if one.slot.pod_uid == "b"}
    assert asked == {"x": 256, "y": 256, "z": 100, "c": 256}
    less = share(both, replace(local, bounds=found.bounds), needs(a=350), {})
    shared = {one.slot.container: one.size // MIB for one in less.bounds if one.slot.pod_uid == "b"}
    assert less.evicted == ()
    assert shared == {"x": 162, "y": 162, "z": 63, "c": 162}
    # It settles.
    local = reported({"a": 350 * MIB}, less.bounds)
    assert share(both, local, needs(a=350), {}).bounds == less.bounds


def test_what_has_been_requested_and_is_not_there_is_not_lent() -> None:
    """The reserve has grown, and the node has taken all of the loan back."""
    spec = (Bound(Slot("a", "c"), 256 * MIB, 512 * MIB), Bound(Slot("b", "c"), 256 * MIB, 0))
    both = [made("a", 512 * MIB), made("b", lent=256 * MIB)]

    def shared(total: int, ready: Ready = READY) -> Shares:
        local = reported({"a": 256 * MIB, "b": 4 * MIB}, spec)
        assert local.report is not None
        report = replace(local.report, total=total * MIB, ready=ready)
        return share(both, replace(local, report=report), needs(a=128), {})

    assert sizes(shared(512)) == {"a": 256, "b": 256}
    less = shared(400)
    assert (sizes(less), less.evicted) == ({"a": 144, "b": 256}, ())
    assert less.offered == (256 - 112) * MIB  # until the lender has given that up, too
    assert sizes(shared(270)) == {"a": 128, "b": 142}
    assert shared(200).evicted == ("b",)
    # Without far memory no bound counts, and nobody has to go for it.
    assert shared(0, Ready(False, "NoFarMemory", "")).evicted == ()


def test_an_init_container_lends_nothing() -> None:
    """When it has ended, its pod's others start with what they requested: there is no more than that."""
    lender = chain("a", "ic", (512, 512), is_lent=False)
    local = reported({"a": 512 * MIB, "b": 256 * MIB}, (Bound(Slot("a", "c"), 256 * MIB, 512 * MIB),))
    found = share([lender, made("b", lent=256 * MIB)], local, needs(a=128), {})
    assert found.lendable == (512 - 128) * MIB
    local = replace(local, bounds=found.bounds)
    found = share([lender, made("b", lent=256 * MIB)], local, needs(a=512), {})
    assert found.evicted == ("b",)
    assert {one.slot.container: one.size // MIB for one in found.bounds if one.slot.pod_uid == "a"} == {
        "i": 512,
        "c": 512,
    }


def test_what_an_init_container_has_now_is_not_lent() -> None:
    """It runs, and what its pod's other one has requested is the same memory."""
    lenders = [made("a", 512 * MIB), chain("p", "ic", (256, 256), is_lent=False)]
    both = [*lenders, made("b", lent=300 * MIB)]
    spec = (Bound(Slot("a", "c"), 212 * MIB, 512 * MIB), Bound(Slot("b", "c"), 300 * MIB, 0))
    local = reported({"a": 212 * MIB, "b": 300 * MIB}, spec)
    assert sizes(share(both, local, needs(a=128, p=32), {}))["a"] == 212
    started = reported({"a": 212 * MIB, "b": 300 * MIB, "p": 256 * MIB}, spec)
    assert share(both, started, needs(a=128, p=32), {}).lendable == (512 - 128 + 256 - 32) * MIB


def test_who_comes_by_naming_the_node_takes_nothing_from_a_borrower() -> None:
    """The kubelet fails such a pod a moment later, and the borrower would have been evicted for it."""
    spec = (Bound(Slot("a", "c"), 256 * MIB, 512 * MIB), Bound(Slot("b", "c"), 256 * MIB, 0))
    local = reported({"a": 256 * MIB, "b": 256 * MIB}, spec)
    there = [made("a", 512 * MIB), made("b", lent=256 * MIB)]
    found = share([*there, made("0-thief", lent=700 * MIB)], local, needs(a=128), {})
    assert found.evicted == ("0-thief",)
    assert sizes(found)["b"] == 256


@dataclass
class Box:
    """A model of one node, its kubelet and the scheduler, which bind by what is offered at that moment."""

    seed: int
    spec: tuple[Bound, ...] = ()
    held: dict[str, int] = field(default_factory=dict)  # bounds in force
    here: dict[str, Pod] = field(default_factory=dict)
    pending: dict[str, Pod] = field(default_factory=dict)
    targets: dict[str, int] = field(default_factory=dict)
    offered: int = 0
    started: int = 0
    borrowed: int = 0
    evicted: int = 0
    ending: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.told = reported({}, ())

    def guaranteed(self) -> int:
        return sum(one.request for one in self.here.values())

    def controller(self) -> None:
        # A pod takes longer to end than the controller to see that it does.
        self.ending = {uid for uid, one in self.here.items() if one.going}
        advise = needs(**self.targets)
        free = share(list(self.here.values()), self.told, advise, {}).lendable
        lent = sum(one.lent for one in self.here.values())
        waiting = assigned(list(self.pending.values()), {"n1": free - lent}).get("n1", {})
        local = replace(self.told, bounds=self.spec)
        found = share(list(self.here.values()), local, advise, waiting)
        assert sum(one.request for one in found.bounds) == self.guaranteed()
        self.offered, self.spec = max(found.offered, min(found.borrowed, self.offered)), found.bounds
        # Or a kubelet that restarts would fail one of them.
        assert self.offered >= sum(one.lent for one in self.here.values() if not one.going)
        for uid in found.evicted:
            self.here[uid] = replace(self.here[uid], going=True)
            self.evicted += 1

    def scheduler(self) -> None:
        for uid, one in list(self.pending.items()):
            lent = sum(other.lent for other in self.here.values())
            fits = self.guaranteed() + one.request <= CAPACITY and lent + one.lent <= self.offered
            if fits and (one.request or one.lent):
                self.here[uid] = replace(self.pending.pop(uid), node="n1")
                self.held[uid] = one.request or one.lent  # it starts with that, whatever the controller says
                self.started += 1
                self.borrowed += one.lent > 0
                self.check()

    def node(self) -> None:
        for uid in self.ending:
            self.leave(uid)
        self.ending.clear()
        statuses = [
            Status(uid, f"/{uid}", size, 0, 0, "tier", pod_uid=uid, pod_container="c")
            for uid, size in self.held.items()
        ]
        found = plan.changes(statuses, self.spec, CAPACITY)
        for change in found.changes:
            self.held[change.container.id] = change.size
            self.check()
        known = {one.slot.pod_uid for one in self.spec}
        new = sum(size for uid, size in self.held.items() if self.here[uid].lent and uid not in known)
        assert sum(self.held.values()) <= CAPACITY + new
        self.told = reported(dict(self.held), self.spec)

    def leave(self, uid: str) -> None:
        self.here.pop(uid, None)
        self.held.pop(uid, None)
        self.targets.pop(uid, None)

    def people(self, number: int) -> None:
        chance = self.random.random()
        uid = f"p{number}"
        size = self.random.randint(8, 256) * MIB
        if chance < 0.3:
            self.pending[uid] = made(uid, request=size, node="")
            self.targets[uid] = self.random.randint(4, size // MIB)
        elif chance < 0.6:
            self.pending[uid] = made(uid, lent=size, node="")
        elif chance < 0.75 and self.here:
            self.leave(self.random.choice(sorted(self.here)))
        elif self.targets:
            uid = self.random.choice(sorted(self.targets))
            self.targets[uid] = self.random.randint(4, 300)

    def check(self) -> None:
        """What is guaranteed fits at each moment, whatever is lent."""
        kept = (min(size, self.here[uid].request) for uid, size in self.held.items())
        assert sum(kept) <= CAPACITY


@pytest.mark.parametrize("seed", range(8))
def test_whatever_comes_the_bounds_fit(seed: int) -> None:
    box = Box(seed)
    for number in range(300):
        box.people(number)
        steps = [box.controller, box.scheduler, box.node]
        box.random.shuffle(steps)
        for step in steps:
            step()
            box.check()
    for _ in range(6):  # then all is quiet
        for step in (box.controller, box.node, box.scheduler):
            step()
    assert sum(box.held.values()) <= CAPACITY
    assert sum(box.held.values()) <= box.guaranteed()
    before = dict(box.held)
    box.controller()
    box.node()
    assert box.held == before
    assert box.started > 20


def test_borrowers_come_in_such_a_cluster() -> None:
    boxes = [Box(seed) for seed in range(8)]
    for box in boxes:
        for number in range(300):
            box.people(number)
            for step in (box.controller, box.node, box.scheduler):
                step()
                # Nobody was faster than the controller.
                assert sum(box.held.values()) <= CAPACITY
    assert sum(box.borrowed for box in boxes) > 80
    assert sum(box.evicted for box in boxes) > 0
