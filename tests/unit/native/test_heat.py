# SPDX-License-Identifier: Apache-2.0
"""Which pages shall be local: averages, windows, tickets, and what reads the kernel's records."""

import itertools
import os
import random
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

PAGE = 4096
MIB = 1 << 20
#: As the kernel 6.12 shows it.
FORMAT = """name: damon_aggregated
ID: 734
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:unsigned long target_id;\toffset:8;\tsize:8;\tsigned:0;
\tfield:unsigned int nr_regions;\toffset:16;\tsize:4;\tsigned:0;
\tfield:unsigned long start;\toffset:24;\tsize:8;\tsigned:0;
\tfield:unsigned long end;\toffset:32;\tsize:8;\tsigned:0;
\tfield:unsigned int nr_accesses;\toffset:40;\tsize:4;\tsigned:0;
\tfield:unsigned int age;\toffset:44;\tsize:4;\tsigned:0;

print fmt: "..."
"""
Range = tuple[int, float, int, int]  # pid, heat in hundredths, start, end
Part = tuple[int, float, *tuple[int, ...]]  # the same, and of shared memory object and shift


def run(program: Path, *arguments: object) -> list[str]:
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def write(path: Path, ranges: list[Range]) -> Path:
    path.write_text("".join(f"{pid} {heat} {start:x} {end:x}\n" for pid, heat, start, end in ranges))
    return path


def learn(
    program: Path, tmp_path: Path, scores: list[Range], measured: list[Range], windows: int, before: int
) -> list[Range]:
    given, new = write(tmp_path / "scores", scores), write(tmp_path / "measured", measured)
    found = [line.split() for line in run(program, "learn", given, new, windows, before)]
    return [(int(pid), float(score), int(start, 16), int(end, 16)) for pid, score, start, end in found]


def test_the_first_measurement_is_taken_as_it_is(heat: Path, tmp_path: Path) -> None:
    measured = [(8, 40, 0x1000, 0x2000), (7, 100, 0x3000, 0x4000), (7, 0, 0x1000, 0x3000)]
    assert learn(heat, tmp_path, [], measured, 10, 0) == sorted(measured, key=lambda one: (one[0], one[2]))


def test_a_later_one_counts_by_its_number_of_windows(heat: Path, tmp_path: Path) -> None:
    once = learn(heat, tmp_path, [(7, 0, 0, 0x2000)], [(7, 100, 0, 0x1000)], 1, 19)
    many = learn(heat, tmp_path, [(7, 0, 0, 0x2000)], [(7, 100, 0, 0x1000)], 10, 10)
    nothing = learn(heat, tmp_path, [(7, 0, 0, 0x2000)], [(7, 100, 0, 0x1000)], 10, 0)
    assert (once[0][1], many[0][1], nothing[0][1]) == (5, 50, 100)


def test_parts_that_changed_their_borders_keep_their_own_scores(heat: Path, tmp_path: Path) -> None:
    before = [(7, 90, 0x1000, 0x2000), (7, 0, 0x3000, 0x5000), (8, 100, 0x1000, 0x9000)]
    found = learn(heat, tmp_path, before, [(7, 30, 0x1000, 0x4000), (7, 0, 0x4000, 0x6000)], 10, 20)
    assert found == [
        (7, 70, 0x1000, 0x2000),
        (7, 24.6667, 0x2000, 0x3000),  # it had no score: as if it had eight windows of the average, 18
        (7, 10, 0x3000, 0x4000),
        (7, 0, 0x4000, 0x5000),
        (7, 8, 0x5000, 0x6000),  # it had none, either
    ]


@pytest.mark.parametrize(("first", "later"), [(60, 0), (40, 100)])
def test_a_score_ends_where_all_later_windows_are(heat: Path, tmp_path: Path, first: int, later: int) -> None:
    """And not some points off, because of rounding; then neighbours become one range again."""
    scores = [(7, first, 0x1000, 0x2000), (7, later, 0x2000, 0x3000)]
    for _ in range(160):
        scores = learn(heat, tmp_path, scores, [(7, later, 0x1000, 0x3000)], 2, 20)
    assert scores == [(7, later, 0x1000, 0x3000)]


