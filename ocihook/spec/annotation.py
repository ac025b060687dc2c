# SPDX-License-Identifier: Apache-2.0
"""The annotations ``bede.local`` and ``bede.local.NODE`` of a container or pod, as a :class:`Policy`.

Rules:

- ``bede.local`` is a size or ``N%`` of the container's memory limit (0 < N <= 100): the bound on all
  local nodes together. It is required if there is any other bede annotation.
- ``bede.local.NODE`` (NODE: a decimal NUMA node number) bounds one local node further, in the same
  syntax. It may not be larger than ``bede.local``; several may add up to more or less than it, since
  each of them and the total is a bound of its own.
- No bound is smaller than 4 MiB.
- In a pod, ``bede.local/CONTAINER`` and ``bede.local.NODE/CONTAINER`` are for the container of that name, in
  place of the whole pod's. They may not be larger than these.
- A pod's pause container has no bound: all it does is to keep the pod's namespaces.
- ``bede.dev/...`` are left alone: Kubernetes programs keep their data in these, and CRI-O passes them on.
- Any other annotation that begins with ``bede.`` is an error: a typing mistake never means "no bound". Only
  a wrong CONTAINER cannot be noticed, as nobody knows the names of the pod's other containers here.
"""

from ocihook import fs
from ocihook.errors import InputError
from ocihook.spec import pod, size

PREFIX = "bede."
LOCAL = "bede.local"
_OTHERS = "bede.dev/"
MINIMUM = 4 << 20  #: bytes: the smallest bound; below it a container's own page tables thrash

_SYNTAX = "Write a size such as 2G, or a percentage of the memory limit such as 25%"


