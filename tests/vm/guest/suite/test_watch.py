# SPDX-License-Identifier: Apache-2.0
"""`bede stats`, `top`, `record` and `plot` beside real containers, compared with the kernel's files and the
independent sampler.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import helpers
import pytest
from helpers import CGROUPS, MIB, WORK, Container, run, slack, wait_until
from limited import SCANNING, knobs
from on import ALL, STOCK, on
from screen import ENDS, Screen

from ocihook.watch import recording
from vmlab.demo import sampler

pytestmark = [on(STOCK), pytest.mark.usefixtures("unbalanced")]
BOUND = 32 * MIB
PAGE = 4096
#: bytes that may move between two looks while a container goes over its memory, or that are not counted yet
NEAR = 4 * MIB


@pytest.fixture
def container():
    with Container("crun", "kept", "32M", 96) as one:
        yield one.fill()


@pytest.fixture
def cached():
    """A directory on a disk, so that written files are in the page cache."""
    where = Path("/var/tmp/bede-cached")
    where.mkdir()
    yield where
    shutil.rmtree(where)


def counted(container, *names):
    """The sum, in bytes, of the lines of ``memory.stat`` whose names begin with one of *names*."""
    lines = (line.split() for line in container.read("memory.stat").splitlines())
    return PAGE * sum(int(value) for name, value in lines if name.startswith(names))


def stats(*words):
    """The output of `bede stats --json`, by container id."""
    done = run("bede", "stats", "--json", "--interval", "0.1", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return {one["id"]: one for one in json.loads(done.stdout)}


def changed(container, size):
    """Give the container another bound, and wait until it is held."""
    done = run("bede", "set", "kept", size)
    assert done.returncode == 0, done.stderr
    bound = int(size[:-1]) * MIB
    wait_until(f"local usage is at most {size}", lambda: container.sample()[0] <= bound + slack(bound))


@on(ALL)
def test_stats_says_what_the_kernel_says(container):
    before = counted(container, "pgdemote_")
    one = stats("kept")["kept"]
    after = counted(container, "pgdemote_")
    local, far = container.sample()
    assert one["bound"] == BOUND
    assert abs(one["local"] - local) <= NEAR
    assert abs(one["far"] - far) <= NEAR
    assert before <= one["demoted"] <= after
    events = dict(line.split() for line in container.read("memory.events").splitlines())
    assert one["high"] <= int(events["high"])
    assert one["oom_kill"] == 0
    total = int(container.read("memory.pressure").split("total=")[1].split()[0])
    assert one["pressure_some_us"] <= total
    # A figure that nobody counts is None, never 0.
    assert (one["steered"] is None) == (one["backend"] == "tier")
    assert (one["stalls"] is None) == (one["backend"] != "tier")
    head, line = run("bede", "stats", "--interval", "0.1").stdout.splitlines()
    assert head.split()[:4] == ["CONTAINER", "NAME", "BOUND", "LOCAL"]
    assert line.split()[:3] == ["kept", "-", "32M"]


def by_numa_stat(cgroup):
    """(local, far) in bytes on the lists of a cgroup, from its memory.numa_stat."""
    (cgroup / "cpu.stat").read_text()  # on 6.12 this brings memory.numa_stat up to date
    lists = sampler.parse_numa_stat((cgroup / "memory.numa_stat").read_text()).values()
    return [sum(sizes.get(node, 0) for sizes in lists) for node in (0, 1)]


@on("debian-6.12")
@on("debian-7.3", rarely=True)
def test_what_an_earlier_run_of_that_name_has_left_is_not_counted(cached):
    """The earlier run's page cache is still charged to a removed cgroup that had the same path."""
    for file in ("first", "second"):
        there = cached / file
        load = (
            f"dd if=/dev/zero of={there}.bin bs=1M count=50 2>/dev/null && touch {there} && exec sleep 1000"
        )
        study = subprocess.Popen(["bede", "run", "--local", "64M", "--name", "study", "--", "sh", "-c", load])
        try:
            wait_until("it has written its file", there.exists)
            (record,) = helpers.records()
            cgroup = CGROUPS / record["cgroup"].strip("/")

            def agree(record=record, cgroup=cgroup):
                told = stats()[record["id"]]
                pairs = zip(by_numa_stat(cgroup), (told["local"], told["far"]), strict=True)
                return all(abs(by_kernel - by_bede) < MIB for by_kernel, by_bede in pairs)

            wait_until("what is told is what the kernel tells of this cgroup", agree)
            assert stats()[record["id"]]["overshoot"] <= slack(64 * MIB)
        finally:
            for pid in map(int, (cgroup / "cgroup.procs").read_text().split()):
                os.kill(pid, signal.SIGKILL)
            study.wait(helpers.DEADLINE)
        helpers.nothing_left(cgroup)


