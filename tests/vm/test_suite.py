"""Each test of ``tests/vm/guest``, on each kernel and topology: one machine of each runs them all."""

import machines
import pytest


@pytest.mark.parametrize(
    ("kernel", "topology", "test"),
    [(*which, test) for which in machines.SUITES for test in machines.guest_tests(*which)],
)
def test_in_the_machine(kernel: str, topology: str, test: str, request: pytest.FixtureRequest) -> None:
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        boot, verdicts = machines.suite(kernel, topology)
    where = f"{kernel}, {topology}"
    if not verdicts:
        what = "the machine was lost" if boot.lost else f"its pytest ended with status {boot.status}"
        pytest.fail(f"{where}: {what}\n{boot.tail()}", pytrace=False)
    verdict, why = verdicts.get(test, ("failed", "it did not run in the machine"))
    if verdict == "failed":
        pytest.fail(f"{where}: {why}", pytrace=False)
    if verdict == "skipped":
        pytest.skip(f"{where}: {why}")
