# SPDX-License-Identifier: Apache-2.0
"""What the controller asks the API server to change, and what it does not."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from test_manifests import of

from ocihook.cluster import objects, words
from ocihook.cluster.controller import events, plan
from ocihook.cluster.controller.plan import Node, Request
from ocihook.cluster.controller.sharing import Shares
from ocihook.cluster.objects import Bound, Bounded, NodeLocalMemory, Ready, Report, Slot
from ocihook.cluster.pods import Pod

GIB = 1 << 30
READY = Ready(True, "HoldsBounds", "")
REPORT = Report(8 * GIB, GIB, READY)
HAS = ((words.RESOURCE, 7 * GIB, 7 * GIB),)
NODE = Node("n1", "u1", HAS, False)
LOCAL = NodeLocalMemory("n1", "u2", 1, True, (), REPORT)


def pod(name: str, request: int, *bounds: int) -> Pod:
    slots = tuple(Bound(Slot(name, f"c{at}"), size, size) for at, size in enumerate(bounds))
    return Pod("ns", name, name, "n1", request, 0, slots)


def requests(node: Node, local: NodeLocalMemory | None, pods: list[Pod]) -> list[Request]:
    """What changes where nobody lends."""
    bounds = tuple(sorted(one for pod in pods for one in pod.bounds))
    shares = Shares(bounds, 0, 0, 0)
    return plan.requests(node, local, plan.sizes(node, local, pods, shares), shares)


def test_nothing_where_all_is_right() -> None:
    one = pod("p", GIB, GIB)
    assert requests(NODE, replace(LOCAL, bounds=one.bounds), [one]) == []


def test_a_node_gets_what_it_has() -> None:
    for before in ((), ((words.RESOURCE, 0, 0),), ((words.RESOURCE, GIB, 7 * GIB),)):
        (request,) = requests(replace(NODE, resources=before), LOCAL, [])
        told = {words.RESOURCE: str(7 * GIB)}
        assert request.path == "/api/v1/nodes/n1/status"
        assert request.body == {"status": {"capacity": told, "allocatable": told}}


def test_a_kubelet_that_set_it_to_zero_is_put_right() -> None:
    zeroed = replace(NODE, resources=((words.RESOURCE, 0, 0),))
    assert [one.path for one in requests(zeroed, LOCAL, [])] == ["/api/v1/nodes/n1/status"]


def test_what_a_node_does_by_itself_can_wait_to_be_told() -> None:
    one, other = pod("p", GIB, GIB), pod("q", GIB, GIB)
    (both,) = requests(NODE, replace(LOCAL, bounds=one.bounds), [one, other])
    assert both.can_wait
    (gone,) = requests(NODE, replace(LOCAL, bounds=one.bounds), [])
    assert gone.can_wait
    (changed,) = requests(NODE, replace(LOCAL, bounds=(one.bounds[0]._replace(size=GIB // 2),)), [one, other])
    assert not changed.can_wait
    # By its annotation, or since it lends or borrows, it has another bound than it requests.
    for size, request in ((GIB // 2, GIB), (GIB, 0)):
        begins = replace(other, bounds=(other.bounds[0]._replace(size=size, request=request),))
        (told,) = requests(NODE, replace(LOCAL, bounds=one.bounds), [one, begins])
        assert not told.can_wait
    (capacity,) = requests(replace(NODE, resources=()), LOCAL, [])
    assert not capacity.can_wait


def test_the_resource_goes_with_bede() -> None:
    (request,) = requests(NODE, None, [])
    assert request.body["status"]["capacity"] == {words.RESOURCE: None}
    assert requests(replace(NODE, resources=()), None, []) == []


@given(st.integers(0, 64), st.lists(st.integers(0, 8), max_size=8), st.booleans(), st.integers(0, 64))
def test_capacity_does_not_fall_below_the_requests_nor_rise_for_them(
    total: int, asked: list[int], told: bool, present: int
) -> None:
    pods = [pod(str(at), size * GIB) for at, size in enumerate(asked)]
    local = replace(LOCAL, report=replace(REPORT, total=total * GIB)) if told else None
    offered = max(0, total - 1) * GIB if told else 0
    found = plan.capacity(local, pods, present * GIB)
    assert found >= min(sum(one.request for one in pods), present * GIB)
    assert found <= max(offered, present * GIB)


def test_what_pods_without_the_label_borrow_is_not_taken_back() -> None:
    """They were made while no webhook answered; a kubelet that restarts and finds less would fail them."""
    node = Node("n1", "u1", (*HAS, (words.LENT, GIB, GIB)), False)
    unasked = replace(pod("b", 0), lent=GIB)
    shares = Shares((), 0, 0, 0)
    assert plan.sizes(node, LOCAL, [unasked], shares)[words.LENT] == GIB
    assert plan.sizes(node, LOCAL, [replace(unasked, going=True)], shares)[words.LENT] == 0
    assert plan.sizes(NODE, LOCAL, [unasked], shares)[words.LENT] == 0


def test_a_pod_that_names_its_node_raises_nothing() -> None:
    shares = Shares((), 0, 1000 * GIB, 0)
    sizes = plan.sizes(NODE, LOCAL, [pod("p", 1000 * GIB)], shares)
    for request in plan.requests(NODE, LOCAL, sizes, shares):
        assert "capacity" not in request.body.get("status", {})


def test_a_node_speaks_of_its_own_pods_alone_and_by_their_names() -> None:
    mine = Bounded(Slot("a", "c0"), "kube-system", "kube-apiserver", 1, 1, 1)
    other = Bounded(Slot("b", "c0"), "ns", "b", 1, 1, 1)
    # Whatever it calls a container would be in an event, and in what is learned.
    forged = [Bounded(Slot("a", f"forged{number}\n" + 5000 * "x"), "ns", "a", 1, 1, 1) for number in range(9)]
    told = replace(LOCAL, report=replace(REPORT, containers=(mine, other, *forged, mine)))
    found = plan.own(told, [pod("a", GIB, GIB)])
    assert found.report is not None
    assert [(one.namespace, one.pod, one.slot.container) for one in found.report.containers] == [
        ("ns", "a", "c0")
    ]


def test_figures_that_cannot_be_are_cut() -> None:
    ready = {"type": "Ready", "status": "True"}
    one = {"podUID": "a", "container": "web", "hitsLocal": 5000, "hitsBest": -1, "message": "a\nb" * 500}
    found = objects.parse({"status": {"conditions": [ready], "containers": [one]}}).report
    assert found is not None
    (container,) = found.containers
    assert (container.hits_local, container.hits_best) == (1000, 0)
    assert len(container.message) == 200
    assert "\n" not in container.message


def test_bounds_are_those_of_the_pods_that_are_there() -> None:
    here = [pod("b", GIB, GIB, 5), pod("a", GIB, 7)]
    bounds = tuple(sorted(one for pod in here for one in pod.bounds))
    (request,) = requests(NODE, LOCAL, here)
    assert request.body == {
        "spec": {
            "bounds": [
                {"podUID": "a", "container": "c0", "bytes": 7, "request": 7, "budget": 10},
                {"podUID": "b", "container": "c0", "bytes": GIB, "request": GIB, "budget": 10},
                {"podUID": "b", "container": "c1", "bytes": 5, "request": 5, "budget": 10},
            ]
        }
    }
    told = objects.parse({"metadata": {"name": "n1"}, **request.body})
    assert told.bounds == bounds


def test_many_containers_keep_no_other_pod_from_its_bound() -> None:
    """The API server refuses an object with more bounds than its schema has."""
    crds = {one["spec"]["names"]["kind"]: one["spec"] for one in of("CustomResourceDefinition")}
    schema = crds[words.KIND]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert schema["properties"]["bounds"]["maxItems"] == plan.MOST
    many = [pod(f"many-{number}", GIB, *250 * [4 << 20]) for number in range(17)]
    here = [*many, pod("z", GIB, GIB)]
    bounds = tuple(sorted(one for one in here for one in one.bounds))
    found = plan.told(bounds)
    assert len(found) == 16 * 250 + 1
    assert {one.slot.pod_uid for one in bounds} - {one.slot.pod_uid for one in found} == {"many-9"}
    assert plan.told(found) == found


def test_an_object_goes_with_its_node() -> None:
    (request,) = requests(NODE, replace(LOCAL, owned=False), [])
    (owner,) = request.body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Node", "n1", "u1")


def test_a_node_that_cannot_hold_bounds_is_the_last_choice() -> None:
    lost = replace(LOCAL, report=replace(REPORT, ready=Ready(False, "AgentDown", "")))
    others = ((("effect", "NoSchedule"), ("key", "other")),)
    node = replace(NODE, taints=others, version="7")
    (request,) = requests(node, lost, [])
    assert request.body["metadata"] == {"resourceVersion": "7"}
    assert request.body["spec"]["taints"] == [
        {"key": "other", "effect": "NoSchedule"},
        {"key": words.UNREADY, "effect": plan.EFFECT},
    ]
    tainted = replace(node, unready=True)
    assert requests(tainted, lost, []) == []
    (request,) = requests(tainted, LOCAL, [])
    assert request.body["spec"]["taints"] == [{"key": "other", "effect": "NoSchedule"}]


def test_a_node_whose_agent_never_was_offers_nothing() -> None:
    """Without Bede's package, pods with a bound could not start. An agent that died comes back."""
    lost = replace(LOCAL, report=replace(REPORT, ready=Ready(False, "AgentDown", "")))
    assert plan.capacity(lost, [], 0) == 0
    assert plan.capacity(lost, [], GIB) == GIB
    assert plan.capacity(LOCAL, [], 0) == REPORT.capacity == plan.capacity(lost, [], 1 << 50)


