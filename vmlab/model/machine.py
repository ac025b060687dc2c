# SPDX-License-Identifier: Apache-2.0
"""What makes a machine a modelled one, and its report at the end."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocihook.errors import InputError
from vmlab.model import plugin, profile, report
from vmlab.progress import Progress
from vmlab.topology import Topology


@dataclass(frozen=True)
class Wish:
    """What the user asked of the model.

    *report* gets the counters as JSON, *misses* the log of misses by page; *placement* names pages that count
    as local wherever they are.
    """

    profile: str
    seed: int = 1
    report: Path | None = None
    misses: Path | None = None
    placement: Path | None = None


@dataclass(frozen=True)
class Model:
    """A modelled machine that is ready to start; *work* holds the plugin's files while it runs."""

    wish: Wish
    nodes: Topology
    work: Path
    program: Path  #: directory of the model's programs

    @classmethod
    def prepared(cls, wish: Wish, nodes: Topology, work: Path) -> "Model":
        """Checks the wish, builds what is missing, and writes the plugin's configuration."""
        chosen = profile.find(wish.profile)
        model = cls(wish, nodes, work, plugin.ensure())
        text = plugin.configuration(chosen, nodes, work / "report", work / "misses" if wish.misses else None)
        if wish.placement is not None:
            if not wish.placement.is_file():
                raise InputError(f"--placement {wish.placement} is no file", "Make one with: bede vm oracle")
            text += f"placement 0 {min(nodes.far(), default=0)} {wish.placement.resolve()}\n"
        (work / "model").write_text(text)
        return model

    def members(self) -> Mapping[str, Path]:
        """Files for the machine, by their names in it."""
        return plugin.members(self.program)

    def arguments(self) -> tuple[str, ...]:
        """QEMU's further arguments."""
        return plugin.arguments(self.program, self.work / "model", self.wish.seed)

    def finish(self, progress: Progress) -> None:
        """Prints a line for each mark, and writes the report and the log to where they were asked for."""
        marks = report.read(self.work / "report")
        far = self.nodes.far()
        for interval in report.intervals(marks):
            progress.stage(f"model {self.wish.profile}: {interval.line(far)}")
        if self.wish.report is not None:
            text = json.dumps(report.whole(marks, self.wish.profile, far), indent=1)
            self.wish.report.write_text(text + "\n")
        if self.wish.misses is not None:
            shutil.copyfile(self.work / "misses", self.wish.misses)
