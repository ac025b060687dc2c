# SPDX-License-Identifier: Apache-2.0
"""Fences without a record, with plain directories in place of cgroups."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ocihook.agent import orphans, release
from ocihook.cgroup import path
from ocihook.errors import InputError
from ocihook.state import chosen, mark, records

M = 1 << 20


class Host:
    """Cgroups below *root*. Their attributes are kept here, since not every file system has such."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root / "cgroup"
        self.root.mkdir()
        self.run = root / "run"
        self.marks: dict[int, bytes] = {}
        self.said: list[str] = []
        self.root_or_user = mark._OF_USER
        monkeypatch.setattr(path, "mount_point", lambda: str(self.root))
        monkeypatch.setattr(records, "RUN", str(self.run))
        monkeypatch.setattr(os, "setxattr", self._set)
        monkeypatch.setattr(os, "getxattr", self._get)
        monkeypatch.setattr(os, "removexattr", self._remove)
        monkeypatch.setattr(orphans, "report", lambda text, *_: self.said.append(text))
        monkeypatch.setattr(orphans, "complain", lambda error, _: self.said.append(error.message))

    def _set(self, fd: int, name: str, value: bytes) -> None:
        assert name == self.root_or_user
        self.marks[os.fstat(fd).st_ino] = value

    def _get(self, fd: int, name: str) -> bytes:
        assert name == self.root_or_user
        try:
            return self.marks[os.fstat(fd).st_ino]
        except KeyError:
            raise OSError(errno.ENODATA, "No data available") from None

    def _remove(self, fd: int, name: str) -> None:
        self._get(fd, name)
        del self.marks[os.fstat(fd).st_ino]

    def group(self, where: str, high: str = "9") -> Path:
        directory = self.root / where.strip("/")
        directory.mkdir()
        for name, value in (("memory.high", high), ("memory.swap.max", "0"), ("cgroup.procs", "7\n")):
            (directory / name).write_text(value)
        return directory

    def bound(self, id: str, *, record: bool = True, marked: bool = True, **changes: Any) -> records.Record:
        """Make a running container, with its record and its mark as *record* and *marked* say."""
        directory = self.group(id) if not (self.root / id).exists() else self.root / id
        fields: dict[str, Any] = {"pid": 7, "pid_start": 1, "ns": {}, "policy": {"bede.local": "64M"}}
        fields |= {"bound": 64 * M, "nodes": {}, "user_high": None, "created": 1.0}
        fields |= {"cgroup": f"/{id}", "cgroup_ino": directory.stat().st_ino}
        made = records.Record(id=id, bundle="/b", **fields | changes)
        if record:
            records.write(made)
        if marked:
            self.marks[directory.stat().st_ino] = made.dumps().encode()
        return made

    def spoil(self, one: records.Record, text: str) -> Path:
        file = self.run / f"containers/{one.key}.json"
        file.write_text(text)
        return file

    def read(self, where: str, name: str = "memory.high") -> str:
        return (self.root / where / name).read_text()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


BAD = ["", "{", "[]", "\0" * 20, '{"version": 1}', '{"version": 99}', '"' + "x" * 99]


@pytest.mark.parametrize("text", BAD)
def test_a_record_that_cannot_be_read_is_made_anew(host: Host, text: str) -> None:
    other, one = host.bound("db"), host.bound("web", user_high=512 * M)
    host.spoil(one, text)
    orphans.restore_lost_records()
    assert [found.dumps() for found in records.listing()[0]] == [other.dumps(), one.dumps()]
    assert host.read("web") == "9"
    (line,) = host.said
    assert one.key in line
    assert "made anew" in line


def test_a_record_that_is_lost_is_made_anew(host: Host) -> None:
    one = host.bound("web", record=False)
    orphans.restore_lost_records()
    assert [found.dumps() for found in records.listing()[0]] == [one.dumps()]
    assert len(host.said) == 1


@pytest.mark.parametrize("high", [None, 512 * M])
def test_a_fence_that_was_given_back_is_nobodys(host: Host, high: int | None) -> None:
    one = host.bound("web", record=False, user_high=high)
    (host.root / "web/memory.high").write_text("max" if high is None else str(high))
    orphans.restore_lost_records()
    assert (records.listing(), host.marks, host.said) == (([], []), {}, [])
    host.bound("web", user_high=high)
    host.spoil(one, "{")
    orphans.restore_lost_records()
    assert [found.id for found in records.listing()[0]] == ["web"]


@pytest.mark.parametrize(
    ("mark", "high", "swap"),
    [
        ("{", "max", "max"),
        ('{"version": 99, "user_high": 8192, "user_swap_max": 4096}', "8192", "4096"),
        ('{"version": 99, "user_high": "x", "user_swap_max": 4096}', "max", "4096"),
        ('{"version": 99, "user_high": 8192}', "8192", "max"),
        ('{"version": 99, "user_high": 8192, "cpuset": 7}', "8192", "max"),
        ("[8192]", "max", "max"),
        ("", "max", "max"),
    ],
)
def test_what_cannot_be_made_anew_gets_its_own_limits_back(
    host: Host, mark: str, high: str, swap: str
) -> None:
    one = host.bound("web")
    file = host.spoil(one, "{")
    host.marks[(host.root / "web").stat().st_ino] = mark.encode()
    orphans.restore_lost_records()
    assert (host.read("web"), host.read("web", "memory.swap.max")) == (high, swap)
    assert not file.exists()
    assert host.marks == {}
    assert len(host.said) == 1
    assert "without its bound" in host.said[0]


