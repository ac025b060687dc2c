"""The cffi builder of `ocihook._native`: one trio (.cdef.h, .h, .c) a topic.

API mode against the limited API, so that one build serves every CPython from 3.11 on.
"""

from pathlib import Path

from cffi import FFI

TOPICS = ("kfile", "control", "holder", "births")
SOURCES = (*TOPICS, "deadline", "lru", "demoter", "swapguard", "idle")

HERE = Path(__file__).resolve().parent

ffi = FFI()
for topic in TOPICS:
    ffi.cdef((HERE / f"{topic}.cdef.h").read_text())
ffi.set_source(
    "ocihook._native",
    "".join(f'#include "{topic}.h"\n' for topic in TOPICS),
    sources=[f"native/{source}.c" for source in SOURCES],
    depends=[f"native/{source}.h" for source in SOURCES],
    include_dirs=[str(HERE)],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"],
    libraries=["pthread"],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffi.compile(verbose=True)
