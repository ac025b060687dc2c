# SPDX-License-Identifier: Apache-2.0
"""`bede doctor`: can this host hold bounds?"""

import argparse
import json
import sys
import textwrap

from ocihook.cli import terminal
from ocihook.doctor import examine
from ocihook.errors import EXIT_HOST, EXIT_OK, EXIT_PERMISSION
from ocihook.finding import BAD, GOOD, NOTE, ROOT, WARN, Finding

DETAILS = """\
Each line is a fact: ok, note (good to know), warn (works less well), root (prevents bounds, or cannot be
checked, since you are not root) or BAD (no bound can be held), and after an arrow what to do about it. The
last line is the verdict, and the reason for it. Nothing is changed without --fix, which turns on what can be
turned on now: demotion, the memory controller, the multi-generational LRU, the agent. At the next boot the
host's own configuration decides about them again.

The exit status is 0 if bounds can be held, 3 if they cannot, 4 if only root can find that out.

examples:
  sudo bede doctor
  sudo bede doctor --fix
  bede doctor --json | jq .can_hold
"""
_WORDS = {GOOD: "ok", NOTE: "note", WARN: "warn", ROOT: "root", BAD: "BAD"}
_COLOURS = {
    GOOD: terminal.GOOD,
    NOTE: terminal.DIM,
    WARN: terminal.WARN,
    ROOT: terminal.WARN,
    BAD: terminal.BAD,
}
#: whether bounds can be held → the words, their colour, the exit status
_VERDICTS = {
    True: ("bounds can be held on this host", terminal.GOOD, EXIT_OK),
    False: ("no bound can be held on this host", terminal.BAD, EXIT_HOST),
    None: ("whether bounds can be held on this host, only root can tell", terminal.WARN, EXIT_PERMISSION),
}
_INDENT = 27


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to print, and whether to repair."""
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--fix", action="store_true", help="do what can be done at run time")


def run(args: argparse.Namespace) -> int:
    """Print what is found. Return an exit status that says whether this host can hold bounds."""
    report = examine.examine()
    if args.fix:
        for finding, error in examine.repair(report):
            said = f"cannot be done: {error}" if error else "done"
            print(f"{finding.topic} {finding.name}: {finding.remedy}: {said}", file=sys.stderr)
        report = examine.examine()
    if args.json:
        findings = [finding._asdict() | {"fix": finding.fix is not None} for finding in report.findings]
        told = {"can_hold": report.can_hold, "reasons": report.reasons, "findings": findings}
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(lines(report, terminal.width())))
    return _VERDICTS[report.can_hold][2]


def lines(report: examine.Report, width: int) -> list[str]:
    """Return the report for people, no line longer than *width* columns."""
    found: list[str] = []
    topic = ""
    for finding in report.findings:
        found += _lines(finding, "" if finding.topic == topic else finding.topic, width)
        topic = finding.topic
    words, colour, _ = _VERDICTS[report.can_hold]
    text = ": ".join([words, *(["; ".join(report.reasons)] if report.reasons else [])])
    return [*found, "", *(terminal.painted(line, colour) for line in _wrapped(text, max(width, 40)))]


def _lines(finding: Finding, topic: str, width: int) -> list[str]:
    text = _wrapped(finding.fact, max(width - _INDENT, 20)) or [""]
    mark = terminal.painted(f"{_WORDS[finding.verdict]:4}", _COLOURS[finding.verdict])
    found = [f"{topic:7} {mark} {finding.name:13.13} {text[0]}"]
    found += [" " * _INDENT + more for more in text[1:]]
    if finding.remedy and finding.verdict != GOOD:
        found += [
            " " * _INDENT + ("→ " if at == 0 else "  ") + more
            for at, more in enumerate(_wrapped(finding.remedy, max(width - _INDENT - 2, 20)))
        ]
    return found


def _wrapped(text: str, width: int) -> list[str]:
    # Do not break a path that fits into a line: users will want to copy it.
    return textwrap.wrap(text, width, break_on_hyphens=False)
