# SPDX-License-Identifier: Apache-2.0
"""What was measured so far: the files of bench/results/, with a row in JSON each line, in order."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from figures import Cost, Row

HERE = Path(__file__).resolve().parent / "results"
ROWS, COSTS = HERE / "placement.jsonl", HERE / "cost.jsonl"


def rows(path: Path = ROWS) -> list[Row]:
    """All rows there are."""
    return [Row(**each) for each in _read(path)]


def costs(path: Path = COSTS) -> list[Cost]:
    """All costs there are."""
    return [Cost(**each) for each in _read(path)]


def keep(new: list[Row] | list[Cost], path: Path) -> None:
    """Put rows into a file, in the place of older ones of the same load, run in the same way."""
    kept = {_name(each): each for each in (*_read(path), *map(asdict, new))}
    lines = [json.dumps(kept[name]) for name in sorted(kept)]
    path.parent.mkdir(exist_ok=True)
    whole = path.with_suffix(".new")
    whole.write_text("".join(f"{line}\n" for line in lines))
    whole.replace(path)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _name(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(field, "")) for field in ("kernel", "load", "share", "seed", "way"))
