# SPDX-License-Identifier: Apache-2.0
"""Keeps the list of bound containers up to date while they are measured.

It uses a separate thread, so that a restarting agent or a slow engine does not delay measurements.
"""

from __future__ import annotations

import threading

from ocihook import config
from ocihook.control.status import Status
from ocihook.errors import BedeError, InputError
from ocihook.topology import nodes
from ocihook.watch import containers

SECONDS = 1.0  #: seconds between two updates


class Roster:
    """The containers of ``bede ps``, at most a second old while the agent answers. A context manager."""

    def __init__(self, names: list[str] | None = None, seconds: float = SECONDS) -> None:
        """Get the first list; *names* limits it to these containers. Raises BedeError."""
        self.tiers = nodes.find(config.load().far_nodes)
        self.error = ""  #: why the last update failed
        found = containers.listing()
        #: the cgroups of the named containers, which are fixed from now on; None: all, also new ones
        self.named = {containers.find(name, found).cgroup for name in names} if names else None
        self.found: list[Status] = []
        self.found = self._chosen(found)
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="roster", daemon=True)

    def __enter__(self) -> Roster:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()  # do not join the thread: it may be waiting for an agent that does not answer

    def _chosen(self, found: list[Status]) -> list[Status]:
        """Return the containers to measure. Named ones stay in the list even if *found* lacks them."""
        if self.named is None:
            return found
        known = {container.cgroup: container for container in [*self.found, *found]}
        return [container for cgroup, container in known.items() if cgroup in self.named]

    def _follow(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.found, self.error = self._chosen(containers.listing()), ""
                self.tiers = nodes.find(config.load().far_nodes)
            except BedeError as error:
                self.error = error.message
            except OSError as error:
                self.error = str(error)


def check(seconds: float, least: float) -> None:
    """Check that *seconds* is an interval from *least* seconds to a day. Raises InputError if not."""
    if not least <= seconds <= 86400:
        raise InputError(f"the interval {seconds:g} s is out of range", f"Give {least:g} to 86400 seconds")
