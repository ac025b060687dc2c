# SPDX-License-Identifier: Apache-2.0
"""What becomes of a pod: the patch is applied, so that the tests see the pod that the API server would."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.cluster import admission, pods
from ocihook.cluster.words import BOUND, RESOURCE
from ocihook.errors import InputError

Json = dict[str, Any]


def container(name: str, request: str = "", limit: str = "", **more: object) -> Json:
    limits = ({RESOURCE: request} if request else {}) | ({"memory": limit} if limit else {})
    return {"name": name, **({"resources": {"limits": limits}} if limits else {}), **more}


def pod(*containers: Json, init: tuple[Json, ...] = (), runtime: str = "", **annotations: str) -> Json:
    meta: Json = {"name": "p"}
    if annotations:
        meta["annotations"] = {
            name.replace("__", "/").replace("_", "."): text for name, text in annotations.items()
        }
    spec: Json = {"containers": list(containers)}
    if init:
        spec["initContainers"] = list(init)
    if runtime:
        spec["runtimeClassName"] = runtime
    return {"metadata": meta, "spec": spec}


def applied(pod: Json, patch: admission.Patch) -> Json:
    """Apply *patch*, which may only add, and only below what is there."""
    result = copy.deepcopy(pod)
    for one in patch:
        assert one["op"] == "add"
        *path, last = (part.replace("~1", "/").replace("~0", "~") for part in one["path"].split("/")[1:])
        at: Any = result
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at[part]
        at[last] = copy.deepcopy(one["value"])
    return result


def made(pod: Json) -> Json:
    return applied(pod, admission.create(pod))


def requests(pod: Json) -> list[str | None]:
    every = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    for one in every:
        resources = one.get("resources", {})
        if RESOURCE in resources.get("limits", {}):
            assert resources["requests"][RESOURCE] is not None
    return [one.get("resources", {}).get("requests", {}).get(RESOURCE) for one in every]


#: pods that are completed; tests/unit/cluster/test_policies.py has them as well
REQUESTING = pod(container("web", "64Mi"), container("log"), init=(container("setup", "32Mi"),))
BOUNDED = pod(container("web"), container("log"), bede_local="1G", bede_local__log="64M")
SHARING = pod(container("web", limit="256Mi"), bede_local="25%")


def test_a_request_becomes_a_bound() -> None:
    result = made(REQUESTING)
    assert result["metadata"]["annotations"] == {"bede.local/web": "64Mi", "bede.local/setup": "32Mi"}
    assert result["metadata"]["labels"] == {BOUND: "true"}
    assert result["spec"]["runtimeClassName"] == "bede"
    assert requests(result) == [str(32 << 20), str(64 << 20), None]


def test_a_bound_becomes_a_request() -> None:
    result = made(BOUNDED)
    assert requests(result) == [str(1 << 30), str(64 << 20)]
    assert result["metadata"]["annotations"] == {"bede.local": "1G", "bede.local/log": "64M"}


def test_a_share_is_of_the_limit() -> None:
    assert requests(made(SHARING)) == [str(64 << 20)]


def test_it_is_done_once() -> None:
    for one in (pod(container("web", "64Mi")), pod(container("web"), bede_local="64M")):
        once = made(one)
        assert made(once) == once


def test_what_does_not_ask_is_left_alone() -> None:
    for one in (pod(container("web", limit="1Gi")), pod(container("web"), bede_dev__profile="x")):
        assert admission.create(one) == []


#: pods that are refused, and why
REFUSED = [
    (pod(container("web", "lots")), "'lots' is no quantity"),
    (pod(container("web", "1Mi")), "1Mi is less than the least bound"),
    (pod(container("web", "64m")), r"64m \(1\) is less than the least bound"),
    (  # Kubernetes counts M in thousands.
        pod(container("web", "64M"), bede_local="64M"),
        r"requests 64M \(61Mi\) of .*, but annotation bede.local is 64M \(64Mi\)",
    ),
    (
        pod({"name": "web", "resources": {"limits": {"bede.dev/local-memroy": "64Mi"}}}),
        "web: 'bede.dev/local-memroy' is no resource of Bede's",
    ),
    (
        pod(container("web", "64Mi"), bede_local="32M"),
        "requests 64Mi of .*, but annotation bede.local is 32M",
    ),
    (pod(container("web"), bede_locl="32M"), "'bede.locl' is not one of Bede's"),
    (pod(container("web"), bede_local__wbe="32M"), "for no container of the pod"),
    (pod(container("web"), bede_local="25%"), "there is none"),
    (pod(container("web"), bede_local="1G", bede_local__web="2G"), "is above bede.local"),
    (pod(container("web", "64Mi"), runtime="runc"), "runtimeClassName 'runc' holds no bounds"),
    # Two of these come to less than nothing in 64 bits, and the scheduler would have placed the pod anywhere.
    (pod(container("web", "4Ei"), container("log", "4Ei")), "web: 4Ei of local memory is more than any node"),
    (pod(container("web"), bede_local="999999T"), "is more than any node has"),
]


@pytest.mark.parametrize(("asked", "why"), REFUSED)
def test_what_is_refused(asked: Json, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        admission.create(asked)
    assert caught.value.hint


def test_the_label_alone_asks_for_nothing() -> None:
    asked = pod(container("web"))
    asked["metadata"]["labels"] = {BOUND: "true"}
    with pytest.raises(InputError, match="no container asks for local memory"):
        admission.create(asked)


def test_a_class_of_the_clusters_own_may_hold_bounds() -> None:
    asked = pod(container("web", "64Mi"), runtime="bede-nvidia")
    classes = ("bede", "bede-nvidia")
    assert applied(asked, admission.create(asked, classes))["spec"]["runtimeClassName"] == "bede-nvidia"


def changed(before: Json, **annotations: str) -> Json:
    result = copy.deepcopy(before)
    for name, text in annotations.items():
        result["metadata"]["annotations"][name.replace("__", "/").replace("_", ".")] = text
    return result


def test_a_running_pods_bound_may_become_less_and_its_request_again() -> None:
    before = made(pod(container("web", "64Mi")))
    admission.update(before, changed(before, bede_local__web="32M"))
    admission.update(changed(before, bede_local__web="32M"), changed(before, bede_local__web="64Mi"))


#: changes of the annotations of a running pod that are refused, and why
CHANGES = [
    ({"bede_local__web": "128M"}, "128Mi is more than the 64Mi that it requested"),
    ({"bede_local__web": "lots"}, "not an amount of memory"),
    ({"bede_local__other": "32M"}, "for no container"),
    ({"bede_local__log": "32M"}, "container log: 32Mi is more than the 0 that it requested"),
    ({"bede_local": "64M"}, "container log: 64Mi is more than the 0"),
]
RUNNING = made(pod(container("web", "64Mi"), container("log")))


@pytest.mark.parametrize(("change", "why"), CHANGES)
def test_what_no_running_pod_gets(change: dict[str, str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        admission.update(RUNNING, changed(RUNNING, **change))


def test_a_running_pod_keeps_its_bound_and_label() -> None:
    before = made(pod(container("web", "64Mi")))
    after = copy.deepcopy(before)
    del after["metadata"]["annotations"]["bede.local/web"]
    with pytest.raises(InputError, match="keeps a bound"):
        admission.update(before, after)
    after = copy.deepcopy(before)
    del after["metadata"]["labels"]
    with pytest.raises(InputError, match=r"label bede\.dev/bound stays"):
        admission.update(before, after)


def test_other_changes_of_a_pod_pass_whatever_is_in_it() -> None:
    before = made(pod(container("web", "64Mi")))
    before["metadata"]["annotations"]["bede.locl"] = "made without admission"
    after = copy.deepcopy(before)
    after["metadata"]["annotations"]["other"] = "x"
    admission.update(before, after)


def test_a_pod_that_was_made_without_a_bound_gets_none_later() -> None:
    """Its containers would have it when they start again, and the scheduler counts nothing for them."""
    for text in ("64M", "900G"):
        with pytest.raises(InputError, match=r"annotation 'bede\.local/web' is for pods that are made with"):
            admission.update(pod(container("web")), pod(container("web"), bede_local__web=text))
    unasked = pod(container("web"), bede_local="64M")  # while no webhook answered
    admission.update(unasked, changed(unasked, other="x", bede_dev__x="y"))
    admission.update(unasked, pod(container("web")))
    with pytest.raises(InputError, match=r"annotation 'bede\.local' is for pods"):
        admission.update(unasked, changed(unasked, bede_local="65M"))


def test_a_pod_with_endless_containers_costs_nobody_much() -> None:
    """Where admission was away; by its annotations it took six seconds at each of its events."""
    names = [f"i{number}" for number in range(4000)]
    made = pod(container("web", "4Mi"), init=tuple(container(name, "4Mi") for name in names))
    made["metadata"]["annotations"] = {f"bede.local/{name}": "4Mi" for name in names}
    kept = pods.keep(made)
    assert kept is not None
    assert (kept.request, kept.bounds) == (4 << 20, ())
    with pytest.raises(InputError, match="the pod has 4001 containers, and"):
        admission.create(made)


def test_a_pod_that_was_made_without_a_bound_cannot_claim_one() -> None:
    before = pod(container("web"))
    after = pod(container("web"), bede_local__web="1000000G")
    after["metadata"]["labels"] = {BOUND: "true"}
    with pytest.raises(InputError, match="is for pods that are made with a bound"):
        admission.update(before, after)
    kept = pods.keep(after)
    assert kept is not None
    assert (kept.request, kept.bounds) == (0, ())


def test_the_scheduler_counts_as_we_do() -> None:
    """The table of KEP-753: init containers one by one, sidecars with what comes after them."""
    sidecar = container("proxy", "16Mi", restartPolicy="Always")
    one = pod(
        container("web", "64Mi"),
        container("log", "16Mi"),
        init=(container("first", "128Mi"), sidecar, container("last", "96Mi")),
    )
    assert pods.counted(pods.containers(one["spec"])) == 128 << 20
    one["spec"]["initContainers"][2] = container("last", "120Mi")
    assert pods.counted(pods.containers(one["spec"])) == 136 << 20


_NAMES = (
    *("metadata", "annotations", "labels", "spec", "containers", "initContainers", "name", "resources"),
    *("limits", "requests", "memory", "bede.local", "bede.local/a", "runtimeClassName", RESOURCE, BOUND),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), _json), _json)
def test_whatever_comes_it_is_answered_or_refused(one: Json, other: object) -> None:
    try:
        json.dumps(admission.create(one))
        admission.update(one, other if isinstance(other, dict) else {})
    except InputError:
        pass
    pods.keep(one)
