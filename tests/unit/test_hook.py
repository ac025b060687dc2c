# SPDX-License-Identifier: Apache-2.0
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hosts
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocihook import config, fs, hook
from ocihook.backends import checks, fence, tier
from ocihook.backends.migrate import steering
from ocihook.cgroup import path, process
from ocihook.control import notify
from ocihook.errors import HostError
from ocihook.state import chosen, records, timeout
from ocihook.topology import nodes

M = 1 << 20
TIERS = nodes.Tiers((0,), (1,))
BIN = Path(__file__).resolve().parents[2] / "bin"


class World:
    """A host of plain files with one process, 7, in a container's cgroup, and a backend that keeps notes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.config = root / "config.yaml"
        self.group = root / "cgroup/docker/web"
        self.proc = root / "proc"
        self.calls: list[tuple[Any, ...]] = []
        self.told: list[tuple[str, str]] = []
        self.fail: dict[str, Exception] = {}
        self.group.mkdir(parents=True)
        for name, value in (("high", "max"), ("max", "max")):
            (self.group / f"memory.{name}").write_text(value + "\n")
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/mountinfo").write_text(f"31 23 0:27 / {root}/cgroup rw - cgroup2 cgroup2 rw\n")
        (self.proc / "7/ns").mkdir(parents=True)
        for name in process.NAMESPACES:
            (self.proc / "7/ns" / name).touch()
        (self.proc / "7/cgroup").write_text("0::/docker/web\n")
        self.started(1000)
        hosts.redirect(monkeypatch, root)
        monkeypatch.setattr(records, "RUN", str(root / "run"))
        monkeypatch.setattr(config, "PATH", str(self.config))
        monkeypatch.setattr(notify, "tell", lambda op, key, bede: self.told.append((op, key)))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(tier, "check", self._check)
        monkeypatch.setattr(fence, "engage", self._engage)
        monkeypatch.setattr(fence, "release", self._release)
        monkeypatch.setattr(fence, "let_swap", lambda fd, user_swap_max: None)

    def started(self, ticks: int) -> None:
        (self.proc / "7/stat").write_text(" ".join(["7 (sh) S", *["0"] * 18, str(ticks), "0\n"]))

    def patch(self) -> None:
        """Turn the host into one whose kernel has memory.node_limit: node 0 is local, 1 is far."""
        root = self.proc.parent
        (self.group / "memory.node_limit").write_text("N0=max")
        (root / "node").mkdir(exist_ok=True)
        (root / "node/has_memory").write_text("0-1\n")
        for rank in (0, 1):
            (root / f"tiers/memory_tier{rank}").mkdir(parents=True)
            (root / f"tiers/memory_tier{rank}/nodelist").write_text(f"{rank}\n")

    @property
    def limit(self) -> str:
        return (self.group / "memory.node_limit").read_text()

    def local_memory(self, size: int) -> None:
        where = self.proc.parent / "node/node0/meminfo"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(f"Node 0 MemTotal: {size >> 10} kB\n")

    def gone(self) -> None:
        (self.proc / "7/stat").unlink()

    def run(self, *arguments: str, **state: Any) -> int:
        raw = {
            "id": "web",
            "bundle": "/b",
            "pid": 7,
            "status": "x",
            "annotations": {"bede.local": "128M"},
            **state,
        }
        self.monkeypatch.setattr(hook, "_stdin", lambda: json.dumps(raw).encode())
        return hook.main(["/usr/bin/bede-hook", *arguments])

    @property
    def high(self) -> str:
        return (self.group / "memory.high").read_text().strip()

    @property
    def record(self) -> records.Record | None:
        return records.read(records.key_of("web", "/b"))

    def _check(self, settings: config.Config, fd: int) -> str:
        self.calls.append(("check",))
        self._maybe_fail("check")
        return TIERS

    def _engage(self, cgroup: path.Cgroup, bound: int, tiers: str, user_high: int | None) -> None:
        self.calls.append(("engage", cgroup.path, bound, tiers, user_high, self.record is not None))
        (self.group / "memory.high").write_text(f"{bound}\n")
        self._maybe_fail("engage")

    def _release(self, fd: int, user_high: int | None) -> None:
        self.calls.append(("release", user_high))
        self._maybe_fail("release")
        (self.group / "memory.high").write_text(f"{'max' if user_high is None else user_high}\n")

    def _maybe_fail(self, name: str) -> None:
        if name in self.fail:
            raise self.fail[name]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def _line(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("bede-hook: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("stage", ["createRuntime", "prestart"])
def test_a_start_puts_the_bound_in_force_and_on_record(world: World, stage: str) -> None:
    assert world.run(stage) == 0
    # The fence comes before the record: an agent that adopts the container takes a later one for the user's.
    assert world.calls == [("check",), ("engage", "/docker/web", 128 * M, TIERS, None, False)]
    record = world.record
    assert record is not None
    assert (record.bound, record.pid, record.pid_start, record.user_high) == (128 * M, 7, 1000, None)
    assert (record.cgroup, record.cgroup_ino) == ("/docker/web", world.group.stat().st_ino)
    assert record.ns["pid"] == (world.proc / "7/ns/pid").stat().st_ino
    assert record.policy == {"bede.local": "128M"}
    assert world.told == [("added", record.key)]


class Marks:
    """A mock of the cgroup's extended attribute, which notes the state of the host at each change."""

    def __init__(self, world: World) -> None:
        self.value: bytes | None = None
        self.highs: list[tuple[str, str, bool]] = []
        self.world = world
        world.monkeypatch.setattr(os, "setxattr", self._set)
        world.monkeypatch.setattr(os, "removexattr", self._remove)

    def _note(self, what: str) -> None:
        self.highs.append((what, self.world.high, self.world.record is not None))

    def _set(self, fd: int, name: str, value: bytes) -> None:
        assert os.fstat(fd).st_ino == self.world.group.stat().st_ino
        self._note("set")
        self.value = value

    def _remove(self, fd: int, name: str) -> None:
        self._note("removed")
        self.value = None


