# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.spec import annotation

G = 1 << 30
CONTAINERD = "io.kubernetes.cri."
#: what containerd adds to the annotations of a pod's container called web
POD = {
    CONTAINERD + "container-type": "container",
    CONTAINERD + "sandbox-namespace": "shop",
    CONTAINERD + "sandbox-name": "front-0",
    CONTAINERD + "sandbox-uid": "5f2c",
    CONTAINERD + "container-name": "web",
}
CRIO = "io.kubernetes.cri-o.ContainerType"
#: what Podman hands on of an image that says it was a pod's, and adds itself
PODMAN = {**POD, CONTAINERD + "container-type": "sandbox", "io.container.manager": "libpod"}


def _resolve(annotations: dict[str, str], limit: int | None = None) -> tuple[int, dict[int, int]]:
    policy = annotation.parse(annotations)
    assert policy is not None
    return policy.resolve(limit)


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {"org.example": "1"}, {"bedeX": "1"}, {"xbede.local": "1"}, {"bede.dev/profile": "web"}],
)
def test_without_bede_annotations_there_is_no_policy(annotations: dict[str, str] | None) -> None:
    assert annotation.parse(annotations) is None


def test_a_size_needs_no_limit() -> None:
    assert _resolve({"bede.local": "2G", "other": "x"}) == (2 * G, {})


def test_a_percentage_is_of_the_memory_limit_rounded_down() -> None:
    assert _resolve({"bede.local": "25%"}, 4 * G) == (G, {})
    assert _resolve({"bede.local": "12.5 %"}, 8 * G + 7) == (G, {})
    assert _resolve({"bede.local": "100%"}, G) == (G, {})


def test_a_percentage_without_a_limit_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"bede\.local: 25%") as caught:
        _resolve({"bede.local": "25%"})
    assert "--memory" in caught.value.hint


def test_nodes_are_bounds_of_their_own() -> None:
    given_nodes = {"bede.local": "2G", "bede.local.0": "1G", "bede.local.12": "50%"}
    assert _resolve(given_nodes, 4 * G) == (2 * G, {0: G, 12: 2 * G})


def test_the_policy_keeps_what_was_given() -> None:
    policy = annotation.parse({"bede.local": "2G", "other": "x"})
    assert policy is not None
    assert policy.given == {"bede.local": "2G"}


