"""The documentation as a site: built strictly, whole, and readable without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ocihook.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    line = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "-q",
        "--strict",
        "-f",
        ROOT / "mkdocs.yml",
        "-d",
        target,
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return target


def test_every_page_is_there_and_in_the_menu(site: Path) -> None:
    menu = (site / "index.html").read_text()
    for page in [*(ROOT / "docs").glob("*.md"), Path("commands.md")]:
        assert (site / f"{page.stem}.html").exists()
        assert f'href="{page.stem}.html"' in menu or page.stem == "index", page


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
    """Of the pages that GitHub-like sites show as they are: README.md and those of examples/."""
    for page in [ROOT / "README.md", *ROOT.glob("examples/*/README.md"), *ROOT.glob("docs/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link and link != "commands.md":
                assert (page.parent / link).exists(), f"{page}: {link}"
