# SPDX-License-Identifier: Apache-2.0
"""What is learned of pods from their nodes' reports, written, read again, and given to new pods."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from test_admission import applied, container, pod
from test_manifests import _check, of

from ocihook.cluster import admission, clock, pods, profiles
from ocihook.cluster.controller import learning
from ocihook.cluster.controller.learning import Learner
from ocihook.cluster.objects import Bounded, NodeLocalMemory, Ready, Report, Slot
from ocihook.cluster.pods import Pod
from ocihook.cluster.profiles import Profile
from ocihook.cluster.words import ASKED, RESOURCE

MIB = 1 << 20
DAY = 24 * 3600
LABELS = (("app", "web"),)
ASKED_FOR = 512 * MIB
PODS = {
    uid: Pod("ns", uid, uid, "n1", ASKED_FOR, 0, (), (("web", ASKED_FOR),), labels)
    for uid, labels in (("a", LABELS), ("b", LABELS), ("other", ()))
}
RAW: dict[str, Any] = {
    "metadata": {"namespace": "ns", "name": "web", "uid": "p1"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "slowdownBudget": 10, "maximum": "1Gi"},
}


def report(at: float, uid: str, local: int, hits: int | None, used: int = 600 * MIB) -> NodeLocalMemory:
    one = Bounded(Slot(uid, "web"), "ns", uid, local, local, used - local, hits_local=hits, hits_best=hits)
    told = Report(1 << 40, 0, Ready(True, "x", ""), (one,), 1, clock.stamp(at))
    return NodeLocalMemory("n1", report=told)


def find(profile: Profile) -> Callable[[str], tuple[Profile, Pod] | None]:
    """What the controller's index returns for a uid."""

    def found(uid: str) -> tuple[Profile, Pod] | None:
        pod = PODS.get(uid)
        return (profile, pod) if pod and profile.selects(pod.namespace, dict(pod.labels)) else None

    return found


def learn(
    learner: Learner, profile: Profile, at: float, uid: str, local: int, hits: int | None
) -> list[Profile]:
    return learner.learn(report(at, uid, local, hits), find(profile), at)


def taught(learner: Learner, profile: Profile, days: float = 2.0) -> None:
    """A load of which half of the memory has 99 % of the hits, seen at two sizes."""
    for number in range(int(days * DAY / 600)):
        at = 1e9 + 600 * number
        learn(learner, profile, at, "a", 300 * MIB, 990)
        learn(learner, profile, at, "b", 150 * MIB, 500)


