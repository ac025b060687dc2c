# SPDX-License-Identifier: Apache-2.0
"""Each test of ``tests/vm/guest/suite`` in the chosen part, by name."""

import machines
import pytest
import runs


def test_in_the_machine(
    cell: machines.Cell, test: str, suite: runs.Suite, request: pytest.FixtureRequest
) -> None:
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        boot, verdicts = suite.result(cell, test)
    if not verdicts:
        what = "the machine was lost" if boot.lost else f"its pytest ended with status {boot.status}"
        pytest.fail(f"{cell.name}: {what}\n{boot.tail()}", pytrace=False)
    verdict = verdicts.get(test, machines.Verdict("failed", "it did not run in the machine"))
    if verdict.word == "failed":
        pytest.fail(f"{cell.name}: {verdict.why}", pytrace=False)
    if verdict.word == "skipped":
        pytest.skip(f"{cell.name}: {verdict.why}")