def test_too_many_parts_are_joined_with_their_like(heat: Path, tmp_path: Path) -> None:
    """Of a quarter of a million pages, each with a score of its own: half of the list is free again."""
    pages = 250_000
    scores = [(7, 10 + page * 7 % 80, page * PAGE, (page + 1) * PAGE) for page in range(pages)]
    found = learn(heat, tmp_path, scores, [(7, 50, 0, pages * PAGE)], 2, 20)
    assert 1000 < len(found) <= 262144 // 2
    assert all(one[3] == after[2] for one, after in itertools.pairwise(found))
    assert (found[0][2], found[-1][3]) == (0, pages * PAGE)
    assert sum(heat * (end - start) for _, heat, start, end in found) / (pages * PAGE) == pytest.approx(
        49.5, abs=1
    )


def test_too_many_parts_with_gaps_are_forgotten(heat: Path, tmp_path: Path) -> None:
    """They cannot be joined; it ends all the same, and what is measured next begins anew."""
    scores = [(7, page % 100, 2 * page * PAGE, (2 * page + 1) * PAGE) for page in range(140_000)]
    assert learn(heat, tmp_path, [], scores, 2, 0) == []


def test_of_many_mappings_of_one_place_some_are_shared(heat: Path, tmp_path: Path) -> None:
    """The time for it must not grow with their number: the others are taken for memory of their own."""
    measured = [(pid, 50, 0, 0x100000) for pid in range(1, 101)]
    vmas: list[Part] = [(pid, 4, 0x1000, 0x2000, 3, 0x1000) for pid in range(1, 101)]
    found = parts(heat, tmp_path, "merge", measured, vmas)
    assert len([one for one in found if len(one) == 6]) == 1
    assert len([one for one in found if len(one) == 4]) == 100 - 32


def pages(heats: list[float]) -> list[Range]:
    return [(7, heat, page * PAGE, (page + 1) * PAGE) for page, heat in enumerate(heats)]


def forecast(
    program: Path, tmp_path: Path, scores: list[Range], windows: int, memory: int = 0, of: int = 0
) -> list[float]:
    """What is to be expected for scores from 0 to 100 of *of* windows, or of as many as all others have."""
    memory = memory or sum(end - start for _, _, start, end in scores)
    found = run(program, "forecast", write(tmp_path / "scores", scores), windows, memory, of or windows)
    return [float(line) for line in found]


def seen(chance: random.Random, share: float, windows: int) -> float:
    """In how many of a hundred windows a page was seen that is in use in that *share* of them."""
    if windows > 40:  # as good, and quick
        times = round(chance.gauss(share * windows, (share * (1 - share) * windows) ** 0.5))
        return min(max(times, 0), windows) * 100 / windows
    return sum(chance.random() < share for _ in range(windows)) * 100 / windows


@pytest.mark.parametrize("others", [[], [100.0] * 200 + [0.0] * 5000])
@pytest.mark.parametrize("windows", [20, 160])
def test_of_what_is_used_alike_the_same_is_expected(
    heat: Path, tmp_path: Path, windows: int, others: list[float]
) -> None:
    """Whatever their scores are by chance, and whatever else is hot or not in use at all."""
    chance = random.Random(1)
    alike = [seen(chance, 0.4, windows) for _ in range(2000)]
    expected = forecast(heat, tmp_path, pages(alike + others), windows)
    low, *_, high = (round(one) for one in statistics.quantiles(alike, n=40))
    assert high - low > 12
    assert expected[high] - expected[low] < (high - low) / 5
    assert expected[40] == pytest.approx(40, abs=2)
    assert expected == sorted(expected)
    if others:
        assert expected[0] < 2
        assert expected[100] > 95


