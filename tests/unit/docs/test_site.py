# SPDX-License-Identifier: Apache-2.0
"""The documentation as a site: it is built strictly, complete, and readable without a network."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import packages
import pytest

from ocihook.cli import main

ROOT = Path(__file__).resolve().parents[3]
#: pages outside of docs/ → their names in the site
OUTSIDE: dict[str, str] = runpy.run_path(str(ROOT / "docs/links.py"))["PAGES"]


def build(settings: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Run mkdocs as strictly as possible. Without -q, which also keeps warnings from being counted."""
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(settings), "-d", str(target)]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", target)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return target


@pytest.mark.parametrize(
    "line",
    [
        "[gone](gone.md)",
        "[gone](../gone/README.md)",
        "[gone](install.md#gone)",
        "[gone](../kernel-patch/README.md#gone)",
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(line: str, tmp_path: Path) -> None:
    settings = packages.checkout(tmp_path) / "mkdocs.yml"
    assert build(settings, tmp_path / "site").returncode == 0
    with (tmp_path / "docs/index.md").open("a") as page:
        page.write(f"\n{line}\n")
    done = build(settings, tmp_path / "site")
    assert done.returncode != 0
    assert "gone" in done.stderr


def test_every_page_is_there_and_in_the_menu(site: Path) -> None:
    menu = (site / "index.html").read_text()
    for page in [*(ROOT / "docs").glob("*.md"), *map(Path, OUTSIDE.values()), Path("commands.md")]:
        assert (site / f"{page.stem}.html").exists()
        assert f'href="{page.stem}.html"' in menu or page.stem == "index", page


def test_links_between_pages_lead_to_pages_wherever_they_lie(site: Path) -> None:
    assert '<a href="node-limit.html">kernel-patch/README.md</a>' in (site / "kernel.html").read_text()
    assert '<a href="kernel.html">docs/kernel.md</a>' in (site / "node-limit.html").read_text()
    for path in site.glob("*.html"):
        for link in re.findall(r'href="([^"#]+)', path.read_text()):
            assert "://" in link or (site / link.lstrip("/")).exists(), f"{path.name}: {link}"


def test_the_commands_are_as_help_says(site: Path) -> None:
    text = (site / "commands.html").read_text()
    for name in main.commands():
        assert f"usage: bede {name}" in text
        for word in re.findall(r"--[a-z-]+", main.command_parser(name).format_help()):
            assert word in text


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        found = re.findall(
            r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:)?//[^"]*"', page.read_text()
        )
        assert found == [], page.name


def test_no_link_leads_nowhere() -> None:
    """Checks the pages as they are in a checkout, as hosting sites show them."""
    for page in [
        *(ROOT / name for name in OUTSIDE),
        *ROOT.glob("examples/*/README.md"),
        *ROOT.glob("docs/*.md"),
    ]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link and link != "commands.md":
                assert (page.parent / link).exists(), f"{page}: {link}"
