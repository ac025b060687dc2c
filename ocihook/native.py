# SPDX-License-Identifier: Apache-2.0
"""The C extension: typed functions that turn a negative errno into OSError."""

from __future__ import annotations

import errno
import os
from typing import Any, NamedTuple

import ocihook._native as _native

_ffi = _native.ffi
_lib = _native.lib

NO_LIMIT = 2**64 - 1
MAX_NODES: int = _lib.BEDE_MAX_NODES


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")


def _mask(nodes: tuple[int, ...]) -> int:
    mask = 0
    for node in nodes:
        if not 0 <= node < MAX_NODES:
            raise ValueError(f"node {node} is beyond the {MAX_NODES} that Bede can handle")
        mask |= 1 << node
    return mask


class Stats(NamedTuple):
    """What a holder saw in its last round; sizes are bytes (see native/holder.h)."""

    bound: int
    local: int
    far: int
    current: int
    fence: int
    user_high: int
    user_swap_max: int
    over: int
    demoted: int
    promoted: int
    program_bound: int
    mover_us: int
    measured: int
    exchanged: int
    vain: int
    hits_local: int
    hits_best: int
    tries: int
    rounds: int
    fence_events: int
    stalls: int
    stalled: bool
    steered: bool
    away: bool
    error: int

    @property
    def overshoot(self) -> int:
        """Return the most bytes by which local usage was above the bound then in force, or is now.

        What exceeds a bound in the first five seconds after it was lowered counts only while it lasts.
        """
        return max(self.over, self.local - self.bound, 0)


class Steering(NamedTuple):
    """What the holder of the backend ``migrate`` needs to steer allocation and to move pages."""

    home: str  #: the list for cpuset.mems while the container allocates locally
    away: str  #: the list for cpuset.mems while the container allocates on far nodes
    steered: bool  #: whether the container's tasks have the policy that follows cpuset.mems


class Holder:
    """One native thread that holds one container's bound. Raises OSError.

    *backend* is a name in native/backends.c. *notify_fd* is an eventfd. The thread writes to it when it ends
    by an error, when it stalls, and when the user's limits, steering or memory bound by programs change.
    """

    def __init__(
        self,
        cgroup_fd: int,
        lru_path: str,
        *,
        local: tuple[int, ...],
        far: tuple[int, ...],
        bound: int,
        nodes: dict[int, int],
        user_high: int | None,
        user_swap_max: int | None = None,
        lru_file: str | None,
        notify_fd: int = -1,
        backend: str,
        steering: Steering | None = None,
        move_rate: int = 0,
        promotes: bool = False,
        unbalanced: bool = False,
    ) -> None:
        params = _ffi.new("struct bede_params *")
        path = _ffi.new("char[]", os.fsencode(lru_path))
        file = _ffi.new("char[]", os.fsencode(lru_file)) if lru_file else _ffi.NULL
        params.cgroup_fd = cgroup_fd
        params.lru_path = path
        params.lru_file = file
        params.local_mask = _mask(local)
        params.far_mask = _mask(far)
        params.bound = bound
        self._fill(params.node_bound, nodes)
        params.user_high = NO_LIMIT if user_high is None else user_high
        params.user_swap_max = NO_LIMIT if user_swap_max is None else user_swap_max
        params.notify_fd = notify_fd
        given = steering or Steering("", "", False)
        name = _ffi.new("char[]", backend.encode())
        home, away = (_ffi.new("char[]", text.encode()) for text in (given.home, given.away))
        params.backend = name
        params.steered = given.steered
        params.home = home
        params.away = away
        params.move_rate = move_rate
        params.promotes = promotes
        params.unbalanced = unbalanced
        out = _ffi.new("struct bede_holder **")
        _check(_lib.bede_holder_start(params, out), "cannot start holding")
        self._holder = out[0]

    @staticmethod
    def _fill(target: Any, nodes: dict[int, int]) -> None:
        for node in range(MAX_NODES):
            target[node] = nodes.get(node, NO_LIMIT)

    def set(self, bound: int, nodes: dict[int, int]) -> None:
        """Change the bound (bytes, in all and by node). The new bound is in force when this returns."""
        array = _ffi.new("uint64_t[]", MAX_NODES)
        self._fill(array, nodes)
        _check(_lib.bede_holder_set(self._holder, bound, array), "cannot set the bound")

    def stats(self) -> Stats:
        """Return what the last round of the holder saw."""
        raw = _ffi.new("struct bede_stats *")
        _lib.bede_holder_stats(self._holder, raw)
        values = {name: getattr(raw, name) for name in Stats._fields}
        values |= {name: bool(values[name]) for name in ("stalled", "steered", "away")}
        return Stats(**values)

    def stop(self, *, restore: bool) -> None:
        """End the thread. *restore* also puts the user's own limits back. Raises OSError."""
        holder, self._holder = self._holder, _ffi.NULL
        if holder != _ffi.NULL:
            _check(_lib.bede_holder_stop(holder, restore), "cannot give back memory.high")


def prepare_heat() -> None:
    """Load the programs that report accessed pages: that takes capabilities, measuring heat by them none.

    Raises OSError.
    """
    _check(_lib.bede_heat_prepare(), "cannot load BPF programs")


def heat_takes_perfmon() -> bool:
    """Return whether measuring heat will take ``CAP_PERFMON``. Known after `prepare_heat`."""
    return bool(_lib.bede_heat_takes_perfmon())


def parse_numa_stat(text: bytes) -> tuple[dict[int, int], dict[int, int]]:
    """Return (LRU bytes, file bytes) by node from the text of ``memory.numa_stat``. Raises OSError.

    Nodes without any bytes are left out.
    """
    numa = _ffi.new("struct bede_numa *")
    _check(_lib.bede_parse_numa_stat(text, len(text), numa), "memory.numa_stat")
    nodes = range(MAX_NODES)
    return ({n: numa.lru[n] for n in nodes if numa.lru[n]}, {n: numa.file[n] for n in nodes if numa.file[n]})


class Event(NamedTuple):
    """A process was born, has executed a program, or was moved to another cgroup."""

    kind: str  #: "fork", "exec" or "move"
    pid: int
    parent: int  #: the process that forked it; 0 if this is no fork
    at_ns: int  #: when it happened, in nanoseconds of CLOCK_MONOTONIC


def parse_event(text: bytes) -> Event | None:
    """Return the event in a datagram of the process connector; None if Bede does not need it."""
    out = _ffi.new("struct bede_procevent *")
    return _event(out) if _lib.bede_procevent_parse(text, len(text), out) else None


def _event(one: Any) -> Event:
    return Event("exec" if one.exec else "fork", one.pid, one.parent, one.at_ns)


class ProcessEvents:
    """The socket *fd* of the process connector, subscribed already; it stays the caller's. Raises OSError."""

    AT_ONCE = 256  #: events that one call takes

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._process_events = _ffi.new("struct bede_procevent[]", self.AT_ONCE)
        self._count = _ffi.new("unsigned *")

    def filter(self, *, forks: bool, execs: bool) -> None:
        """Choose which events the kernel reports. It drops the others before it wakes anybody."""
        _check(_lib.bede_procevents_filter(self._fd, forks, execs), "cannot filter the process connector")

    def read(self) -> tuple[list[Event], bool]:
        """Return (the events that wait, whether some were lost). Raises OSError."""
        result = _lib.bede_procevents_read(self._fd, self._process_events, self.AT_ONCE, self._count)
        lost = result == -errno.ENOBUFS
        if not lost:
            _check(result, "process connector")
        return [_event(one) for one in self._process_events[0 : self._count[0]]], lost
