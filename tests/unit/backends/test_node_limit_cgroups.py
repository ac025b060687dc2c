# SPDX-License-Identifier: Apache-2.0
"""`bede ps` and `bede set` on a kernel that holds the bounds, with plain files in place of cgroups."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import hosts
import pytest

from ocihook import config, fs
from ocihook.cli import main
from ocihook.control import client
from ocihook.errors import AccessError, AgentError
from ocihook.state import chosen, records

M = 1 << 20
ID = "4f" * 32
HELD = {
    "name": "",
    "id": "old",
    "key": "old-00000000",
    "cgroup": "/old",
    "bound": 64 * M,
    "local": 63 * M,
    "far": M,
    "overshoot": 0,
    "backend": "tier",
    "runtime": "runc",
    "outside": {"returned": 2, "failed": 1, "seconds": 0.5, "bytes": 3 * M},
}


class Host:
    """A host: nodes 0 and 1 are local, 2 is far; there is no agent unless a test makes one."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mount = root / "cgroup"
        self.asked: list[dict[str, Any]] = []
        self.reply: dict[str, Any] | Exception = AgentError("the agent cannot be reached", "Start it")
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/mountinfo").write_text(f"31 23 0:27 / {self.mount} rw - cgroup2 cgroup2 rw\n")
        (root / "node").mkdir()
        (root / "node/has_memory").write_text("0-2\n")
        for rank, nodelist in enumerate(("0-1", "2")):
            (root / f"tiers/memory_tier{rank}").mkdir(parents=True)
            (root / f"tiers/memory_tier{rank}/nodelist").write_text(nodelist + "\n")
        hosts.redirect(monkeypatch, root)
        monkeypatch.setattr(records, "RUN", str(root / "run"))
        monkeypatch.setattr(config, "PATH", str(root / "config.yaml"))
        monkeypatch.delenv("BEDE_CONFIG", raising=False)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(client, "ask", self._ask)
        self.records = root / "run/containers"
        self.group("system.slice", "N0=max N1=max N2=max")

    def group(
        self, where: str, limit: str | None, current: str = "N0=0 N1=0 N2=0", most: str = "max"
    ) -> None:
        directory = self.mount / where
        directory.mkdir(parents=True)
        (directory / "memory.max").write_text(most + "\n")
        (directory / "memory.node_current").write_text(current + "\n")
        (directory / "memory.node_events").write_text("steered 5\ndemoted 2\npromotion_denied 1\nover 0\n")
        if limit is not None:
            (directory / "memory.node_limit").write_text(limit)

    def limit(self, where: str) -> str:
        return (self.mount / where / "memory.node_limit").read_text()

    def record(self) -> None:
        self.records.mkdir(parents=True, mode=0o700)
        (self.records / "old-00000000.json").write_text("{}")

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(message)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def _listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main.main(["ps", "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def _error(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    assert main.main(list(arguments)) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_ps_shows_every_cgroup_with_a_limit_on_each_local_node(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    used = f"N0={30 * M} N1={20 * M} N2={100 * M}"
    host.group(f"system.slice/docker-{ID}.scope", f"N0={64 * M} N1={32 * M} N2=max", used)
    host.group("half", f"N0={64 * M} N1=max N2=max")
    host.group("far", f"N0=max N1=max N2={64 * M}")
    host.group("off", None)
    (one,) = _listed(capsys)
    assert one["id"] == ID
    assert one["cgroup"] == f"/system.slice/docker-{ID}.scope"
    assert (one["bound"], one["local"], one["far"], one["overshoot"]) == (96 * M, 50 * M, 100 * M, 0)
    assert one["nodes"] == {"0": 64 * M, "1": 32 * M}
    assert (one["backend"], one["demoted"], one["steered_bytes"]) == ("node_limit", 8192, 20480)
    assert (one["own"], one["promoted"], one["mover_us"]) == (0, None, 0)
    assert (one["steered"], one["away"]) == (False, False)
    assert one["outside"] is None


def test_ps_prints_a_line_a_container(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.group("web", f"N0={64 * M} N1={64 * M}", f"N0={80 * M} N1={64 * M} N2={3 * M + 7}")
    assert main.main(["ps"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["web", "-", "128M", "144M", "3.0M", "16M", "-", "node_limit", "-"]
    assert len(lines) == 2


def test_ps_tells_what_programs_have_placed_and_who_is_not_steered(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    (host.mount / "system.slice/memory.node_limit").unlink()
    moved = HELD | {"backend": "migrate", "steered": True, "own": 0}
    host.reply = {"containers": [HELD, moved]}
    assert main.main(["ps"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "OWN" not in head
    assert [line.split()[-2] for line in lines] == ["tier", "migrate"]
    host.reply = {"containers": [HELD, moved | {"own": 8 * M, "steered": False}]}
    assert main.main(["ps"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[2:6] == ["BOUND", "LOCAL", "OWN", "FAR"]
    assert first.split()[2:6] == ["64M", "63M", "-", "1M"]
    assert second.split()[2:6] == ["64M", "63M", "8M", "1M"]
    assert "migrate, not steered" in second


def test_ps_shows_parent_and_child(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.group(f"libpod-{ID}.scope", f"N0={M} N1={M}")
    host.group(f"libpod-{ID}.scope/container", f"N0={M} N1={M}")
    assert [(one["id"], one["cgroup"][-9:]) for one in _listed(capsys)] == [
        (ID, "4f4f.scope"[-9:]),
        (ID, "container"),
    ]


def test_ps_leaves_out_what_vanishes(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.group("going", f"N0={M} N1={M}")
    host.group("staying", f"N0={M} N1={M}")
    (host.mount / "going/memory.node_current").unlink()
    assert [one["id"] for one in _listed(capsys)] == ["staying"]


def test_ps_asks_the_agent_where_there_are_records(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.group("web", f"N0={M} N1={M}")
    host.record()
    seen = {"returned": 0, "failed": 0, "seconds": 0.0, "bytes": 0}
    host.reply = {"containers": [HELD], "outside": {"/web": seen}}
    assert [(one["id"], one["outside"]) for one in _listed(capsys)] == [
        ("old", HELD["outside"]),
        ("web", seen),
    ]
    assert main.main(["ps"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[6] for line in lines[1:]] == ["2", "none"]
    assert "2 (3M), 1 not back" in lines[1]
    host.reply = AgentError("the agent cannot be reached", "Start it")
    assert main.main(["ps", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [one["id"] for one in json.loads(out)] == ["web"]
    assert "cannot be reached" in err


def test_ps_of_a_user_shows_what_is_everybodys_to_read(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied() -> None:
        raise AccessError("no")

    host.group("web", f"N0={M} N1={M}")
    monkeypatch.setattr(records, "listing", denied)
    host.reply = AccessError("only root may speak to the agent")
    assert [one["id"] for one in _listed(capsys)] == ["web"]
    host.reply = AgentError("the agent cannot be reached", "Start it")
    assert [one["id"] for one in _listed(capsys)] == ["web"]


def test_a_host_without_far_memory_has_no_bound_containers(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.group("web", f"N0={M} N1={M}")
    (host.mount.parent / "node/has_memory").write_text("0\n")
    (host.mount.parent / "tiers/memory_tier1/nodelist").write_text("\n")
    assert _listed(capsys) == []


def test_a_stock_kernel_has_only_its_agent(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (host.mount / "system.slice/memory.node_limit").unlink()
    assert "cannot be reached" in _error(capsys, 6, "ps")
    assert "cannot be reached" in _error(capsys, 6, "set", "web", "1G")
    host.reply = {"containers": [HELD], "container": HELD}
    (one,) = _listed(capsys)
    assert {name: one[name] for name in HELD} == HELD
    assert main.main(["set", "old", "64M"]) == 0
    assert capsys.readouterr().out == "old: bound 64M\n"
    assert host.asked[-1] == {"op": "set", "container": "old-00000000", "bound": "64M"}


@pytest.mark.parametrize("name", [ID, ID[:5], f"/system.slice/docker-{ID}.scope"])
def test_set_splits_the_bound_anew(host: Host, capsys: pytest.CaptureFixture[str], name: str) -> None:
    where = f"system.slice/docker-{ID}.scope"
    host.group(where, "N0=1 N1=1")
    assert main.main(["set", name, "128M"]) == 0
    assert host.limit(where) == f"N0={64 * M} N1={64 * M}"
    assert capsys.readouterr().out == f"{ID[:12]}: bound 128M\n"
    assert [one["op"] for one in host.asked] in ([], ["ps"])


def test_set_tells_of_a_bound_that_holds_nothing_back(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.group("web", "N0=1 N1=1", most=f"{64 * M}")
    assert main.main(["set", "web", "128M"]) == 0
    out, err = capsys.readouterr()
    assert out == "web: bound 128M\n"
    assert err == (
        "bede: container web: its bound of 128M has no effect: its memory limit is 64M."
        " Ask for less than that.\n"
    )
    assert main.main(["set", "web", "32M"]) == 0
    assert capsys.readouterr().err == ""


def test_set_tells_what_an_agent_says_of_it(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (host.mount / "system.slice/memory.node_limit").unlink()
    host.reply = {"containers": [HELD], "container": {**HELD, "useless": "its bound has no effect"}}
    assert main.main(["set", "old", "64M"]) == 0
    assert capsys.readouterr().err == (
        "bede: container old: its bound has no effect. Ask for less than that.\n"
    )


def test_set_keeps_what_one_node_has_of_its_own(host: Host) -> None:
    host.group("web", f"N0={16 * M} N1={48 * M}")
    assert main.main(["set", "web", "128M"]) == 0
    assert host.limit("web") == f"N0={16 * M} N1={112 * M}"


@pytest.mark.parametrize(("own", "above"), [(f"{512 * M}", "max"), ("max", f"{512 * M}")])
def test_set_takes_a_share_of_the_limit(host: Host, own: str, above: str) -> None:
    host.group("web", None, most=above)
    (host.mount / "web/memory.node_limit").write_text("N0=max N1=max\n")
    host.group("web/container", "N0=1 N1=1", most=own)
    assert main.main(["set", "web", "25%"]) == 0
    assert host.limit("web/container") == f"N0={64 * M} N1={64 * M}"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nobody", "1G"), 2, "no bound container is called 'nobody'"),
        (("", "1G"), 2, "no bound container"),
        (("we", "1G"), 2, "more than one container"),
        (("webs", "50%"), 2, "there is none"),
        (("webs", "lots"), 2, "not an amount of memory"),
        (("webs", "1M"), 2, "smallest bound"),
    ],
)
def test_what_set_refuses(
    host: Host, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], code: int, words: str
) -> None:
    for name in ("webs", "weby"):
        host.group(name, "N0=1 N1=1")
    assert words in _error(capsys, code, "set", *arguments)
    assert [host.limit(name) for name in ("webs", "weby")] == ["N0=1 N1=1"] * 2
    assert [one["op"] for one in host.asked] in ([], ["ps"])


def test_a_whole_id_is_not_the_beginning_of_another(host: Host) -> None:
    host.group("web", "N0=1 N1=1")
    host.group("webbing", "N0=1 N1=1")
    assert main.main(["set", "web", "8M"]) == 0
    assert host.limit("web") == f"N0={4 * M} N1={4 * M}"
    assert host.limit("webbing") == "N0=1 N1=1"


def test_parent_and_child_are_told_apart_by_their_path(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.group("libpod-web.scope", "N0=1 N1=1")
    host.group("libpod-web.scope/container", "N0=1 N1=1")
    assert "/libpod-web.scope/container" in _error(capsys, 2, "set", "web", "8M")
    assert main.main(["set", "/libpod-web.scope", "8M"]) == 0
    assert host.limit("libpod-web.scope") == f"N0={4 * M} N1={4 * M}"
    assert host.limit("libpod-web.scope/container") == "N0=1 N1=1"


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(errno.ENODEV, 2, "container web has ended"), (errno.EINVAL, 3, "/web does not take the bound")],
)
def test_set_says_what_the_kernel_refused(
    host: Host,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
    words: str,
) -> None:
    def refuse(name: str, text: str, *, dir_fd: int | None = None, waits: bool = False) -> None:
        raise OSError(number, os.strerror(number))

    host.group("web", "N0=1 N1=1")
    monkeypatch.setattr(fs, "write", refuse)
    assert words in _error(capsys, code, "set", "web", "8M")


def test_only_root_sets(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.group("web", "N0=1 N1=1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root may change a bound" in _error(capsys, 4, "set", "web", "8M")
    assert host.limit("web") == "N0=1 N1=1"


def test_what_the_kernel_does_not_hold_is_the_agents(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.group("web", "N0=1 N1=1")
    host.record()
    host.reply = {"containers": [HELD], "container": HELD}
    assert main.main(["set", "old", "64M"]) == 0
    assert capsys.readouterr().out == "old: bound 64M\n"
    assert host.asked[1:] == [{"op": "set", "container": "old-00000000", "bound": "64M"}]


def test_a_bound_that_was_set_is_remembered_with_the_first_one(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    where, first = f"system.slice/docker-{ID}.scope", f"N0={16 * M} N1={112 * M}"
    host.group(where, first)
    assert main.main(["set", ID, "256M"]) == 0
    assert main.main(["set", ID, "512M"]) == 0
    found = chosen.read(ID)
    assert found is not None
    assert (found.bound, found.limits) == (512 * M, first)
    capsys.readouterr()
    # As after a restart, where the hook has written the chosen bound.
    assert main.main(["set", ID, "default"]) == 0
    assert capsys.readouterr().out == f"{ID[:12]}: bound 128M\n"
    assert (host.limit(where), chosen.read(ID)) == (first, None)
    assert "no other bound" in _error(capsys, 2, "set", ID, "default")


def test_what_has_no_id_for_life_is_not_remembered(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.group("web", "N0=1 N1=1")
    assert main.main(["set", "web", "8M"]) == 0
    assert chosen.read("web") is None
    capsys.readouterr()
    assert "not known any more" in _error(capsys, 2, "set", "web", "default")
    assert host.limit("web") == f"N0={4 * M} N1={4 * M}"


def test_a_users_container_is_said_to_begin_with_its_own(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ""
    for part in ("user.slice", "user-1000.slice", "user@1000.service", "user.slice"):
        where += part + "/"
        host.group(where, "N0=max N1=max")
    where += f"libpod-{ID}.scope"
    host.group(where, "N0=1 N1=1")
    assert main.main(["set", ID, "8M"]) == 0
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == (f"{ID[:12]}: bound 8M\n", 1)
    assert "when it is restarted" in err
    assert (host.limit(where), chosen.read(ID)) == (f"N0={4 * M} N1={4 * M}", None)


def test_a_pods_container_gets_its_first_bound_back_and_is_said_to_begin_with_it(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    where, first = "", f"N0={16 * M} N1={112 * M}"
    for part in ("kubepods.slice", "kubepods-podx.slice"):
        where += part + "/"
        host.group(where, "N0=max N1=max")
    where += f"cri-containerd-{ID}.scope"
    host.group(where, first)
    assert main.main(["set", ID, "256M"]) == 0
    assert "else when it is made anew. Change its pod's annotation, too" in capsys.readouterr().err
    assert main.main(["set", ID, "default"]) == 0
    assert capsys.readouterr() == (f"{ID[:12]}: bound 128M\n", "")
    assert host.limit(where) == first
