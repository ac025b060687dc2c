# SPDX-License-Identifier: Apache-2.0
"""Text that people write: sizes, annotations, limits by node, the configuration."""

import contextlib
from fractions import Fraction
from pathlib import Path

import pytest
import seeds
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mutate import mutated

from ocihook import config
from ocihook.errors import InputError
from ocihook.spec import annotation, nodelimit, size

SHIFTS = {"": 0, "b": 0, "k": 10, "kib": 10, "Mi": 20, "M": 20, "gB": 30, "Gi": 30, "T": 40, "tib": 40}


@seeds.FUZZ
@given(
    st.integers(0, 1 << 30), st.text("0123456789", max_size=6), st.sampled_from(sorted(SHIFTS)), st.booleans()
)
def test_a_size_is_its_number_times_its_unit(whole: int, fraction: str, unit: str, blank: bool) -> None:
    text = f"{whole}.{fraction}" if fraction else str(whole)
    exact = Fraction(text) * (1 << SHIFTS[unit])
    given_size = f" {text}{' ' if blank else ''}{unit}"
    if exact > 1 << 62:
        with pytest.raises(InputError, match="more than any machine"):
            size.parse(given_size)
    else:
        assert size.parse(given_size) == exact.numerator // exact.denominator


KINDS = ("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType")
NAMES = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name")


def is_pause(annotations: dict[str, str]) -> bool:
    """Whether one engine alone, which is not Podman, calls the container a pod's first one."""
    kinds = [annotations[kind] for kind in KINDS if kind in annotations]
    return kinds == ["sandbox"] and annotations.get("io.container.manager") != "libpod"


def is_others(name: str, annotations: dict[str, str]) -> bool:
    """Whether the annotation *name* bounds nothing here: it is no bound, or another container's."""
    base, slash, container = name.partition("/")
    if not name.startswith("bede.") or base == "bede.dev":
        return True
    here = [annotations.get(NAMES[at], "") for at, kind in enumerate(KINDS) if kind in annotations]
    return base.startswith("bede.local") and bool(slash) and bool(container) and here != [container]


def check_annotations(data: bytes) -> None:
    """*data* has a line NAME=VALUE for each annotation. "No bound" must not result from a mistake."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    given_ones = dict(line.split("=", 1) for line in lines if "=" in line)
    for limit in (None, 0, 1 << 30):
        try:
            policy = annotation.parse(given_ones)
            if policy is None:
                assert is_pause(given_ones) or all(is_others(name, given_ones) for name in given_ones)
                continue
            bound, own = policy.resolve(limit)
        except InputError as error:
            assert "\n" not in error.line("x")
            continue
        assert annotation.MINIMUM <= bound <= 1 << 62
        assert all(annotation.MINIMUM <= value <= bound for value in own.values())


@pytest.mark.parametrize("path", seeds.files("annotations"), ids=lambda path: path.name)
def test_annotations_of_the_corpus(path: Path) -> None:
    check_annotations(path.read_bytes())


@seeds.FUZZ
@given(mutated("annotations"))
def test_annotations(data: bytes) -> None:
    check_annotations(data)


def check_limits(data: bytes) -> None:
    with contextlib.suppress(InputError):
        found = nodelimit.parse(data.decode("utf-8", "surrogateescape"))
        assert nodelimit.parse(nodelimit.dump(found)) == found


@pytest.mark.parametrize("path", seeds.files("node_limit"), ids=lambda path: path.name)
def test_limits_of_the_corpus(path: Path) -> None:
    check_limits(path.read_bytes())


@seeds.FUZZ
@given(mutated("node_limit"))
def test_limits(data: bytes) -> None:
    check_limits(data)


def check_config(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(InputError):
        read = config.read_flat(text)
        assert (yaml.safe_load(text) or {}) == read
    with contextlib.suppress(InputError):
        found = config.parse(text)
        assert found.on_unsupported in ("refuse", "warn")
        assert list(found.far_nodes) == sorted(set(found.far_nodes))


@pytest.mark.parametrize("path", seeds.files("config"), ids=lambda path: path.name)
def test_configuration_of_the_corpus(path: Path) -> None:
    check_config(path.read_bytes())


@seeds.FUZZ
@given(mutated("config"))
def test_configuration(data: bytes) -> None:
    check_config(data)
