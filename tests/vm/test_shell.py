# SPDX-License-Identifier: Apache-2.0
"""`bede vm shell` on a terminal: its size, what the documentation needs, and the files it hands out."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import machines
import pytest


class Terminal:
    """A shell in a machine, as a person sees it."""

    def __init__(self, *options: str) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(self.ours, (24, 80))
        line = [
            "setsid",
            "--ctty",
            "--wait",
            sys.executable,
            "-m",
            "ocihook.cli.main",
            "vm",
            "shell",
            *options,
        ]
        self.process = subprocess.Popen(
            line,
            cwd=machines.ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "dumb"},
        )
        os.close(theirs)
        self.end = time.monotonic() + machines.HANGING_SECONDS
        self.shown = ""

    def wait(self, text: str) -> None:
        """Wait until *text* has been shown."""
        while text not in self.shown:
            ready, _, _ = select.select([self.ours], [], [], max(0.0, self.end - time.monotonic()))
            assert ready, self.shown[-2000:]
            self.shown += os.read(self.ours, 4096).decode(errors="replace")

    def type(self, line: str, answer: str) -> str:
        """Type *line*, and return all that is shown up to *answer*, which must not be in *line* itself."""
        assert answer not in line
        self.shown = ""
        os.write(self.ours, line.encode() + b"\n")
        self.wait(answer)
        return self.shown

    def status(self) -> int:
        """The shell's exit status, once it has ended."""
        while True:
            try:
                if not os.read(self.ours, 4096):
                    break
            except OSError:  # the other side is closed
                break
        return self.process.wait(machines.HANGING_SECONDS)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Terminal]:
    with machines.PLACES.taken(False):
        made = Terminal("--cpus", "1", "--out", str(tmp_path / "out"))
        yield made
        made.process.terminate()
        made.process.wait()
        os.close(made.ours)


def test_a_shell_follows_its_window_and_ends_with_its_status(shell: Terminal) -> None:
    shell.wait(":~# ")
    assert "24 80" in shell.type("stty size; echo it-is-$((6 * 7))", "it-is-42")
    termios.tcsetwinsize(shell.ours, (50, 132))
    shell.type('until [ "$(stty size)" = "50 132" ]; do sleep 0.1; done; echo now-$((6 * 7))', "now-42")
    os.write(shell.ours, b"exit 7\n")
    assert shell.status() == 7


@pytest.mark.rarely
def test_a_shell_has_what_the_documentation_needs(shell: Terminal, tmp_path: Path) -> None:
    shell.wait(":~# ")
    image = "docker.io/library/redis"
    shell.type(f"podman run --rm {image} redis-server --version", "Redis server v=")
    for name in ("web", "db"):  # both use Redis's port
        run = f"podman run -d --name {name} --annotation bede.local=64M {image}"
        shell.type(f"{run}; echo $? of-{name}", f"0 of-{name}")
        shell.type(f"until podman exec {name} redis-cli ping; do sleep 0.2; done", "PONG\r\n")
    shell.type("bede record web -o /out/web.csv --seconds 1; echo $? recorded", "0 recorded")
    shell.type("bede plot /out/web.csv -o /out/web.png; echo $? drawn", "0 drawn")
    os.write(shell.ours, b"exit\n")
    assert shell.status() == 0
    assert (tmp_path / "out/web.csv").read_text().count("\n") > 2
    assert (tmp_path / "out/web.png").read_bytes().startswith(b"\x89PNG")
