# SPDX-License-Identifier: Apache-2.0
"""Processes without a kernel (a mock of ``ocihook.cgroup.procfs``), with their cgroups and parents."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocihook.cgroup import process, procfs
from ocihook.cgroup.path import Cgroup
from ocihook.follow import follower
from ocihook.follow.family import Family

HOST = {"pid": 1, "cgroup": 2, "mnt": 3}


@dataclass
class Process:
    cgroup: str
    ns: dict[str, int] = field(default_factory=lambda: dict(HOST))
    parent: int = 1
    first: bool = False
    start: int = 7  #: clock ticks


class World:
    """A host whose cgroups are directories below *root*; a write to ``cgroup.procs`` moves a process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.processes: dict[int, Process] = {1: Process("/"), os.getpid(): Process("/")}
        self.outer: dict[int, list[int]] = {}
        self.full: set[str] = set()  #: cgroups that take no process
        self.dead_after_write = False
        for name in ("cgroup_of", "namespace", "outer_pid_namespaces", "parent_of", "is_first", "everybody"):
            monkeypatch.setattr(procfs, name, getattr(self, name))
        monkeypatch.setattr(process, "start_time", self.start_time)
        monkeypatch.setattr(procfs, "hold_namespace", lambda pid, name: None)
        monkeypatch.setattr(procfs, "private_bytes", lambda pid: 4096)
        monkeypatch.setattr(follower.path, "open_below", self.open)
        monkeypatch.setattr(follower.fs, "write", self.write)
        monkeypatch.setattr(os, "pidfd_open", lambda pid: os.open("/dev/null", os.O_RDONLY))
        self.written = False
        monkeypatch.setattr(follower, "ended", lambda fd: self.dead_after_write and self.written)

    def cgroup_of(self, pid: int) -> str | None:
        found = self.processes.get(pid)
        return found.cgroup if found else None

    def start_time(self, pid: int) -> int | None:
        found = self.processes.get(pid)
        return found.start if found else None

    def namespace(self, pid: int, name: str) -> int | None:
        found = self.processes.get(pid)
        return found.ns[name] if found else None

    def outer_pid_namespaces(self, pid: int) -> list[int]:
        return self.outer.get(self.processes[pid].ns["pid"], [])

    def parent_of(self, pid: int) -> int:
        found = self.processes.get(pid)
        return found.parent if found else 0

    def is_first(self, pid: int) -> bool:
        return pid in self.processes and self.processes[pid].first

    def everybody(self) -> list[int]:
        return sorted(self.processes)

    def open(self, path: str) -> Cgroup | None:
        directory = self.root / path.strip("/")
        directory.mkdir(parents=True, exist_ok=True)
        return Cgroup(str(self.root), path, os.open(directory, os.O_RDONLY | os.O_DIRECTORY))

    def put(self, pid: int, process: Process) -> None:
        """Give *process* the number *pid* from now on."""
        self.processes[pid] = process
        cgroup = self.open(process.cgroup)
        assert cgroup is not None
        cgroup.close()

    def write(self, name: str, text: str, *, dir_fd: int) -> None:
        assert name == "cgroup.procs"
        target = "/" + os.readlink(f"/proc/self/fd/{dir_fd}").removeprefix(str(self.root)).strip("/")
        if target in self.full:
            raise OSError(16, "Device or resource busy")
        self.written = True
        self.processes[int(text)].cgroup = target

    def family(self, id: str, pid: int) -> Family:
        """The family of *pid*, in its present cgroup, with the namespaces that are not the host's."""
        cgroup = self.open(self.processes[pid].cgroup)
        assert cgroup is not None
        made = Family(id, cgroup, pid)
        ns = self.processes[pid].ns
        made.pid_ns = ns["pid"] if ns["pid"] != HOST["pid"] and self.is_first(pid) else None
        made.cgroup_ns = ns["cgroup"] if ns["cgroup"] != HOST["cgroup"] else None
        made.mnt_ns = ns["mnt"]
        made.own_mnt_ns = made._own_mnt_ns()
        return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)
