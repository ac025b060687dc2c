# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the API server for each test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_apiserver import FakeApiServer, serving

from ocihook.cluster.api import Api


@pytest.fixture
def fake() -> FakeApiServer:
    return FakeApiServer()


@pytest.fixture
def api(fake: FakeApiServer) -> Iterator[Api]:
    with serving(fake) as found:
        yield found
