# SPDX-License-Identifier: Apache-2.0
"""The doctor's findings about hosts made of plain files."""

import json
import os
import re
from pathlib import Path

import hosts
import pytest

from ocihook import config
from ocihook import host as files
from ocihook.backends import telling
from ocihook.backends.tier import told
from ocihook.cli import doctor as command
from ocihook.cli import main
from ocihook.doctor import examine, host
from ocihook.engines import engine
from ocihook.errors import AccessError, AgentError, HostError
from ocihook.finding import BAD, GOOD, NOTE, ROOT, WARN, Finding

FILES = {
    "demotion": files.DEMOTION,
    "online": files.CPUS_ONLINE,
    "zoneinfo": "/proc/zoneinfo",
    "swaps": "/proc/swaps",
    "damon": telling.DAMON,
    "modules": telling.MODULES,
    "lru": files.LRU_GEN_ENABLED,
    "lru_gen": files.LRU_GEN,
    "balancing": files.BALANCING,
    "pmus": telling.PMUS,
    "paranoid": telling.PARANOID,
    "huge": told.HUGE,
}


class Host:
    """A host with two nodes, the second of which is far; all is well until a test changes a file."""

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
        self.put("node/has_cpu", "0\n")
        self.put("damon/nr_kdamonds", "0\n")
        self.put("swaps", "Filename Type Size Used Priority\n")
        self.put("proc/self/mountinfo", f"31 23 0:27 / {root}/cgroup rw - cgroup2 cgroup2 rw\n")
        self.put("cgroup/cgroup.controllers", "cpuset cpu memory\n")
        self.put("cgroup/cgroup.subtree_control", "memory\n")
        hosts.redirect(monkeypatch, root)
        monkeypatch.setattr(config, "PATH", str(root / "config.yaml"))
        monkeypatch.delenv("BEDE_CONFIG", raising=False)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(engine, "all_states", list)
        monkeypatch.setattr(host.client, "ask", lambda message, timeout: {"pid": 7})

    def file(self, where: str) -> Path:
        """The file that *where* abbreviates."""
        first, _, rest = where.partition("/")
        return self.root / FILES.get(first, f"/{first}")[1:] / rest

    def put(self, where: str, text: str) -> None:
        self.file(where).parent.mkdir(parents=True, exist_ok=True)
        self.file(where).write_text(text)

    def names(self) -> set[str]:
        return {one.name for one in examine.examine().findings}

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
    ("promotion", "mode", "cpus", "verdict", "words"),
    [
        ("bede", "1\n", "0", GOOD, "leaves bound containers alone"),
        ("bede", "3\n", "0", GOOD, "leaves bound containers alone"),
        ("bede", "1\n", "0,2", NOTE, "since several local nodes have CPUs"),
        ("bede", "2\n", "0,2", WARN, "since several local nodes have CPUs"),
        ("bede", "0\n", "0", GOOD, "off; the agent promotes"),
        ("bede", "", "0", GOOD, "no NUMA balancing; the agent promotes"),
        ("none", "1\n", "0", GOOD, "leaves bound containers alone"),
        ("none", "0\n", "0", NOTE, "off: what became hot on a far node stays there"),
        ("balancing", "1\n", "0", NOTE, "a bound can be passed for moments"),
        ("balancing", "2\n", "0", WARN, "whatever the bounds"),
        ("balancing", "", "0", NOTE, "what became hot on a far node stays there"),
    ],
)
def test_who_promotes(there: Host, promotion: str, mode: str, cpus: str, verdict: str, words: str) -> None:
    there.put("config.yaml", f"promotion: {promotion}\n")
    (there.root / "config.yaml").chmod(0o644)
    there.put("balancing", mode)
    there.put("node/has_cpu", f"{cpus}\n")
    if cpus != "0":
        there.put("node/has_memory", "0-2\n")
        for name in ("cpulist", "distance", "meminfo"):
            there.put(f"node/node2/{name}", there.file(f"node/node0/{name}").read_text())
        there.put("tiers/memory_tier0/nodelist", "0,2\n")
    assert (there.find("balancing").verdict, words in there.find("balancing").fact) == (verdict, True)
    names = [one.name for one in examine.examine().findings]
    assert ("damon" in names) == (promotion == "bede")


