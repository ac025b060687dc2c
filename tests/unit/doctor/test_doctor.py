"""The doctor's findings, of pretended hosts."""

import json
import os
from pathlib import Path

import pytest

from ocihook import config
from ocihook.cgroup import path
from ocihook.cli import doctor as command
from ocihook.cli import main
from ocihook.doctor import emulation, examine, host, memory
from ocihook.doctor.finding import BAD, GOOD, NOTE, WARN, Finding
from ocihook.engines import engine
from ocihook.errors import AgentError, HostError
from ocihook.topology import nodes


class Host:
    """Two nodes, the second of which is far; all is well until a test changes a file."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.put("node/has_memory", "0-1\n")
        for node, cpus in ((0, "0-3"), (1, "")):
            self.put(f"node/node{node}/cpulist", cpus + "\n")
            self.put(f"node/node{node}/distance", "10 30\n")
            size = f"Node {node} MemTotal: 1048576 kB\nNode {node} MemFree: 524288 kB\n"
            self.put(f"node/node{node}/meminfo", size)
            self.put(f"tiers/memory_tier{node}/nodelist", f"{node}\n")
        self.put("node/node1/access0/initiators/read_latency", "250\n")
        self.put("node/node1/access0/initiators/read_bandwidth", "20000\n")
        self.put("online", "0-3\n")
        self.put("demotion", "true\n")
        self.put("lru", "0x0007\n")
        self.put("lru_gen", "")
        self.put("balancing", "1\n")
        self.put("swaps", "Filename Type Size Used Priority\n")
        self.put("proc/self/mountinfo", f"31 23 0:27 / {root}/cgroup rw - cgroup2 cgroup2 rw\n")
        self.put("cgroup/cgroup.controllers", "cpuset cpu memory\n")
        self.put("cgroup/cgroup.subtree_control", "memory\n")
        for module, name, where in (
            (nodes, "NODES", "node"),
            (nodes, "TIERS", "tiers"),
            (nodes, "DEMOTION", "demotion"),
            (nodes, "CPUS_ONLINE", "online"),
            (emulation, "DAMON", "damon"),
            (emulation, "MODULES", "modules"),
            (memory, "LRU", "lru"),
            (memory, "LRU_GEN", "lru_gen"),
            (memory, "BALANCING", "balancing"),
            (memory, "SWAPS", "swaps"),
            (path, "PROC", "proc"),
            (config, "PATH", "config.yaml"),
        ):
            monkeypatch.setattr(module, name, str(root / where))
        monkeypatch.delenv("BEDE_CONFIG", raising=False)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(engine, "all_states", list)
        monkeypatch.setattr(host.client, "ask", lambda message, timeout: {"pid": 7})

    def put(self, where: str, text: str) -> None:
        (self.root / where).parent.mkdir(parents=True, exist_ok=True)
        (self.root / where).write_text(text)

    def find(self, name: str) -> Finding:
        (one,) = [one for one in examine.examine().findings if one.name == name]
        return one


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_host_that_can(there: Host) -> None:
    assert examine.examine().can_hold
    assert there.find("node 0").fact == "local, 1024 MiB (512 can be had), CPUs 0-3, distances 10 30"
    assert there.find("node 1").fact.endswith("no CPUs, distances 10 30, reads in 250 ns, 20000 MB/s")
    assert there.find("backend").fact.startswith("tier: ")


@pytest.mark.parametrize(
    ("where", "text", "name", "verdict", "words"),
    [
        ("demotion", "false\n", "demotion", NOTE, "off"),
        ("demotion", "", "demotion", BAD, "cannot demote"),
        ("lru", "0x0000\n", "lru_gen", WARN, "off"),
        ("lru", "", "lru_gen", WARN, "no multi-generational LRU"),
        ("balancing", "2\n", "balancing", WARN, "whatever the bounds"),
        ("balancing", "3\n", "balancing", WARN, "whatever the bounds"),
        ("balancing", "0\n", "balancing", NOTE, "off"),
        ("balancing", "", "balancing", NOTE, "no NUMA balancing"),
        ("swaps", "Filename\n/dev/vda file 1 0 -2\n", "swap", GOOD, "on (/dev/vda)"),
        ("cgroup/cgroup.subtree_control", "\n", "memory", WARN, "does not hand"),
        ("cgroup/cgroup.controllers", "cpu\n", "memory", BAD, "memory controller"),
        ("proc/self/mountinfo", "\n", "version", BAD, "no cgroup v2"),
        ("tiers/memory_tier1/nodelist", "\n", "backend", BAD, "nodes 0, 1"),
        ("node/has_memory", "0\n", "backend", BAD, "one NUMA node"),
        ("config.yaml", "far_nodes: [7]\n", "backend", BAD, "names node 7"),
        ("config.yaml", "nonsense\n", "settings", BAD, "not of the form"),
    ],
)
def test_what_is_found(there: Host, where: str, text: str, name: str, verdict: str, words: str) -> None:
    if where == "node/has_memory":
        there.put("tiers/memory_tier1/nodelist", "\n")
    if where.startswith("tiers"):
        there.put("tiers/memory_tier0/nodelist", "0-1\n")
    there.put(where, text)
    if where == "config.yaml":
        (there.root / where).chmod(0o644)
        found = [one for one in examine.examine().findings if one.name == name and one.verdict == BAD]
        assert words in found[0].fact
    else:
        assert (there.find(name).verdict, words in there.find(name).fact) == (verdict, True)
    assert examine.examine().can_hold == (verdict != BAD)


def test_full_far_memory_is_told(there: Host) -> None:
    there.put("node/node1/meminfo", "Node 1 MemTotal: 1048576 kB\nNode 1 MemFree: 1024 kB\n")
    assert there.find("far").verdict == BAD


@pytest.mark.parametrize(
    ("changes", "verdict", "fact", "remedy"),
    [
        ({}, GOOD, "1.0: configured; a note", ""),
        ({"behind": "fake (/x)"}, GOOD, "1.0: configured; a note; behind bede-runtime: fake (/x)", ""),
        ({"lost": "fake"}, WARN, "default runtime fake is not behind bede-runtime", "bede configure docker"),
        ({"error": HostError("it is wrong", "Mend it")}, WARN, "1.0: it is wrong", "Mend it"),
        ({"configured": False}, WARN, "annotations do nothing", "bede configure docker"),
    ],
)
def test_an_engine_is_told_with_what_is_behind_and_what_is_wrong(
    there: Host,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    verdict: str,
    fact: str,
    remedy: str,
) -> None:
    one = engine.Engine("docker", "1.0", True, True, False, "a note")._replace(**changes)
    monkeypatch.setattr(engine, "all_states", lambda: [one])
    found = there.find("docker")
    assert (found.verdict, fact in found.fact, found.remedy) == (verdict, True, remedy), found
    assert examine.examine().can_hold


class Sockets(Host):
    """Two equal nodes with two CPUs each, the second of which is called far; root asks."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root, monkeypatch)
        self.put("tiers/memory_tier0/nodelist", "0-1\n")
        self.put("tiers/memory_tier1/nodelist", "\n")
        self.put("node/online", "0-1\n")
        for node, distances, cpus in ((0, "10 21", "0-1"), (1, "21 10", "2-3")):
            self.put(f"node/node{node}/distance", distances + "\n")
            self.put(f"node/node{node}/cpulist", cpus + "\n")
        self.put("damon/nr_kdamonds", "0\n")
        self.far("[1]")

    def far(self, which: str) -> None:
        self.put("config.yaml", f"far_nodes: {which}\n")
        (self.root / "config.yaml").chmod(0o644)

    def names(self) -> set[str]:
        return {one.name for one in examine.examine().findings}


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sockets:
    return Sockets(tmp_path, monkeypatch)


