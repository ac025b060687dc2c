# SPDX-License-Identifier: Apache-2.0
"""The loads of bench/placement.py: kinds of tests/vm/guest/workloads/patterns.c, and real programs."""

from dataclasses import dataclass
from pathlib import Path

SIZE = 128  #: MiB that a load uses

SOCKET = "/run/bench.sock"  #: where a server is asked
SHARE = Path("/share")  #: where bench/placement.py puts what it has built for the machine


@dataclass(frozen=True)
class Load:
    """How one kind of load is run. *arguments* are accesses a round, and what is computed for each."""

    arguments: tuple[str, ...] = ()
    server: tuple[str, ...] = ()  #: a program to run instead, which bench/redis_client.c asks, and ends
    rounds: int = 150
    last: int = 10  #: rounds at the end that count as steady
    short: int = 30  #: rounds of a run that ends like this one: what is read in turn is in the same place
    patience: int = 60  #: seconds of the machine's clock that it may take
    moves: bool = False  #: whether other memory is the one in use after half of the rounds

    def words(self, kind: str, rounds: int) -> tuple[str, ...]:
        """The arguments of patterns.c, or of the server, for so many rounds of a load of this *kind*."""
        return self.server[1:] or (kind, str(SIZE), str(rounds), *self.arguments)

    def client(self, rounds: int) -> list[str]:
        """What asks the server, if there is one, in so many rounds; else nothing."""
        words = [str(SHARE / "redis_client"), SOCKET, str(SIZE), str(rounds), *self.arguments]
        return words if self.server else []


#: Computes for each access what a store needs that has to find and hash a record. In all some 16 seconds, of
#: which half is learning.
_STORE = ("500000", "60")
LOADS = {
    "zipf": Load(_STORE),
    "region": Load(_STORE),
    "moved": Load(_STORE, moves=True),
    "scan": Load(_STORE),
    "churn": Load(_STORE),
    "rank": Load(rounds=24, last=3, short=4),  # each round reads the whole graph
    "bfs": Load(rounds=20, last=3, short=4),
    # In 20 rounds all points are read; a sample of a longer stream changes less.
    "kmeans": Load(("150000",), rounds=100, last=20, short=100),
    # Longer: pages that differ little take many windows to tell apart.
    "tree": Load(("200000", "60"), rounds=450, patience=180),
    "redis": Load(
        ("60000",),
        ("redis-server", "--port", "0", "--unixsocket", SOCKET, "--save", ""),
        rounds=200,
        patience=180,
    ),
}


def bound_of(share: int) -> int:
    """MiB of the bound that is called 1/*share*: for 1 it is twice what the load uses, and never reached."""
    return SIZE // share if share > 1 else 2 * SIZE