def test_the_cgroup_is_marked_while_its_fence_stands(world: World) -> None:
    marks = Marks(world)
    assert world.run("createRuntime") == 0
    assert world.record is not None
    assert marks.value == world.record.dumps().encode()
    assert world.run("poststop") == 0
    assert marks.highs == [("set", str(128 * M), False), ("removed", "max", False)]


def test_a_start_that_fails_late_leaves_no_mark(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    marks = Marks(world)

    def full(record: records.Record) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    world.monkeypatch.setattr(records, "write", full)
    assert world.run("createRuntime") == 3
    assert (marks.value, world.high, world.record) == (None, "max", None)
    _line(capfd)


def test_where_no_cgroup_can_be_marked_it_is_bound_all_the_same(world: World) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    world.monkeypatch.setattr(os, "setxattr", refuse)
    world.monkeypatch.setattr(os, "removexattr", refuse)
    assert world.run("createRuntime") == 0
    assert world.record is not None
    assert world.run("poststop") == 0
    assert world.high == "max"


def test_the_older_and_the_newer_stage_together_bind_once(world: World) -> None:
    assert world.run("prestart") == 0
    assert world.run("createRuntime") == 0
    assert [call[0] for call in world.calls] == ["check", "engage"]
    assert world.record is not None
    assert world.record.user_high is None


def test_a_stale_record_of_the_same_name_is_replaced(world: World) -> None:
    assert world.run("createRuntime") == 0
    world.started(2000)
    assert world.run("createRuntime") == 0
    assert world.record is not None
    assert world.record.pid_start == 2000


def test_the_users_memory_high_is_remembered(world: World) -> None:
    (world.group / "memory.high").write_text(f"{512 * M}\n")
    assert world.run("createRuntime") == 0
    assert world.record is not None
    assert world.record.user_high == 512 * M


@pytest.mark.parametrize(("given", "expected"), [("max", None), ("1073741824", 1 << 30)])
def test_what_the_wrapper_replaced_is_the_users(world: World, given: str, expected: int | None) -> None:
    (world.group / "memory.high").write_text(f"{128 * M}\n")
    assert world.run("createRuntime", "--user-high", given) == 0
    assert world.record is not None
    assert world.record.user_high == expected


def test_a_percentage_is_of_memory_max(world: World) -> None:
    (world.group / "memory.max").write_text(f"{512 * M}\n")
    assert world.run("createRuntime", annotations={"bede.local": "50%"}) == 0
    assert world.record is not None
    assert world.record.bound == 256 * M


@pytest.mark.parametrize("stage", ["createRuntime", "prestart", "poststart", "poststop"])
@pytest.mark.parametrize("annotations", [{}, {"other": "x"}])
def test_other_containers_are_none_of_our_business(
    world: World, stage: str, annotations: dict[str, str]
) -> None:
    world.monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert world.run(stage, annotations=annotations) == 0
    assert (world.calls, world.told, world.record) == ([], [], None)


@pytest.mark.parametrize(
    ("fail", "code"),
    [
        (HostError("the far node is full", "wait"), 3),
        (OSError(errno.EPERM, "Operation not permitted"), 3),
        (ZeroDivisionError("x"), 1),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--user-high", "1073741824")])
def test_a_start_that_fails_leaves_nothing_behind(
    world: World, capfd: pytest.CaptureFixture[str], fail: Exception, code: int, arguments: tuple[str, ...]
) -> None:
    (world.group / "memory.high").write_text("1073741824\n")
    world.fail["engage"] = fail
    assert world.run("createRuntime", *arguments) == code
    assert world.high == "1073741824"
    assert world.record is None
    assert world.told == []
    _line(capfd)


def test_a_host_that_keeps_it_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(timeout, "SECONDS", 1)

    def wait(*_: object, **__: object) -> None:
        time.sleep(60)

    monkeypatch.setattr(fence, "engage", wait)
    # crun calls the hook with all signals blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        assert world.run("createRuntime") == 3
    finally:
        assert signal.alarm(0) == 0
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert "did not finish within 1 s" in _line(capfd)
    assert (world.record, world.high) == (None, "max")


def test_a_check_that_fails_writes_nothing(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.fail["check"] = HostError("no far node", "add one")
    assert world.run("createRuntime") == 3
    assert world.calls == [("check",)]
    assert _line(capfd) == "bede-hook: no far node. add one.\n"


def test_warn_starts_the_container_without_a_bound_nor_a_leftover_fence(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.config.write_text("on_unsupported: warn\n")
    world.config.chmod(0o644)
    world.fail["check"] = HostError("no far node", "add one")
    (world.group / "memory.high").write_text(f"{128 * M}\n")
    assert world.run("createRuntime", "--user-high", "max") == 0
    assert "runs without a bound: no far node" in _line(capfd)
    assert world.high == "max"
    assert world.record is None
    assert world.run("poststart") == 0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"annotations": {"bede.locl": "1G"}}, "Did you mean bede.local"),
        ({"annotations": {"bede.local": "50%"}}, "there is none"),
        ({"pid": 0}, "no pid"),
        ({"pid": 8}, "has ended"),
        ({"id": "../x"}, "container id"),
    ],
)
def test_warn_is_not_for_bad_input(
    world: World, capfd: pytest.CaptureFixture[str], state: dict[str, Any], message: str
) -> None:
    world.config.write_text("on_unsupported: warn\n")
    world.config.chmod(0o644)
    assert world.run("createRuntime", **state) == 2
    assert message in _line(capfd)
    assert world.record is None


def test_only_root_binds(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert world.run("createRuntime") == 4
    assert "not root" in _line(capfd)


def test_an_agent_that_cannot_be_told_is_no_failure(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    def full(op: str, key: str, bede: str) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    world.monkeypatch.setattr(notify, "tell", full)
    assert world.run("createRuntime") == 0
    assert "was not told" in _line(capfd)
    assert world.record is not None


def test_poststart_is_content_with_the_recorded_process(world: World) -> None:
    world.run("createRuntime")
    assert world.run("poststart") == 0


def test_poststart_is_content_with_a_container_that_was_short(world: World) -> None:
    world.run("createRuntime")
    world.gone()
    assert world.run("poststart") == 0
    assert world.run("poststart", pid=0) == 0


def test_poststart_refuses_a_container_that_runs_unbound(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run("poststart") == 3
    assert "no record" in _line(capfd)
    world.run("createRuntime")
    world.started(5000)
    assert world.run("poststart") == 3
    assert "is of process" in _line(capfd)


@pytest.mark.parametrize("annotations", [{"bede.local": "128M"}, None])
def test_poststop_removes_every_trace(world: World, annotations: dict[str, str] | None) -> None:
    (world.group / "memory.high").write_text("1073741824\n")
    world.run("createRuntime")
    world.gone()
    assert world.high != "1073741824"
    assert world.run("poststop", pid=0, annotations=annotations) == 0
    assert world.record is None
    assert world.high == "1073741824"
    assert world.told[-1] == ("removed", records.key_of("web", "/b"))
    before = len(world.told)
    assert world.run("poststop", pid=0, annotations=annotations) == 0
    assert len(world.told) == before


def test_poststop_does_not_touch_a_cgroup_that_is_anothers_now(world: World) -> None:
    world.run("createRuntime")
    world.group.rename(world.group.parent / "old")
    world.group.mkdir()
    (world.group / "memory.high").write_text("5\n")
    assert world.run("poststop") == 0
    assert world.high == "5"
    assert world.record is None


def test_poststop_never_keeps_a_container(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.run("createRuntime")
    world.fail["release"] = OSError(errno.EIO, "Input/output error")
    assert world.run("poststop") == 0
    assert "could not be put back" in _line(capfd)
    world.monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert world.run("poststop") == 0
    assert "not root" in _line(capfd)


def test_a_malformed_record_is_removed_at_the_end(world: World) -> None:
    world.run("createRuntime")
    key = records.key_of("web", "/b")
    (Path(records.RUN) / "containers" / f"{key}.json").write_text("{")
    assert world.run("poststop") == 0
    assert world.record is None


@pytest.mark.parametrize("stage", ["createRuntime", "prestart"])
def test_a_patched_kernel_is_told_and_nobody_else(world: World, stage: str) -> None:
    world.patch()
    assert world.run(stage) == 0
    assert world.limit == f"N0={128 * M}"
    assert (world.calls, world.told, world.record, world.high) == ([], [], None, "max")
    assert world.run("poststart") == 0
    world.gone()
    assert world.run("poststop", pid=0, annotations=None) == 0
    assert (world.calls, world.told, world.limit) == ([], [], f"N0={128 * M}")


def test_a_patched_kernel_needs_no_fence_of_the_wrapper(world: World) -> None:
    world.patch()
    (world.group / "memory.high").write_text(f"{128 * M}\n")
    assert world.run("createRuntime", "--user-high", "1073741824") == 0
    assert world.high == "1073741824"
    assert world.limit == f"N0={128 * M}"
    assert world.record is None


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize(
    ("limit", "local", "notes", "words"),
    [
        ("max", 4096, {}, ""),
        (f"{256 * M}", 4096, {}, ""),
        (f"{64 * M}", 4096, {}, "its memory limit is 64M"),
        (f"{128 * M}", 4096, {}, "its memory limit is 128M"),
        ("max", 100, {}, "all local memory is 100M"),
        ("max", 4096, {"bede.local": "8G", "bede.local.0": "5G"}, "all local memory is 4096M"),
    ],
)
def test_a_bound_that_holds_nothing_back_is_one_line_and_the_container_starts(
    world: World,
    capfd: pytest.CaptureFixture[str],
    patched: bool,
    limit: str,
    local: int,
    notes: dict[str, str],
    words: str,
) -> None:
    if patched:
        world.patch()
    world.local_memory(local * M)
    (world.group / "memory.max").write_text(f"{limit}\n")
    assert world.run("createRuntime", annotations={"bede.local": "128M", **notes}) == 0
    assert patched or world.record is not None
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == (1 if words else 0)
    if words:
        assert err.startswith("bede: container web: its bound of ")
        assert f"has no effect: {words}. Ask for less than that." in err


def test_a_fence_that_cannot_go_is_no_bound(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.patch()
    world.fail["release"] = OSError(errno.EIO, "Input/output error")
    assert world.run("createRuntime", "--user-high", "max") == 3
    assert "does not take a bound: Input/output error" in _line(capfd)
    assert world.limit == "N0=max"


def test_a_patched_kernel_that_refuses_leaves_nothing_behind(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.patch()
    (world.group / "memory.node_limit").write_text("N1=max")

    def refuse(name: str, text: str, *, dir_fd: int | None = None, waits: bool = False) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    world.monkeypatch.setattr(fs, "write", refuse)
    assert world.run("createRuntime") == 3
    assert "does not take a bound: Invalid argument" in _line(capfd)
    assert (world.record, world.told, world.calls) == (None, [], [])


@pytest.mark.parametrize("warn", [True, False])
def test_a_patched_kernel_without_far_memory(
    world: World, capfd: pytest.CaptureFixture[str], warn: bool
) -> None:
    world.patch()
    (world.proc.parent / "tiers/memory_tier1/nodelist").write_text("\n")
    world.config.write_text(f"on_unsupported: {'warn' if warn else 'refuse'}\n")
    world.config.chmod(0o644)
    assert world.run("createRuntime") == (0 if warn else 3)
    line = _line(capfd)
    assert ("runs without a bound" in line) == warn
    assert "far_nodes: [1]" in line
    assert world.limit == "N0=max"
    assert world.run("poststart") == (0 if warn else 3)


@pytest.mark.parametrize("limit", ["N0=max", f"N0={129 * M}", f"N1={128 * M}"])
def test_poststart_looks_at_the_limit_itself(
    world: World, capfd: pytest.CaptureFixture[str], limit: str
) -> None:
    world.patch()
    (world.group / "memory.node_limit").write_text(limit)
    assert world.run("poststart") == 3
    assert "no record" in _line(capfd)
    world.gone()
    assert world.run("poststart") == 0


def test_a_process_that_ended_meanwhile_is_not_bound(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.patch()
    world.monkeypatch.setattr(process, "is_same", lambda pid, start: False)
    assert world.run("createRuntime") == 2
    assert "has ended" in _line(capfd)
    assert world.limit == "N0=max"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["start"],
        ["--help"],
        ["createRuntime", "x"],
        ["poststop", "--user-high"],
        ["prestart", "--user-high", "-1"],
    ],
)
def test_other_arguments_get_the_usage(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert hook.main(["bede-hook", *arguments]) == 2
    assert "Usage: bede-hook" in _line(capfd)


def test_a_bug_is_one_line_and_with_debug_a_traceback(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEDE_DEBUG", raising=False)
    world.fail["check"] = ZeroDivisionError("a\nb")
    assert world.run("createRuntime") == 1
    assert "ZeroDivisionError" in _line(capfd)
    monkeypatch.setenv("BEDE_DEBUG", "1")
    assert world.run("createRuntime") == 1
    assert "Traceback" in capfd.readouterr().err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from(["createRuntime", "prestart", "poststart", "poststop"]))
def test_no_state_makes_a_traceback(world: World, data: bytes, stage: str) -> None:
    world.monkeypatch.setattr(hook, "_stdin", lambda: data)
    assert hook.main(["bede-hook", stage]) == 2
    assert world.record is None


@pytest.mark.parametrize("data", [b"", b"no JSON", b"{}", b"[" * 100_000, b" " * (2 << 20)])
def test_the_program_itself_says_one_line(data: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-IS", str(BIN / "bede-hook"), "createRuntime"],
        input=data,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"bede-hook: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("warn", [True, False])
@pytest.mark.parametrize("kernel", ["tier", "migrate", "node_limit"])
def test_nothing_is_written_in_a_cgroup_of_others(
    world: World, capfd: pytest.CaptureFixture[str], kernel: str, warn: bool
) -> None:
    text = f"on_unsupported: {'warn' if warn else 'refuse'}\n"
    if kernel == "node_limit":
        world.patch()
    elif kernel == "migrate":
        text += "far_nodes: [1]\n"
    world.config.write_text(text)
    world.config.chmod(0o644)
    before = {file.name: file.read_text() for file in world.group.iterdir()}
    (world.group / "cgroup.procs").write_text(f"7\n{os.getpid()}\n")
    written: list[str] = []
    world.monkeypatch.setattr(fs, "recorder", lambda op, path, _: written.append(f"{op} {path}"))
    taken_back: list[int] = []
    world.monkeypatch.setattr(steering, "unsteer", lambda state: taken_back.append(state.pid))
    for arguments in ((), ("--user-high", "max")):
        assert world.run("createRuntime", *arguments) == (0 if warn else 3)
        line = _line(capfd)
        assert "no cgroup of its own" in line
        assert "--cgroups=disabled" in line
    assert {file.name: file.read_text() for file in world.group.iterdir() if file.name in before} == before
    assert [entry for entry in written if not entry.startswith("read ")] == []
    assert (world.calls, world.told, world.record) == ([], [], None)
    # The policy that the wrapper set would make it allocate on far nodes although it has no bound.
    assert (taken_back == [7, 7]) == (kernel == "migrate")


LASTING = "4f" * 32


@pytest.mark.parametrize("stage", ["createRuntime", "prestart"])
def test_a_bound_that_was_set_is_that_of_the_next_start(world: World, stage: str) -> None:
    chosen.write(LASTING, chosen.Chosen(32 * M))
    annotations = {"bede.local": "128M", "bede.local.0": "64M"}
    world.monkeypatch.setattr(checks, "require_local_nodes", lambda nodes, tiers: None)
    assert world.run(stage, id=LASTING, annotations=annotations) == 0
    record = records.read(records.key_of(LASTING, "/b"))
    assert record is not None
    assert (record.bound, record.nodes, record.policy) == (32 * M, {0: 32 * M}, annotations)
    assert world.calls[1][2] == 32 * M
    assert world.run("createRuntime") == 0
    assert world.record is not None
    assert world.record.bound == 128 * M


@pytest.mark.parametrize("megabytes", [32, 512])
def test_a_bound_that_was_set_on_a_patched_kernel(world: World, megabytes: int) -> None:
    world.patch()
    chosen.write(LASTING, chosen.Chosen(megabytes * M))
    assert world.run("createRuntime", id=LASTING) == 0
    assert world.limit == f"N0={megabytes * M}"
    assert world.run("poststart", id=LASTING) == 0


def test_a_bound_that_was_set_and_is_lost_is_said(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    chosen.write(LASTING, chosen.Chosen(32 * M))
    (Path(records.RUN) / "bounds" / LASTING).write_text("{")
    for said in (True, False):
        assert world.run("createRuntime", id=LASTING) == 0
        record = records.read(records.key_of(LASTING, "/b"))
        assert record is not None
        assert record.bound == 128 * M
        assert ("bede set gave to container" in capfd.readouterr().err) == said
        records.remove(record.key)
