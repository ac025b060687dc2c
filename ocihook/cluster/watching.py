# SPDX-License-Identifier: Apache-2.0
"""Keeps up with a list of the API server's: lists it, then watches it, for ever."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from ocihook.cluster import fields
from ocihook.cluster.api import Api, ExpiredError
from ocihook.cluster.fields import Json
from ocihook.errors import ClusterError, printable

Kept = TypeVar("Kept")
_FIRST, _MOST = 0.5, 30.0  # seconds to wait after the first error in a row, and after any


def tell(program: str, text: str) -> None:
    """Write a line to the program's log, which the cluster collects from standard error."""
    print(f"{program}: {printable(' '.join(text.split()))}", file=sys.stderr, flush=True)


class Backoff:
    """How long to wait after errors: twice as long after each, and never all programs at the same time."""

    def __init__(self, first: float = _FIRST, most: float = _MOST) -> None:
        self._first, self._most = first, most
        self._errors = 0

    def failed(self) -> float:
        """Return the seconds to wait after one more error."""
        self._errors += 1
        longest = min(self._most, self._first * 2.0 ** min(self._errors, 10))
        return longest * random.uniform(0.5, 1.0)

    def worked(self) -> None:
        """Begin anew."""
        self._errors = 0


class Mirror(Generic[Kept]):
    """What a program needs of each object in a list. One thread follows the list, others read it."""

    def __init__(
        self,
        api: Api,
        path: str,
        keep: Callable[[Json], Kept | None],
        changed: Callable[[Kept | None, Kept | None], None],
        query: Mapping[str, object] | None = None,
    ) -> None:
        """Follow the list at *path*; *keep* returns what is needed of an object, None for nothing.

        *changed* is called in the thread, with what was kept of an object before, and what is now.
        """
        self.synced = threading.Event()  #: whether the list has been read once
        self._api, self._path, self._query = api, path, dict(query or {})
        self._keep, self._changed = keep, changed
        self._kept: dict[str, Kept] = {}
        self._version = ""  # of the list, as far as it is known here; "" to read it anew
        self._lock = threading.Lock()

    def get(self, name: str) -> Kept | None:
        """Return what is kept of an object; its *name* is ``NAMESPACE/NAME`` where it has a namespace."""
        with self._lock:
            return self._kept.get(name)

    def all(self) -> list[Kept]:
        """Return what is kept of all objects."""
        with self._lock:
            return list(self._kept.values())

    def start(self, program: str) -> None:
        """Follow the list in a thread of its own, which ends with the *program*."""
        threading.Thread(target=self._follow, args=(program,), name=self._path, daemon=True).start()

    def _follow(self, program: str) -> None:
        backoff = Backoff()
        told = ""
        while True:
            try:
                if not self._version:
                    self.list()
                self.watch()
                backoff.worked()
                told = ""
            except ExpiredError:
                self._version = ""  # what happened meanwhile is not kept any more
                threading.Event().wait(backoff.failed())
            except ClusterError as error:
                if error.message != told:
                    tell(program, f"{self._path}: {error.message}")
                told = error.message
                threading.Event().wait(backoff.failed())

    def list(self) -> None:
        """Read the whole list. Raises ClusterError."""
        found: dict[str, Kept] = {}
        version = ""
        for page in self._api.pages(self._path, self._query):
            version = fields.text(page, "metadata", "resourceVersion")
            for raw in fields.objects(page, "items"):
                kept = self._keep(raw)
                if kept is not None:
                    found[_name(raw)] = kept
        with self._lock:
            before, self._kept = self._kept, found
        for name in sorted(before.keys() | found.keys()):
            if before.get(name) != found.get(name):
                self._changed(before.get(name), found.get(name))
        self._version = version
        self.synced.set()

    def watch(self) -> None:
        """Follow the list from where it is known, until the server ends that.

        Raises ClusterError, ExpiredError.
        """
        for event in self._api.watch(self._path, self._version, self._query):
            if event.type != "BOOKMARK":
                self._take(_name(event.object), None if event.type == "DELETED" else self._keep(event.object))
            # After it was taken: if that fails, the event comes again.
            self._version = fields.text(event.object, "metadata", "resourceVersion") or self._version

    def _take(self, name: str, kept: Kept | None) -> None:
        with self._lock:
            before = self._kept.pop(name, None)
            if kept is not None:
                self._kept[name] = kept
        if before != kept:
            self._changed(before, kept)


def _name(raw: Any) -> str:
    namespace, name = (fields.text(raw, "metadata", part) for part in ("namespace", "name"))
    return f"{namespace}/{name}" if namespace else name
