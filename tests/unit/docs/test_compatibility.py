# SPDX-License-Identifier: Apache-2.0
"""Everything that docs/compatibility.md promises exists."""

import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from ocihook import config, errors, native
from ocihook.backends import choose
from ocihook.backends.node_limit import cgroups
from ocihook.cgroup import memory
from ocihook.cgroup.path import Cgroup
from ocihook.cli import main
from ocihook.control.status import Outside, Status
from ocihook.doctor import examine
from ocihook.finding import GOOD, Finding
from ocihook.follow import family
from ocihook.metrics import collect
from ocihook.state import record as record_module
from ocihook.state import records
from ocihook.topology.nodes import Tiers
from ocihook.watch import containers, counters, explain, recording, table
from ocihook.watch.counters import Counters, Pressure
from ocihook.watch.snapshot import Row

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/compatibility.md").read_text()


def promised(what: str) -> set[str]:
    """The words in the row of the table about *what*."""
    (cell,) = re.findall(rf"(?m)^\| {re.escape(what)} \| (.*) \|$", PAGE)
    words = set(re.findall(r"`([^`]+)`", cell))
    assert words
    return words


def of_the_agent() -> Status:
    """The status of a container that an agent holds."""
    stats = native.Stats(*[0] * len(native.Stats._fields))
    record = records.Record(
        id="web", bundle="/b", pid=1, pid_start=1, ns={}, cgroup="/web", cgroup_ino=1, policy={},
        bound=1, nodes={}, user_high=None, created=1.0,
    )  # fmt: skip
    return choose.named(record.backend).status(record, stats)


def of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> Status:
    """The status of a container whose bound the kernel holds by itself."""
    for name, value in (("node_limits", {0: 1}), ("node_usage", {0: 1}), ("node_events", {"demoted": 1})):
        monkeypatch.setattr(memory, name, lambda fd, value=value: value)
    with Cgroup("/sys/fs/cgroup", "/web", os.open("/", os.O_PATH)) as cgroup:
        status = cgroups._status(cgroup, Tiers((0,), (1,)))
    assert status is not None
    return status


def test_ps_has_its_fields_whoever_holds_the_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ones = [of_the_agent(), of_the_kernel(monkeypatch)]
    monkeypatch.setattr(choose, "without_agent", lambda: None)
    monkeypatch.setattr(containers.client, "listing", lambda: (ones, {}))
    assert main.main(["ps", "--json"]) == 0
    for one in json.loads(capsys.readouterr().out):
        assert promised("`bede ps --json`, a list of objects") - set(one) == set()


def test_outside_has_its_fields() -> None:
    made = family.Family.__new__(family.Family)
    made.returned, made.failed, made.seconds, made.bytes = 1, 2, 3.0, 4
    assert promised("`outside` in it, an object or null") - set(asdict(made.outside())) == set()


def test_explain_has_its_fields(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = replace(of_the_agent(), name="web")
    monkeypatch.setattr(containers, "find", lambda name: one)
    monkeypatch.setattr(explain, "explain", lambda one: [])
    assert main.main(["explain", "web", "--json"]) == 0
    assert promised("`bede explain --json`, an object") - set(json.loads(capsys.readouterr().out)) == set()


def test_stats_and_recordings_have_their_columns() -> None:
    one = of_the_agent()
    row = Row(1.0, 1.0, one, 1, 1, 1, Counters())
    assert promised("`bede stats --json` and `--csv`") - set(table.record(row)) == set()
    assert promised("`bede stats --json` and `--csv`") - set(table.CSV) == set()
    assert promised("`bede record`, CSV") - set(recording.COLUMNS) == set()


def test_the_doctor_has_its_fields(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = examine.Report([Finding("memory", "nodes", GOOD, "two")])
    monkeypatch.setattr(examine, "examine", lambda: report)
    assert main.main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert promised("`bede doctor --json`, an object") - set(told) == set()
    assert promised("each of its findings") - set(told["findings"][0]) == set()


def test_commands_statuses_and_settings_are_there() -> None:
    commands = promised("commands")
    assert commands == set(main.COMMANDS) - set(main.CHECKOUT_ONLY)
    statuses = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(word) for word in promised("exit statuses")} - statuses == set()
    assert {word for word in promised("settings") if "/" not in word} == set(config.Config.__slots__)
    units = {path.name for path in (ROOT / "ocihook/agent/units").iterdir()}
    assert promised("units") - units == set()


def test_metrics_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(of_the_agent(), outside=Outside())
    listed = [one, replace(one, backend="migrate")]
    monkeypatch.setattr(collect.containers, "listing", lambda: listed)
    everything = Counters(*[0] * len(Counters._fields))._replace(pressure=Pressure(0.0, 0.0, 0, 0))
    monkeypatch.setattr(counters, "read", lambda one: everything)
    monkeypatch.setattr(collect.nodes, "find", lambda far: Tiers((0,), (1,)))
    monkeypatch.setattr(collect.nodes, "room", lambda nodes: (1, 1))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collect.Collector())
    told = set(re.findall(r"(?m)^(bede_\w+)[ {]", generate_latest(registry).decode()))
    for what in ("Bede", "nodes", "containers", "containers whose pages are moved"):
        assert promised(what) - told == set()


def test_a_record_has_the_version_that_is_told_of() -> None:
    assert f"has a `version`, which is {record_module.VERSION}." in PAGE
