# SPDX-License-Identifier: Apache-2.0
"""The oracle is the best there is: no other set of as many pages serves more misses."""

import itertools
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from vmlab.model import oracle


def name(page: int, space: int = 1) -> int:
    return 1 << 63 | space << oracle.SPACE_SHIFT | page


def log(path: Path, *epochs: dict[int, int]) -> Path:
    with path.open("wb") as file:
        for epoch in epochs:
            file.write(struct.pack("=Q", len(epoch)))
            for page, count in epoch.items():
                file.write(struct.pack("=QQ", page, count))
    return path


@given(
    epochs=st.lists(
        st.dictionaries(st.integers(0, 7), st.integers(1, 9), min_size=1), min_size=1, max_size=3
    ),
    pages=st.integers(1, 9),
)
def test_no_other_set_is_better(epochs: list[dict[int, int]], pages: int) -> None:
    counted = [Counter({name(page): count for page, count in epoch.items()}) for epoch in epochs]
    total = sum(counted, Counter())
    best = oracle.best(counted, pages)
    sets = itertools.combinations(total, min(pages, len(total)))
    assert best.steady * best.misses == pytest.approx(max(sum(total[page] for page in one) for one in sets))
    assert best.chance <= best.steady + 1e-9 <= best.moving + 2e-9
    assert len(best.chosen) == min(pages, len(total))


def test_whole_huge_pages_are_chosen_by_all_of_their_pages() -> None:
    misses = {0: 9, 1: 1, 512: 4, 513: 4, 514: 4, 1024: 8}
    best = oracle.best([Counter({name(page): count for page, count in misses.items()})], 600)
    assert best.whole * best.misses == pytest.approx(12)
    assert best.steady == 1.0


def test_a_log_and_a_placement_have_one_format(tmp_path: Path) -> None:
    path = log(tmp_path / "log", {name(1): 5, name(2): 1}, {name(2): 3, name(9, space=2): 1})
    epochs = oracle.read(path)
    assert epochs == [Counter({name(1): 5, name(2): 1}), Counter({name(2): 3, name(9, space=2): 1})]
    oracle.write(frozenset({name(1), name(2)}), 2, tmp_path / "placement")
    assert oracle.read(tmp_path / "placement") == [Counter({name(1): 1, name(2): 1})] * 2


def test_the_kernels_own_pages_are_nobodys_to_place(tmp_path: Path) -> None:
    path = log(tmp_path / "log", {name(1): 5, name(4, space=0): 100})
    assert oracle.best(oracle.read(path), 1).misses == 5


@pytest.mark.parametrize("content", (b"123", struct.pack("=QQ", 2, 1)))
def test_what_is_no_log(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(InputError, match="no log of misses"):
        oracle.read(tmp_path / "log")


def test_an_empty_log_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        oracle.best(oracle.read(log(tmp_path / "log")), 1)
    assert "--follow" in caught.value.line("bede")
