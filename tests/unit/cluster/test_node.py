# SPDX-License-Identifier: Apache-2.0
"""bede-node against a stand-in for the API server, and for the host's containers."""

from dataclasses import replace
from pathlib import Path

import hosts
import pytest
from fake_apiserver import FakeApiServer

from ocihook.cluster import door, objects, words
from ocihook.cluster.api import Api
from ocihook.cluster.node import host, plan
from ocihook.cluster.node import main as node
from ocihook.cluster.objects import HOLDS, Bound, NodeLocalMemory, Ready, Report, Slot
from ocihook.control.status import Status
from ocihook.errors import AgentError, ClusterError, InputError

GIB = 1 << 30
PATH = f"{words.NODES}/n1"
REPORT = Report(8 * GIB, GIB, Ready(True, HOLDS, ""))


def status(name: str, bound: int, **more: object) -> Status:
    fields = {"namespace": "ns", "pod": "p", "pod_uid": "uid", "pod_container": name, **more}
    return Status(name, f"/{name}", bound, 1, 2, "tier", **fields)  # type: ignore[arg-type]


class Host:
    """A mock of what the host holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *held: Status) -> None:
        self.held = {one.id: one for one in held}
        self.down = False
        self.why = ""
        ready = Ready(True, HOLDS, "")
        monkeypatch.setattr(host, "memory", lambda reserve: (host.Memory(8 * GIB, reserve(8 * GIB)), ready))
        monkeypatch.setattr(host.containers, "listing", self.listing)
        monkeypatch.setattr(host, "carry_out", self.carry_out)
        monkeypatch.setattr(host, "used", lambda held, now: {})

    def listing(self) -> list[Status]:
        if self.down:
            raise AgentError("the agent cannot be reached", "")
        return list(self.held.values())

    def carry_out(self, change: plan.Change) -> str:
        if not self.why:
            self.held[change.container.id] = replace(change.container, bound=change.size)
        return self.why


def spec(**bounds: int) -> NodeLocalMemory:
    return NodeLocalMemory(
        "n1",
        generation=3,
        bounds=tuple(Bound(Slot("uid", name), size, size) for name, size in bounds.items()),
    )


def test_it_sets_what_it_should(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, status("a", 4 * GIB), status("b", 2 * GIB), status("podman", GIB, pod_uid=""))
    here = node.Node(api, "n1", door.share_or_size("1Gi"))
    report = here.look(spec(a=2 * GIB, b=4 * GIB, gone=9))
    assert [(one.slot.container, one.bound) for one in report.containers] == [("a", 2 * GIB), ("b", 4 * GIB)]
    assert (report.observed, report.reserved) == (3, GIB)
    report = here.look(spec(a=2 * GIB, b=5 * GIB))
    assert [one.bound for one in report.containers] == [2 * GIB, 4 * GIB]
    assert "5Gi does not fit: 4Gi" in report.containers[1].message


def test_what_a_probe_has_added_is_taken_back_at_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Host(monkeypatch, status("a", 5 * GIB // 4), status("b", GIB))
    here = node.Node(api, "n1", door.share_or_size("1Gi"))
    monkeypatch.setattr(here._prober, "end", lambda: [Bound(Slot("uid", "a"), GIB, GIB)])
    box.down = True
    here.end()  # without an agent nothing can be changed
    box.down = False
    here.end()
    assert [one.bound for one in box.held.values()] == [GIB, GIB]


def test_what_cannot_be_set_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, status("a", 4 * GIB)).why = "no such container"
    report = node.Node(api, "n1", door.share_or_size("10%")).look(spec(a=2 * GIB))
    assert [(one.bound, one.message) for one in report.containers] == [(4 * GIB, "no such container")]


def test_without_an_agent_it_tells_so_and_what_it_saw_last(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    mock = Host(monkeypatch, status("a", 4 * GIB))
    here = node.Node(api, "n1", door.share_or_size("0"))
    before = here.look(None)
    mock.down = True
    report = here.look(spec(a=GIB))
    assert (report.ready.holds, report.ready.reason) == (False, "AgentDown")
    assert report.containers == before.containers


def test_it_reports_what_is_new_and_is_silent_else(
    fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(node.time, "monotonic", lambda: now[0])
    reporter = node.Reporter(api, "n1")

    def told(report: Report) -> bool:
        count = len(fake.asked)
        reporter.send(report)
        return len(fake.asked) > count

    held = host.reported([status("a", GIB)], {}, lambda slot: 0)
    assert told(REPORT)
    assert fake.objects[PATH]["kind"] == words.KIND
    assert objects.parse(fake.objects[PATH]).report == REPORT
    assert not told(replace(REPORT, containers=held))  # so soon
    now[0] += node.SOON
    assert told(replace(REPORT, containers=held))
    now[0] += node.SOON
    assert not told(replace(REPORT, containers=(replace(held[0], local=7),)))
    now[0] += node.OFTEN * 1.1
    assert told(replace(REPORT, containers=(replace(held[0], local=7),)))
    fake.delete(PATH)  # with its node, which comes again
    now[0] += node.OFTEN * 1.1
    assert told(REPORT)
    assert PATH in fake.objects
    fake.refusals.append(500)
    now[0] += node.OFTEN * 1.1
    with pytest.raises(ClusterError):
        reporter.send(REPORT)
    assert not told(REPORT)  # not at once again
    now[0] += 1.0
    assert told(REPORT)


def test_a_host_without_far_memory_has_none_to_bind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.redirect(monkeypatch, tmp_path)
    (tmp_path / "node").mkdir()
    (tmp_path / "node/has_memory").write_text("0\n")
    memory, ready = host.memory(door.share_or_size("10%"))
    assert memory.total == 0
    assert (ready.holds, ready.reason) == (False, "NoFarMemory")


@pytest.mark.parametrize(("text", "size"), [("10%", 10), ("0%", 0), ("100%", 100), ("7", 7), ("1Gi", 100)])
def test_a_reserve(text: str, size: int) -> None:
    assert door.share_or_size(text)(100) == size


@pytest.mark.parametrize("text", ["", "%", "101%", "-1%", "1.5%", "lots"])
def test_what_is_no_reserve(text: str) -> None:
    with pytest.raises(InputError):
        door.share_or_size(text)