def test_of_two_windows_little_is_expected(heat: Path, tmp_path: Path) -> None:
    chance = random.Random(1)
    expected = forecast(heat, tmp_path, pages([seen(chance, 0.5, 2) for _ in range(2000)]), 2)
    assert expected[100] - expected[0] < 20
    certain = forecast(heat, tmp_path, pages([100.0] * 100 + [0.0] * 700), 2)
    assert certain[100] - certain[0] > 80


def test_more_windows_tell_smaller_differences(heat: Path, tmp_path: Path) -> None:
    """Half of the memory is in use in 40 of a hundred windows, the other half in 50."""
    chance = random.Random(1)
    apart = []
    for windows in (20, 320):
        scores = pages([seen(chance, share, windows) for share in (0.4, 0.5) for _ in range(2000)])
        expected = forecast(heat, tmp_path, scores, windows)
        apart.append(expected[50] - expected[40])
    assert apart[0] < 5 < 8 < apart[1] < 12


def test_more_can_be_in_use_than_is_thought_to_be_in_memory(heat: Path, tmp_path: Path) -> None:
    """For nobody knows how many processes share a page. What is in no list is not in use."""
    scores = [(7, 70.0, 0, 64 * PAGE), (7, 10.0, 64 * PAGE, 128 * PAGE)]
    expected = forecast(heat, tmp_path, scores, 20, PAGE)
    assert expected == forecast(heat, tmp_path, scores, 20, 128 * PAGE)
    assert expected[70] == pytest.approx(70, abs=5)
    assert forecast(heat, tmp_path, scores, 20, 4096 * PAGE)[5] < expected[5] - 3
    assert len(forecast(heat, tmp_path, [], 20, 1)) == 101


def test_of_new_memory_less_is_expected_for_certain(heat: Path, tmp_path: Path) -> None:
    """Else it would be exchanged by chance, since averages of many windows tell small differences."""
    chance = random.Random(1)
    scores = pages([seen(chance, share, 320) for share in (0.1, 0.2, 0.4) for _ in range(1000)])
    known, new = (forecast(heat, tmp_path, scores, 320, of=windows) for windows in (320, 20))
    usual = 70 / 3
    for score in (10, 40):
        assert known[score] == pytest.approx(score, abs=1)
        assert new[score] - usual == pytest.approx((known[score] - usual) / 4, abs=0.3)


Drift = tuple[float, float]  # what is more than chance, and its deviation by chance


def drift(
    program: Path, tmp_path: Path, shares: list[float], now: list[float], windows: int, chance: random.Random
) -> Drift:
    """Of pages that were used in these *shares* of so many windows, and are in those of two windows *now*."""
    scores = write(tmp_path / "scores", pages([seen(chance, share, windows) for share in shares]))
    measured = write(tmp_path / "measured", pages([seen(chance, share, 2) for share in now]))
    more, error = run(program, "drift", scores, measured, 2, windows)[0].split()
    return float(more), float(error)


@pytest.mark.parametrize("windows", [20, 320])
@pytest.mark.parametrize("busier", [1, 0.6, 1.6])
def test_only_what_has_changed_is_drift(heat: Path, tmp_path: Path, busier: float, windows: int) -> None:
    """Not chance; and not a load that does more or less than it did, with all of its memory."""
    chance = random.Random(1)
    shares = [chance.random() ** 2 for _ in range(8000)]
    now = [1 - (1 - share) ** busier for share in shares]
    found = [drift(heat, tmp_path, shares, now, windows, chance) for _ in range(5)]
    mean = statistics.mean(more for more, _ in found)
    assert abs(mean) < 1 / windows / 2 + 2 * found[0][1] / 5**0.5
    assert statistics.stdev(more for more, _ in found) < 3 * found[0][1]
    others = [now[-1 - page] if page % 10 == 0 else one for page, one in enumerate(now)]
    changed, error = drift(heat, tmp_path, shares, others, windows, chance)
    assert changed > 1 / 20 + error


