"""What must hold for every kind of memory, by the sampler's figures; swap is on."""

import os

import bounds
import pytest
import sockets
from on import STOCK, on

pytestmark = [
    on(STOCK, each=True, quiet=True),
    on(STOCK, "two-socket", quiet=True),
    pytest.mark.usefixtures("swap"),
]
#: Without a lower tier: of anonymous memory, and of files and shared memory; and the mean.
MOVED, MOVED_FILES, MOVED_MEAN = 0.02, 0.05, 0.95


def expected(case: bounds.Case) -> str:
    return str(bounds.REDIS_ELEMENTS) if case.load == "redis" else f"{case.load.split()[0]} "


@pytest.mark.parametrize("case", bounds.CASES.values(), ids=lambda case: case.name)
def test_the_bound_holds(case: bounds.Case) -> None:
    free = bounds.run(case, bounded=False) if case.cache else None
    result = bounds.run(case)
    print(bounds.line(case, result, free))
    bound = case.bound * bounds.MIB
    overshoot, mean = case.overshoot, case.mean
    if sockets.is_one_tier():
        overshoot = MOVED_FILES if case.cache or case.load.startswith("shmem") else MOVED
        mean = MOVED_MEAN
    allowed = bound * overshoot
    if case.huge:
        allowed = max(allowed, (os.cpu_count() or 1) * 2 * bounds.MIB)
    assert result.highest <= bound + allowed
    assert result.mean is not None
    assert result.mean >= bound * mean
    assert result.swap == 0
    assert result.status == 0, result.output
    assert result.output.startswith(expected(case))
    # All that the load asked for was there at once, on one node or the other.
    assert result.total >= 3.9 * bound * (0.9 if case.cache else 1)
    if free is not None:
        assert result.file >= case.cache * free.file
