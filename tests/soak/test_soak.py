# SPDX-License-Identifier: Apache-2.0
"""The long forms of tests, in one machine after the other: `make soak`, which takes an hour or more."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

import machines

HOUR = 3600.0
RUNS = (
    ("debian-6.12", "suite/test_crowd.py", "killed"),
    ("debian-7.3", "suite/test_crowd.py", "a_crowd"),
    ("debian-6.12", "suite/test_crowd.py", "cycles"),
    ("debian-6.12", "suite/test_children.py", "storm"),
    ("debian-7.3", "suite/test_children.py", "storm"),
    ("bede-6.12", "suite/test_children.py", "storm"),
    ("bede-7.3", "suite/test_children.py", "storm"),
    ("debian-6.12", "cluster/test_killed.py", "killed"),
    ("bede-6.12", "cluster/test_killed.py", "killed"),
)


@pytest.mark.parametrize(("kernel", "file", "tests"), RUNS)
def test_long_form(kernel: str, file: str, tests: str, request: pytest.FixtureRequest) -> None:
    assert os.environ.get("BEDE_SOAK"), "the machine runs the short form without it"
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        boot = machines.boot(
            *machines.PYTEST,
            f"{machines.THERE}/{file}",
            "-k",
            tests,
            kernel=kernel,
            topology="two-tier",
            seconds=HOUR,
            live=True,
            cluster=file.startswith("cluster/"),
        )
    assert boot.status == 0, boot.tail()