@pytest.mark.parametrize(
    ("where", "text", "name", "verdict", "words"),
    [
        ("demotion", "false\n", "demotion", NOTE, "off"),
        ("demotion", "", "demotion", BAD, "cannot demote"),
        ("lru", "0x0000\n", "lru_gen", WARN, "off"),
        ("lru", "", "lru_gen", WARN, "no multi-generational LRU"),
        ("damon/nr_kdamonds", "1\n", "damon", WARN, "used by somebody else"),
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
    report = examine.examine()
    assert report.can_hold == (verdict != BAD)
    # The verdict gives the reason.
    assert any(words in reason for reason in report.reasons) == (verdict == BAD)


@pytest.mark.parametrize(
    ("free", "low", "verdict", "fact"),
    [
        (512, 0, GOOD, "512 of 1024 MiB of far memory can be had"),
        # The kernel's own reserve counts only if little memory is left.
        (120, 100, GOOD, "120 of 1024 MiB of far memory can be had"),
        (90, 0, WARN, "nearly full: 90 of 1024 MiB of far memory can be had"),
        (90, 50, WARN, "nearly full: 40 of 1024 MiB of far memory can be had"),
        (55, 50, BAD, "the far memory is full: 5 MiB of 1024 MiB can be had"),
        (40, 50, BAD, "the far memory is full: 0 MiB of 1024 MiB can be had"),
        (1, 0, BAD, "the far memory is full: 1 MiB of 1024 MiB can be had"),
    ],
)
def test_how_full_far_memory_is_stands_in_the_verdict(
    there: Host, capsys: pytest.CaptureFixture[str], free: int, low: int, verdict: str, fact: str
) -> None:
    size = f"Node 1 MemTotal: 1048576 kB\nNode 1 MemFree: {free << 10} kB\n"
    there.put("node/node1/meminfo", size)
    there.put("zoneinfo", ZONES.format(low << 8, (low << 20) // os.sysconf("SC_PAGE_SIZE")))
    found = there.find("far")
    assert (found.verdict, fact in found.fact) == (verdict, True), found
    assert examine.examine().reasons == [found.fact]
    assert main.main(["doctor"]) == (3 if verdict == BAD else 0)
    words = "no bound can be held" if verdict == BAD else "bounds can be held"
    said = " ".join(capsys.readouterr().out.rpartition("\n\n")[2].split())
    assert said == f"{words} on this host: {found.fact}"


ZONES = """Node 0, zone   Normal
  per-node stats
      nr_inactive_anon 0
  pages free     4000
        boost    0
        min      {0}
        low      5
Node 1, zone   Normal
  pages free     4000
        boost    0
        min      {1}
        low      5
"""


@pytest.mark.parametrize(
    ("changes", "verdict", "fact", "remedy"),
    [
        ({}, GOOD, "1.0: configured; a note", ""),
        ({"behind": "fake (/x)"}, GOOD, "1.0: configured; a note; behind bede-runtime: fake (/x)", ""),
        (
            {"lost": "fake"},
            WARN,
            "bede-runtime does not start its default runtime fake",
            "bede configure docker",
        ),
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
    one = engine.EngineState("docker", "1.0", True, True, False, "a note")._replace(**changes)
    monkeypatch.setattr(engine, "all_states", lambda: [one])
    found = there.find("docker")
    assert (found.verdict, fact in found.fact, found.remedy) == (verdict, True, remedy), found
    assert examine.examine().can_hold


class Sockets(Host):
    """A host with two equal nodes of two CPUs; the configuration calls the second far, and root asks."""

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
    assert (cpus.verdict, "run on CPUs 0-1," in cpus.fact) == (GOOD, True)
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
        ("node/node1/cpulist", "0-3\n", "cpus", WARN, "every CPU belongs to a far node"),
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
    source = (Path(__file__).parents[3] / "native/damon.c").read_text()
    ours = re.search(r"^#define UPDATE_US (\d+)", source, re.MULTILINE)
    assert ours
    sockets.put("damon/0/contexts/0/monitoring_attrs/intervals/update_us", f"{ours[1]}\n")
    assert sockets.find("damon").verdict == GOOD
    sockets.file("damon/nr_kdamonds").unlink()
    assert sockets.find("damon").verdict == WARN


@pytest.mark.parametrize(
    ("enabled", "defrag", "verdict"),
    [
        ("[always] madvise never", "always defer defer+madvise [madvise] never", NOTE),
        ("[always] madvise never", "always defer [defer+madvise] madvise never", NOTE),
        ("[always] madvise never", "[always] defer defer+madvise madvise never", GOOD),
        ("always [madvise] never", "always defer defer+madvise [madvise] never", GOOD),
        ("always [madvise] never", "always [defer] defer+madvise madvise never", NOTE),
        ("always madvise [never]", "always [defer] defer+madvise madvise never", None),
    ],
)
@pytest.mark.parametrize("kind", ["there", "sockets"])
def test_huge_pages_that_pass_the_fence_are_told(
    kind: str, request: pytest.FixtureRequest, enabled: str, defrag: str, verdict: str | None
) -> None:
    host: Host = request.getfixturevalue(kind)
    host.put("huge/enabled", f"{enabled}\n")
    host.put("huge/defrag", f"{defrag}\n")
    if verdict is None:
        assert "huge pages" not in host.names()
    else:
        found = host.find("huge pages")
        assert found.verdict == verdict
        assert ("MAP_POPULATE" in found.fact) == (verdict == NOTE)


@pytest.mark.parametrize("sampler", ["cpu/events/mem-loads", "ibs_op/format/l3missonly"])
def test_samples_that_the_kernel_forbids_are_told(sockets: Sockets, sampler: str) -> None:
    """Debian and Ubuntu forbid them; a processor without them needs no word."""
    sockets.put("paranoid", "3\n")
    assert "samples" not in sockets.names()
    sockets.put(f"pmus/{sampler}", "\n")
    found = sockets.find("samples")
    assert (found.verdict, "perf_event_paranoid is 3" in found.fact) == (NOTE, True)
    assert "perf_event_paranoid=2" in found.remedy
    assert "restart the agent" in found.remedy
    for level in ("2", "-1"):
        sockets.put("paranoid", f"{level}\n")
        assert sockets.find("samples").verdict == GOOD


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
    assert sockets.find("backend").verdict == ROOT
    assert sockets.find("damon").verdict == NOTE
    report = examine.examine()
    assert report.can_hold is None
    assert report.reasons == [sockets.find("backend").fact]


@pytest.mark.parametrize(
    ("where", "text", "name"),
    [
        ("demotion", "false\n", "demotion"),
        ("cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", "cpu\n", "memory"),
    ],
)
def test_what_is_in_the_way_of_a_user_is_not_in_the_way_of_the_host(
    there: Host,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    where: str,
    text: str,
    name: str,
) -> None:
    own = "cgroup/user.slice/user-1000.slice/user@1000.service"
    there.put(f"{own}/cgroup.controllers", "memory\n")
    there.put(f"{own}/cgroup.subtree_control", "memory\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main.main(["doctor"]) == 0
    there.put(where, text)
    found = there.find(name)
    assert (found.verdict, "of your own cannot be bound" in found.fact) == (ROOT, True)
    capsys.readouterr()
    assert main.main(["doctor", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["can_hold"], told["reasons"]) == (None, [found.fact])
    assert main.main(["doctor"]) == 4
    said = "".join(capsys.readouterr().out.rpartition("\n\n")[2].split())  # a long path breaks lines
    words = f"whether bounds can be held on this host, only root can tell: {found.fact}"
    assert said == words.replace(" ", "")
    # A fault that concerns everybody is reported to users, too.
    there.put("tiers/memory_tier1/nodelist", "\n")
    there.put("tiers/memory_tier0/nodelist", "0-1\n")
    assert main.main(["doctor"]) == 3


def test_a_configuration_that_only_root_may_read_is_no_verdict(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration may name far nodes, so without it nobody can say that there are none."""

    def load() -> config.Config:
        raise AccessError(f"{config.PATH} cannot be read: Permission denied")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(examine.config, "load", load)
    sockets.put("cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", "memory\n")
    report = examine.examine()
    assert report.can_hold is None
    assert any("Permission denied" in reason for reason in report.reasons)
    monkeypatch.setattr(os, "access", lambda path, mode: True)  # refused because of its owner
    assert examine.examine().can_hold is False


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
    assert there.file("demotion").read_text()[:1] == "1"
    assert there.file("lru").read_text()[:1] == "y"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_screen(there: Host, width: int) -> None:
    lines = command.lines(examine.examine(), width)
    assert max(map(len, lines)) <= max(width, 50)
    words = "bounds can be held on this host: 512 of 1024 MiB of far memory can be had"
    assert " ".join(lines[lines.index("") + 1 :]) == words


def test_the_status_tells(there: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["can_hold"] is True
    there.put("demotion", "")
    assert main.main(["doctor"]) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "no bound can be held on this host: this kernel cannot demote"
