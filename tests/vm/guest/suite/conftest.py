# SPDX-License-Identifier: Apache-2.0
"""The tests in the machine in a box: `bede vm run -- python3 -m pytest /usr/lib/bede/tests/vm/guest/suite`.

Only the tests for this machine's kernel and topology run (`lib/on.py`); `bede vm run` passes these two in the
environment. With BEDE_ONLY, a list in JSON, only the tests that it names run.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import astuple
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import bounds
import helpers
import limited
import on
import sockets

from vmlab.demo import inside

AGENT = "bede-agent.service"
SECONDS = 400 * (6 if limited.SLOW else 1)  #: for one test, in the slowest machine so far


def pytest_addoption(parser):
    parser.addoption("--cells", metavar="FILE", help="only write there where each test runs, in JSON")


def pytest_configure(config):
    config.addinivalue_line("markers", "on(kernels, topologies, each, rarely, quiet, two): lib/on.py")
    config.addinivalue_line("markers", "rarely: in the matrix alone")


def pytest_collection_modifyitems(config, items):
    found = {on.name(item.nodeid): on.cells(item) for item in items}
    if config.getoption("cells"):
        told = {name: [[astuple(cell) for cell in part] for part in parts] for name, parts in found.items()}
        Path(config.getoption("cells")).write_text(json.dumps(told))
        return
    here = (os.environ["BEDE_VM_KERNEL"].removesuffix("-debug"), os.environ["BEDE_VM_TOPOLOGY"])
    only = os.environ.get("BEDE_ONLY")
    named = None if only is None else set(json.loads(only))

    def runs(item):
        name = on.name(item.nodeid)
        if named is not None and name not in named:
            return False
        return here in [(cell.kernel, cell.topology) for cell in found[name][0]]

    config.hook.pytest_deselected(items=[item for item in items if not runs(item)])
    items[:] = [item for item in items if runs(item)]


@pytest.fixture(scope="session", autouse=True)
def far_by_name():
    """On a machine whose nodes are one tier, let the configuration call node 1 far."""
    if sockets.is_one_tier():
        inside.call_far("1")


@pytest.fixture(scope="session", autouse=True)
def kernel_without_complaints():
    """A patched kernel must log no fault, whatever the tests do; checked after the last test."""
    yield
    if helpers.IS_PATCHED:
        assert limited.complaints() == []


@pytest.fixture(scope="module")
def unbalanced():
    """Turn NUMA balancing off, which promotes what a test has just seen demoted. Not in test_bounds.py."""
    before = helpers.BALANCING.read_text()
    helpers.BALANCING.write_text("0")
    yield
    helpers.BALANCING.write_text(before)


@pytest.fixture(scope="module")
def swap():
    """Turn swap on while the module's tests run, whether they use it or not."""
    with bounds.swap():
        yield


@pytest.fixture(scope="session")
def load_file():
    """Make the file that loads read."""
    bounds.have_load_file()


@pytest.fixture(autouse=True)
def clean(request):
    """Give every test an empty work directory, and check that it leaves no record behind."""
    helpers.WORK.mkdir(exist_ok=True)
    yield
    shutil.rmtree(helpers.WORK, ignore_errors=True)
    left = [record["id"] for record in helpers.records()]
    assert not left, f"{request.node.name} left the records of {left}"


@pytest.fixture(autouse=True)
def in_time():
    """Make a test that hangs fail, so that the tests after it run."""

    def late(_number, _frame):
        raise TimeoutError(f"the test has not ended in {SECONDS} s")

    before = signal.signal(signal.SIGUSR1, late)
    timer = threading.Timer(SECONDS, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    if not os.environ.get("BEDE_SOAK"):
        timer.start()
    yield
    timer.cancel()
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def agent():
    """The agent's unit, which is started again after the test, whatever the test does to it."""
    yield AGENT
    # A start joins one under way. That fails if the test has just killed its agent, and systemd goes on.
    subprocess.run(["systemctl", "start", "bede-agent.socket", AGENT], check=False)
    helpers.wait_until("the agent runs again", lambda: helpers.substate(AGENT) == "running")
