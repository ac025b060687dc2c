# SPDX-License-Identifier: Apache-2.0
"""The demonstration on the host: boots the machine, watches, judges, draws."""

import io
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from ocihook.errors import AccessError, BedeError, InputError, MachineError
from ocihook.spec import annotation
from vmlab import cache, machine, topology
from vmlab import run as vm_run
from vmlab.demo import picture, sampler, series, view
from vmlab.progress import Progress

KEYS, SIZE = 6250, 65536  #: 409.6 MB of values
INSIDE = ["python3", "-m", "vmlab.demo.inside"]
SHOWN = ("loading", "reading back")  #: stages that the picture names
FAILED = 1


@dataclass(frozen=True)
class Options:
    """The options of `bede demo`."""

    kernel: str
    topology: str
    bound: str = "128M"
    timeout: float = 300.0
    into: Path = Path("demo")


@dataclass
class Story:
    """What the machine has reported so far."""

    samples: list[series.Sample] = field(default_factory=list)
    stages: list[tuple[float, str]] = field(default_factory=list)
    workload: series.Workload | None = None


class Stream(io.RawIOBase):
    """A sink for the machine's standard output, which passes its lines to a story and a view."""

    def __init__(self, story: Story, shown: view.View) -> None:
        self.story, self.shown = story, shown
        self.rest = b""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Take in the next part of the output."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            try:
                self._line(line.decode())
            except (ValueError, KeyError, TypeError, BedeError):
                raise MachineError(f"the machine told nonsense: {line[:80]!r}") from None
        return len(data)

    def _line(self, line: str) -> None:
        state = self.shown.state
        if line.startswith("{"):
            event = json.loads(line)
            if "stage" in event:
                state.stage = event["stage"]
                self.story.stages.append((event["at"], event["stage"]))
                state.sample = state.sample._replace(seconds=event["at"])
                self.shown.show(now=True)
            elif "done" in event:
                self.story.workload = series.Workload(keys=KEYS, **event["done"])
        elif line != sampler.HEADER:
            sample = series.parse_sample(line)
            self.story.samples.append(sample)
            state.add(sample)
            self.shown.show()


def run(options: Options) -> int:
    """Run the demonstration. Returns 0 if the bound held and the workload went well. Raises BedeError."""
    bound = annotation.Amount(annotation.LOCAL, options.bound).resolve(None)
    if options.topology not in possible():
        topology.find(options.topology)
        raise InputError(
            f"the topology {options.topology} has one node, so nothing can be far there",
            "Choose one of " + ", ".join(possible()),
        )
    _writable(options.into)
    progress = Progress()
    environment = f"{options.kernel}, {options.topology}"
    story = Story()
    errors = io.BytesIO()
    title = f"Redis in podman, bede.local={options.bound} ({environment})"
    shown = _view(view.State(title, bound, int(KEYS * SIZE * 0.9)))
    argv = [*INSIDE, options.bound, str(KEYS), str(SIZE), *named(options.topology)]
    asked = vm_run.Options(argv, kernel=options.kernel, topology=options.topology)
    with cache.scratch() as work, vm_run.terminated():
        made = vm_run.prepare(asked, work, progress)
        progress.stage(f"booting the machine ({environment}, {made.accel})")
        with machine.Running(made, str(work)) as running:
            sinks = {"bede.stdout": cast(BinaryIO, Stream(story, shown)), "bede.stderr": errors}
            machine.follow(
                running,
                sinks,
                options.timeout,
                lambda seconds: progress.stage(f"the machine is up after {seconds:.1f} s"),
            )
    if story.workload is None or story.workload.status != 0:
        sys.stderr.write(errors.getvalue().decode(errors="replace"))
    if not story.samples:
        raise BedeError("the demonstration did not come to a single sample", "Its own words are above")
    return conclude(options, story, bound)


def possible() -> list[str]:
    """The topologies with more than one node."""
    return [name for name, one in topology.TOPOLOGIES.items() if len(one.nodes) > 1]


def named(name: str) -> list[str]:
    """The nodes that the configuration must call far: without an HMAT, all but the first."""
    one = topology.TOPOLOGIES[name]
    return [] if one.hmat else [",".join(map(str, range(1, len(one.nodes))))]


def conclude(options: Options, story: Story, bound: int) -> int:
    """Write the samples and the picture, print their paths and the verdict. Returns the exit status."""
    ended = story.workload.ended if story.workload else float("inf")
    verdict = series.judge(story.samples, bound, ended)
    name = f"redis-{options.bound}-{options.topology}-{options.kernel}"
    table = options.into / f"{name}.csv"
    table.write_text(series.to_csv(story.samples))
    print(f"samples: {table}")
    if picture.possible():
        target = options.into / f"{name}.png"
        title = f"Redis under bede.local={options.bound} ({options.kernel}, {options.topology})"
        stages = [(at, stage) for at, stage in story.stages if stage in SHOWN]
        picture.draw(story.samples, verdict, title, stages, target)
        print(f"picture: {target}")
    else:
        print("picture: none, for matplotlib is not installed")
    if story.workload is not None and story.workload.mover is not None:
        print(f"the mover's processor time: {story.workload.mover:.2f} s")
    print(series.line(verdict, story.workload))
    return 0 if series.passed(verdict, story.workload) else FAILED


def _writable(into: Path) -> None:
    """Raise AccessError before the machine boots if the results could not be written into *into*."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        allowed = os.access(into, os.W_OK | os.X_OK)
    except OSError:
        allowed = False
    if not allowed:
        raise AccessError(f"cannot write into {into.absolute()}", "Run it in a directory of your own")


def _view(state: view.State) -> view.View:
    terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    colour = terminal and "NO_COLOR" not in os.environ
    return view.View(sys.stdout, state, lambda: shutil.get_terminal_size().columns, terminal, colour)
