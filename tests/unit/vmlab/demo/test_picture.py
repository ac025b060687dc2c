# SPDX-License-Identifier: Apache-2.0
"""The picture is a PNG of the right size, whatever the samples are."""

import struct
from pathlib import Path

import pytest

from vmlab.demo import picture, series
from vmlab.demo.series import MIB, Sample

pytest.importorskip("matplotlib")


def samples(count: int) -> list[Sample]:
    return [Sample(i / 100, min(i, 128) * MIB, max(i - 128, 0) * MIB, 0, 0, 0) for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 400])
def test_it_is_a_png_of_the_right_size(count: int, tmp_path: Path) -> None:
    rows = samples(count)
    target = tmp_path / "redis.png"
    stages = [(0.5, "loading"), (3.9, "reading back"), (99.0, "late")]
    picture.draw(rows, series.judge(rows, 128 * MIB), "Redis", stages, target)
    data = target.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == tuple(round(side * picture.DPI) for side in picture.SIZE)
    assert 5_000 < len(data) < 150_000


def test_thinning_keeps_the_highest_local_usage() -> None:
    rows = samples(100)
    rows[37] = rows[37]._replace(local=999 * MIB)
    thin = picture.thinned(rows, 10)
    assert len(thin) == 10
    assert max(row.local for row in thin) == 999 * MIB
    assert picture.thinned(rows) == rows
