# SPDX-License-Identifier: Apache-2.0
"""A marker that names the kernels and topologies on which a test of the suite runs.

    pytestmark = on(STOCK)                              every test of this file
    @on("debian-6.12")  @on(PATCHED, each=True)         this test, instead of what its file says

The whole matrix is every kernel on every topology that the markers of a test name. `make test` takes the
first kernel of each marker, where the test is most likely to fail; all of a marker with *each*, none of one
with *rarely*. There the machine has one CPU, if its topology allows that: two virtual CPUs on one processor
delay each other. A test that needs two CPUs says so (*two*). In the rest of the matrix every machine has the
CPUs of its topology. Parameters can be rare, too: to run a test with every engine is another dimension.
"""

import itertools
from dataclasses import dataclass

import pytest

STOCK = ("debian-6.12", "debian-7.3")
PATCHED = ("bede-6.12", "bede-7.3")
ALL = (*STOCK, *PATCHED)
CLOCKS = ("", "counted", "quiet")  #: see Cell
ONE_SOCKET = ("two-tier", "module", "single")  #: topologies that work with one CPU


@dataclass(frozen=True, order=True)
class Cell:
    """One machine of the matrix.

    Its *clock* is "counted" if a race between an agent and a load must not depend on how busy the host is:
    time is the number of the machine's instructions. It is "quiet" if the machine has the host to itself
    instead: a disk, which some loads read, is infinitely fast by counted time.
    """

    kernel: str
    topology: str
    cpus: int = 0  #: 0: the CPUs of the topology
    clock: str = ""


def on(kernel=STOCK, topology="two-tier", *, first=None, each=False, rarely=False, clock="", two=False):
    """The marker. *kernel* and *topology* are one name or several; *first* is the kernel that comes first.

    *two*: the test needs two CPUs, since it is about two things at the same time. A *clock* (see Cell)
    implies two CPUs.
    """
    if clock not in CLOCKS:
        raise TypeError(f"clock={clock!r} is none of {CLOCKS}")
    kernels = (kernel,) if isinstance(kernel, str) else tuple(kernel)
    topologies = (topology,) if isinstance(topology, str) else tuple(topology)
    if first is not None:
        kernels = (first, *(name for name in kernels if name != first))
    return pytest.mark.on(kernels, topologies, each=each, rarely=rarely, clock=clock, two=two or bool(clock))


def rarely(*values):
    """Parameters that run in the rest of the matrix only, not in `make test`; a tuple is one set of them."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*row, marks=pytest.mark.rarely) for row in rows]


def name(nodeid):
    """``FILE::TEST`` of a node id, without the file's directory; a parameter may contain slashes."""
    file, _, test = nodeid.partition("::")
    return f"{file.rpartition('/')[2]}::{test}"


def cells(item):
    """(all cells, those of `make test`) of a test. A test without a marker is an error."""
    marks = _nearest(item)
    if not marks:
        raise pytest.UsageError(f"{item.nodeid} does not say where it runs: give it, or its file, on(…)")
    whole, usual = {}, {}
    for mark in marks:
        kernels, topologies = mark.args
        pairs = list(itertools.product(kernels, topologies))
        whole |= dict.fromkeys(Cell(*pair, 0, mark.kwargs["clock"]) for pair in pairs)
        if not mark.kwargs["rarely"]:
            found = [Cell(*pair, _cpus(pair[1], mark), mark.kwargs["clock"]) for pair in pairs]
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