@pytest.mark.parametrize("patched", [False, True])
def test_an_emulation_is_called_one(sockets: Sockets, patched: bool) -> None:
    if patched:
        sockets.put("cgroup/x.slice/memory.node_limit", "N0=max\n")
    assert examine.examine().can_hold
    tiers = sockets.find("tiers")
    assert tiers.verdict == NOTE
    assert "an emulation: the configuration calls node 1 far" in tiers.fact
    assert tiers.fact.endswith("Distances: node 0 to node 1 21 both ways; node 0 to itself 10")
    cpus = sockets.find("cpus")
    assert (cpus.verdict, "get CPUs 0-1," in cpus.fact) == (GOOD, True)
    backend = sockets.find("backend").fact
    assert backend.startswith("node_limit: " if patched else "migrate: far nodes are named")
    assert backend.endswith("(local: node 0; far: node 1)")
    assert "demotion" not in sockets.names()
    assert ("damon" in sockets.names()) != patched


@pytest.mark.parametrize(
    ("where", "text", "name", "verdict", "words"),
    [
        ("node/node1/distance", "31 10\n", "tiers", NOTE, "node 0 to node 1 21, back 31;"),
        ("node/node1/distance", "", "tiers", NOTE, "node 0 to node 1 21, back unknown;"),
        ("node/node1/cpulist", "0-3\n", "cpus", WARN, "far is not far"),
        ("damon/nr_kdamonds", "1\n", "damon", WARN, "used by somebody else"),
        ("modules/damon_reclaim/parameters/enabled", "Y\n", "damon", WARN, "used by damon_reclaim"),
        ("modules/damon_reclaim/parameters/enabled", "N\n", "damon", GOOD, "tells the agent"),
        ("modules/damon_stat/parameters/enabled", "Y\n", "damon", GOOD, "tells the agent"),
        ("lru", "0x0000\n", "lru_gen", NOTE, "off"),
        ("lru", "", "lru_gen", NOTE, "has none"),
        ("balancing", "2\n", "balancing", GOOD, "leaves memory with the policy that steers alone"),
        ("balancing", "0\n", "balancing", GOOD, "off; the agent promotes"),
        ("cgroup/cgroup.controllers", "memory\n", "cpuset", WARN, "not steered"),
    ],
)
def test_what_is_found_in_an_emulation(
    sockets: Sockets, where: str, text: str, name: str, verdict: str, words: str
) -> None:
    sockets.put(where, text)
    found = sockets.find(name)
    assert (found.verdict, words in found.fact) == (verdict, True), found
    assert examine.examine().can_hold


