# SPDX-License-Identifier: Apache-2.0
"""The loads of bench/placement.py: kinds of tests/vm/guest/workloads/patterns.c, and how long each runs."""

from dataclasses import dataclass

SIZE = 128  #: MiB that a load uses
LONGEST = 60  #: seconds of the machine's clock that a load may take


@dataclass(frozen=True)
class Load:
    """How one kind of load is run. *arguments* are accesses a round, and what is computed for each."""

    arguments: tuple[str, ...] = ()
    rounds: int = 150
    last: int = 10  #: rounds at the end that count as steady

    def words(self, kind: str) -> tuple[str, ...]:
        """The arguments of patterns.c for a load of this *kind*."""
        return (kind, str(SIZE), str(self.rounds), *self.arguments)


#: Computes for each access what a store needs that has to find and hash a record. In all some 16 seconds, of
#: which half is learning.
_STORE = ("500000", "60")
LOADS = {
    "zipf": Load(_STORE),
    "region": Load(_STORE),
    "moved": Load(_STORE),
    "scan": Load(_STORE),
    "churn": Load(_STORE),
    "rank": Load(rounds=24, last=3),  # each round reads the whole graph
    "bfs": Load(rounds=20, last=3),
    "kmeans": Load(("150000",), rounds=100, last=20),  # in 20 rounds all points are read
    "tree": Load(("200000", "60")),
}