def test_few_parts_tell_little_of_what_has_changed(heat: Path, tmp_path: Path) -> None:
    """Such as huge pages: their number says how far a measurement may be wrong by chance."""
    chance = random.Random(1)
    shares = [chance.random() for _ in range(64)]
    found = [drift(heat, tmp_path, shares, shares, 320, chance) for _ in range(30)]
    error = found[0][1]
    assert 0.05 < error < 0.2
    assert error / 2 < statistics.stdev(more for more, _ in found) < error * 1.5
    assert abs(statistics.mean(more for more, _ in found)) < error / 2


def test_a_score_of_hundreds_of_windows_is_not_rounded_away(heat: Path, tmp_path: Path) -> None:
    """Of pages that are used in two of a hundred windows."""
    chance = random.Random(1)
    scores = pages([2.0] * 2000)
    for _ in range(40):
        scores = learn(heat, tmp_path, scores, pages([seen(chance, 0.02, 2) for _ in range(2000)]), 2, 320)
    size = sum(end - start for _, _, start, end in scores)
    mean = sum(heat * (end - start) for _, heat, start, end in scores) / size
    assert mean == pytest.approx(2, abs=0.1)


def parts(program: Path, tmp_path: Path, command: str, first: list[Part], second: list[Part]) -> list[Part]:
    """What *command* makes of two lists of ranges."""
    for name, ranges in (("first", first), ("second", second)):
        lines = (" ".join(map(str, one[:2])) + "".join(f" {at:x}" for at in one[2:]) for one in ranges)
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    found = [line.split() for line in run(program, command, tmp_path / "first", tmp_path / "second")]
    return [(int(line[0]), float(line[1]), *(int(at, 16) for at in line[2:])) for line in found]


def test_what_is_not_in_memory_is_left_out(heat: Path, tmp_path: Path) -> None:
    scores = [(7, 0, 0, 1 << 56), (8, 5, 0, 0x2000), (8, 9, 0x2000, 0x9000), (9, 1, 0, 0x1000)]
    there = [(7, 4, 0x1000, 0x2000), (7, 4, 0x4000, 0x5000), (8, 4, 0x1000, 0x3000), (8, 4, 0x8000, 0xA000)]
    assert parts(heat, tmp_path, "clip", scores, there) == [
        (7, 0, 0x1000, 0x2000),
        (7, 0, 0x4000, 0x5000),
        (8, 5, 0x1000, 0x2000),
        (8, 9, 0x2000, 0x3000),
        (8, 9, 0x8000, 0x9000),
    ]


def test_shared_memory_is_one_part_whoever_uses_it(heat: Path, tmp_path: Path) -> None:
    """Half of the windows in one process and half in another make three quarters; who uses it most has it."""
    measured = [(7, 50, 0x1000, 0x3000), (7, 0, 0x3000, 0x9000), (8, 50, 0x22000, 0x23000)]
    measured += [(8, 20, 0x23000, 0x24000), (9, 90, 0x40000, 0x41000)]
    vmas = [(7, 4, 0x1000, 0x4000, 3, 0x1000), (7, 4, 0x5000, 0x6000)]
    vmas += [(8, 4, 0x21000, 0x24000, 3, 0x21000), (9, 4, 0x40000, 0x41000, 3, 0x3F000)]
    assert parts(heat, tmp_path, "merge", measured, vmas) == [
        (7, 0, 0x5000, 0x6000),  # a process's own memory comes first
        (7, 50, 0x1000, 0x2000, 3, 0x1000),
        (9, 97.5, 0x40000, 0x41000, 3, 0x3F000),  # 50, 50 and 90
        (8, 20, 0x23000, 0x24000, 3, 0x21000),
    ]


