# SPDX-License-Identifier: Apache-2.0
"""`bede plot`, from files to files."""

from pathlib import Path

import pytest

from ocihook.cli import main as cli
from ocihook.watch.recording import HEADER

LINES = "".join(f"17000000{at:02}.0,{at}.0,web,,100,{at},5,{at},,,,/web\n" for at in range(20))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A recording."""
    file = tmp_path / "run.csv"
    file.write_text(f"{HEADER}\n{LINES}")
    return file


def test_page_and_picture(run: Path, tmp_path: Path) -> None:
    page, picture = tmp_path / "out.html", tmp_path / "out.png"
    assert cli.main(["plot", str(run), str(run), "-o", str(page), "--title", "a < b"]) == 0
    assert "<h1>a &lt; b</h1>" in page.read_text()
    pytest.importorskip("matplotlib")
    assert cli.main(["plot", str(run), "-o", str(picture), "--container", "web"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.html", "out.png", "run.csv"]


def test_what_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut.csv"
    cut.write_text(f"{HEADER}\n{LINES[:-5]}")
    out = str(tmp_path / "out.html")
    for words, status, says in (
        ([str(run), "-o", "out.gif"], 2, "neither a .png nor a .html"),
        ([str(tmp_path / "none.csv"), "-o", out], 2, "cannot be read"),
        ([str(cut), "-o", out], 2, "cut.csv, line 21: the line is cut off"),
        ([str(run), "-o", out, "--container", "db"], 2, "no recording has a container called 'db'"),
        ([str(run), "-o", str(tmp_path / "no/where.html")], 2, "cannot be written"),
        ([str(run)], 2, "--help"),
    ):
        assert cli.main(["plot", *words]) == status
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
    assert not Path(out).exists()