def test_damon_is_told_where_it_is_missing_or_the_agents(sockets: Sockets) -> None:
    sockets.put("damon/nr_kdamonds", "1\n")
    sockets.put("damon/0/contexts/0/monitoring_attrs/intervals/update_us", "1000003\n")
    assert sockets.find("damon").verdict == GOOD
    (sockets.root / "damon/nr_kdamonds").unlink()
    assert sockets.find("damon").verdict == WARN


def test_nodes_that_no_policy_covers_are_told(sockets: Sockets) -> None:
    sockets.put("node/has_memory", "0-3\n")
    sockets.put("tiers/memory_tier0/nodelist", "0-3\n")
    sockets.far("[2, 3]")
    assert "steering" not in sockets.names()
    sockets.far("[1, 3]")
    assert sockets.find("steering").verdict == WARN
    assert examine.examine().can_hold


def test_a_users_containers_have_no_emulation(sockets: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    sockets.put("cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", "memory\n")
    assert sockets.find("backend").verdict == BAD
    assert sockets.find("damon").verdict == NOTE
    assert not examine.examine().can_hold


def test_repair_does_what_it_can_and_says_what_it_cannot(
    there: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.put("demotion", "false\n")
    there.put("lru", "0x0000\n")

    def missing(message: object, timeout: float) -> object:
        raise AgentError("the agent cannot be reached")

    def refuse(*command: str, seconds: float = 0) -> str:
        raise HostError("no systemd")

    monkeypatch.setattr(host.client, "ask", missing)
    monkeypatch.setattr(host.notify, "SYSTEMD", str(there.root))
    monkeypatch.setattr(host.programs, "find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(host.programs, "output", refuse)
    done = {one.name: error for one, error in examine.repair(examine.examine())}
    assert done == {"demotion": "", "lru_gen": "", "agent": "no systemd"}
    assert (there.root / "demotion").read_text()[:1] == "1"
    assert (there.root / "lru").read_text()[:1] == "y"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_screen(there: Host, width: int) -> None:
    lines = command.lines(examine.examine(), width)
    assert max(map(len, lines)) <= max(width, 50)
    assert lines[-1] == "bounds can be held on this host"


def test_the_status_tells(there: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["can_hold"] is True
    there.put("demotion", "")
    assert main.main(["doctor"]) == 3
    assert capsys.readouterr().out.splitlines()[-1] == "no bound can be held on this host"
