# SPDX-License-Identifier: Apache-2.0
"""Where a test of the suite runs: a marker that names its kernels and topologies.

    pytestmark = on(STOCK)                              every test of this file
    @on("debian-6.12")  @on(PATCHED, each=True)         this test, in place of what its file says

The whole matrix is every kernel on every topology that the markers of a test name. `make test` takes one of
each marker, the first, where the test is most likely to fail; of one with *each* all, of a *rarely* none.
There it has one CPU, if its topology can do with one: two on one processor hold each other up. What needs two
at the same time says so. In the rest of the matrix every machine has its topology's own.
Parameters can be rare, too: that a test is of every engine is another dimension of the matrix.
"""

import itertools
from dataclasses import dataclass

import pytest

STOCK = ("debian-6.12", "debian-7.3")
PATCHED = ("bede-6.12", "bede-7.3")
ALL = (*STOCK, *PATCHED)
ONE_SOCKET = ("two-tier", "module", "single")  #: topologies that can do with one CPU


@dataclass(frozen=True, order=True)
class Cell:
    """One machine of the matrix. *quiet*: the test needs a host to itself, since an agent races a load."""

    kernel: str
    topology: str
    cpus: int = 0  #: 0 for those that the topology has
    quiet: bool = False


def on(kernel=STOCK, topology="two-tier", *, first=None, each=False, rarely=False, quiet=False, two=False):
    """The marker; *kernel* and *topology* are a name or several, *first* is the kernel that comes first.

    *two*: it needs two CPUs, as it is about what they do at the same time. A *quiet* one has them, too.
    """
    kernels = (kernel,) if isinstance(kernel, str) else tuple(kernel)
    topologies = (topology,) if isinstance(topology, str) else tuple(topology)
    if first is not None:
        kernels = (first, *(name for name in kernels if name != first))
    return pytest.mark.on(kernels, topologies, each=each, rarely=rarely, quiet=quiet, two=two or quiet)


def rarely(*values):
    """Parameters that run in the matrix alone; a tuple is a row of them."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*row, marks=pytest.mark.rarely) for row in rows]


def name(nodeid):
    """``FILE::TEST`` of a node's id, wherever the file lies; a parameter may have slashes of its own."""
    file, _, test = nodeid.partition("::")
    return f"{file.rpartition('/')[2]}::{test}"


def cells(item):
    """(all cells, those of `make test`) of a test; a test without a marker is a mistake."""
    marks = _nearest(item)
    if not marks:
        raise pytest.UsageError(f"{item.nodeid} does not say where it runs: give it, or its file, on(…)")
    whole, usual = {}, {}
    for mark in marks:
        kernels, topologies = mark.args
        pairs = list(itertools.product(kernels, topologies))
        whole |= dict.fromkeys(Cell(*pair, 0, mark.kwargs["quiet"]) for pair in pairs)
        if not mark.kwargs["rarely"]:
            found = [Cell(*pair, _cpus(pair[1], mark), mark.kwargs["quiet"]) for pair in pairs]
            usual |= dict.fromkeys(found if mark.kwargs["each"] else found[:1])
    return list(whole), [] if item.get_closest_marker("rarely") else list(usual)


def _cpus(topology, mark):
    return 1 if topology in ONE_SOCKET and not mark.kwargs["two"] else 0


def _nearest(item):
    """The markers of the parameter, else of the function, else of the file."""
    parameter = getattr(item, "callspec", None)
    of_parameter = [mark for mark in parameter.marks if mark.name == "on"] if parameter else []
    if of_parameter:
        return of_parameter
    found = [(node, mark) for node, mark in item.iter_markers_with_node("on")]
    return [mark for node, mark in found if node is found[0][0]]
