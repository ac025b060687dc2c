# SPDX-License-Identifier: Apache-2.0
"""Finds Podman's names of its containers without Podman, which needs privileges and a hundred times as long.

Podman starts each container as a child of conmon(8), whose command line has the name at the start and the
directories of Podman's storage. There `containers.json` (for `podman run --rm`: `volatile-containers.json`)
has the current names of all containers, also after `podman rename`; it is read again when it has changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ocihook import fs, host
from ocihook.cgroup import path, process, procfs, tree
from ocihook.errors import BedeError

STORES = ("containers.json", "volatile-containers.json")
_GENERATIONS = 32  # most parents that are followed from a process of the container up to conmon
_MOST_BELOW = 64  # cgroups of a container in which a process of it is looked for


class _Conmon(NamedTuple):
    """What is known from the conmon of one container."""

    pid: int
    start: int
    name: str
    stores: tuple[str, ...]  #: files that may have its current name


#: caches, by container and by file: (the file's state when it was read, names by id)
_conmons: dict[tuple[str, str], _Conmon] = {}
_read: dict[str, tuple[tuple[int, ...], dict[str, str]]] = {}
_MOST = 4096  # entries in each cache


def names(containers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return {cgroup: name} of Podman's *containers*, each given as (id, path of its cgroup).

    The names are not checked: they can be any text.
    """
    found = {(id, where): known for id, where in containers if (known := _conmon(id, where)) is not None}
    # Read each file once, however many containers are in it.
    files = {store for conmon in found.values() for store in conmon.stores}
    stores = {store: _names_in(store) for store in files}
    return {
        where: next((stores[store][id] for store in known.stores if id in stores[store]), known.name)
        for (id, where), known in found.items()
    }


def _conmon(id: str, where: str) -> _Conmon | None:
    """Return what is known of the conmon of container *id*; the last known if that process has ended."""
    known = _conmons.get((id, where))
    with contextlib.suppress(OSError):
        if known is not None and process.is_same(known.pid, known.start):
            return known
        if (found := _find(id, where)) is not None:
            if len(_conmons) >= _MOST:
                _conmons.clear()
            known = _conmons[id, where] = found
    return known


def _find(id: str, where: str) -> _Conmon | None:
    """Return the conmon of container *id*, which is found by its command line."""
    pid = _member(where)
    for _ in range(_GENERATIONS):
        pid = procfs.parent_of(pid) if pid else 0
        inside = procfs.cgroup_of(pid) or where
        # A process inside the container chooses its own command line, and so could fake a name.
        if inside == where or inside.startswith(where + "/"):
            continue
        start = process.start_time(pid)
        words = host.read(f"/proc/{pid}/cmdline").split("\0")
        if start is not None and words[0].endswith("conmon") and id in words and "-n" in words[:-1]:
            return _Conmon(pid, start, _after(words, "-n"), tuple(_stores(pid, words)))
    return None


def _member(where: str) -> int:
    """Return a process in the cgroup *where*, else one in a cgroup below it; 0 if there is none.

    Init systems in a container make such cgroups below.
    """
    with contextlib.suppress(BedeError, OSError):
        cgroup = path.open_below(where)
        if cgroup is None:
            return 0
        with cgroup:
            waiting = [""]
            for _ in range(_MOST_BELOW):
                if not waiting:
                    break
                below = waiting.pop(0)
                with contextlib.suppress(OSError):
                    fd = fs.open_below(cgroup.fd, below)
                    try:
                        text = fs.read_or("cgroup.procs", "", dir_fd=fd)
                        if pid := fs.number(text.partition("\n")[0]):
                            return pid
                        waiting += reversed(tree.below(fd, below + "/"))
                    finally:
                        os.close(fd)
    return 0


def _after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else ""


def _stores(pid: int, words: list[str]) -> Iterator[str]:
    """Yield the files in which Podman keeps names, which are beside the container's directories.

    Yield none if the conmon belongs to another user, who could make root read any file.
    """
    with contextlib.suppress(OSError):
        if os.stat(host.path(f"/proc/{pid}")).st_uid != os.geteuid():
            return
        directories = []
        for option in ("-b", "-p"):  # -b …/overlay-containers/ID/userdata, and -p with the path of a pidfile
            above, found, _ = _after(words, option).rpartition("/userdata")
            if found and above.startswith("/"):
                directories.append(os.path.dirname(above))
        for directory in dict.fromkeys(directories):
            yield from (f"{directory}/{name}" for name in STORES)


def _names_in(store: str) -> dict[str, str]:
    """Return {id: name} in the file *store*, which is read only when it has changed."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = os.stat(store, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return {}
        state = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = _read.get(store)
        if known is None or known[0] != state:
            if len(_read) >= _MOST:
                _read.clear()
            known = _read[store] = (state, _by_id(json.loads(fs.read(store))))
        return known[1]
    return {}


def _by_id(data: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for container in data if isinstance(data, list) else ():
        if isinstance(container, dict) and isinstance(container.get("names"), list):
            texts = [text for text in container["names"] if isinstance(text, str)]
            if isinstance(container.get("id"), str) and texts:
                found[container["id"]] = texts[0]
    return found
