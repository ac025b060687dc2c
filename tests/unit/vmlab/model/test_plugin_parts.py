# SPDX-License-Identifier: Apache-2.0
"""The cache, the cost of misses, and the log of misses: each against what it is a model of."""

import itertools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Model = tuple[Any, Any]
LATENCY, INSTRUCTION, AHEAD, WINDOW, OVERLAP = 250_000, 300, 20, 224, 10
LINE = 64
MANY = 20_000


class Cpu:
    """A CPU with one node behind it. Times are picoseconds."""

    def __init__(self, model: Model, line_time: int = 0, **changed: int) -> None:
        self.ffi, self.lib = model
        self.params = self.ffi.new("struct model_params *")
        self.params.instruction, self.params.window = INSTRUCTION, WINDOW
        self.params.overlap, self.params.ahead = OVERLAP, AHEAD
        for name, value in changed.items():
            setattr(self.params, name, value)
        self.link = self.ffi.new("struct model_link *", {"latency": LATENCY, "line_time": LATENCY // AHEAD})
        self.device = self.ffi.new("struct model_device *", {"line_time": line_time})
        self.state = self.ffi.new("struct model_cpu *")
        self.executed = 0

    def miss(self, address: int, value: int = 0, instructions: int = 3) -> bool:
        """One miss after some *instructions*; whether it had been prefetched."""
        self.executed += instructions
        self.lib.model_run(self.params, self.state, self.executed)
        what = self.ffi.new("struct model_miss *", {"address": address, "value": value})
        return bool(self.lib.model_charge(self.params, self.link, self.device, self.state, what))

    @property
    def each(self) -> float:
        """Time for each of `MANY` misses, without their instructions."""
        return (self.state.now - self.executed * INSTRUCTION) / MANY


def scattered(count: int) -> list[int]:
    """Lines that no prefetcher foresees, each once."""
    return [(1 << 30) + i * 7919 % 524_287 * LINE * 2 for i in range(count)]


def test_a_chain_of_pointers_waits_for_each(model: Model) -> None:
    cpu = Cpu(model)
    addresses = scattered(MANY + 1)
    for here, there in itertools.pairwise(addresses):
        assert not cpu.miss(here, there)
    assert cpu.each == pytest.approx(LATENCY, rel=0.01)


def test_a_field_of_what_was_loaded_waits_too(model: Model) -> None:
    cpu = Cpu(model)
    addresses = scattered(MANY + 1)
    for here, there in itertools.pairwise(addresses):
        cpu.miss(here + 40, there)
    assert cpu.each == pytest.approx(LATENCY, rel=0.01)


def test_a_chain_of_indices_waits_for_each(model: Model) -> None:
    cpu = Cpu(model)
    base = 1 << 30
    indices = [i * 7919 % 524_287 * 16 for i in range(MANY + 1)]
    for here, there in itertools.pairwise(indices):
        cpu.miss(base + 8 * here, there)
    assert cpu.each == pytest.approx(LATENCY, rel=0.01)


def test_what_is_known_beforehand_overlaps(model: Model) -> None:
    cpu = Cpu(model)
    for address in scattered(MANY):
        cpu.miss(address, value=7)
    assert cpu.each == pytest.approx(LATENCY / OVERLAP, rel=0.01)


def test_no_further_than_the_cpu_can_look_ahead(model: Model) -> None:
    cpu = Cpu(model)
    for address in scattered(MANY):
        cpu.miss(address, value=7, instructions=WINDOW // 2)
    assert cpu.each == pytest.approx(LATENCY / 2, rel=0.01)


def test_an_order_without_look_ahead_overlaps_nothing(model: Model) -> None:
    cpu = Cpu(model, window=0)
    for address in scattered(MANY):
        cpu.miss(address, value=7)
    assert cpu.each == pytest.approx(LATENCY, rel=0.01)


@pytest.mark.parametrize("step", (1, -1))
def test_a_stream_waits_for_the_link_alone(model: Model, step: int) -> None:
    cpu = Cpu(model, window=0)
    fetched = sum(cpu.miss((1 << 30) + step * i * LINE, instructions=1) for i in range(MANY))
    assert fetched >= MANY - 3
    assert cpu.state.now == pytest.approx(MANY * LATENCY / AHEAD, rel=0.01)


def test_a_stream_that_the_cpu_is_slower_than_costs_nothing(model: Model) -> None:
    cpu = Cpu(model, window=0)
    for i in range(MANY):
        cpu.miss((1 << 30) + i * LINE, instructions=100)
    assert cpu.each < LATENCY / 1000


def test_a_stream_outlives_scattered_misses_between(model: Model) -> None:
    cpu = Cpu(model)
    fetched = 0
    for i, other in enumerate(scattered(MANY)):
        fetched += cpu.miss((1 << 40) + i * LINE)
        for more in range(3):
            cpu.miss(other + (more << 33), value=7)
    assert fetched > 0.99 * MANY


def test_without_a_prefetcher_a_stream_is_as_slow_as_anything(model: Model) -> None:
    cpu = Cpu(model, window=0, ahead=0)
    for i in range(MANY):
        assert not cpu.miss((1 << 30) + i * LINE)
    assert cpu.each == pytest.approx(LATENCY, rel=0.01)


@pytest.mark.parametrize("cpus", (1, 4, 16))
def test_no_more_than_a_devices_bandwidth(model: Model, cpus: int) -> None:
    """Streams ask for 5 GB/s each; the device has 8."""
    line_time = LINE * 1000 // 8
    several = [Cpu(model, line_time, window=0) for _ in range(cpus)]
    for cpu in several:
        cpu.device = several[0].device
    settled = 0
    for i in range(2 * MANY):
        if i == MANY:
            settled = max(cpu.state.now for cpu in several)
        for number, cpu in enumerate(several):
            cpu.miss((number << 40) + i * LINE, instructions=1)
    elapsed = max(cpu.state.now for cpu in several) - settled
    alone = MANY * LATENCY / AHEAD
    assert elapsed == pytest.approx(max(alone, cpus * MANY * line_time / 0.95), rel=0.05)


@settings(deadline=None)
@given(
    lines=st.lists(st.integers(0, 200), max_size=300),
    ways=st.integers(1, 8),
    sets=st.integers(1, 8),
)
def test_a_cache_forgets_what_was_longest_unused(
    model: Model, lines: list[int], ways: int, sets: int
) -> None:
    ffi, lib = model
    cache = ffi.new("struct model_cache *")
    assert lib.model_cache_open(cache, sets * ways * LINE, ways) == 0
    known: dict[int, OrderedDict[int, None]] = {}
    for line in lines:
        ways_of = known.setdefault(((line * 0x9E3779B97F4A7C15) % (1 << 64)) * sets >> 64, OrderedDict())
        assert bool(lib.model_cache_touch(cache, line)) == (line in ways_of)
        ways_of[line] = None
        ways_of.move_to_end(line)
        if len(ways_of) > ways:
            ways_of.popitem(last=False)
    lib.model_cache_close(cache)


def test_a_cache_without_a_line_is_refused(model: Model) -> None:
    ffi, lib = model
    cache = ffi.new("struct model_cache *")
    assert lib.model_cache_open(cache, 63, 1) < 0
    assert lib.model_cache_open(cache, 64, 0) < 0


def test_a_log_is_read_as_it_was_written(model: Model, tmp_path: Path) -> None:
    ffi, lib = model
    pages = ffi.new("struct model_pages *")
    path = str(tmp_path / "log").encode()
    file = lib.fopen(path, b"wb")
    counts = [{name << 4 | 1 << 63: name % 7 + 1 for name in range(1, size)} for size in (10_000, 5, 1)]
    for epoch in counts:
        for name, count in epoch.items():
            lib.model_pages_get(pages, name).count += count
        assert lib.model_pages_write(pages, file) == 0
    lib.fclose(file)
    file = lib.fopen(path, b"rb")
    for epoch in counts:
        assert lib.model_pages_read(pages, file) == 1
        assert pages.used == len(epoch)
        assert all(lib.model_pages_find(pages, name).count == count for name, count in epoch.items())
        assert lib.model_pages_find(pages, 3) == ffi.NULL
    assert lib.model_pages_read(pages, file) == 0
    lib.fclose(file)
