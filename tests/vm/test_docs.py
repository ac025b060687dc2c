# SPDX-License-Identifier: Apache-2.0
"""Every command in the documentation is run, in the order in which a person reads it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import machines
import pytest

from ocihook.watch import recording

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import blocks
import packages

#: the pages in the order in which their commands run on one host
ORDER = (
    "install",
    "podman",
    "docker",
    "containerd",
    "operating",
    "emulation",
    "troubleshooting",
    "uninstall",
)
EXAMPLES = ("podman", "docker", "containerd", "crio", "runc", "crun", "prometheus")
MACHINE = (
    *(f"docs/{name}.md" for name in ORDER[:-1]),
    *(f"examples/{name}/README.md" for name in EXAMPLES),
    f"docs/{ORDER[-1]}.md",
)
#: the pages for a machine with Kubernetes
CLUSTER = ("docs/kubernetes.md",)
#: commands that cannot run there, and the test that runs these or similar ones
ELSEWHERE = {
    "make demo": "tests/vm/guest/suite/test_bounds.py",
    "make build": ".ci/run",
    ".venv/bin/pytest -q tests/unit": ".ci/run",
    "make test": ".ci/run",
    "make fuzz": "tests/fuzz/libfuzzer.py",
    "make soak": "tests/soak/test_soak.py",
    "make deb": "tests/vm/test_package.py",
    ".venv/bin/bede vm run --kernel debian-7.3 -- python3 -m pytest": "tests/vm/test_suite.py",
    "make wheel": "tests/unit/package/test_wheel.py",
    "apt install ./dist/": "tests/vm/test_package.py",
    "bede doctor": "tests/vm/guest/suite/test_doctor.py",
    "bede configure containerd": "tests/vm/guest/suite/test_configure.py",
    "systemctl restart containerd": "tests/vm/guest/suite/test_configure.py",
    "bede configure docker": "tests/vm/guest/suite/test_configure.py",
    "systemctl reload docker": "tests/vm/guest/suite/test_configure.py",
    "docker run": "tests/vm/guest/suite/test_configure.py",
    "pip install": "tests/unit/package/test_wheel.py",
    "bede top": "tests/vm/guest/suite/test_watch.py",
    "bede configure podman": "tests/vm/guest/suite/test_configure.py",
    "podman run": "tests/vm/guest/suite/test_rootless.py",
    "systemctl enable --now bede-metrics": "tests/vm/guest/suite/test_metrics.py",
    "helm ": "tests/plane/test_chart.py",
    "bede configure crio": "tests/unit/engines/test_crio.py",
    "systemctl restart crio": "tests/unit/engines/test_crio.py",
}
ROW = re.compile(r"^\S{3,12}  +\S+ +([0-9.]+)M +([0-9.]+)M +([0-9.]+)M ", re.MULTILINE)


def test_every_block_is_run_by_somebody() -> None:
    """Each block that no machine runs from its page names the test that runs it."""
    for path in blocks.pages():
        for block in blocks.of(path):
            where = f"{block.page}, line {block.line}"
            if block.kind == "machine":
                assert block.page in (*MACHINE, *CLUSTER), f"{where}: no machine runs this page"
            elif block.kind == "elsewhere":
                for line in block.text.splitlines():
                    runs = [test for start, test in ELSEWHERE.items() if line.startswith(start)]
                    assert runs, f"{where}: nobody runs {line!r}"
                    assert (blocks.ROOT / runs[0]).exists(), f"{where}: {runs[0]} is not there"


def share(tmp_path: Path, pages: tuple[str, ...]) -> Path:
    """Make the directory for the machine: the package, and the commands page by page."""
    source = packages.checkout(tmp_path / "source/bede")
    (tmp_path / "share/dist").mkdir(parents=True)
    shutil.copy(packages.debian(source), tmp_path / "share/dist")
    shutil.copy(machines.GUEST / "scripts/pages.py", tmp_path / "share")
    shutil.copytree(source / "examples", tmp_path / "share/examples")
    found = []
    for page in pages:
        texts = [block.text for block in blocks.of(blocks.ROOT / page) if block.kind == "machine"]
        assert texts, f"{page} has no commands"
        found.append((page, "\n".join(texts)))
    (tmp_path / "share/pages.json").write_text(json.dumps(found))
    return tmp_path / "share"


def follow(tmp_path: Path, pages: tuple[str, ...], *, cpus: int = 0, cluster: bool = False) -> machines.Boot:
    """Run the commands of *pages* in a machine without Bede, and check what `bede ps` shows in them."""
    boot = machines.boot(
        *("python3", "-B", "/share/pages.py", "/share/pages.json"),
        kernel="debian-6.12",
        topology="two-tier",
        cpus=cpus,
        share=share(tmp_path, pages),
        bare=True,
        cluster=cluster,
    )
    assert boot.status == 0, boot.tail(40)
    done = re.findall(r"^== (?!status)(.*)$", boot.out, re.MULTILINE)
    assert done == list(pages)
    assert "internal error" not in boot.out
    assert "Traceback" not in boot.out
    rows = [tuple(map(float, row)) for row in ROW.findall(boot.out)]
    for bound, local, _ in rows:
        assert local <= bound + max(bound / 50, 1), boot.out
    assert any(far > 32 for _, _, far in rows)
    return boot


@pytest.mark.rarely
def test_the_pages_work_one_after_the_other(tmp_path: Path) -> None:
    boot = follow(tmp_path, MACHINE, cpus=1)
    assert len(ROW.findall(boot.out)) >= 10, boot.out
    the_study_shows_something(boot.files)


@pytest.mark.rarely
def test_the_page_of_kubernetes_works_in_a_cluster(tmp_path: Path) -> None:
    boot = follow(tmp_path, CLUSTER, cluster=True)
    bounds = [float(bound) for bound, *_ in ROW.findall(boot.out)]
    assert bounds == [64, 32, 64, 32], boot.out
    assert boot.out.count("default/cache/redis") >= 6
    assert "LocalMemoryBound" in boot.out


def the_study_shows_something(files: dict[str, str]) -> None:
    """The recordings of docs/emulation.md reach their bounds, and the larger bound leaves less far."""
    most_far = []
    for bound in (32, 96):
        name = f"study-{bound}M.csv"
        (one,) = recording.parse(files[name].splitlines(keepends=True), name).series
        local = [point.local >> 20 for point in one.points]
        assert local[0] < bound / 2, f"{name} begins after the load"
        assert bound * 0.8 < max(local) <= bound + max(bound / 50, 1)
        most_far.append(max(point.far >> 20 for point in one.points))
    assert most_far[0] > most_far[1] + 32


@pytest.fixture
def tidy() -> Iterator[None]:
    """Remove the files that commands leave in the checkout: whoever commits all there is would have them."""

    def untracked() -> set[str]:
        command = ["git", "ls-files", "--others", "--exclude-standard", "-z"]
        return set(subprocess.check_output(command, cwd=blocks.ROOT, text=True).split("\0"))

    before = untracked()
    yield
    for name in untracked() - before:
        (blocks.ROOT / name).unlink()


def test_what_the_pages_have_a_checkout_do(tidy: None) -> None:
    found = [block for path in blocks.pages() for block in blocks.of(path) if block.kind == "host"]
    assert found
    for block in found:
        done = subprocess.run(
            ["bash", "-euc", block.text],
            cwd=blocks.ROOT,
            capture_output=True,
            text=True,
            timeout=machines.HANGING_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{block.page}, line {block.line}: {done.stderr}"
