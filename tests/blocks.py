# SPDX-License-Identifier: Apache-2.0
"""The blocks of commands in the documentation, and where a test runs them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^(`{3,})\s*(.*?)\s*$")
#: the mark of a block → where it runs: in the machine, on this host, or by another test
KINDS = {"sh": "machine", "{ .sh .host }": "host", "{ .sh .elsewhere }": "elsewhere"}


class Block(NamedTuple):
    """One fenced block of commands."""

    page: str
    line: int  #: line number of its first command
    kind: str  #: "machine", "host" or "elsewhere"
    text: str


def of(path: Path) -> list[Block]:
    """The blocks of commands of one page."""
    found: list[Block] = []
    fence, kind, first = "", "", 0
    lines: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = _FENCE.match(line)
        if fence:
            if match and match[1] == fence and not match[2]:
                if kind:
                    found.append(Block(str(path.relative_to(ROOT)), first, kind, "\n".join(lines)))
                fence = ""
            else:
                lines.append(line)
        elif match:
            fence, kind, first, lines = match[1], KINDS.get(match[2], ""), number + 1, []
    assert not fence, f"{path}: a block is not closed"
    return found


def pages() -> list[Path]:
    """Every page with commands for people."""
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted(ROOT.glob("examples/*/README.md")),
    ]