@on(ALL)
def test_what_is_demoted_is_counted_and_nothing_else(container):
    def gone():
        """What Bede has demoted and not promoted: room below the bound is filled again."""
        now = stats()["kept"]
        return now["demoted"] - now["promoted"]

    def rests():
        """What was counted and what is far, if neither changes any more."""
        first = gone(), container.sample()
        return first if first == (gone(), container.sample()) else None

    before, (local, far) = wait_until("nothing is moved", rests)
    changed(container, "16M")
    assert container.sample()[1] - far >= local - 16 * MIB - NEAR

    def agree():
        moved = container.sample()[1] - far  # it may grow from one look to the next
        return abs(gone() - before - moved) <= MIB

    wait_until("as much is counted as has become far", agree)


@pytest.fixture
def soon():
    """Let NUMA balancing promote, and scan tasks ten times as often as by default (kernel/sched/debug.c)."""
    scans = {SCANNING / name: "100" for name in ("scan_delay_ms", "scan_period_min_ms")}
    with helpers.promotion_by("balancing"), knobs(scans):
        yield


@on(ALL)
def test_what_is_promoted_is_counted(soon, container):
    before = stats()["kept"]["promoted"]
    changed(container, "64M")
    helpers.BALANCING.write_text("1")
    try:
        wait_until("it is promoted", lambda: container.sample()[0] >= BOUND + 2 * NEAR, 180)
        wait_until("it is counted", lambda: stats()["kept"]["promoted"] >= before + NEAR)
    finally:
        helpers.BALANCING.write_text("0")
    before = counted(container, "numa_pages_migrated")  # balancing goes on for a while after it is turned off
    promoted = stats()["kept"]["promoted"]
    assert before <= promoted <= counted(container, "numa_pages_migrated")


@on(ALL)
def test_stats_follows_who_comes_and_goes(container):
    with open(WORK / "all.csv", "w") as out:
        everyone = subprocess.Popen(["bede", "stats", "--follow", "--csv", "--interval", "0.1"], stdout=out)
    with open(WORK / "kept.json", "w") as out:
        one = subprocess.Popen(
            ["bede", "stats", "kept", "--follow", "--json", "--interval", "0.1"], stdout=out
        )
    try:
        wait_until(
            "both print", lambda: all((WORK / name).stat().st_size for name in ("all.csv", "kept.json"))
        )
        with Container("crun", "late", "64M", 16):
            wait_until("who came is seen", lambda: ",late," in (WORK / "all.csv").read_text())
        wait_until("kept is seen without it", lambda: ",kept," in (WORK / "all.csv").read_text()[-300:])
        assert container.stop()[0] == 7
        assert one.wait(helpers.DEADLINE) == 0  # its only container has ended
        assert everyone.poll() is None  # it waits for other containers
        everyone.send_signal(signal.SIGINT)
        assert everyone.wait(helpers.DEADLINE) == 0
    finally:
        for process in (one, everyone):
            if process.poll() is None:
                process.kill()
                process.wait()
    assert {json.loads(line)["id"] for line in (WORK / "kept.json").read_text().splitlines()} == {"kept"}
    head, *lines = (WORK / "all.csv").read_text().splitlines()
    assert {len(line.split(",")) for line in lines} == {len(head.split(","))}


