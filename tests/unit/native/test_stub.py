# SPDX-License-Identifier: Apache-2.0
"""`ocihook/_native.pyi` agrees with the cdefs and with the built extension."""

import ast
import subprocess
import sys
from pathlib import Path

from ocihook import _native, native

TOP = Path(__file__).resolve().parents[3]
STUB = TOP / "ocihook/_native.pyi"


def _names() -> dict[str, list[str]]:
    """The names in each class of the stub."""
    return {
        one.name: [part.target.id for part in one.body if isinstance(part, ast.AnnAssign)]
        for one in ast.parse(STUB.read_text()).body
        if isinstance(one, ast.ClassDef)
    }


def test_the_stub_is_what_the_cdefs_give(tmp_path: Path) -> None:
    made = tmp_path / "made.pyi"
    subprocess.run([sys.executable, TOP / "native/stub.py", made], check=True)
    assert STUB.read_text() == made.read_text(), "run `make stub`"


def test_no_cdef_is_left_out() -> None:
    topics = ast.literal_eval(
        next(
            line.partition(" = ")[2]
            for line in (TOP / "native/build.py").read_text().splitlines()
            if line.startswith("TOPICS = ")
        )
    )
    assert sorted(topics) == sorted(
        path.name.removesuffix(".cdef.h") for path in (TOP / "native").glob("*.cdef.h")
    )


def test_each_figure_of_a_holder_has_a_name_in_python() -> None:
    assert list(native.Stats._fields) == _names()["bede_stats"]


def test_the_extension_has_what_the_stub_names() -> None:
    names = _names()
    assert sorted(names.pop("_Lib")) == sorted(dir(_native.lib))
    del names["_FFI"]  # a class of cffi
    assert names
    for name, fields in names.items():
        assert fields == [field for field, _ in _native.ffi.typeof(f"struct {name}").fields]
