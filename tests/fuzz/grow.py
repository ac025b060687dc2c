# SPDX-License-Identifier: Apache-2.0
"""Add to the corpus what libFuzzer finds: `python tests/fuzz/grow.py TARGET SECONDS`.

It adds the smallest files that together reach code that the corpus does not reach yet.
"""

import sys
import tempfile
from pathlib import Path

import libfuzzer
import seeds

MOST = 40  #: most files of one target; more of them would add little


def grow(target: str, seconds: str) -> None:
    """Fuzz *target* for so many seconds, then add to its corpus."""
    corpus = seeds.CORPUS / target
    with tempfile.TemporaryDirectory() as directory:
        program = libfuzzer.build(target, Path(directory))
        found, least = Path(directory, "found-new"), Path(directory, "least")
        found.mkdir()
        least.mkdir()
        libfuzzer.run(program, f"-max_total_time={seconds}", "-reduce_inputs=1", found, corpus)
        libfuzzer.run(program, "-merge=1", least, corpus, found)
        known = {path.read_bytes() for path in corpus.iterdir()}
        new = sorted(least.iterdir(), key=lambda path: (path.stat().st_size, path.name))
        room = max(MOST - len(known), 0)
        for path in [path for path in new if path.read_bytes() not in known][:room]:
            (corpus / f"found-{path.name[:12]}").write_bytes(path.read_bytes())


if __name__ == "__main__":
    grow(*sys.argv[1:])
