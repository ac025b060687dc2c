"""Each test of ``tests/vm/guest``, on each kernel: one machine a kernel runs them all."""

import machines
import pytest


@pytest.mark.parametrize(
    ("kernel", "test"),
    [(kernel, test) for kernel in machines.KERNELS for test in machines.guest_tests(kernel)],
)
def test_in_the_machine(kernel: str, test: str, request: pytest.FixtureRequest) -> None:
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        boot, verdicts = machines.suite(kernel)
    if not verdicts:
        what = "the machine was lost" if boot.lost else f"its pytest ended with status {boot.status}"
        pytest.fail(f"{kernel}: {what}\n{boot.tail()}", pytrace=False)
    verdict, why = verdicts.get(test, ("failed", "it did not run in the machine"))
    if verdict == "failed":
        pytest.fail(f"{kernel}: {why}", pytrace=False)
    if verdict == "skipped":
        pytest.skip(f"{kernel}: {why}")
