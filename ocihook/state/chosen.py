# SPDX-License-Identifier: Apache-2.0
"""Bounds that ``bede set`` has given, by container: ``/run/bede/bounds/ID``. A restart uses them again.

Podman and Docker restart a container under the same id, 64 hexadecimal digits that no other container gets.
For a container with another kind of id nothing is kept, as a different one may have that id later. The
kubelet makes a pod's container anew instead; until then its choice is for ``bede set default``, and for a
record that is made anew.
"""

import os

from ocihook import fs
from ocihook.errors import AccessError, BedeError, MalformedError
from ocihook.spec import annotation, fastjson
from ocihook.state import records, user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_WHERE = "bounds"
_DIGITS = frozenset("0123456789abcdef")
_LENGTH = 64
_MOST = 1024  # at most so many files are kept, the newest: Bede is not told of every removed container
_LARGEST = (1 << 64) - 1


class Chosen:
    """The bound that was chosen for one container."""

    __slots__ = ("bound", "bundle", "limits")

    def __init__(self, bound: int, bundle: str = "", limits: str = "") -> None:
        self.bound = bound  #: bytes on all local nodes
        self.bundle = bundle  #: the bundle's path; "" if it is unknown
        self.limits = limits  #: ``memory.node_limit`` before the first choice, if the kernel holds the bound


def lasting(id: str) -> str:
    """Return the engine's lasting id in *id*, which may have a prefix that ends in "-"; "" if it has none."""
    life = id[-_LENGTH:]
    if len(life) != _LENGTH or not _DIGITS.issuperset(life) or id[:-_LENGTH][-1:] not in ("", "-"):
        return ""
    return life


def read(id: str) -> Chosen | None:
    """Return the choice for container *id*; None if there is none. Raises MalformedError, AccessError."""
    life = lasting(id)
    if not life:
        return None
    try:
        directory = records.opened(where=_WHERE)
        try:
            text = fs.read(life, dir_fd=directory)
        finally:
            os.close(directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _denied(error) from None
    try:
        return _parse(fastjson.loads(text))
    except (BedeError, KeyError, TypeError, ValueError):
        raise MalformedError(
            f"the bound that bede set gave to container {id[:80]} cannot be read any more",
            "Set it again",
            id,
        ) from None


def read_or_none(id: str) -> Chosen | None:
    """Return the choice like :func:`read`; None also if it cannot be read."""
    try:
        return read(id)
    except BedeError:
        return None


def apply(policy: annotation.Policy, id: str, warn: "Callable[[BedeError], None]") -> annotation.Policy:
    """Return *policy* with the bound that was chosen for container *id*; unchanged if none was chosen.

    If the choice cannot be read, *warn* gets the error, and the policy stays as it is.
    """
    try:
        found = read(id)
    except MalformedError as error:
        warn(error)
        _drop(id)
        return policy
    except AccessError as error:
        if user.uid_outside() is None:  # a user without a runtime directory has chosen nothing
            warn(error)
        return policy
    return policy if found is None else policy.bound_to(found.bound)


def _drop(id: str) -> None:
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        forget(id)
    except AccessError:
        pass


def write(id: str, chosen: Chosen) -> bool:
    """Keep *chosen* for container *id*. Return False if its id is not a lasting one. Raises AccessError."""
    life = lasting(id)
    if not life:
        return False
    try:
        directory = records.opened(create=True, where=_WHERE)
        try:
            raw = {"bound": chosen.bound, "bundle": chosen.bundle, "limits": chosen.limits}
            fs.replace(life, fastjson.dumps(raw) + "\n", dir_fd=directory)
            _prune(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise _denied(error) from None
    return True


def forget(id: str) -> None:
    """Remove the choice: container *id* starts with its annotation's bound next time. Raises AccessError."""
    life = lasting(id)
    try:
        directory = records.opened(where=_WHERE)
        try:
            if life:
                os.unlink(life, dir_fd=directory)
        finally:
            os.close(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _denied(error) from None


def _prune(directory: int) -> None:
    """Remove the files of containers that no longer exist, and the oldest ones if there are too many."""
    found = []
    for name in os.listdir(directory):
        try:
            bundle = _parse(fastjson.loads(fs.read(name, dir_fd=directory))).bundle
            # Podman's bundle exists as long as the container; other engines make one at each start.
            gone = bundle.endswith(f"/{name}/userdata") and not os.path.lexists(bundle)
            age = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns
        except (OSError, BedeError, KeyError, TypeError, ValueError):
            gone, age = name.rpartition(".")[2] != "tmp", 0
        if gone:
            _unlink(name, directory)
        else:
            found.append((age, name))
    for _, name in sorted(found)[:-_MOST]:
        _unlink(name, directory)


def _unlink(name: str, directory: int) -> None:
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        os.unlink(name, dir_fd=directory)
    except OSError:
        pass


def _parse(raw: "Any") -> Chosen:
    """Return the choice in *raw*. Raises KeyError, TypeError, ValueError."""
    bound, bundle, limits = raw["bound"], raw["bundle"], raw["limits"]
    if not isinstance(bound, int) or not annotation.MINIMUM <= bound <= _LARGEST:
        raise ValueError("bound")
    if not isinstance(bundle, str) or not isinstance(limits, str):
        raise ValueError("bundle")
    return Chosen(bound, bundle, limits)


def _denied(error: OSError) -> AccessError:
    return AccessError(f"{records.RUN}/{_WHERE} cannot be used: {error.strerror}", "Run Bede as root")
