# SPDX-License-Identifier: Apache-2.0
"""Control groups, Bede's own parts, and the backend that would be chosen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocihook import config, fs, host
from ocihook.cgroup import path
from ocihook.control import client, notify
from ocihook.engines import edits, engine, programs
from ocihook.errors import BedeError
from ocihook.finding import BAD, GOOD, NOTE, ROOT, WARN, Finding, of_error

if TYPE_CHECKING:
    from ocihook.backends.backend import Backend

UNITS = ("bede-agent.socket", "bede-agent.service")


def control_groups() -> Iterator[Finding]:
    """Yield findings about the version of cgroups, and whether containers can have the memory controller."""
    try:
        mount = path.mount_point()
    except BedeError as error:
        yield of_error("cgroup", "version", error)
        return
    yield Finding("cgroup", "version", GOOD, f"v2, on {mount}")
    where = path.of_user(mount)
    controllers = fs.read_or(f"{where}/cgroup.controllers", "").split()
    handed = fs.read_or(f"{where}/cgroup.subtree_control", "").split()
    if "memory" not in controllers:
        yield _no_memory(where)
    elif "memory" not in handed:
        yield Finding(
            "cgroup",
            "memory",
            WARN,
            f"{where} does not hand the memory controller on (yet)",
            f"Write +memory to {where}/cgroup.subtree_control",
            lambda: fs.write(f"{where}/cgroup.subtree_control", "+memory"),
        )
    else:
        rest = "" if "cpuset" in controllers else "; cpuset is not, so a container's CPUs cannot be chosen"
        yield Finding("cgroup", "memory", GOOD, f"handed on to containers{rest}")


def _no_memory(where: str) -> Finding:
    if "memory" in host.read("/proc/self/cgroup").replace(",", ":").split(":"):
        fact, todo = "the memory controller is on cgroup v1", "Boot with systemd.unified_cgroup_hierarchy=1"
        return Finding("cgroup", "memory", BAD, fact, todo)
    if os.geteuid() == 0:
        fact, todo = f"{where} has no memory controller", "Boot without cgroup_disable=memory"
        return Finding("cgroup", "memory", BAD, fact, todo)
    fact = f"you have no memory controller ({where}): containers of your own cannot be bound"
    return Finding("cgroup", "memory", ROOT, fact, "Log in by systemd, with Delegate=memory in user@.service")


def kernel(chosen: Backend) -> Finding:
    """Return the finding which kernel this is, and how it can hold bounds."""
    return Finding("kernel", "kernel", GOOD, f"{os.uname().release}, {chosen.KERNEL}")


def backend(settings: config.Config, chosen: Backend) -> Finding:
    """Return the finding which backend is *chosen* and why, or why none can be used."""
    name = chosen.NAME
    try:
        path.mount_point()
        tiers = chosen.possible(settings)
    except BedeError as error:
        return of_error("bede", "backend", error)
    if os.geteuid() != 0 and not chosen.FOR_USERS:
        return Finding(
            "bede",
            "backend",
            ROOT,
            f"{name} is for root's containers alone, whose pages root's agent moves: those of your own cannot"
            " be bound",
            "Run the container as root",
        )
    local, far = (" and ".join(map(str, some)) for some in (tiers.local, tiers.far))
    return Finding("bede", "backend", GOOD, f"{name}: {chosen.WHY} (local: node {local}; far: node {far})")


def own_parts(*, needs_agent: bool) -> Iterator[Finding]:
    """Yield findings about Bede's own parts: the agent, and the programs that engines start."""
    yield _agent(needs_agent)
    for program in ("bede-hook", "bede-runtime"):
        try:
            yield Finding("bede", program, GOOD, edits.program(program))
        except BedeError as error:
            yield Finding("bede", program, WARN, error.message, error.hint)


def configuration(settings: config.Config) -> Finding:
    """Return the finding which settings are in force, and what happens if no bound can be held."""
    where = config.used()
    given = where if os.path.exists(where) else "none, so the defaults hold"
    return Finding(
        "bede", "settings", GOOD, f"{given}; where no bound can be held: {settings.on_unsupported}"
    )


def _agent(needs_agent: bool) -> Finding:
    if os.geteuid() != 0:
        return Finding("bede", "agent", NOTE, "only root may ask the agent of the host")
    try:
        pid = client.ping(timeout=5)
    except BedeError as error:
        if not needs_agent:
            return Finding(
                "bede", "agent", NOTE, "not running; without it children that leave are not put back"
            )
        units = os.path.isdir(notify.SYSTEMD) and programs.find("systemctl") is not None
        return Finding(
            "bede",
            "agent",
            WARN,
            f"{error.message}; the next bound container starts it",
            "systemctl enable --now " + " ".join(UNITS) if units else "",
            _start if units else None,
        )
    return Finding("bede", "agent", GOOD, f"runs as process {pid}")


def _start() -> None:
    programs.output("systemctl", "enable", "--now", *UNITS)


def engines() -> Iterator[Finding]:
    """Yield a finding for each container engine: whether it is configured, how annotations reach it."""
    for found in engine.all_states():
        version = f"{found.version}: " if found.version else ""
        if not found.installed:
            yield Finding("engine", found.name, NOTE, "not installed")
        elif found.error is not None:
            yield Finding("engine", found.name, WARN, f"{version}{found.error.message}", found.error.hint)
        elif found.lost:
            yield Finding(
                "engine",
                found.name,
                WARN,
                f"{version}configured, but bede-runtime does not start its default runtime {found.lost}, so"
                f" containers under bede lack what that runtime does; {found.note}",
                f"bede configure {found.name}",
            )
        elif found.lacks:
            fact = f"{version}configured by an earlier Bede: {found.lacks}"
            yield Finding("engine", found.name, WARN, fact, f"bede configure {found.name}")
        elif found.configured:
            behind = f"; behind bede-runtime: {found.behind}" if found.behind else ""
            yield Finding("engine", found.name, GOOD, f"{version}configured; {found.note}{behind}")
        else:
            yield Finding(
                "engine",
                found.name,
                WARN,
                f"{version}not configured: annotations do nothing, and nobody says so",
                f"bede configure {found.name}",
            )


def runtimes(settings: config.Config) -> Iterator[Finding]:
    """Yield findings about the OCI runtimes, and which of them bede-runtime starts."""
    installed = [name for name in ("runc", "crun", "youki") if programs.find(name)]
    chosen = settings.runtime or next((name for name in ("runc", "crun") if name in installed), None)
    for name in installed:
        behind = "; behind bede-runtime, where no engine names another" if name == chosen else ""
        yield Finding("engine", name, GOOD, f"{engine.version(name) or 'no version'}{behind}")
    if chosen is None or (chosen not in installed and not os.access(chosen, os.X_OK)):
        yield Finding(
            "engine",
            "runtime",
            WARN,
            f"{chosen or 'runc or crun'}, for bede-runtime, is not there",
            f"Install runc or crun, or set runtime: in {config.PATH}",
        )
