# SPDX-License-Identifier: Apache-2.0
"""The real agent on the real kernel, its extension built with AddressSanitizer and UBSan."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import machines
import pytest

BUILD = Path(__file__).resolve().parents[2] / "native" / "build.py"
#: the sanitizers' runtime libraries, and libraries they need that the machine may not have
LIBRARIES = ("libasan.", "libubsan.", "libstdc++.")
THERE = "/usr/lib/bede/ocihook/_native.abi3.so"
LOG = "/run/bede-agent.log"
FINDING = re.compile("runtime error|ERROR: [A-Za-z]*Sanitizer|Sanitizer: |==[0-9]+==")
DROP_IN = f"""
[Service]
BindReadOnlyPaths=/share/ocihook/_native.abi3.so:{THERE}
Environment=LD_LIBRARY_PATH=/share/lib LD_PRELOAD=/share/libasan.so
Environment=ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
# UBSan beside ASan knows no log_path.
StandardError=append:{LOG}
MemoryDenyWriteExecute=no
"""
# Installs the drop-in, restarts the agent, runs the tests, and prints the agent's maps and log.
SCRIPT = f"""
unit=bede-agent.service
mkdir -p /run/systemd/system/$unit.d
cp /share/sanitized.conf /run/systemd/system/$unit.d/
systemctl daemon-reload
systemctl restart $unit
bede ps >/dev/null || exit 3
{" ".join(machines.PYTEST)} "$@"
status=$?
bede ps >/dev/null || exit 4
echo == maps
cat /proc/$(systemctl show -P MainPID $unit)/maps
echo == inode
stat -c %i /share/ocihook/_native.abi3.so
systemctl stop bede-agent.socket $unit
echo == log
cat {LOG}
exit $status
"""


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """The directory for the machine: the sanitized extension, its libraries and the unit's drop-in."""
    subprocess.run([sys.executable, BUILD, tmp_path], check=True, capture_output=True)
    (tmp_path / "lib").mkdir()
    needed = subprocess.run(
        ["ldd", tmp_path / "ocihook/_native.abi3.so"], capture_output=True, text=True, check=True
    )
    for line in needed.stdout.splitlines():
        name, _, where = line.strip().partition(" => ")
        if name.startswith(LIBRARIES):
            shutil.copyfile(where.split()[0], tmp_path / "lib" / name)
            if name.startswith(LIBRARIES[0]):
                (tmp_path / "libasan.so").symlink_to(f"lib/{name}")
    (tmp_path / "sanitized.conf").write_text(DROP_IN)
    return tmp_path


@pytest.mark.parametrize(
    ("topology", "tests"),
    [
        ("two-tier", ("test_agent.py",)),
        pytest.param(
            "two-socket",
            ("test_sockets.py", "-k", "lowered or home or binds or already or another or hot"),
            marks=pytest.mark.rarely,
        ),
    ],
)
def test_agent_under_the_sanitizers(share: Path, topology: str, tests: tuple[str, ...]) -> None:
    file, *words = tests
    boot = machines.boot(
        *("sh", "-c", SCRIPT, "sh", f"{machines.THERE}/suite/{file}", *words),
        kernel="debian-6.12",
        topology=topology,
        cpus=1 if topology == "two-tier" else 0,
        share=share,
    )
    assert not boot.lost, boot.tail()
    suite, _, rest = boot.out.partition("== maps\n")
    maps, _, rest = rest.partition("== inode\n")
    inode, _, log = rest.partition("== log\n")
    assert "bede agent: ready, holding 1 containers" in log, suite + log
    assert not FINDING.search(log), log
    assert boot.status == 0, suite + boot.err
    assert "libasan" in maps
    loaded = {line.split()[4] for line in maps.splitlines() if "_native" in line}
    assert loaded == {inode.strip()}, maps
