# SPDX-License-Identifier: Apache-2.0
"""The Debian package in a machine without Bede, which runs guest/scripts/package.py."""

import shutil
import sys
from pathlib import Path

import machines
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import packages

OLD = "0.0.1"
#: below /usr, because containers see the machine's /usr and have to find their programs there
THERE = "/usr/lib/bede-tests"
GUEST = f"{THERE}/tests/vm/guest"
STEPS = "installed\nupgraded\nrefused\nremoved\npurged\n"


def older(source: Path) -> None:
    """Change the clean checkout *source* into an older version, with a module that no longer exists."""
    (source / "ocihook/gone.py").write_text('"""Of another time."""\n')
    for name in ("ocihook/__init__.py", "debian/changelog"):
        path = source / name
        path.write_text(path.read_text().replace(packages.version(), OLD, 1))


def share(work: Path) -> Path:
    """The directory for the machine: two packages, and the files of the test."""
    target = work / "share"
    for name, change in (("old", older), ("new", lambda _: None)):
        source = packages.checkout(work / name / "bede")
        change(source)
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copy(packages.debian(source), target / f"{name}.deb")
    for part in ("tests/vm/guest", "vmlab/demo"):
        shutil.copytree(work / "new/bede" / part, target / "checkout" / part)
    shutil.copy(work / "new/bede/vmlab/__init__.py", target / "checkout/vmlab")
    for program in (machines.ROOT / "build/guest").iterdir():
        shutil.copy(program, target / "checkout/tests/vm/guest/workloads")
    return target


@pytest.mark.rarely
def test_it_installs_upgrades_removes_and_purges_under_containers(tmp_path: Path) -> None:
    command = (
        f"cp -r /share/checkout {THERE} && export BEDE_VERSION={packages.version()}"
        f" PYTHONPATH={THERE}:{GUEST}/lib && python3 -B {GUEST}/scripts/package.py"
    )
    boot = machines.boot(
        *("sh", "-c", command),
        kernel="debian-6.12",
        topology="two-tier",
        cpus=1,
        share=share(tmp_path),
        bare=True,
    )
    assert boot.status == 0, boot.tail()
    assert boot.out == STEPS
