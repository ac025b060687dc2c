# SPDX-License-Identifier: Apache-2.0
"""The C parsers of kernel text, and the control law: runs the corpus, then what libFuzzer makes from it."""

import tempfile
from pathlib import Path

import libfuzzer
import pytest
import seeds


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("targets")


@pytest.mark.parametrize("target", libfuzzer.names())
def test_target(target: str, built: Path) -> None:
    program = libfuzzer.build(target, built)
    corpus = seeds.CORPUS / target
    libfuzzer.run(program, *seeds.files(target))
    with tempfile.TemporaryDirectory() as new:
        libfuzzer.run(program, f"-max_total_time={seeds.SECONDS}", new, corpus)