def test_a_node_without_far_memory_is_as_good_as_any() -> None:
    none = replace(LOCAL, report=replace(REPORT, ready=Ready(False, objects.NO_FAR_MEMORY, "")))
    assert requests(NODE, none, []) == []
    (request,) = requests(replace(NODE, unready=True), none, [])
    assert request.body["spec"]["taints"] == []


def test_what_is_kept_of_a_node() -> None:
    raw = {
        "metadata": {"name": "n1", "uid": "u1", "resourceVersion": "7"},
        "spec": {"taints": [{"key": words.UNREADY, "effect": "x"}, {"key": "other", "effect": "NoSchedule"}]},
        "status": {"capacity": {words.RESOURCE: "7Gi"}, "allocatable": {words.RESOURCE: "7516192768"}},
    }
    others = ((("effect", "NoSchedule"), ("key", "other")),)
    found = plan.keep_node(raw)
    assert found == replace(NODE, unready=True, taints=others)
    assert found.version == "7"
    # A heartbeat is no change.
    assert plan.keep_node({**raw, "metadata": {**raw["metadata"], "resourceVersion": "8"}}) == found


def test_an_event_is_told_once() -> None:
    slot = Slot("uid", "web")
    held = Bounded(slot, "ns", "p", GIB, 0, 0)
    local = replace(LOCAL, bounds=(Bound(slot, GIB, GIB),), report=replace(REPORT, containers=(held,)))
    told = events.Told()
    assert list(told.news(replace(LOCAL, report=REPORT), [], 0)) == []
    assert [(reason, text) for _, reason, text in told.news(local, [], 0)] == [
        (events.BOUND, "web holds at most 1Gi of local memory on n1")
    ]
    assert list(told.news(local, [], 0)) == []
    refused = replace(local, report=replace(REPORT, containers=(replace(held, message="no room"),)))
    assert [(reason, text) for _, reason, text in told.news(refused, [], 0)] == [
        (events.REFUSED, "web: no room")
    ]
    told.keep(["uid"])
    assert list(told.news(refused, [], 0)) == []
    told.keep([])
    (((about, reason, text)),) = told.news(local, [], 0)
    its_pod = events.pod(about.namespace, about.pod, about.slot.pod_uid)
    made = events.event(its_pod, reason, text, 0.0)
    assert made["involvedObject"]["uid"] == "uid"
    assert made["metadata"]["name"] == events.event(its_pod, reason, text, 9.0)["metadata"]["name"]
    assert made["firstTimestamp"] == "1970-01-01T00:00:00Z"