class Amount:
    """Bytes, or a share of the container's memory limit."""

    __slots__ = ("_scale", "_value", "_what", "name", "text")

    def __init__(self, name: str, text: str, what: str = "") -> None:
        """Parse *text*, the value of annotation *name*; *what* is its name in messages. Raises InputError."""
        self.name = name  #: the annotation
        self._what = what or f"annotation {name}:"
        self.text = text.strip()  #: its value
        given = self.text
        self._scale = 0
        if given.endswith("%"):
            self._value, self._scale = size.decimal(given[:-1].rstrip(" ")) if len(given) < 32 else (0, 0)
            if not self._scale or not 0 < self._value <= 100 * self._scale:
                message = f"{self._what} {text[:40]!a} is not a percentage above 0 and up to 100"
                raise InputError(message, _SYNTAX)
        else:
            self._value = self._checked(size.parse(text, self._what))

    def resolve(self, limit: int | None) -> int:
        """Return the bytes, given a memory limit of *limit* bytes (None: no limit). Raises InputError."""
        if not self._scale:
            return self._value
        if limit is None:
            raise InputError(
                f"{self._what} {self.text} is a share of the memory limit, and there is none",
                "Give the container a limit (such as --memory 4G), or write the bound as a size",
            )
        return self._checked(limit * self._value // (100 * self._scale))

    def _checked(self, value: int) -> int:
        if value < MINIMUM:
            raise InputError(
                f"{self._what} {self.text} is {value} bytes of local memory, "
                "less than the smallest bound of 4M",
                "Ask for 4M or more",
            )
        return value


class Policy:
    """What a container's annotations ask for."""

    __slots__ = ("_limits", "_lowers", "given", "nodes", "total")

    def __init__(
        self,
        total: Amount,
        nodes: dict[int, Amount],
        given: dict[str, str],
        lowers: bool = False,
        limits: tuple[tuple[Amount, Amount], ...] = (),
    ) -> None:
        self.total = total  #: the bound on all local nodes together
        self.nodes = nodes  #: further bounds, by NUMA node
        self.given = given  #: the annotations that count, word for word, but without a container's name
        self._lowers = lowers
        self._limits = limits  # pairs of a container's amount, and its pod's, which may not be smaller

    def bound_to(self, total: int) -> "Policy":
        """Return this policy with a bound of *total* bytes; higher bounds of single nodes become *total*,
        too."""
        return Policy(Amount(LOCAL, str(total)), self.nodes, self.given, lowers=True)

    def resolve(self, limit: int | None) -> tuple[int, dict[int, int]]:
        """Return (bound, bound by node) in bytes for a memory limit of *limit* bytes, None for no limit.

        Raises InputError for a percentage without a limit, and for a node's bound above the total, or a
        container's above its pod's.
        """
        for own, whole in self._limits:
            if own.resolve(limit) > whole.resolve(limit):
                raise InputError(
                    f"annotation {own.name}: {own.text} is above {whole.name}, {whole.text}",
                    f"{whole.name} bounds each container of the pod: raise it, or leave it out",
                )
        bound = self.total.resolve(limit)
        nodes = {node: amount.resolve(limit) for node, amount in self.nodes.items()}
        for node, value in nodes.items():
            if value > bound and self._lowers:
                nodes[node] = bound
            elif value > bound:
                raise InputError(
                    f"annotation {self.nodes[node].name}: {self.nodes[node].text} is above "
                    f"{self.total.name}, {self.total.text}",
                    f"{self.total.name} bounds all local nodes together: raise it, or lower the node's",
                )
        return bound, nodes


def is_any(annotations: dict[str, str]) -> bool:
    """Return whether any of *annotations* is Bede's, be it valid or not."""
    return any(name.startswith(PREFIX) and not name.startswith(_OTHERS) for name in annotations)


def parse(annotations: "dict[str, str] | None") -> Policy | None:
    """Return the policy in a container's *annotations*; None if none of them bounds it. Raises InputError."""
    if not annotations or not is_any(annotations) or pod.is_sandbox(annotations):
        return None
    member = pod.member_of(annotations)
    here = member.container if member else ""
    whole: dict[str, Amount] = {}  # by the name without the container
    own: dict[str, Amount] = {}
    for name, value in annotations.items():
        if not name.startswith(PREFIX) or name.startswith(_OTHERS):
            continue
        key, slash, container = name.partition("/")
        if key != LOCAL:
            _node(key, name)
        if not slash:
            whole[key] = Amount(name, value)
        elif not here or not container:
            raise InputError(
                f"annotation {name[:80]!a} names a container of a pod, but nobody says which this one is",
                f"Write {key}; only CRI-O, and containerd since 1.5, tell the name that Kubernetes gives",
            )
        elif container == here:
            own[key] = Amount(name, value)
    used = whole | own
    if not used:
        return None  # only other containers of the pod have a bound
    if LOCAL not in used:
        name = next(iter(used.values())).name
        total = LOCAL + "".join(name.partition("/")[1:])
        raise InputError(
            f"annotation {name} bounds one node, but there is no {total}",
            f"Add {total}=SIZE, the bound on all local nodes together",
        )
    nodes = {_node(key, key): amount for key, amount in used.items() if key != LOCAL}
    given = {key: annotations[amount.name] for key, amount in used.items()}
    limits = tuple((own[key], whole[key]) for key in own if key in whole)
    return Policy(used[LOCAL], nodes, given, limits=limits)


def _node(key: str, name: str) -> int:
    """Return the node's number in *key*, which is the annotation *name* without a container's name."""
    node = key.removeprefix(LOCAL + ".")
    if node == key:
        raise InputError(
            f"annotation {name[:80]!a} is not one of Bede's", f"Did you mean {LOCAL} (or {LOCAL}.NODE)"
        )
    # Accept one spelling only, or "0" and "00" would be two bounds of one node.
    number = fs.node(node)
    if number is None or str(number) != node:
        raise InputError(
            f"annotation {name[:80]!a} does not end in the number of a NUMA node",
            f"Did you mean {LOCAL} (or {LOCAL}.0 for node 0)",
        )
    return number