def test_a_container_of_a_pod_has_the_bound_of_its_name() -> None:
    asked = {**POD, "bede.local": "2G", "bede.local.0": "256M", "bede.local/web": "50%", "bede.local/db": "x"}
    assert _resolve(asked, G) == (G // 2, {0: 256 << 20})
    policy = annotation.parse(asked)
    assert policy is not None
    assert policy.given == {"bede.local": "50%", "bede.local.0": "256M"}
    assert _resolve(policy.given, G) == (G // 2, {0: 256 << 20})
    assert _resolve({**asked, "bede.local.0/web": "128M"}, G) == (G // 2, {0: 128 << 20})
    assert _resolve({**asked, CONTAINERD + "container-name": "log"}, G) == (2 * G, {0: 256 << 20})


def test_a_node_is_bounded_for_one_container() -> None:
    asked = {**POD, "bede.local/web": "2G", "bede.local.1/web": "1G"}
    assert _resolve(asked) == (2 * G, {1: G})
    crio = {CRIO: "container", "io.kubernetes.container.name": "web"}
    assert _resolve({**crio, "bede.local/web": "2G", "bede.local.1/web": "1G"}) == (2 * G, {1: G})


def test_a_container_that_no_annotation_names_has_no_bound() -> None:
    assert annotation.parse({**POD, "bede.local/db": "1G", "bede.dev/local-memory": "x"}) is None


@pytest.mark.parametrize("kind", [{CONTAINERD + "container-type": "sandbox"}, {CRIO: "sandbox"}])
def test_a_pause_container_has_no_bound(kind: dict[str, str]) -> None:
    assert annotation.parse({**kind, "bede.local": "25%", "bede.local/web": "1G"}) is None


def test_an_image_cannot_call_its_container_a_pause_container() -> None:
    assert _resolve({**PODMAN, "bede.local": "1G"}) == (G, {})


@pytest.mark.parametrize(
    ("annotations", "message", "hint"),
    [
        ({"bede.loca": "1G"}, "bede.loca", "bede.local"),
        ({"bede.": "1G"}, "bede.", "bede.local"),
        ({"bede.local": "1G", "bede.Local": "1G"}, "bede.Local", "bede.local"),
        ({"bede.local": "1G", "bede.local.": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.01": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.-1": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.1024": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.x": "1G"}, "node", "bede.local.0"),
        ({"bede.local.0": "1G"}, "no bede.local", "bede.local=SIZE"),
        ({"bede.local": "1G", "bede.local.0": "2G"}, "2G", "raise it"),
        ({"bede.dev": "1G"}, "bede.dev", "bede.local"),
        ({"bede.locl/web": "1G"}, "bede.locl/web", "bede.local"),
        ({"bede.local/web": "1G"}, "no", "Write bede.local;"),
        ({"bede.local": "1G", "bede.local.0/web": "1G"}, "nobody says which", "Write bede.local.0;"),
        ({**POD, "bede.local/": "1G"}, "names a container", "Write bede.local;"),
        ({**POD, "bede.local.x/web": "1G"}, "bede.local.x/web", "bede.local.0"),
        ({**POD, "bede.locl/other": "1G"}, "bede.locl/other", "bede.local"),
        ({**POD, "bede.local.0/web": "1G"}, "0/web", "Add bede.local/web=SIZE"),
        (
            {**POD, "bede.local": "1G", "bede.local/web": "2G"},
            "bede.local/web: 2G is above",
            "each container",
        ),
        ({**POD, "bede.local": "50%", "bede.local/web": "51%"}, "bede.local/web: 51%", "each container"),
        ({**POD, "bede.local": "2G", "bede.local.0": "1G", "bede.local.0/web": "2G"}, "0/web: 2G", "each"),
        (
            {**POD, "bede.local": "2G", "bede.local.0": "1G", "bede.local/web": "512M"},
            "bede.local.0: 1G",
            "raise",
        ),
        ({**POD, CRIO: "sandbox", "bede.local": "1G"}, "two engines", "Take them out"),
        ({**PODMAN, "bede.local": "1G", "bede.local/web": "1G"}, "nobody says which", "Write bede.local;"),
        ({**POD, "bede.local/web": "1G", "bede.local.0/web": "2G"}, "bede.local.0/web: 2G", "bede.local/web"),
        ({**POD, "bede.local/web": "1"}, "bede.local/web", "4M"),
        ({"bede.local": "4095K"}, "smallest bound", "4M"),
        ({"bede.local": "0"}, "smallest bound", "4M"),
        ({"bede.local": "0%"}, "percentage", "25%"),
        ({"bede.local": "0.0%"}, "percentage", "25%"),
        ({"bede.local": "101%"}, "percentage", "25%"),
        ({"bede.local": "100.01%"}, "percentage", "25%"),
        ({"bede.local": "-5%"}, "percentage", "25%"),
        ({"bede.local": "%"}, "percentage", "25%"),
        ({"bede.local": ""}, "amount of memory", "128M"),
        ({"bede.local": "lots"}, "amount of memory", "128M"),
    ],
)
def test_mistakes_are_named_with_what_to_do(annotations: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        _resolve(annotations, G)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_percentage_of_little_is_below_the_smallest_bound() -> None:
    with pytest.raises(InputError, match="smallest bound"):
        _resolve({"bede.local": "1%"}, 100 << 20)


def test_four_mebibytes_are_enough() -> None:
    assert _resolve({"bede.local": "4M"}) == (4 << 20, {})


_NAMES = st.one_of(
    st.just("bede.local"), st.text().map("bede.".__add__), st.integers().map("bede.local.{}".format)
).filter(lambda name: not name.startswith("bede.dev/"))
_VALUES = st.one_of(st.text(), st.from_regex(r"[0-9.]{0,6}[%KMGTib]{0,3}"))


@given(st.dictionaries(_NAMES, _VALUES, min_size=1), st.none() | st.integers(0, 1 << 50))
def test_any_bede_annotation_is_a_bound_or_an_input_error(
    annotations: dict[str, str], limit: int | None
) -> None:
    try:
        bound, nodes = _resolve(annotations, limit)
    except InputError as error:
        assert error.line("x").isprintable()
        return
    assert bound >= annotation.MINIMUM
    assert all(annotation.MINIMUM <= value <= bound for value in nodes.values())
