"""The whole of it: every finding in order, whether bounds can be held, and repair."""

from __future__ import annotations

from typing import NamedTuple

from ocihook import config
from ocihook.backends import choose
from ocihook.doctor import host, memory
from ocihook.doctor.finding import BAD, Finding, of_error
from ocihook.errors import BedeError


class Report(NamedTuple):
    """What was found."""

    findings: list[Finding]

    @property
    def can_hold(self) -> bool:
        """Whether a container that asks for a bound gets it held."""
        return all(one.verdict != BAD for one in self.findings)


def examine() -> Report:
    """Look at this host; changes nothing."""
    found: list[Finding] = []
    try:
        settings = config.load()
    except BedeError as error:
        settings = config.Config()
        found.append(of_error("bede", "settings", error))
    patched = host.is_patched()
    backend = choose.NODE_LIMIT if patched else choose.stock(settings)
    found += memory.look(settings, backend)
    found += host.control_groups(backend)
    found.append(host.kernel(patched))
    found += host.runtimes(settings)
    found += host.engines()
    found += host.own_parts(patched=patched)
    if not any(one.name == "settings" for one in found):
        found.append(host.configuration(settings))
    found.append(host.backend(settings, backend))
    return Report(found)


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
