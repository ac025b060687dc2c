# SPDX-License-Identifier: Apache-2.0
"""The tests on the machine's cluster: `bede vm run --cluster -- python3 -m pytest …/cluster`."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import bede_system
from pods import kubectl

UNITS = ("kubelet", "containerd", "kube-apiserver", "bede-agent")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Add to a failure what the kubelet, the API server and the agent said last."""
    report = yield
    if report.failed:
        for unit in UNITS:
            said = ["journalctl", "-q", "--no-pager", "-o", "cat", "-n", "15", "-u", unit]
            text = subprocess.run(said, capture_output=True, text=True, check=False).stdout
            report.sections.append((unit, text))
        for name in ("bede-node", "bede-controller", "bede-webhook"):
            report.sections.append((name, bede_system.log(name)))
    return report


@pytest.fixture(scope="module")
def installed():
    """Bede in the cluster, and nothing of it afterwards."""
    bede_system.install()
    yield
    bede_system.uninstall()
    left = kubectl("api-resources", "--api-group=bede.dev", "--no-headers")
    assert left == ""
    assert "bede" not in kubectl(
        "get", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations", "-o", "name"
    )
