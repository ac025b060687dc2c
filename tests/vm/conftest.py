"""Machines for the tests: one boot a kernel runs the whole suite of ``tests/vm/guest``.

Each guest test is a test of the host's too, so that a failure is told by name; what runs in the machine is
not collected here, since it belongs there.
"""

import pytest

collect_ignore = ["guest"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long suites last, one kernel after the other, so that a mistake shows early."""
    items.sort(key=lambda item: "test_suite" in item.nodeid)
