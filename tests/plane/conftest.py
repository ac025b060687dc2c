# SPDX-License-Identifier: Apache-2.0
"""A real control plane on this host, one for each file of tests; `make plane` runs all of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bede_plane import System

from vmlab.cluster import plane
from vmlab.progress import Progress


@pytest.fixture(scope="session")
def programs() -> Path:
    """The control plane's programs; built once, which takes minutes."""
    return plane.ensure(Progress())


@pytest.fixture(scope="module")
def system(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Bede's objects on a control plane; no program of Bede's runs yet."""
    with plane.Plane(programs, tmp_path_factory.mktemp("plane")) as made:
        found = System(made, tmp_path_factory.mktemp("bede"))
        try:
            found.install()
            yield found
        finally:
            found.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add to a failure what the programs have said."""
    report = yield
    if report.failed and "system" in getattr(item, "funcargs", {}):
        report.sections.append(("programs", item.funcargs["system"].logs()))
    return report
