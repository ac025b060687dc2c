# SPDX-License-Identifier: Apache-2.0
"""Inputs made from the corpus: a file with some pieces removed, inserted or replaced."""

import seeds
from hypothesis import strategies as st

_PIECES = [b"", b"\n", b" ", b"-", b"=", b":", b"/", b"..", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b"N"]
_PIECES += [b"0", b"1", b"-1", b"18446744073709551615", b"18446744073709551616", b"9" * 4400, b"1e999"]
_PIECES += [b"max", b"null", b"NaN", b"true", b"\xc2\xb2", b"\xd9\xa3", b"\xff", b"\\ud800", b"\\u0000"]
_CHANGE = st.tuples(
    st.integers(0, 4000), st.integers(0, 12), st.sampled_from(_PIECES) | st.binary(max_size=4)
)


def _change(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, piece in changes:
        start = at % (len(data) + 1)
        data = data[:start] + piece + data[start + removed :]
    return data


def mutated(target: str) -> st.SearchStrategy[bytes]:
    """Mutations of the files in the corpus of *target*."""
    files = [path.read_bytes() for path in seeds.files(target)]
    return st.builds(_change, st.sampled_from(files), st.lists(_CHANGE, max_size=4))


def kernel(target: str) -> st.SearchStrategy[bytes]:
    """Mutations without NUL: the kernel writes its files from C strings."""
    return mutated(target).map(lambda data: data.replace(b"\0", b""))