def test_a_target_is_found_between_what_was_seen() -> None:
    profile = profiles.parse(RAW)
    learner = Learner(pytest.fail)
    taught(learner, profile)
    status = learner.status(profile, 0.0)
    assert status is not None
    (one,) = status["containers"]
    # 10 % of slowdown at most are 94 % of local hits: between 150 and 300 MiB, on the straight line.
    assert one["recommended"]["target"] == pytest.approx(285 * MIB, rel=0.03)
    assert one["recommended"]["floor"] < one["recommended"]["target"] <= one["recommended"]["max"]
    assert one["confidence"] > 50
    custom = of("CustomResourceDefinition")[1]
    schema = custom["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    _check(schema["properties"]["status"], json.loads(json.dumps(status)), "")
    assert len(json.dumps(status)) < 20_000
    assert yaml.safe_load(json.dumps(status)) == status


def test_what_was_learned_is_read_again() -> None:
    profile = profiles.parse(RAW)
    first = Learner(pytest.fail)
    taught(first, profile)
    status = first.status(profile, 0.0)
    read = profiles.parse({**RAW, "status": status})
    again = Learner(pytest.fail)
    after = again.status(read, 0.0)
    assert status is not None
    assert after is not None
    targets = [one["containers"][0]["recommended"]["target"] for one in (status, after)]
    assert targets[1] == pytest.approx(targets[0], rel=0.01)
    assert dict(read.advice)["web"].target == targets[0]


def test_a_checkpoint_that_others_have_changed_begins_anew() -> None:
    told: list[str] = []
    raw = {**RAW, "status": {"containers": [{"name": "web", "history": {"version": 7}, "demand": []}]}}
    learner = Learner(told.append)
    assert learn(learner, profiles.parse(raw), 1e9, "a", MIB, 1)
    assert len(told) == 1
    assert "profile ns/web" in told[0]


def test_a_report_is_learned_from_once_and_for_its_own_profile() -> None:
    profile = profiles.parse(RAW)
    learner = Learner(pytest.fail)
    assert learn(learner, profile, 1e9, "a", MIB, 1) == [profile]
    assert learn(learner, profile, 1e9, "a", MIB, 1) == []
    assert learn(learner, profile, 1e9 + 300, "a", MIB, 1) == [profile]
    assert learn(learner, profile, 1e9, "other", MIB, 1) == []
    assert learn(learner, profile, 1e9, "gone", MIB, 1) == []
    learner.keep({profile.uid}, set())
    assert learn(learner, profile, 1e9, "a", MIB, 1) == [profile]


def test_a_nodes_clock_is_not_believed() -> None:
    profile = profiles.parse(RAW)
    sane, wrong = Learner(pytest.fail), Learner(pytest.fail)
    for learner, clocks in ((sane, (1e9, 1e9 + 300, 1e9 + 600)), (wrong, (0.0, 4e9, 1e9))):
        for number, claimed in enumerate(clocks):
            told = report(claimed, "a", 300 * MIB, 990)
            assert learner.learn(told, find(profile), 1e9 + 300 * number)
    assert sane.status(profile, 0.0) == wrong.status(profile, 0.0)


def test_alike_pods_that_ask_for_different_sizes_do_not_take_turns() -> None:
    profile = profiles.parse(RAW)
    learner = Learner(pytest.fail)
    small = replace(PODS["a"], requests=(("web", 64 * MIB),))
    targets = set()
    for number in range(6):
        pod = (PODS["a"], small)[number % 2]
        told = report(1e9 + number, "a", 300 * MIB, 990)
        learner.learn(told, lambda uid, pod=pod: (profile, pod), 1e9 + number)  # type: ignore[misc]
        status = learner.status(profile, number * learning.SAVE)
        assert status is not None
        targets.add(status["containers"][0]["recommended"]["target"])
    assert targets == {ASKED_FOR}


def test_what_is_hardly_known_changes_no_pod() -> None:
    advice = {"name": "web", "recommended": {"floor": MIB, "target": 64 * MIB + 5, "max": 99 * MIB}}
    for confidence, known in ((0, False), (24, False), (25, True)):
        status = {"containers": [{**advice, "confidence": confidence}]}
        for mode, new, running in (("Off", False, False), ("Initial", True, False), ("Live", True, True)):
            found = profiles.parse({**RAW, "spec": {**RAW["spec"], "mode": mode}, "status": status})
            assert profiles.sizes(found) == ({"web": 64 * MIB} if known and new else {})
            assert (profiles.advised(found, "web") is not None) is (known and running)


def test_what_no_node_has_is_given_to_no_pod() -> None:
    """Whoever may write a profile's status writes anything there; the scheduler adds up in 64 bits."""
    one = {"name": "web", "confidence": 100, "recommended": {"target": 4 << 60}}
    for mode in ("Initial", "Live"):
        raw = {**RAW, "spec": {**RAW["spec"], "mode": mode}, "status": {"containers": [one]}}
        assert profiles.sizes(profiles.parse(raw)) == {}
        assert profiles.advised(profiles.parse(raw), "web") is None


def test_it_is_written_when_it_is_news_or_old() -> None:
    profile = profiles.parse(RAW)
    learner = Learner(pytest.fail)
    learn(learner, profile, 1e9, "a", 300 * MIB, 990)
    assert learner.status(profile, 100.0) is not None
    learn(learner, profile, 1e9 + 300, "a", 300 * MIB, 990)
    assert learner.status(profile, 100.0 + learning.SAVE / 2) is None
    assert learner.status(profile, 100.0 + learning.SAVE) is not None
    taught(learner, profile)
    assert learner.status(profile, 101.0 + learning.SAVE) is not None


def test_with_little_known_the_users_size_stands() -> None:
    profile = profiles.parse(RAW)
    learner = Learner(pytest.fail)
    learn(learner, profile, 1e9, "a", 300 * MIB, 990)
    status = learner.status(profile, 0.0)
    assert status is not None
    assert status["containers"][0]["recommended"]["target"] == ASKED_FOR


def test_new_pods_get_what_is_recommended_and_keep_what_they_asked_for() -> None:
    asking = pod(container("web", "512Mi"), container("log", "64Mi"))
    made = applied(asking, admission.create(asking, advised={"web": 100 * MIB, "free": 1}))
    assert made["metadata"]["annotations"] == {
        "bede.local/web": "100Mi",
        "bede.local/log": "64Mi",
        ASKED: "web=512Mi",
    }
    web, log = made["spec"]["containers"]
    assert web["resources"]["limits"][RESOURCE] == web["resources"]["requests"][RESOURCE] == str(100 * MIB)
    assert log["resources"]["limits"][RESOURCE] == "64Mi"
    kept = pods.keep({**made, "metadata": {**made["metadata"], "namespace": "ns", "uid": "u"}})
    assert kept is not None
    assert dict(kept.requests) == {"web": 512 * MIB, "log": 64 * MIB}
    assert kept.request == 164 * MIB
    sizes = {one.slot.container: (one.size, one.request) for one in kept.bounds}
    assert sizes == {"web": (100 * MIB, 100 * MIB), "log": (64 * MIB, 64 * MIB)}


def test_an_annotation_is_the_users_word() -> None:
    asking = pod(container("web"), bede_local__web="64M")
    made = applied(asking, admission.create(asking, advised={"web": 100 * MIB}))
    assert made["metadata"]["annotations"] == {"bede.local/web": "64M"}


@pytest.mark.parametrize(
    ("spec", "labels", "selects"),
    [
        ({"selector": {"matchLabels": {"app": "web"}}}, {"app": "web", "x": "y"}, True),
        ({"selector": {"matchLabels": {"app": "web"}}}, {"app": "log"}, False),
        ({"selector": {"matchLabels": {}}}, {"app": "web"}, False),
        ({"selector": {}}, {}, False),
        (
            {"selector": {"matchLabels": {"app": "web"}}, "minimum": "2Gi", "maximum": "1Gi"},
            {"app": "web"},
            False,
        ),
        ({"selector": {"matchLabels": {"app": "web"}}, "minimum": "lots"}, {"app": "web"}, False),
    ],
)
def test_which_pods_a_profile_is_about(spec: dict[str, Any], labels: dict[str, str], selects: bool) -> None:
    found = profiles.parse({**RAW, "spec": spec})
    assert found.selects("ns", labels) is selects
    assert not found.selects("elsewhere", labels)
    assert bool(found.mistake) is ("minimum" in spec)


def test_of_several_profiles_the_first_by_name_counts_and_off_changes_nothing() -> None:
    a = profiles.parse(RAW)
    b = replace(a, name="app", mode=profiles.OFF, advice=(("web", profiles.Advice(1, 64 * MIB, 3, 40)),))
    assert profiles.chosen([a, b], "ns", dict(LABELS)) is b
    assert profiles.sizes(b) == {}
    assert profiles.sizes(replace(b, mode=profiles.INITIAL)) == {"web": 64 * MIB}
    assert profiles.sizes(None) == {}
