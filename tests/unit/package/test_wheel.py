# SPDX-License-Identifier: Apache-2.0
"""A clean checkout builds an sdist, that builds a wheel, and what the wheel installs works."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import packages
import pytest

CHECKOUT_ONLY = ("ocihook/cli/vm.py", "ocihook/cli/demo.py")
#: imports every module of the package and prints its name; fails at one that is not below sys.prefix
IMPORT_ALL = """
import importlib, pkgutil, sys, ocihook
for one in pkgutil.walk_packages(ocihook.__path__, "ocihook."):
    module = importlib.import_module(one.name)
    assert module.__file__.startswith(sys.prefix), module.__file__
    print(one.name)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an sdist and the wheel that was built from it."""
    work = tmp_path_factory.mktemp("build")
    line = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(work / "dist")]
    done = subprocess.run(
        line,
        cwd=packages.checkout(work / "checkout"),
        env=packages.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return work / "dist"


@pytest.fixture(scope="module")
def installed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel, which takes its requirements from this environment."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (wheel,) = made.glob("*.whl")
    line = [sys.executable, "-m", "pip", "-q", "--python", str(venv / "bin/python"), "install"]
    line += ["--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run(line, check=True, env=packages.environment())
    (site,) = venv.glob("lib/python*/site-packages")
    # This .pth file lets the new environment import the packages that the tests have. The checkout is not
    # among them: it is editable, by a .pth file of its own, and Python reads none in an added directory.
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv


def run(venv: Path, *words: str, data: bytes = b"") -> tuple[int, str, str]:
    """Run a program of *venv* in another directory. Returns status, stdout and stderr."""
    line = [str(venv / "bin" / words[0]), *words[1:]]
    environment = packages.environment(PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(line, input=data, capture_output=True, cwd="/", env=environment, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_sdist_has_all_of_a_checkout(made: Path) -> None:
    (sdist,) = made.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert [name for name in packages.tracked() if name not in names] == []
    assert [name for name in packages.linked() if name not in names] == []


def test_the_wheel_has_all_of_the_package_but_what_needs_a_checkout(made: Path) -> None:
    (wheel,) = made.glob("*.whl")
    assert wheel.name.startswith(f"bede-{packages.version()}-cp311-abi3-")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    package = {name for name in packages.tracked() if name.startswith("ocihook/")}
    missing = sorted(package - names)
    assert [name for name in missing if not name.startswith(CHECKOUT_ONLY)] == []
    assert missing == sorted(name for name in package if name.startswith(CHECKOUT_ONLY))
    assert "ocihook/_native.abi3.so" in names
    examples = [name for name in packages.tracked() if name.startswith("examples/")]
    data = f"bede-{packages.version()}.data/data/share/doc/bede"
    assert [name for name in examples if f"{data}/{name}" not in names] == []


def test_both_have_the_license_and_the_wheel_says_which_it_is(made: Path) -> None:
    (sdist,), (wheel,) = made.glob("*.tar.gz"), made.glob("*.whl")
    text = (packages.ROOT / "LICENSE").read_bytes()
    with tarfile.open(sdist) as tar:
        top = tar.getnames()[0].partition("/")[0]
        for name in ("LICENSE", "LICENSES/Apache-2.0.txt"):
            member = tar.extractfile(f"{top}/{name}")
            assert member is not None
            assert member.read() == text
    information = f"bede-{packages.version()}.dist-info"
    with zipfile.ZipFile(wheel) as file:
        assert file.read(f"{information}/licenses/LICENSE") == text
        fields = file.read(f"{information}/METADATA").decode().partition("\n\n")[0].splitlines()
    assert "License-Expression: Apache-2.0" in fields


def test_the_installed_command_works_without_what_is_only_in_a_checkout(installed: Path) -> None:
    assert run(installed, "bede", "--version") == (0, f"bede {packages.version()}\n", "")
    status, out, _ = run(installed, "bede", "--help")
    assert status == 0
    assert "\n  ps " in out
    assert "\n  vm " not in out
    assert "\n  demo " not in out
    status, _, err = run(installed, "bede", "vm", "run", "true")
    assert status == 2
    assert "Traceback" not in err


#: prints the error of a host with one node, which must not name commands of a checkout
ONE_NODE = """
import sys
from ocihook.topology import nodes
nodes.NODES, nodes.TIERS = sys.argv[1:]
try:
    nodes.find()
except nodes.HostError as error:
    print(error.line("bede"))
"""


def test_no_word_of_what_is_installed_names_what_is_not(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "has_memory").write_text("0\n")
    words = ("-c", ONE_NODE, str(tmp_path), str(tmp_path / "none"))
    status, out, err = run(installed, "python", *words)
    assert status == 0, err
    assert out.endswith("Bind containers on a host with CXL or other far memory.\n")
    helped = [run(installed, "bede", "--help")[1]]
    names = [line.split()[0] for line in helped[0].split("commands:\n")[1].split("\n\n")[0].splitlines()]
    assert {"ps", "doctor", "completion"} <= set(names)
    helped += [run(installed, "bede", name, "--help")[1] for name in names]
    for text in helped:
        assert "bede vm" not in text
        assert "bede demo" not in text


def test_the_installed_hook_and_wrapper_find_the_package(installed: Path) -> None:
    # Their first line is the checkout's, so they run by this Python only if the versions agree.
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for name in ("bede-hook", "bede-runtime"):
        program = installed / "bin" / name
        assert program.read_text().startswith("#!/usr/bin/python3 -IS\n")
        assert os.access(program, os.X_OK)
        assert (installed / f"lib/python{version}/site-packages/ocihook").is_dir()
    status, _, err = run(installed, "python", "-IS", str(installed / "bin/bede-hook"), "poststop", data=b"{")
    assert (status, err.partition(" is")[0]) == (2, "bede-hook: the container's state")
    words = ("python", "-IS", str(installed / "bin/bede-runtime"), "create", "--bundle", "/nonexistent", "c")
    status, _, err = run(installed, *words)
    assert (status, err.partition(":")[0]) == (5, "bede-runtime")


def test_every_module_of_the_wheel_can_be_imported(installed: Path) -> None:
    status, out, err = run(installed, "python", "-c", IMPORT_ALL)
    assert status == 0, err
    assert {"ocihook.native", "ocihook.hook", "ocihook.agent.main", "ocihook.cli.ps"} <= set(out.split())
