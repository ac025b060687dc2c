# SPDX-License-Identifier: Apache-2.0
"""The loads of bench/placement.py: kinds of tests/vm/guest/workloads/patterns.c, and real programs."""

from dataclasses import dataclass
from pathlib import Path

SIZE = 128  #: MiB that a load uses

SOCKET = "/run/bench.sock"  #: where a server is asked
SHARE = Path("/share")  #: where bench/placement.py puts what it has built for the machine
DEBIAN = SHARE / "programs"  #: Debian's packages that the machine lacks, unpacked there
SCRIPTS = "/usr/lib/bede/bench"  #: this directory in the machine


@dataclass(frozen=True)
class Load:
    """How one kind of load is run. *arguments* are accesses a round, and what is computed for each.

    Of *program* and *client* each word is a format, of {size}, {rounds} and {requests}.
    """

    arguments: tuple[str, ...] = ()
    program: tuple[str, ...] = ()  #: what runs instead of patterns.c
    client: tuple[str, ...] = ()  #: what asks it and ends it, if it is a server
    packages: tuple[str, ...] = ()  #: Debian's that it needs, and the machine lacks
    requests: int = 0
    rounds: int = 150
    last: int = 10  #: rounds at the end that count as steady
    short: int = 30  #: rounds of a run that ends like this one: what is read in turn is in the same place
    patience: int = 60  #: seconds of the machine's clock that it may take
    moves: bool = False  #: whether other memory is the one in use after half of the rounds
    stays: bool = True  #: whether pages live long enough for an oracle to choose among them
    huge: bool = False  #: whether most of its memory is in huge pages

    def words(self, kind: str, rounds: int) -> list[str]:
        """The command line for so many rounds of a load of this *kind*; the first word may be missing."""
        own = self._filled(self.program, rounds)
        return own or ["", kind, str(SIZE), str(rounds), *self.arguments]

    def asking(self, rounds: int) -> list[str]:
        """What asks the server, if there is one, in so many rounds; else nothing."""
        return self._filled(self.client, rounds)

    def _filled(self, words: tuple[str, ...], rounds: int) -> list[str]:
        return [word.format(size=SIZE, rounds=rounds, requests=self.requests) for word in words]


def _asking(store: str) -> tuple[str, ...]:
    return (str(SHARE / "store_client"), store, SOCKET, "{size}", "{rounds}", "{requests}")


#: Computes for each access what a store needs that has to find and hash a record. In all some 16 seconds, of
#: which half is learning.
_STORE = ("500000", "60")
#: The first words of a program that is among the unpacked packages.
_UNPACKED = ("env", f"LD_LIBRARY_PATH={DEBIAN}/usr/lib/x86_64-linux-gnu")
LOADS = {
    "zipf": Load(_STORE),
    "region": Load(_STORE),
    # Half of it lasts for twenty seconds: other pages may be noticed late.
    "moved": Load(_STORE, moves=True, rounds=400, patience=150),
    "scan": Load(_STORE),
    "churn": Load(_STORE),
    "rank": Load(rounds=24, last=3, short=4),  # each round reads the whole graph
    "bfs": Load(rounds=20, last=3, short=4),
    # In 20 rounds all points are read; a sample of a longer stream changes less.
    "kmeans": Load(("150000",), rounds=100, last=20, short=100),
    # Longer: pages that differ little take many windows to tell apart.
    "tree": Load(("200000", "60"), rounds=450, patience=180),
    "redis": Load(
        program=("redis-server", "--port", "0", "--unixsocket", SOCKET, "--save", ""),
        client=_asking("redis"),
        requests=60000,
        rounds=200,
        patience=180,
    ),
    "memcached": Load(
        # Its limit is above what is stored, so that nothing is evicted; -A lets the client end it.
        program=(*_UNPACKED, f"{DEBIAN}/usr/bin/memcached", "-u", "root", "-A", "-m", "1024", "-s", SOCKET),
        client=_asking("memcached"),
        packages=("memcached",),
        requests=60000,
        rounds=200,
        patience=180,
        huge=True,
    ),
    "sqlite": Load(
        program=(str(SHARE / "sqlite_client"), str(SHARE / "records.db"), "{rounds}", "{requests}"),
        requests=15000,
        rounds=200,
        patience=180,
    ),
    "build": Load(
        program=("sh", f"{SCRIPTS}/build.sh", "{rounds}"),
        packages=("gcc", "libc6-dev", "make"),
        rounds=10,
        last=5,
        short=10,
        patience=180,
        stays=False,
    ),
}


def bound_of(share: int) -> int:
    """MiB of the bound that is called 1/*share*: for 1 it is twice what the load uses, and never reached."""
    return SIZE // share if share > 1 else 2 * SIZE
