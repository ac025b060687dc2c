# SPDX-License-Identifier: Apache-2.0
"""Heat by samples of memory accesses.

No PMU that samples memory can be reached where this was written. So the PMUs' directories and most of the
records here are synthetic: made as the kernel's ABI says, and named mocks. Real are the tests with a
`toucher`: there this kernel writes the records into the rings, of page faults in the place of cache misses.
"""

import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = 4096
RING = 4096
L1, L3, RAM, CXL, ANY_CACHE, UNKNOWN = 1, 3, 0xD, 9, 0xB, 0xF  # PERF_MEM_LVLNUM_*
USER, GUEST = 2, 5  # PERF_RECORD_MISC_*
ENOENT, EINTR, EBUSY = 2, 4, 16
CONTEXT_SWITCHES = 3  # PERF_COUNT_SW_CONTEXT_SWITCHES


def run(program: Path, *arguments: object, status: int = 0) -> list[str]:
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == status, done.stderr
    return done.stdout.splitlines()


# The PMU: mocks of /sys/bus/event_source/devices.

INTEL = {
    "cpu/type": "4",
    "cpu/format/event": "config:0-7",
    "cpu/format/umask": "config:8-15",
    "cpu/format/ldlat": "config1:0-15",
    "cpu/events/mem-loads": "event=0xcd,umask=0x1,ldlat=3",
}
SAPPHIRE_RAPIDS = INTEL | {"cpu/events/mem-loads-aux": "event=0x03,umask=0x82"}
ZEN_3 = {
    "cpu/type": "4",
    "cpu/format/event": "config:0-7,32-35",
    "ibs_op/type": "11",
    "ibs_op/format/cnt_ctl": "config:19",
}
ZEN_4 = ZEN_3 | {"ibs_op/format/l3missonly": "config:16"}
SPLIT = INTEL | {"cpu/format/event": "config:0-3,32-35"}
#: as on the virtual machine on which this was written
NO_PMU = {"software/type": "1", "msr/type": "9"}


def devices(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"{text}\n")
    return directory


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (INTEL, "0 4 1cd 80 0 0 1 37"),  # loads of 128 cycles and more
        (SAPPHIRE_RAPIDS, "0 4 1cd 80 0 8203 1 37"),
        (SPLIT, "0 4 c0000010d 80 0 0 1 37"),
        (ZEN_4, "0 11 90000 0 0 0 0 4096"),
    ],
)
def test_the_event_is_found_by_its_files(
    samples: Path, tmp_path: Path, files: dict[str, str], wanted: str
) -> None:
    assert run(samples, "pmu", devices(tmp_path, files)) == [wanted]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (NO_PMU, ENOENT),
        (ZEN_3, ENOENT),
        (INTEL | {"cpu/events/mem-loads": "event=0xcd,new=1"}, ENOENT),
        (INTEL | {"cpu/format/event": "config:0-3"}, 22),
        (INTEL | {"cpu/format/event": "config:0-64"}, 22),
        (INTEL | {"cpu/format/event": "config:x"}, 22),
        (INTEL | {"cpu/format/event": "config9:0-7"}, 22),
        (INTEL | {"cpu/format/event": ""}, 22),
    ],
)
def test_what_is_not_there_or_unknown_is_no_event(
    samples: Path, tmp_path: Path, files: dict[str, str], error: int
) -> None:
    assert run(samples, "pmu", devices(tmp_path, files))[0].split()[0] == str(-error)


# The records: a mock of a ring.


def sample(address: int, level: int = RAM, pid: int = 7, mode: int = USER, us: int = 5) -> bytes:
    return struct.pack("<IHHIIQQQ", 9, mode, 40, pid, pid, us * 1000, address, level << 33)


def lost(count: int) -> bytes:
    return struct.pack("<IHHQQ", 2, 0, 24, 1, count)


def lost_samples(count: int) -> bytes:
    return struct.pack("<IHHQ", 13, 0, 16, count)


THROTTLE = struct.pack("<IHHQQQ", 5, 0, 32, 0, 0, 0)
OTHER = struct.pack("<IHHQ", 3, 0, 16, 0)


def parse(program: Path, tmp_path: Path, text: bytes, tail: int = 0, status: int = 0) -> list[str]:
    """What is read from a ring that has these bytes from place *tail* on."""
    ring = bytearray(RING)
    for i, byte in enumerate(text):
        ring[(tail + i) % RING] = byte
    (tmp_path / "ring").write_bytes(ring)
    return run(program, "parse", tmp_path / "ring", RING, tail + len(text), tail, status=status)


