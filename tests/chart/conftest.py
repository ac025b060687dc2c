# SPDX-License-Identifier: Apache-2.0
"""The Helm chart by itself: without a cluster, but with the real helm, which is downloaded once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import helm


@pytest.fixture(scope="module", params=helm.SOURCES)
def programs(request: pytest.FixtureRequest) -> Path:
    """The directory of one version's helm and kubectl."""
    return helm.ensure(request.param)