def test_a_mark_that_may_not_be_removed_is_not_told_of_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.group("web")
    host.marks[(host.root / "web").stat().st_ino] = b'{"version": 99, "user_high": 8192}'

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "removexattr", refuse)
    orphans.restore_lost_records()
    assert host.read("web") == "8192"
    (host.root / "web/memory.swap.max").write_text("4096")  # the user has changed it since then
    orphans.restore_lost_records()
    assert (host.read("web"), host.read("web", "memory.swap.max")) == ("8192", "4096")
    assert len(host.said) == 1


def test_where_no_cgroup_can_be_marked_its_name_tells(host: Host) -> None:
    one = host.bound("web", marked=False)
    host.group("other")
    file = host.spoil(one, "{")
    orphans.restore_lost_records()
    assert (host.read("web"), host.read("other")) == ("max", "9")
    assert not file.exists()
    assert len(host.said) == 1


def test_a_record_of_nothing_is_removed(host: Host) -> None:
    one = host.bound("web")
    file = host.spoil(one, "{")
    (host.root / "web/memory.high").unlink()
    orphans.restore_lost_records()
    assert not file.exists()
    (line,) = host.said
    assert one.key in line
    assert "removed" in line


def test_a_mark_is_believed_of_its_own_cgroup_alone(host: Host) -> None:
    one = host.bound("web")
    host.group("elsewhere")
    host.marks[(host.root / "elsewhere").stat().st_ino] = one.dumps().encode()
    copied = host.bound("copied", record=False, cgroup_ino=12345)
    orphans.restore_lost_records()
    assert [found.dumps() for found in records.listing()[0]] == [one.dumps()]
    assert copied.key not in os.listdir(host.run / "containers")
    assert host.read("elsewhere") == host.read("copied") == "max"


def test_a_key_that_lives_on_elsewhere_keeps_its_record(host: Host) -> None:
    host.bound("web", record=False)
    now = records.Record(
        id="web", bundle="/b", pid=8, pid_start=2, ns={}, cgroup="/new", cgroup_ino=9, policy={},
        bound=32 * M, nodes={}, user_high=None, created=2.0,
    )  # fmt: skip
    records.write(now)
    orphans.restore_lost_records()
    assert [found.dumps() for found in records.listing()[0]] == [now.dumps()]
    assert host.read("web") == "max"


def test_a_container_that_starts_meanwhile_is_left_to_its_hook(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = host.bound("web")
    before = records.Record(
        id="web", bundle="/b", pid=8, pid_start=2, ns={}, cgroup="/old", cgroup_ino=9, policy={},
        bound=32 * M, nodes={}, user_high=None, created=2.0,
    )  # fmt: skip
    # The list of records is older than the record that exists when the cgroup is looked at.
    monkeypatch.setattr(records, "listing", lambda: ([before], []))
    orphans.restore_lost_records()
    assert host.read("web") == "9"
    assert host.marks[(host.root / "web").stat().st_ino] == now.dumps().encode()
    assert host.said == []


def test_a_record_and_its_mark_are_the_same_again(host: Host) -> None:
    host.bound("web")
    now = host.bound("web", marked=False, bound=32 * M)
    unmarked = host.bound("db", marked=False)
    orphans.restore_lost_records()
    assert host.marks[(host.root / "web").stat().st_ino] == now.dumps().encode()
    assert host.marks[(host.root / "db").stat().st_ino] == unmarked.dumps().encode()
    assert host.said == []


def test_a_users_agent_believes_that_users_cgroups_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.bound("web", record=False)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    orphans.restore_lost_records()
    assert (host.read("web"), host.said) == ("9", [])


def test_roots_marks_are_roots(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "OF_ROOT", str(host.run))
    host.root_or_user = mark._OF_ROOT
    assert mark._OF_ROOT.startswith("security.")
    one = host.bound("web", record=False)
    orphans.restore_lost_records()
    assert [found.dumps() for found in records.listing()[0]] == [one.dumps()]


def test_all_are_let_go_also_those_whose_record_is_lost(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        path,
        "reopen",
        lambda where, inode: path.Cgroup(str(host.root), where, os.open(f"{host.root}{where}", os.O_RDONLY)),
    )
    host.bound("lost", record=False, user_high=4096)
    host.spoil(host.bound("spoiled"), "{")
    assert release.release_all() == 2
    assert (host.read("lost"), host.read("spoiled")) == ("4096", "max")
    assert (host.marks, os.listdir(host.run / "containers")) == ({}, [])


def test_a_host_that_tells_of_no_cgroups(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path, "mount_point", lambda: "/no/where")
    host.spoil(host.bound("web"), "{")
    orphans.restore_lost_records()
    assert len(host.said) == 1
    with pytest.raises(InputError):
        records.read(records.key_of("web", "/b"))


@pytest.mark.parametrize("text", [None, "{"])
def test_a_bound_that_was_set_since_is_that_of_the_record_made_anew(host: Host, text: str | None) -> None:
    id = "4f" * 32
    one = host.bound(id, record=False, nodes={0: 48 * M})
    chosen.write(id, chosen.Chosen(32 * M))
    if text is not None:
        (host.run / "bounds" / id).write_text(text)
    orphans.restore_lost_records()
    (found,) = records.listing()[0]
    assert (found.key, found.bound) == (one.key, 64 * M if text else 32 * M)
    assert found.nodes == {0: 48 * M if text else 32 * M}