@pytest.mark.rarely
@on(ALL)
def test_closed_pipes_and_what_is_refused(container):
    for line in ("stats --follow --interval 0.1", "record -o -"):
        done = run("bash", "-c", f"bede {line} | head -1; echo ${{PIPESTATUS[0]}}")
        assert (done.stdout.splitlines()[-1], done.stderr) == ("141", "")
    there = WORK / "there.csv"
    there.write_text("mine")
    for words, status, says in (
        (("stats", "nobody"), 2, "no bound container is called 'nobody'"),
        (("stats", "--interval", "0"), 2, "the interval 0 s is out of range"),
        (("record", "nobody", "-o", "-"), 2, "no bound container is called 'nobody'"),
        (("record", "-o", str(there)), 2, "is there already"),
        (("top",), 2, "bede stats --follow"),
        (("top", "--sort", "beauty"), 2, "no sort key"),
        (("plot", str(there), "-o", str(WORK / "x.html")), 2, "line 1: not a recording"),
    ):
        done = run("bede", *words)
        assert done.returncode == status, done
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
    assert there.read_text() == "mine"


@on(ALL)
def test_record_agrees_with_the_sampler(container):
    independent, ended, start = io.StringIO(), threading.Event(), time.monotonic()
    thread = threading.Thread(
        target=sampler.record, args=(str(container.cgroup), independent, 1e9, start, ended.is_set)
    )
    thread.start()
    out = WORK / "run.csv"
    try:
        process = subprocess.Popen(["bede", "record", "kept", "-o", str(out), "--interval", "0.02"])
        wait_until("it records", lambda: out.exists() and out.read_text().count("\n") > 5)
        changed(container, "16M")
        wait_until("the bound is seen", lambda: f",{16 * MIB}," in out.read_text())
        changed(container, "48M")
        wait_until("the bound is seen", lambda: f",{48 * MIB}," in out.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(helpers.DEADLINE) == 0
    finally:
        ended.set()
        thread.join()
        if process.poll() is None:
            process.kill()
            process.wait()
    with out.open(newline="\n") as file:
        found = recording.parse(file, "run.csv")
    (one,) = found.series
    assert (one.id, one.points[0].bound) == ("kept", BOUND)
    seconds = [point.seconds for point in one.points]
    assert seconds == sorted(seconds)
    demoted = [point.demoted for point in one.points]
    assert demoted == sorted(demoted)
    rows = [tuple(map(float, line.split(",")[:3])) for line in independent.getvalue().splitlines()[1:]]
    offset = found.start - (time.time() - time.monotonic()) - start
    compared = 0
    for point in one.points:
        # The recorded usage must be between the sampler's lowest and highest samples of that time.
        about = [row for row in rows if abs(row[0] - point.seconds - offset) < 0.5]
        if len(about) < 3:
            continue
        compared += 1
        for place, value in ((1, point.local), (2, point.far)):
            lowest, highest = (choose(row[place] for row in about) for choose in (min, max))
            assert lowest - 2 * MIB <= value <= highest + 2 * MIB, (point, about)
    assert compared > len(one.points) / 2


@pytest.mark.rarely
@on(ALL)
def test_record_leaves_whole_lines_on_a_full_disk(container):
    small = WORK / "small"
    small.mkdir()
    assert run("mount", "-t", "tmpfs", "-o", "size=16k", "none", small).returncode == 0
    try:
        out = small / "run.csv"
        done = run("bede", "record", "-o", out, "--interval", "0.01")
        with out.open(newline="\n") as file:
            (kept,) = recording.parse(file, "run.csv").series
        assert done.returncode == 1
        assert done.stderr == (
            f"bede: {out} cannot be written: No space left on device."
            f" {len(kept.points)} whole rows of the recording are there.\n"
        )
        assert kept.points
    finally:
        assert run("umount", small).returncode == 0
        small.rmdir()


@pytest.mark.rarely
@on(ALL)
def test_record_leaves_whole_lines_when_it_is_killed(container):
    out = WORK / "killed.csv"
    process = subprocess.Popen(["bede", "record", "-o", str(out), "--interval", "0.01"])
    wait_until("it records", lambda: out.exists() and out.read_text().count("\n") > 20)
    process.kill()
    process.wait()
    with out.open(newline="\n") as file:
        assert len(recording.parse(file, "killed.csv").series[0].points) >= 20
    page = WORK / "page.html"
    done = run("bede", "plot", str(out), "-o", str(page), "--title", "<b>killed</b>")
    assert (done.returncode, done.stderr) == (0, "")
    assert "&lt;b&gt;killed" in page.read_text()
    picture = WORK / "picture.png"
    done = run("bede", "plot", str(out), "-o", str(picture))
    assert (done.returncode, done.stderr) == (0, "")
    assert picture.read_bytes().startswith(b"\x89PNG")


def row_of(lines, name="kept"):
    """The words of the container's line on the screen."""
    return next((line.split() for line in lines if line.startswith(name)), [])


def number(text):
    """The number of bytes for a size such as 31.6M."""
    return float(text[:-1]) * {"K": 1 << 10, "M": MIB, "G": 1 << 30}[text[-1]]


def agrees(container, lines):
    """Whether the line of *container* on the screen agrees with the kernel."""
    words = row_of(lines)
    if "32M" not in words:
        return False
    at = len(words) - 1 - words[::-1].index("32M")  # the last 32M is the bound; local usage may read the same
    used = next(word for word in reversed(words[:at]) if word[-1] in "KMG")  # per cent may be between
    local, far = container.sample()
    return abs(number(used) - local) <= NEAR and abs(number(words[at + 1]) - far) <= NEAR


@on(ALL)
def test_top_on_a_terminal(container):
    with Screen("bede", "top", "--interval", "0.3") as screen:
        lines = screen.until("the container, as it is", lambda lines: agrees(container, lines))
        assert lines[0].startswith("bede top  1 container, local ")
        assert "▼LOCAL" in lines[1]
        assert lines[-1].startswith("q quit")
        assert screen.alternate
        for key, sign in (("n", "▲NAME"), ("f", "▼FAR"), ("r", "▲FAR"), (">", "▼DEMOT/s"), ("S", "▼FAR")):
            screen.press(key)
            screen.until(f"{key} is obeyed", lambda lines, sign=sign: sign in lines[1])
        screen.press("h")
        screen.until("help", lambda lines: lines[1].startswith("q  quit"))
        screen.press("h")
        screen.resize(140, 30)
        screen.until(
            "it is wider",
            lambda lines: "STEER/s" in lines[1] and "HITS" in lines[1] and agrees(container, lines),
        )
        screen.press("q")
        assert screen.ended() == 0
        assert screen.restored
        assert "Traceback" not in screen.said


@pytest.mark.rarely
@pytest.mark.parametrize("way", range(len(ENDS)))
def test_top_gives_the_terminal_back(container, way):
    end, status = ENDS[way]
    with Screen("bede", "top") as screen:
        screen.until("the container", row_of)
        end(screen)
        assert screen.ended() == status
        assert screen.restored


def test_top_stops_and_goes_on(container):
    with Screen("bede", "top", "--interval", "0.3", env={"NO_COLOR": "1"}) as screen:
        screen.until("the container", row_of)
        screen.press("\x1a")
        stat = f"/proc/{screen.process.pid}/stat"

        def stopped():
            with open(stat) as file:
                return screen.read() and file.read().rpartition(")")[2].split()[0] == "T"

        wait_until("it is stopped", stopped)
        assert screen.restored
        screen.signal(signal.SIGCONT)
        screen.until("it is back", lambda lines: screen.alternate and row_of(lines))
        assert "\x1b[31m" not in screen.said
        assert "\x1b[34m" not in screen.said
        screen.press("q")
        assert screen.ended() == 0


@pytest.mark.rarely
def test_top_goes_on_without_the_agent(container, agent):
    with Screen("bede", "top", "--interval", "0.3") as screen:
        screen.until("the container", row_of)
        subprocess.run(["systemctl", "stop", "bede-agent.socket", agent], check=True)
        lines = screen.until("it says so", lambda lines: lines[1].startswith("the agent cannot be reached"))
        assert row_of(lines)
        screen.until("the kernel's figures", lambda lines: agrees(container, lines))
        subprocess.run(["systemctl", "start", "bede-agent.socket", agent], check=True)
        screen.until("the agent is back", lambda lines: "agent" not in lines[1] and agrees(container, lines))
        with contextlib.suppress(OSError):
            screen.press("q")
        assert screen.ended() == 0
