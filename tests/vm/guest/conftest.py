"""What runs in the machine in a box: `bede vm run -- python3 -m pytest /usr/lib/bede/tests/vm/guest`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import bounds
import helpers
import sockets

from ocihook.demo import inside


@pytest.fixture(scope="session", autouse=True)
def far_by_name():
    """Where the firmware tells of no far memory, the configuration does."""
    if sockets.is_one_tier():
        inside.call_far("1")


@pytest.fixture(scope="module")
def unbalanced():
    """NUMA balancing promotes what a test has just seen demoted. Not for test_bounds.py: users have it on."""
    before = helpers.BALANCING.read_text()
    helpers.BALANCING.write_text("0")
    yield
    helpers.BALANCING.write_text(before)


@pytest.fixture(scope="session")
def swap():
    """Swap that is on and shall not be used, and a file to read."""
    bounds.prepare()


@pytest.fixture(autouse=True)
def clean(request):
    """Every test starts and ends without a bound container, and with the agent as the machine has it."""
    helpers.WORK.mkdir(exist_ok=True)
    yield
    shutil.rmtree(helpers.WORK, ignore_errors=True)
    left = [record["id"] for record in helpers.records()]
    assert not left, f"{request.node.name} left the records of {left}"


@pytest.fixture
def agent():
    """The agent's unit; started again whatever the test does to it."""
    yield "bede-agent.service"
    subprocess.run(["systemctl", "start", "bede-agent.socket", "bede-agent.service"], check=True)
