# SPDX-License-Identifier: Apache-2.0
"""Objects that others have written, in whatever form: none ends a program that follows them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ocihook.cluster import objects, pods, profiles
from ocihook.cluster.controller import plan, sharing
from ocihook.cluster.controller.learning import Learner
from ocihook.cluster.words import LENT, RESOURCE

_NAMES = (
    *("metadata", "spec", "status", "name", "namespace", "uid", "labels", "annotations", "ownerReferences"),
    *("bounds", "podUID", "container", "bytes", "request", "containers", "conditions", "type", "reported"),
    *("total", "reserved", "bound", "local", "far", "hitsLocal", "suffers", "message", "taints", "key"),
    *("selector", "matchLabels", "mode", "minimum", "maximum", "slowdownBudget", "recommended", "target"),
    *("history", "demand", "confidence", "floor", "max", "capacity", "allocatable", "nodeName", "phase"),
    *("resources", "limits", "requests", "initContainers", "restartPolicy", "bede.local/web", "bede.local"),
    *("deletionTimestamp", "generation", "resourceVersion", "bede.dev/asked", RESOURCE, LENT),
)
_texts = st.sampled_from(["Ready", "True", "web", "64Mi", "1Ei", "-1", "", "25%", "2026-11-30T00:00:00Z"])
_leaves = st.none() | st.booleans() | st.integers() | st.floats() | _texts | st.text(max_size=5)
_json = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6),
    max_leaves=30,
)
_objects = st.dictionaries(st.sampled_from(("metadata", "spec", "status", "kind")), _json)


@given(_objects, _objects, _objects, _objects)
def test_whatever_is_there_a_node_is_looked_at(
    node: dict[str, Any], local: dict[str, Any], pod: dict[str, Any], profile: dict[str, Any]
) -> None:
    kept = pods.keep(pod)
    found = profiles.parse(profile)
    here = [kept] if kept else []
    told = objects.parse(local)
    shares = sharing.share(here, told, lambda pod, name: profiles.advised(found, name), {"uid": 1 << 30})
    seen = plan.keep_node(node)
    plan.requests(seen, told, plan.sizes(seen, told, here, shares), shares)
    learner = Learner(lambda text: None)
    if kept:
        learner.learn(told, lambda uid: (found, kept), 1e9)
    learner.status(found, 0.0)


def test_a_container_may_be_in_a_profiles_status_twice() -> None:
    """The custom resource does not forbid it, and every controller and webhook reads it."""
    twice = [
        {"name": "web", "confidence": 60, "recommended": {"target": size}} for size in (1 << 30, 1 << 20)
    ]
    found = profiles.parse({"spec": {}, "status": {"containers": twice}})
    assert [(name, one.target) for name, one in found.advice] == [("web", 1 << 20)]