def test_a_part_goes_to_another_process_when_its_own_has_ended(heat: Path, tmp_path: Path) -> None:
    scores = [(7, 50, 0x1000, 0x3000, 3, 0x1000), (8, 60, 0x23000, 0x24000, 3, 0x21000)]
    vmas = [(8, 4, 0x21000, 0x24000, 3, 0x21000), (9, 4, 0x41000, 0x43000, 3, 0x40000)]
    assert parts(heat, tmp_path, "clip", scores, vmas) == [
        (8, 50, 0x21000, 0x23000, 3, 0x21000),
        (8, 60, 0x23000, 0x24000, 3, 0x21000),
    ]
    ours = [(7, 4, 0x1000, 0x4000, 3, 0x1000), *vmas]
    assert parts(heat, tmp_path, "clip", scores, ours) == scores


def test_what_is_not_measured_any_more_is_forgotten(heat: Path, tmp_path: Path) -> None:
    assert learn(heat, tmp_path, [(7, 50, 0, 0x1000)], [(9, 10, 0, 0x1000)], 10, 20) == [(9, 10, 0, 0x1000)]


def window(program: Path, tmp_path: Path, measured: list[Range], us: int, bound: int) -> int:
    return int(run(program, "window", write(tmp_path / "measured", measured), us, bound)[0])


def test_windows_become_such_that_the_bound_is_seen(heat: Path, tmp_path: Path) -> None:
    """64 MiB were seen in each window, and half of the rest in half of them."""
    measured = [(7, 100, 0, 32 * MIB), (7, 50, 32 * MIB, 96 * MIB), (7, 0, 96 * MIB, 1 << 56)]
    assert window(heat, tmp_path, measured, 20_000, 64 * MIB) == 20_000
    assert window(heat, tmp_path, measured, 20_000, 128 * MIB) == 40_000
    assert window(heat, tmp_path, measured, 20_000, 32 * MIB) == 10_000
    assert window(heat, tmp_path, measured, 20_000, MIB) == 5_000  # four times shorter at most
    assert window(heat, tmp_path, [], 20_000, MIB) == 80_000  # nothing was seen: longer
    assert window(heat, tmp_path, [], 100_000, MIB) == 333_333
    assert window(heat, tmp_path, measured, 2_000, MIB) == 1_000


def entry(event: int, *values: int) -> bytes:
    """One record of FORMAT's event."""
    target, regions, start, end, accesses = values
    data = struct.pack("<HBBiQIxxxxQQII", event, 0, 0, 1, target, regions, start, end, accesses, 0)
    assert len(data) % 4 == 0
    return struct.pack("<I", len(data) // 4 | 100 << 5) + data


def page_of(*entries: bytes) -> bytes:
    text = b"".join(entries)
    return struct.pack("<QQ", 1, len(text)) + text


NAMES = ("target_id", "nr_regions", "start", "end", "nr_accesses")


def records(program: Path, tmp_path: Path, page: bytes, text: str = FORMAT) -> list[str]:
    (tmp_path / "format").write_text(text)
    (tmp_path / "page").write_bytes(page)
    return run(program, "trace", tmp_path / "format", tmp_path / "page", *NAMES)


def test_records_are_read_from_pages(heat: Path, tmp_path: Path) -> None:
    one, other = entry(734, 0, 2, 0x1000, 0x2000, 3), entry(734, 1, 2, 0x7FFF00000000, 0x7FFF00001000, 0)
    extend, stamp = struct.pack("<II", 30 | 5 << 5, 9), struct.pack("<II", 31 | 5 << 5, 9)
    long = struct.pack("<II", 0, 4 + len(one) - 4) + one[4:]
    padding = struct.pack("<II", 29 | 1 << 5, 12) + bytes(8)
    page = page_of(one, extend, stamp, entry(735, 9, 9, 9, 9, 9), padding, long, other, struct.pack("<I", 29))
    wanted = ["0 2 4096 8192 3", "0 2 4096 8192 3", "1 2 140733193388032 140733193392128 0"]
    assert records(heat, tmp_path, page) == wanted
    assert records(heat, tmp_path, page + bytes(4096 - len(page))) == wanted


@pytest.mark.parametrize(
    "page",
    [
        b"",
        bytes(15),
        struct.pack("<QQ", 1, 4096),
        page_of(struct.pack("<I", 28)),
        page_of(struct.pack("<II", 0, 3)),
        page_of(struct.pack("<II", 0, 1 << 20)),
        page_of(struct.pack("<I", 29 | 1 << 5)),
    ],
)
def test_a_malformed_page_is_refused(heat: Path, tmp_path: Path, page: bytes) -> None:
    with pytest.raises(AssertionError):
        records(heat, tmp_path, page)


def test_a_format_without_one_of_the_fields_is_refused(heat: Path, tmp_path: Path) -> None:
    for text in (FORMAT.replace("nr_accesses", "accesses"), FORMAT.replace("size:4", "size:2"), ""):
        with pytest.raises(AssertionError):
            records(heat, tmp_path, page_of(), text)


def btf(*types: bytes, names: bytes) -> bytes:
    text = b"".join(types)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(text), len(text), len(names)) + text + names


