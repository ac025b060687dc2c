# SPDX-License-Identifier: Apache-2.0
"""The cffi builder of `ocihook._native`: each topic has a .h and a .c, and a .cdef.h for what Python calls.

It uses cffi's API mode with the limited API, so that one build serves every CPython from 3.11 on.
`setup.py` builds the extension; `python native/build.py DIRECTORY` builds one with sanitizers there.
"""

import sys
from pathlib import Path

from cffi import FFI

TOPICS = ("kfile", "control", "holder", "procevents", "policy", "cpus", "heat")
SOURCES = (*TOPICS, "thread", "deadline", "lru", "demoter", "swapguard", "shortage", "ceilings", "idle")
SOURCES += ("recount", "backends", "tier", "migrate", "steering", "switcher", "mover", "vmas", "pages")
SOURCES += ("accessed", "btf", "bpf", "damon", "trace", "scores", "recent", "order", "search", "exchange")
SOURCES += ("ticket", "roomiest", "pagelist", "ranges", "learn", "hits", "shared", "reclaim")
SOURCES += ("pmu", "perf", "sightings", "sampled", "forecast", "worth", "visit")

#: Every finding of AddressSanitizer and UBSan is fatal.
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

HERE = Path(__file__).resolve().parent


def builder(sources: str | Path, *flags: str) -> FFI:
    """Return the builder for the C files in directory *sources*, compiled and linked with further *flags*."""
    made = FFI()
    for topic in TOPICS:
        made.cdef((HERE / f"{topic}.cdef.h").read_text())
    made.set_source(
        "ocihook._native",
        "".join(f'#include "{topic}.h"\n' for topic in TOPICS),
        sources=[f"{sources}/{source}.c" for source in SOURCES],
        depends=[f"{sources}/{header.name}" for header in sorted(HERE.glob("*.h"))],
        include_dirs=[str(HERE)],
        extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", *flags],
        extra_link_args=list(flags),
        libraries=["pthread", "m"],
        py_limited_api=True,
    )
    return made


ffi = builder("native")  # setuptools wants a path relative to the checkout

if __name__ == "__main__":
    print(builder(HERE, *SANITIZED).compile(tmpdir=sys.argv[1]))
