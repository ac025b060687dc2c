# SPDX-License-Identifier: Apache-2.0
"""The agent's privileges after its start, as the kernel and systemd report them."""

import os
import re
from pathlib import Path

from helpers import agent_pid, processes, run, wait_until
from on import on

pytestmark = on("debian-7.3")

KEPT = {"CAP_DAC_OVERRIDE": 1, "CAP_SYS_PTRACE": 19, "CAP_SYS_NICE": 23}
MOST = 3.0  #: highest allowed exposure, of ten points, by systemd-analyze; docs/threats.md explains them


def status(pid):
    """The fields of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_has_dropped_what_it_does_not_need():
    wait_until("it has subscribed", lambda: len(processes("agent")) == 1)
    found = status(agent_pid())
    mask = sum(1 << number for number in KEPT.values())
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert int(found[name], 16) == mask, f"{name} {found[name]}"
    assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"


def test_it_can_write_to_nothing_but_what_it_is_for():
    # In the agent's mount namespace not even root with all capabilities can write there.
    target = ["nsenter", "-t", str(agent_pid()), "-m", "touch"]
    for place in ("/etc", "/usr", "/var", "/sys/kernel/mm", "/proc/sys/vm"):
        done = run(*target, f"{place}/bede-was-here")
        assert done.returncode != 0, place
    assert run(*target, "/run/bede/here").returncode == 0
    os.unlink("/run/bede/here")


def test_systemd_calls_it_safe(capsys):
    done = run("systemd-analyze", "security", "--no-pager", "bede-agent.service")
    (line,) = [line for line in done.stdout.splitlines() if "Overall exposure level" in line]
    found = re.search(r": (\d+\.\d) ", line)
    assert found, line
    with capsys.disabled():
        print(f"\n{line.strip('→ ')}")
    assert float(found[1]) <= MOST