def test_a_node_that_writes_another_reason_each_time_makes_few_events() -> None:
    slot = Slot("uid", "web")
    held = Bounded(slot, "ns", "p", GIB, 0, 0)
    told, found = events.Told(), []
    for second in range(180):
        for message in (f"no room {second}", ""):
            report = replace(REPORT, containers=(replace(held, message=message, suffers=10 * (second % 99)),))
            found += list(told.news(replace(LOCAL, report=report), [], 1e9 + second))
    assert [reason for _, reason, _ in found] == 3 * [events.REFUSED, events.SUFFERING]


def test_a_controller_that_is_new_does_not_tell_all_again() -> None:
    slot = Slot("uid", "web")
    held = Bounded(slot, "ns", "p", GIB, 0, 0)
    local = replace(LOCAL, bounds=(Bound(slot, GIB, GIB),), report=replace(REPORT, containers=(held,)))
    pod = Pod("ns", "p", "uid", "n1", GIB, 0, local.bounds, created=1000.0)
    told = events.Told()
    assert list(told.news(local, [pod], 1000 + events.NEW)) == []
    fewer = replace(local, bounds=(Bound(slot, GIB + 1, GIB + 1),))  # one page, to the kernel
    assert list(told.news(fewer, [pod], 1000 + events.NEW)) == []


def test_a_controller_that_is_new_tells_what_the_one_before_may_not_have_told() -> None:
    slot = Slot("uid", "web")
    held = Bounded(slot, "ns", "p", GIB, 0, 0)
    local = replace(LOCAL, bounds=(Bound(slot, GIB, GIB),), report=replace(REPORT, containers=(held,)))
    pod = Pod("ns", "p", "uid", "n1", GIB, 0, local.bounds, created=1000.0)
    told = events.Told()
    assert [reason for _, reason, _ in told.news(local, [pod], 1060)] == [events.BOUND]
    assert list(told.news(local, [pod], 1060)) == []


def test_a_report_is_read_as_it_was_written() -> None:
    one = Bounded(Slot("uid", "web"), "ns", "p", 4, 3, 2, 1, 0, 870, None, 70, "why")
    report = Report(8 * GIB, GIB, Ready(False, "AgentDown", "it is down"), (one,), 3)
    status = objects.status(report, {}, "2026-11-30T00:00:00Z")
    assert objects.parse({"metadata": {"name": "n1"}, "status": status}).report == report
    assert status["summary"]["free"] == "7Gi"
    later = objects.status(report, status, "2026-11-30T01:00:00Z")
    assert later["conditions"][0]["lastTransitionTime"] == "2026-11-30T00:00:00Z"
    better = objects.status(replace(report, ready=READY), status, "2026-11-30T01:00:00Z")
    assert better["conditions"][0]["lastTransitionTime"] == "2026-11-30T01:00:00Z"