@pytest.mark.parametrize("tail", [0, RING - 4, RING - 8, RING - 20, RING - 50, 10**12 * RING - 100])
def test_accesses_are_read_wherever_the_ring_ends(samples: Path, tmp_path: Path, tail: int) -> None:
    text = (
        sample(0x1000) + OTHER + sample(0x7FFF00002468, CXL, 8, us=9) + THROTTLE + lost(3) + lost_samples(4)
    )
    assert parse(samples, tmp_path, text, tail) == [
        "7 1000 5",
        "8 7fff00002468 9",
        "samples 2 lost 7 throttled 1",
    ]


def test_only_accesses_to_memory_count(samples: Path, tmp_path: Path) -> None:
    kernel, guest = sample(0xFFFF888000001000), sample(0x2000, mode=GUEST)
    text = sample(0x1000, L1) + sample(0x1000, L3) + sample(0x1000, ANY_CACHE) + sample(0) + kernel + guest
    assert parse(samples, tmp_path, text + sample(0x3000, UNKNOWN) + sample(0x4000, 0)) == [
        "7 3000 5",
        "7 4000 5",
        "samples 8 lost 0 throttled 0",
    ]


def test_a_full_ring_is_read(samples: Path, tmp_path: Path) -> None:
    text = sample(0x1000) * (RING // 40) + OTHER
    assert len(text) == RING
    assert len(parse(samples, tmp_path, text, 64)) == RING // 40 + 1


@pytest.mark.parametrize(
    "text",
    [
        b"\x09",
        struct.pack("<IHH", 9, 0, 0),
        struct.pack("<IHH", 9, 0, 7),
        struct.pack("<IHH", 9, 0, 8),
        struct.pack("<IHH", 9, 0, 0xFFFF),
        struct.pack("<IHH", 2, 0, 8),
        struct.pack("<IHH", 13, 0, 8),
        sample(0x1000)[:39],
        bytes(RING + 8),
    ],
)
def test_malformed_records_are_refused(samples: Path, tmp_path: Path, text: bytes) -> None:
    assert parse(samples, tmp_path, text, status=1)[-1].startswith("samples")


def test_more_than_all_lost_is_all(samples: Path, tmp_path: Path) -> None:
    told = parse(samples, tmp_path, lost(2**64 - 1) + lost(5))
    assert told == [f"samples 0 lost {2**64 - 1} throttled 0"]


def test_a_ring_of_another_size_is_refused(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "ring").write_bytes(bytes(4000))
    run(samples, "parse", tmp_path / "ring", 4000, 40, 0, status=1)
    (tmp_path / "ring").write_bytes(b"")
    run(samples, "parse", tmp_path / "ring", 0, 0, 0, status=1)


# What the samples add.

Range = tuple[int, float, int, int]  # pid, heat, start, end


def raised(
    program: Path,
    tmp_path: Path,
    ranges: list[Range],
    seen: list[tuple[int, int, int]],
    windows: int = 10,
    part: int = PAGE,
) -> list[Range]:
    lines = (f"{pid} {heat} {start:x} {end:x}\n" for pid, heat, start, end in ranges)
    (tmp_path / "ranges").write_text("".join(lines))
    (tmp_path / "seen").write_text("".join(f"{pid} {at:x} {window}\n" for pid, at, window in seen))
    found = run(program, "raise", tmp_path / "ranges", tmp_path / "seen", windows, part)
    return [(int(a), int(b), int(c, 16), int(d, 16)) for a, b, c, d in map(str.split, found)]


def test_a_page_is_as_hot_as_its_windows_with_samples(samples: Path, tmp_path: Path) -> None:
    seen = [(7, 0x2008, window) for window in (0, 1, 1, 1, 9)] + [(7, 0x4000, 3), (7, 0x5FFF, 3)]
    seen += [(9, 0x2000, 0), (8, 0x2000, 0), (7, 0x9000, 10), (7, 0x9000, 64)]
    ranges = [(7, 0, 0x1000, 0xA000), (8, 5, 0x1000, 0x3000), (9, 5, 0x1000, 0x3000)]
    assert raised(samples, tmp_path, ranges, seen) == [
        (7, 0, 0x1000, 0x2000),
        (7, 30, 0x2000, 0x3000),
        (7, 0, 0x3000, 0x4000),
        (7, 10, 0x4000, 0x6000),
        (7, 0, 0x6000, 0xA000),
        (8, 5, 0x1000, 0x3000),  # no process that is measured
        (9, 5, 0x1000, 0x2000),
        (9, 10, 0x2000, 0x3000),
    ]


def test_samples_never_make_a_page_colder(samples: Path, tmp_path: Path) -> None:
    ranges = [(7, 40, 0x1000, 0x8000)]
    assert raised(samples, tmp_path, ranges, [(7, 0x2000, window) for window in range(4)]) == ranges
    assert raised(samples, tmp_path, ranges, []) == ranges
    assert raised(samples, tmp_path, ranges, [(7, 0x2000, 0)], 0) == ranges


def test_parts_are_cut_at_the_ends_of_ranges(samples: Path, tmp_path: Path) -> None:
    """DAMON's regions do not begin where huge pages do; and memory may end within one."""
    huge, seen = 1 << 21, [(7, 0x20_1234, 0), (7, 0x5F_F000, 0)]
    ranges = [(7, 0, 0x30_0000, 0x38_0000), (7, 50, 0x38_0000, 0x50_0000), (7, 9, 1 << 56, 1 << 57)]
    assert raised(samples, tmp_path, ranges, seen, 1, huge) == [
        (7, 100, 0x30_0000, 0x50_0000),
        (7, 9, 1 << 56, 1 << 57),
    ]


def test_of_too_many_pages_those_seen_least_are_left_out(samples: Path, tmp_path: Path) -> None:
    """The list of ranges has room for a quarter of a million, and what is measured next divides them."""
    seen = [(7, page * 2 * PAGE, 0) for page in range(100_000)]
    seen += [(7, page * 2 * PAGE, 1) for page in range(0, 100_000, 10)]
    random.Random(1).shuffle(seen)
    found = raised(samples, tmp_path, [(7, 0, 0, 1 << 40)], seen)
    assert {heat for _, heat, _, _ in found} == {0, 20}
    assert len(found) == 20_000


# The whole source, on a mock of a processor, with a process of 2 GiB of which a quarter may be local.

MEMORY = (1 << 19, 1 << 17)


def simulate(program: Path, misses: float, *how: str, window_us: int = 20_000) -> dict[str, float]:
    words = run(program, *MEMORY, misses, window_us, *how)[0].split()
    names = ("error", "by_damon", "in_all", "samples", "opened", "closed", "colder", "left_open")
    return dict(zip(names, map(float, words), strict=True))


@pytest.mark.parametrize(("misses", "window_us"), [(2e6, 200_000), (20e6, 20_000), (2e9, 1000)])
def test_scattered_hot_pages_are_found(sampling: Path, misses: float, window_us: int) -> None:
    """DAMON looks at one of eight pages. The best quarter of all has 89 % of the misses."""
    found = simulate(sampling, misses, window_us=window_us)
    assert found["error"] == 0
    assert found["in_all"] > found["by_damon"] + 0.2
    assert not found["colder"]
    assert found["opened"] == found["closed"] == 1


def test_more_samples_than_a_processor_can_afford_are_never_taken(sampling: Path) -> None:
    """50,000 a second for two seconds are wanted, if the kernel allows as many."""
    assert simulate(sampling, 20e6)["samples"] < 120_000
    assert simulate(sampling, 20e6, "burst")["samples"] < 120_000


def test_where_the_kernel_allows_few_samples_these_are_used(sampling: Path) -> None:
    """It allows 25,000 a second; whoever is throttled asks for less."""
    found = simulate(sampling, 20e6, "slow")
    assert found["samples"] < 50_000
    assert found["in_all"] > found["by_damon"] + 0.1


def test_where_samples_are_too_few_damon_is_alone(sampling: Path) -> None:
    found = simulate(sampling, 1e4, window_us=300_000)
    assert found["in_all"] == found["by_damon"] > 0
    assert found["samples"] < 100
    assert not found["left_open"]
    assert found["opened"] == found["closed"] == 1


def test_where_samples_are_refused_damon_goes_on(sampling: Path) -> None:
    found = simulate(sampling, 20e6, "refused")
    assert (found["error"], found["opened"]) == (0, 0)
    assert found["in_all"] == found["by_damon"] > 0


def test_a_measurement_that_is_ended_tells_nothing(sampling: Path) -> None:
    found = simulate(sampling, 20e6, "ended")
    assert (found["error"], found["opened"], found["closed"]) == (-EINTR, 1, 1)


def test_who_is_in_a_hurry_has_damon_alone(sampling: Path) -> None:
    found = simulate(sampling, 20e6, "soon")
    assert (found["error"], found["opened"]) == (-ENOENT, 0)


def test_without_damon_samples_are_better_than_nothing(sampling: Path) -> None:
    found = simulate(sampling, 20e6, "alone")
    assert (found["error"], found["opened"], found["closed"]) == (0, 1, 1)
    assert found["in_all"] > 0.65
    assert simulate(sampling, 1e4, "alone")["error"] == -ENOENT
    assert simulate(sampling, 20e6, "alone", "refused")["error"] == -ENOENT
    assert simulate(sampling, 20e6, "alone", "ended")["error"] == -EINTR


def test_nothing_is_opened_while_damon_is_busy_or_sees_all(sampling: Path) -> None:
    found = simulate(sampling, 20e6, "busy")
    assert (found["error"], found["opened"]) == (-EBUSY, 0)
    small = run(sampling, 65_536, 16_384, 20e6, 10_000)[0].split()
    assert (small[0], small[4]) == (str(-ENOENT), "0")


# This kernel.

#: uses pages 1, 2, 3 and 10 of some, again and again, each time by a page fault
TOUCH = """
import ctypes, mmap, os
memory = mmap.mmap(-1, 4096 * 64)
print(os.getpid(), ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
while True:
    for page in (1, 2, 3, 10):
        memory[page * 4096] = 1
    memory.madvise(mmap.MADV_DONTNEED)
"""


class Toucher:
    def __init__(self, cgroup: Path | None) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", TOUCH], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.pid, self.start = map(int, self.process.stdout.readline().split())
        if cgroup:
            (cgroup / "cgroup.procs").write_text(str(self.pid))

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def cgroup2(tmp_path: Path) -> Iterator[Path]:
    """A cgroup of version 2."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    roots = [Path(words[1]) for words in mounts if words[2] == "cgroup2"]
    if not roots:
        pytest.skip("no cgroups of version 2 are mounted")
    made = roots[0] / f"bede-{os.getpid()}-{tmp_path.name}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"cgroup {made}: {error.strerror}")
    yield made
    made.rmdir()


@pytest.fixture
def toucher(cgroup2: Path) -> Iterator[Toucher]:
    """One in the cgroup, and another one that is not."""
    touchers = [Toucher(cgroup2), Toucher(None)]
    yield touchers[0]
    for one in touchers:
        one.end()


@pytest.mark.parametrize("companion", [0, CONTEXT_SWITCHES])
def test_this_kernels_records_are_read(
    samples: Path, cgroup2: Path, toucher: Toucher, companion: int
) -> None:
    """Those of the cgroup alone, several times what a ring holds; with another event beside it or not."""
    *lines, told = run(samples, "record", cgroup2, 20_000, 1, companion)
    found = [(int(pid), int(at, 16), int(us)) for pid, at, us in map(str.split, lines)]
    assert len(found) == int(told.split()[1]) >= 20_000
    assert {pid for pid, _, _ in found} == {toucher.pid}
    pages = [(at - toucher.start) // PAGE for _, at, _ in found]
    assert {page for page in pages if 0 <= page < 64} == {1, 2, 3, 10}
    assert all(pages.count(page) > 4000 for page in (1, 2, 3, 10))


def test_heat_is_measured_on_this_kernel(
    samples: Path, cgroup2: Path, toucher: Toucher, tmp_path: Path
) -> None:
    """By the whole source: the mock of a PMU names page faults of the software (type 1, config 2)."""
    files = {"cpu/type": "1", "cpu/format/event": "config:0-7", "cpu/events/mem-loads": "event=0x2"}
    files["cpu/events/mem-loads-aux"] = f"event={CONTEXT_SWITCHES}"
    *lines, told = run(samples, "measure", devices(tmp_path / "mock", files), cgroup2, toucher.pid, 5)
    assert told == "0 1 1 0"  # no error, page by page, it has a price, no descriptor stays open
    ranges = [(float(heat), int(start, 16), int(end, 16)) for _, heat, start, end in map(str.split, lines)]
    heats = [
        next(heat for heat, start, end in ranges if start <= toucher.start + page * PAGE < end)
        for page in range(64)
    ]
    assert {page for page, heat in enumerate(heats) if heat >= 60} == {1, 2, 3, 10}
    assert {page for page, heat in enumerate(heats) if heat} == {1, 2, 3, 10}
    assert (ranges[0][1], ranges[-1][2]) == (0, 1 << 56)
