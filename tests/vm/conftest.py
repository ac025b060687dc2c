# SPDX-License-Identifier: Apache-2.0
"""Chooses the part of the matrix of machines that runs (``--part``), and reports where the time went.

Each guest test is also a test on the host, so that a failure is reported by name. The host does not collect
the files in `guest`, since they run in the machine.
"""

import functools
from collections.abc import Iterator

import machines
import matrix
import pytest
import runs

collect_ignore = ["guest"]
BOTH = {"cell", "test"}  #: parameters of a test of the guest's suite
SUITE: pytest.StashKey[runs.Suite] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="usual", help=f"usual, all, or a slice, 1 to {matrix.SLICES}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rarely: not in `make test`; in one of the slices, and in test-all")
    part = config.getoption("part")
    if not matrix.is_part(part):
        raise pytest.UsageError(f"there is no part {part!r}, only usual, all, and 1 to {matrix.SLICES}")


@functools.cache
def _where(part: str) -> matrix.Where:
    return matrix.tests(part)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if set(metafunc.fixturenames) >= BOTH:
        where = _where(metafunc.config.getoption("part"))
        pairs = [(cell, test) for cell, names in sorted(where.items()) for test in names]
        metafunc.parametrize(("cell", "test"), pairs, ids=[f"{cell.name}: {test}" for cell, test in pairs])


def _of_suite(item: pytest.Item) -> bool:
    return "test_suite" in item.nodeid


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the chosen part, with the long suites last, so that a mistake shows early."""
    part = config.getoption("part")
    rare = [item for item in items if item.get_closest_marker("rarely")]
    number = {item: index for index, item in enumerate(rare)}
    left = [item for item in items if not _of_suite(item) and not matrix.in_part(part, number.get(item))]
    config.hook.pytest_deselected(items=left)
    items[:] = sorted((item for item in items if item not in left), key=_of_suite)


@pytest.fixture(scope="session", autouse=True)
def suite(request: pytest.FixtureRequest) -> Iterator[runs.Suite]:
    """The suite, started before the first test of this directory, so that no CPU of the host stays idle."""
    wanted: matrix.Where = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and _of_suite(item):
            cell, test = (item.callspec.params[name] for name in ("cell", "test"))
            assert isinstance(cell, machines.Cell)
            assert isinstance(test, str)
            wanted.setdefault(cell, []).append(test)
    request.config.stash[SUITE] = started = runs.Suite(wanted)
    yield started
    started.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print where the time went."""
    if machines.BOOTS:
        terminalreporter.section("where the minutes went")
        for line in runs.lines(config.stash[SUITE].seconds):
            terminalreporter.write_line(line)
