# SPDX-License-Identifier: Apache-2.0
"""The whole examination: all findings in order, the verdict whether bounds can be held, and repair."""

from __future__ import annotations

import os
from typing import NamedTuple

from ocihook import config
from ocihook.backends import choose
from ocihook.doctor import host, memory
from ocihook.errors import BedeError
from ocihook.finding import BAD, ROOT, Finding, of_error


class Report(NamedTuple):
    """All findings."""

    findings: list[Finding]

    @property
    def can_hold(self) -> bool | None:
        """Return whether this host can hold bounds; None if only root can find that out."""
        verdicts = {finding.verdict for finding in self.findings}
        return False if BAD in verdicts else None if ROOT in verdicts else True

    @property
    def reasons(self) -> list[str]:
        """Return the reasons for :attr:`can_hold`: the obstacles, else how much far memory is available."""
        verdict = {False: BAD, None: ROOT}.get(self.can_hold)
        if verdict is None:
            return [found.fact for found in self.findings if (found.topic, found.name) == ("memory", "far")]
        return list(dict.fromkeys(found.fact for found in self.findings if found.verdict == verdict))


def examine() -> Report:
    """Examine this host without changing anything. Return the report."""
    found: list[Finding] = []
    hidden = False
    try:
        settings = config.load()
    except BedeError as error:
        settings = config.Config()
        found.append(of_error("bede", "settings", error))
        hidden = os.geteuid() != 0 and not os.access(config.used(), os.R_OK)
    backend = choose.here(settings)
    tiers = memory.tiers(settings)
    of_backend = list(backend.examine(tiers))
    found += memory.look(settings, tiers)
    found += [finding for finding in of_backend if finding.topic == "memory"]
    found += memory.beside(tiers)
    found += host.control_groups()
    found += [finding for finding in of_backend if finding.topic != "memory"]
    found.append(host.kernel(backend))
    found += host.runtimes(settings)
    found += host.engines()
    found += host.own_parts(needs_agent=backend.NEEDS_AGENT)
    if not any(finding.name == "settings" for finding in found):
        found.append(host.configuration(settings))
    found.append(host.backend(settings, backend))
    if hidden:  # the far nodes that the configuration names are hidden, too
        found = [_of_root(one) if one.topic == "bede" and one.verdict == BAD else one for one in found]
    return Report(found)


def _of_root(finding: Finding) -> Finding:
    return finding._replace(verdict=ROOT, remedy="Run it as root")


def repair(report: Report) -> list[tuple[Finding, str]]:
    """Apply all fixes. Return (finding, "" or why its fix failed) for each."""
    done: list[tuple[Finding, str]] = []
    for finding in report.findings:
        if finding.fix is None:
            continue
        try:
            finding.fix()
        except BedeError as error:
            done.append((finding, error.message))
        except OSError as error:
            done.append((finding, str(error.strerror)))
        else:
            done.append((finding, ""))
    return done
