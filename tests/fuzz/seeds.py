# SPDX-License-Identifier: Apache-2.0
"""The corpus in the repository, and how long to fuzz: short in `make test`, long in `make fuzz`."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
#: the short form: seconds for each C target, and examples for each property
SECONDS = int(os.environ.get("BEDE_FUZZ_SECONDS", "4"))
EXAMPLES = int(os.environ.get("BEDE_FUZZ_EXAMPLES", "150"))
LONG = "BEDE_FUZZ_EXAMPLES" in os.environ

#: The short form tries the same examples each time; the long form looks for new ones.
FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def files(target: str) -> list[Path]:
    """The corpus of *target*."""
    found = sorted((CORPUS / target).iterdir())
    assert found, f"no corpus for {target}"
    return found