def test_a_function_is_found_in_type_information(heat: Path, tmp_path: Path) -> None:
    names = b"\0int\0look\0find\0"
    integer = struct.pack("<IIII", 1, 1 << 24, 4, 32)
    prototype = struct.pack("<IIIII", 0, 13 << 24 | 1, 1, 0, 1)
    look, find = (struct.pack("<III", names.index(name), 12 << 24, 2) for name in (b"look", b"find"))
    file = tmp_path / "btf"
    file.write_bytes(btf(integer, prototype, look, find, names=names))
    assert run(heat, "function", file, "look") == ["3"]
    assert run(heat, "function", file, "find") == ["4"]
    assert run(heat, "function", file, "int") == ["0"]
    assert run(heat, "function", file, "missing") == ["0"]
    for cut in (10, 24, 40, 60):
        file.write_bytes(btf(integer, prototype, look, find, names=names)[:cut])
        with pytest.raises(AssertionError):
            run(heat, "function", file, "look")


def test_more_containers_than_processors_measure_less_often(heat: Path) -> None:
    run(heat, "crowd")


def test_pages_that_were_moved_are_remembered_for_a_while(heat: Path) -> None:
    run(heat, "recent")


def test_a_ticket_never_exceeds_the_room(heat: Path, heat_race: Path) -> None:
    run(heat, "ticket")
    run(heat_race, "ticket")


def switches(process: subprocess.Popen[bytes]) -> int:
    """How many times others have taken the CPU from *process*."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("nonvoluntary_ctxt_switches:")))


@pytest.mark.parametrize("helps", [True, False])
def test_where_a_process_has_a_cpu_for_itself_that_is_visited(heat: Path, helps: bool) -> None:
    """It would keep translations there for seconds, and what it uses would look unused."""
    here, there, *_ = sorted(os.sched_getaffinity(0)) * 2
    times = 100
    process = subprocess.Popen(["taskset", "-c", str(there), sys.executable, "-ISBc", "while True: pass"])
    try:
        while os.sched_getaffinity(process.pid) != {there}:
            time.sleep(0.01)
        before = switches(process)
        visits = [heat, "visit", process.pid, times, int(helps)]
        found = run(Path("/usr/bin/taskset"), "-c", here, *visits)
        assert found == ["1 1" if helps else "0 1"]
        assert not helps or here == there or switches(process) - before >= times
    finally:
        process.kill()
        process.wait()


def test_the_cpus_of_a_process_that_has_ended_are_not_visited(heat: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert run(heat, "visit", process.pid, 1, 1) == ["0 1"]
