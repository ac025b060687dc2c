# SPDX-License-Identifier: Apache-2.0
"""Bounds that `bede set` chose, which survive a restart."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import AccessError, BedeError, MalformedError
from ocihook.spec import annotation
from ocihook.state import chosen, records, user

M = 1 << 20
ID = "0a" * 32
OTHER = "0b" * 32


@pytest.fixture(autouse=True)
def bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "RUN", str(tmp_path / "bede"))
    return tmp_path / "bede/bounds"


@pytest.mark.parametrize(
    ("id", "life"),
    [
        (ID, ID),
        (f"libpod-{ID}", ID),
        ("web", ""),
        ("", ""),
        (ID[:-1], ""),
        (ID[:-1] + "g", ""),
        (ID.upper(), ""),
        (f"a{ID}", ""),
        (f"../{ID}", ""),
    ],
)
def test_ids_that_are_for_life(bounds: Path, id: str, life: str) -> None:
    assert chosen.lasting(id) == life
    assert chosen.write(id, chosen.Chosen(64 * M)) is bool(life)
    assert (os.listdir(bounds) if bounds.exists() else []) == ([life] if life else [])
    assert (chosen.read(id) is not None) == bool(life)
    chosen.forget(id)
    assert chosen.read(id) is None


def test_what_is_remembered(bounds: Path) -> None:
    assert chosen.read(ID) is None
    chosen.forget(ID)
    chosen.write(ID, chosen.Chosen(64 * M, "/b", "N0=max"))
    found = chosen.read(ID)
    assert found is not None
    assert (found.bound, found.bundle, found.limits) == (64 * M, "/b", "N0=max")
    assert chosen.read(OTHER) is None
    assert [stat.S_IMODE(path.stat().st_mode) for path in (bounds, bounds / ID)] == [0o700, 0o600]


def apply(given: dict[str, str], id: str = ID) -> tuple[int, dict[int, int], list[BedeError]]:
    policy = annotation.parse(given)
    assert policy is not None
    said: list[BedeError] = []
    bound, nodes = chosen.apply(policy, id, said.append).resolve(1024 * M)
    return bound, nodes, said


def test_the_next_start_has_what_was_chosen() -> None:
    given = {"bede.local": "25%", "bede.local.0": "16M", "bede.local.1": "200M"}
    assert apply(given) == (256 * M, {0: 16 * M, 1: 200 * M}, [])
    chosen.write(ID, chosen.Chosen(64 * M))
    assert apply(given) == (64 * M, {0: 16 * M, 1: 64 * M}, [])
    assert apply(given, OTHER) == (256 * M, {0: 16 * M, 1: 200 * M}, [])
    chosen.forget(ID)
    assert apply(given) == (256 * M, {0: 16 * M, 1: 200 * M}, [])


@given(st.one_of(st.binary(max_size=60), st.recursive(st.integers() | st.text() | st.none(), st.lists).map(
    lambda value: json.dumps({"bound": value, "bundle": value, "limits": ""}).encode()
)))  # fmt: skip
def test_no_content_does_worse_than_to_be_lost(data: bytes) -> None:
    chosen.write(ID, chosen.Chosen(64 * M))
    (Path(records.RUN) / "bounds" / ID).write_bytes(data)
    with pytest.raises(MalformedError):
        chosen.read(ID)
    assert chosen.read_or_none(ID) is None
    bound, _, said = apply({"bede.local": "128M"})
    assert bound == 128 * M
    assert len(said) == 1
    assert apply({"bede.local": "128M"}) == (128 * M, {}, [])


@pytest.mark.parametrize("uid", [None, 1000])
def test_a_place_that_is_not_ours(bounds: Path, monkeypatch: pytest.MonkeyPatch, uid: int | None) -> None:
    chosen.write(ID, chosen.Chosen(64 * M))
    bounds.chmod(0o777)
    monkeypatch.setattr(user, "uid_outside", lambda: uid)
    bound, _, said = apply({"bede.local": "128M"})
    assert (bound, len(said)) == (128 * M, 0 if uid else 1)
    with pytest.raises(AccessError, match="others"):
        chosen.write(ID, chosen.Chosen(64 * M))


def test_a_link_is_not_followed(bounds: Path, tmp_path: Path) -> None:
    chosen.write(ID, chosen.Chosen(64 * M))
    target = tmp_path / "target"
    (bounds / ID).rename(target)
    (bounds / ID).symlink_to(target)
    with pytest.raises(AccessError):
        chosen.read(ID)
    chosen.write(ID, chosen.Chosen(32 * M))
    assert json.loads(target.read_text())["bound"] == 64 * M


def test_containers_that_podman_has_removed_are_forgotten(bounds: Path, tmp_path: Path) -> None:
    bundle = tmp_path / f"overlay-containers/{ID}/userdata"
    bundle.mkdir(parents=True)
    chosen.write(ID, chosen.Chosen(64 * M, str(bundle)))
    chosen.write(OTHER, chosen.Chosen(64 * M, f"/run/task/{OTHER}"))  # a bundle path that is used again
    assert sorted(os.listdir(bounds)) == [ID, OTHER]
    bundle.rmdir()
    chosen.write(OTHER, chosen.Chosen(32 * M, f"/run/task/{OTHER}"))
    assert os.listdir(bounds) == [OTHER]


def test_there_are_not_ever_more(bounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "_MOST", 3)
    for number in range(6):
        chosen.write(f"{number:064x}", chosen.Chosen(64 * M))
        os.utime(bounds / f"{number:064x}", (number, number))
    (bounds / "rubbish").write_text("{")
    chosen.write(f"{9:064x}", chosen.Chosen(64 * M))
    assert sorted(os.listdir(bounds)) == [f"{number:064x}" for number in (4, 5, 9)]
