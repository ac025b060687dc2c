# SPDX-License-Identifier: Apache-2.0
"""Makes rows as a look at containers would, for tests of tables and charts."""

from typing import Any

from ocihook.control.status import from_json
from ocihook.watch.counters import Counters, Pressure
from ocihook.watch.snapshot import Row

MIB = 1 << 20
QUIET = Counters(demoted=0, promoted=0, pressure=Pressure(0.0, 0.0, 0, 0), high=0, max=0, oom_kill=0)


def row(name: str = "web", bound: float = 128, local: float = 64, far: float = 0, **more: Any) -> Row:
    """A row of *bound*, *local* and *far* MiB; *more* are fields of :class:`Row` or of its container."""
    one = {
        "id": more.pop("id", name),
        "name": name,
        "cgroup": more.pop("cgroup", f"/{name}"),
        "backend": "tier",
        "overshoot": more.pop("overshoot", 0),
    }
    values: dict[str, Any] = {"time": 1700000000.0, "clock": 10.0, "counters": QUIET} | more
    sizes = {"bound": int(bound * MIB), "local": int(local * MIB), "far": int(far * MIB)}
    return Row(container=from_json(one | sizes), **sizes, **values)
