# SPDX-License-Identifier: Apache-2.0
"""The whole of it: every finding in order, whether bounds can be held, and repair."""

from __future__ import annotations

import os
from typing import NamedTuple

from ocihook import config
from ocihook.backends import choose
from ocihook.doctor import host, memory
from ocihook.errors import BedeError
from ocihook.finding import BAD, ROOT, Finding, of_error


class Report(NamedTuple):
    """What was found."""

    findings: list[Finding]

    @property
    def can_hold(self) -> bool | None:
        """Whether a container that asks for a bound gets it held; None where it takes root to tell."""
        verdicts = {one.verdict for one in self.findings}
        return False if BAD in verdicts else None if ROOT in verdicts else True

    @property
    def reasons(self) -> list[str]:
        """What :attr:`can_hold` comes from: what is in the way, else how much room there is."""
        verdict = {False: BAD, None: ROOT}.get(self.can_hold)
        if verdict is None:
            return [one.fact for one in self.findings if (one.topic, one.name) == ("memory", "far")]
        return list(dict.fromkeys(one.fact for one in self.findings if one.verdict == verdict))


def examine() -> Report:
    """Look at this host; changes nothing."""
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
    of_backend = list(backend.examine(settings, tiers))
    found += memory.look(settings, tiers)
    found += [finding for finding in of_backend if finding.topic == "memory"]
    found += memory.beside(tiers)
    found += host.control_groups()
    found += [finding for finding in of_backend if finding.topic != "memory"]
    found.append(host.kernel(patched=not backend.NEEDS_AGENT))
    found += host.runtimes(settings)
    found += host.engines()
    found += host.own_parts(needs_agent=backend.NEEDS_AGENT)
    if not any(one.name == "settings" for one in found):
        found.append(host.configuration(settings))
    found.append(host.backend(settings, backend))
    if hidden:  # which far nodes it names, too
        found = [_of_root(one) if one.topic == "bede" and one.verdict == BAD else one for one in found]
    return Report(found)


def _of_root(one: Finding) -> Finding:
    return one._replace(verdict=ROOT, remedy="Run it as root")


def repair(report: Report) -> list[tuple[Finding, str]]:
    """Do what can be done now; each finding with a fix, and "" or why it did not work."""
    done: list[tuple[Finding, str]] = []
    for one in report.findings:
        if one.fix is None:
            continue
        try:
            one.fix()
        except BedeError as error:
            done.append((one, error.message))
        except OSError as error:
            done.append((one, str(error.strerror)))
        else:
            done.append((one, ""))
    return done
