# SPDX-License-Identifier: Apache-2.0
"""A model of a container that allocates on many CPUs, of the kernel's part in holding it, and of the agent's.

Time goes in steps of :data:`STEP`. A task charges the pages it touches in batches of 64; its CPU keeps the
rest of a batch. Touched pages show in memory.numa_stat in batches of 64 for each CPU. Beyond the fence, a
task demotes as much as it charges before it goes on. The control law is asked at the times that it wants.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from ocihook import _native

PAGE = 4096
BATCH = 64 * PAGE
MIB = 1 << 20
HUGE = 2 * MIB
NONE = 2**64 - 1
STEP = 0.0005  #: seconds
COPY = 1 << 30  #: bytes a second that one task demotes
FILL = 2 << 30  #: bytes a second that all tasks touch together: the memory's bandwidth


def new_law(bound: int, cpus: int) -> Any:
    """The control law's state in an agent that has just begun."""
    law: Any = _native.ffi.new("struct bede_control *")
    law.local_mask, law.far_mask, law.bound, law.cpus, law.kernel = 0b1, 0b10, bound, cpus, 0
    for node in range(_native.lib.BEDE_MAX_NODES):
        law.node_bound[node] = NONE
    return law


@dataclass
class Cpu:
    """One CPU: charges that are not used yet (stock), and pages that no statistics show yet (unseen)."""

    stock: float = 0
    unseen: float = 0
    owes: float = 0  #: bytes that its task has to demote before it goes on


@dataclass
class Machine:
    """A machine in which *cpus* CPUs allocate at once; the law believes that *told* do."""

    cpus: int
    bound: int
    told: int = 0
    local: float = 0
    far: float = 0
    charged: float = 0
    fence: float = 0
    worst: float = 0  #: highest overshoot, in bytes
    held: list[float] = field(default_factory=list)  #: local usage in each step since the bound was reached

    def __post_init__(self) -> None:
        self.law = new_law(self.bound, self.told or self.cpus)
        self.each = [Cpu() for _ in range(self.cpus)]
        self.fence = self.bound
        self.excess = 0.0
        self.due = 0.0

    def run(self, demand: int) -> "Machine":
        """Run until *demand* bytes are in use."""
        now = 0.0
        while self.local + self.far < demand:
            now += STEP
            for cpu in self.each:
                self._allocate(cpu, FILL * STEP / self.cpus)
            moved = min(self.excess, 2 * COPY * STEP)
            self.excess -= moved
            self._demote(moved)
            if now >= self.due:
                self.due = now + self._turn(now)
            self.worst = max(self.worst, self.local - self.bound)
            if self.far:
                self.held.append(self.local)
        return self

    def _allocate(self, cpu: Cpu, size: float) -> None:
        if cpu.owes:
            part = min(cpu.owes, COPY * STEP)
            cpu.owes -= part
            self._demote(part)
            return
        while size > 0:
            if not cpu.stock:
                cpu.stock = BATCH
                self.charged += BATCH
                if self.charged > self.fence:
                    cpu.owes += BATCH
            part = min(size, cpu.stock)
            cpu.stock -= part
            cpu.unseen = (cpu.unseen + part) % BATCH
            self.local += part
            size -= part
            if cpu.owes:
                return

    def _demote(self, size: float) -> None:
        size = min(size, self.local)
        self.local -= size
        self.far += size

    def _turn(self, now: float) -> float:
        law, lib = self.law, _native.lib
        current = int(self.charged)
        law.numa.lru[0] = max(int(self.local - sum(cpu.unseen for cpu in self.each)), 0)
        law.numa.lru[1] = int(self.far)
        lib.bede_control_observe(law, int(now * 1e6), current)
        room = lib.bede_control_room(law)
        self.fence = current + room
        self.excess = float(lib.bede_control_excess(law, _native.ffi.new("int *")))
        return float(lib.bede_control_wait(law, room)) / 1e6

    @property
    def over(self) -> float:
        """The highest overshoot, as a share of the bound."""
        return max(self.worst, 0) / self.bound

    @property
    def mean(self) -> float:
        """The mean local usage once the bound is reached, as a share of the bound."""
        return sum(self.held) / len(self.held) / self.bound


@dataclass
class Task:
    """A task: it charges a huge page, demotes as much if that passes the fence, and fills the page."""

    unfilled: float = 0
    owes: float = 0


class Killed:
    """*tasks* fill huge pages on two CPUs, by turns with an agent and, after it was killed, without one.

    *life* and *gap* are the ranges of seconds for which an agent lives, and is missing.
    """

    def __init__(
        self, seed: int, tasks: int, bound: int, life: tuple[float, float], gap: tuple[float, float]
    ):
        self.chance = random.Random(seed)
        self.tasks = [Task() for _ in range(tasks)]
        self.bound = bound
        self.spans = (gap, life)
        self.local = self.far = self.charged = self.worst = self.excess = self.due = 0.0
        self.fence: float = bound
        self.law = new_law(bound, 2)

    def run(self, demand: int) -> "Killed":
        """Run until *demand* bytes are in use."""
        now = end = 0.0
        alive = False
        while self.local + self.far < demand:
            now += STEP
            if now >= end:
                alive = not alive
                end = now + self.chance.uniform(*self.spans[alive])
                self.law, self.excess, self.due = new_law(self.bound, 2), 0.0, now
            for task in self.chance.sample(self.tasks, 2):
                self._go_on(task, STEP)
            moved = min(self.excess, 2 * COPY * STEP)
            self.excess -= moved
            self._demote(moved)
            if alive and now >= self.due:
                self.due = now + self._turn(now)
            self.worst = max(self.worst, self.local - self.bound)
        return self

    def _go_on(self, task: Task, seconds: float) -> None:
        while seconds > 1e-9:
            if task.owes:
                part = min(task.owes, COPY * seconds)
                task.owes -= part
                seconds -= part / COPY
                self._demote(part)
            elif task.unfilled:
                part = min(task.unfilled, FILL / 2 * seconds)
                task.unfilled -= part
                seconds -= part / (FILL / 2)
                self.local += 0 if task.unfilled else HUGE
            else:
                task.unfilled = HUGE
                self.charged += HUGE
                task.owes = HUGE if self.charged > self.fence else 0

    def _demote(self, size: float) -> None:
        size = min(size, self.local)
        self.local -= size
        self.far += size

    def _turn(self, now: float) -> float:
        law, lib = self.law, _native.lib
        law.numa.lru[0], law.numa.lru[1] = int(self.local), int(self.far)
        law.numa.huge[0], law.numa.huge[1] = int(self.local), int(self.far)
        lib.bede_control_observe(law, int(now * 1e6), int(self.charged))
        room = lib.bede_control_room(law)
        self.fence = self.charged + room
        self.excess = float(lib.bede_control_excess(law, _native.ffi.new("int *")))
        return float(lib.bede_control_wait(law, room)) / 1e6

    @property
    def over(self) -> float:
        """The highest overshoot, as a share of the bound."""
        return max(self.worst, 0) / self.bound
