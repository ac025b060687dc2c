# SPDX-License-Identifier: Apache-2.0
"""The host's level of shortage, from texts of /proc/meminfo."""

import subprocess
from pathlib import Path

import pytest

PLENTY, SCARCE, GONE = "0", "1", "2"


def levels(harness: Path, tmp_path: Path, texts: list[str]) -> list[str]:
    """The level after a look at each of the *texts*."""
    for number, text in enumerate(texts):
        (tmp_path / str(number)).write_text(text)
    paths = [tmp_path / str(number) for number in range(len(texts))]
    done = subprocess.run([harness, "shortage", *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def meminfo(available: int) -> str:
    """The text of /proc/meminfo on a host of 64 MB."""
    return (
        f"MemTotal:       65536 kB\nMemFree:          100 kB\nMemAvailable: {available} kB\nBuffers: 1 kB\n"
    )


def test_a_level_is_left_at_twice_as_much(harness: Path, tmp_path: Path) -> None:
    amounts = [60000, 4096, 4095, 8191, 8192, 1024, 1023, 2047, 2048, 8191, 8192]
    assert levels(harness, tmp_path, [meminfo(amount) for amount in amounts]) == [
        PLENTY,
        PLENTY,
        f"{SCARCE} other",
        SCARCE,
        f"{PLENTY} other",
        f"{SCARCE} other",
        f"{GONE} other",
        GONE,
        f"{SCARCE} other",
        SCARCE,
        f"{PLENTY} other",
    ]


@pytest.mark.parametrize("text", ["", "MemTotal: x kB\n", "x" * 4096])
def test_a_file_that_says_nothing_is_no_shortage(harness: Path, tmp_path: Path, text: str) -> None:
    assert levels(harness, tmp_path, [text]) == [PLENTY]
