# SPDX-License-Identifier: Apache-2.0
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import AccessError, InputError
from ocihook.state import records


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "RUN", str(tmp_path / "bede"))
    return tmp_path / "bede"


def make(id: str = "web", **changes: Any) -> records.Record:
    fields: dict[str, Any] = {
        "id": id,
        "bundle": "/run/web",
        "pid": 123,
        "pid_start": 456789,
        "ns": {"pid": 1, "cgroup": 2, "mnt": 3},
        "cgroup": "/machine.slice/libpod-1.scope/container",
        "cgroup_ino": 4711,
        "policy": {"bede.local": "128M"},
        "bound": 134217728,
        "nodes": {0: 67108864},
        "user_high": None,
        "created": 1790000000.0,
        "cpuset": {},
    }
    return records.Record(**{**fields, **changes})


def test_the_key_tells_two_bundles_of_one_id_apart() -> None:
    assert (
        records.key_of("web", "/run/web")
        == "web-" + f"{0xFFFFFFFF & __import__('zlib').crc32(b'/run/web'):08x}"
    )
    assert records.key_of("web", "/run/web") != records.key_of("web", "/run/other")


def test_a_record_is_what_the_architecture_says(run: Path) -> None:
    record = make(runtime="crun", user_high=1 << 30)
    records.write(record)
    assert json.loads((run / "containers" / f"{record.key}.json").read_text()) == {
        "version": 1,
        "key": record.key,
        "id": "web",
        "bundle": "/run/web",
        "pid": 123,
        "pid_start": 456789,
        "ns": {"pid": 1, "cgroup": 2, "mnt": 3},
        "cgroup": "/machine.slice/libpod-1.scope/container",
        "cgroup_ino": 4711,
        "policy": {"bede.local": "128M"},
        "bound": 134217728,
        "nodes": {"0": 67108864},
        "user_high": 1 << 30,
        "user_swap_max": None,
        "backend": "tier",
        "runtime": "crun",
        "created": 1790000000.0,
        "cpuset": {},
    }


def test_only_root_can_look_inside(run: Path) -> None:
    record = make()
    records.write(record)
    modes = [run, run / "containers", run / "containers" / f"{record.key}.json"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in modes] == [0o700, 0o700, 0o600]


def test_records_are_read_listed_and_removed() -> None:
    one, two = make("one"), make("two", nodes={})
    records.write(two)
    records.write(one)
    found = records.read(one.key)
    assert found is not None
    assert found.dumps() == one.dumps()
    assert found.nodes == {0: 67108864}
    assert [record.id for record in records.listing()[0]] == ["one", "two"]
    assert records.remove(one.key)
    assert not records.remove(one.key)
    assert records.read(one.key) is None
    assert [record.id for record in records.listing()[0]] == ["two"]


def test_only_the_records_of_one_id_are_read(run: Path) -> None:
    """An engine's `exec` asks for one container, on a host that may have hundreds."""
    ours = [make("web"), make("web", bundle="/run/other")]
    for record in (*ours, make("web-2"), make("we")):
        records.write(record)
    (run / "containers" / f"{make('we').key}.json").write_text("malformed")
    found, errors = records.listing("web")
    assert sorted(record.key for record in found) == sorted(record.key for record in ours)
    assert errors == []


def test_without_a_directory_there_are_no_records() -> None:
    assert records.read(make().key) is None
    assert records.listing() == ([], [])
    assert not records.remove(make().key)


@pytest.mark.parametrize(
    "key", ["", "..", "../../etc/passwd", "a/b-12345678", "web", "web-1234567/", "web-12/45678"]
)
def test_a_key_never_leaves_the_directory(key: str) -> None:
    records.write(make())
    for act in (records.read, records.remove):
        with pytest.raises(InputError):
            act(key)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("key", None),
        ("id", "../x"),
        ("id", "other"),
        ("bundle", "relative"),
        ("pid", "123"),
        ("pid", True),
        ("pid_start", -1),
        ("ns", []),
        ("cgroup", "/../.."),
        ("cgroup", "x"),
        ("cgroup", "/a\0b"),
        ("cgroup", "/\ud800"),
        ("bound", None),
        ("bound", 1 << 64),
        ("nodes", {"x": 1}),
        ("nodes", {"-1": 1}),
        ("nodes", {"0": 1 << 64}),
        ("user_high", "max"),
        ("user_high", 1 << 64),
        ("created", 10**400),
        ("policy", {"bede.local": 1}),
        ("bound", 0),
        ("bound", (4 << 20) - 1),
        ("nodes", {"0": 0}),
        ("created", float("nan")),
        ("created", float("inf")),
        ("created", "1"),
        ("cpuset", {"home": "0"}),
        ("cpuset", {"home": "0", "away": "0-1"}),
        ("cpuset", {"home": "", "away": "0-1", "mask": "2"}),
        ("cpuset", {"home": "0", "away": "a", "mask": "2"}),
        ("cpuset", {"near": "0-3"}),
        ("cpuset", {"cpus": "0-7", "near": "\ud800"}),
        ("cpuset", 7),
    ],
)
def test_a_malformed_record_is_reported_and_the_others_listed(run: Path, field: str, value: object) -> None:
    good, bad = make("good"), make("bad")
    records.write(good)
    records.write(bad)
    path = run / "containers" / f"{bad.key}.json"
    raw = json.loads(path.read_text())
    if field == "key":
        path.write_text(json.dumps({**raw, "bundle": "/another"}))
    else:
        path.write_text(json.dumps({**raw, field: value}))
    found, errors = records.listing()
    assert [record.id for record in found] == ["good"]
    assert len(errors) == 1
    assert bad.key in errors[0].message
    with pytest.raises(InputError, match="malformed"):
        records.read(bad.key)
    assert records.read_or_none(bad.key) is None
    assert records.remove(bad.key)


def test_a_later_versions_record_is_read_by_this_one(run: Path) -> None:
    record = make()
    raw = {**json.loads(record.dumps()), "what_is_still_to_come": [1, 2]}
    records.write(record)
    (run / "containers" / f"{record.key}.json").write_text(json.dumps(raw))
    found = records.read(record.key)
    assert found is not None
    assert found.dumps() == record.dumps()


@given(st.binary(max_size=50))
def test_no_content_does_worse_than_an_input_error(data: bytes) -> None:
    bad = make("bad")
    records.write(bad)
    (Path(records.RUN) / "containers" / f"{bad.key}.json").write_bytes(data)
    with pytest.raises(InputError):
        records.read(bad.key)


def test_a_planted_link_is_neither_read_nor_written_through(run: Path, tmp_path: Path) -> None:
    record = make()
    records.write(record)
    target = tmp_path / "target"
    target.write_text(record.dumps())
    path = run / "containers" / f"{record.key}.json"
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(AccessError, match="cannot be read"):
        records.read(record.key)
    assert records.listing()[0] == []
    records.write(make(bound=5 << 20))
    assert not path.is_symlink()
    assert target.read_text() == record.dumps()


def test_a_directory_that_is_a_link_or_open_to_others_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    run.mkdir()
    (run / "containers").symlink_to(tmp_path / "mine")
    with pytest.raises(AccessError):
        records.write(make())
    assert list((tmp_path / "mine").iterdir()) == []
    (run / "containers").unlink()
    (run / "containers").mkdir()
    (run / "containers").chmod(0o777)
    with pytest.raises(AccessError, match="others"):
        records.write(make())


def test_what_is_no_record_is_not_listed(run: Path) -> None:
    records.write(make())
    (run / "containers" / "note.tmp").write_text("x")
    assert len(records.listing()[0]) == 1
    assert records.listing()[1] == []
