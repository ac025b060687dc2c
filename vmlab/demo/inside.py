# SPDX-License-Identifier: Apache-2.0
"""The demonstration in the machine: Redis in Podman under a bound, its load, its check, and the sampler.

    python3 -m vmlab.demo.inside BOUND KEYS SIZE [FAR_NODES]

FAR_NODES are the nodes that the configuration calls far. The host reads standard output
(:class:`vmlab.demo.show.Stream`): a line that begins with ``{`` is an event in JSON, every other line is
a sample as :mod:`vmlab.demo.sampler` writes it. All times are seconds since this program began.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from vmlab.demo import sampler

NAME = "bede-demo"
ROOTFS = "/usr/share/bede-vm/rootfs"  #: unpacked already: importing an image takes seconds
PIDFILE = f"/run/{NAME}.pid"
SAMPLES = f"/run/{NAME}.csv"
CONFIG = "/etc/bede/config.yaml"
SOCKET = ("127.0.0.1", 6379)
START_SECONDS = 60.0
FORWARD_SECONDS = 0.2
START = time.monotonic()
COMPARE = """
local good = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then good = good + 1 end
end
return good
"""


class DemoError(Exception):
    """The workload cannot go on; the text says why."""


class Host:
    """Sends events and samples to the host."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._forward)

    def event(self, **what: object) -> None:
        """Send one event to the host."""
        self._write(json.dumps({"at": round(time.monotonic() - START, 3)} | what) + "\n")

    def _write(self, text: str) -> None:
        with self.lock:
            sys.stdout.write(text)
            sys.stdout.flush()

    def _forward(self) -> None:
        rest, last = "", False
        with open(SAMPLES) as file:  # noqa: PTH123
            while not last:
                last = self.ended.wait(FORWARD_SECONDS)
                whole, newline, rest = (rest + file.read()).rpartition("\n")
                if newline:
                    self._write(whole + newline)

    @contextlib.contextmanager
    def sampling(self, cgroup: str) -> Iterator[None]:
        """Sample *cgroup* in a process of its own and forward what it writes."""
        with open(SAMPLES, "w", buffering=1) as file:  # noqa: PTH123
            child = os.fork()
            if child == 0:
                os.nice(-20)
                with contextlib.suppress(KeyboardInterrupt):
                    sampler.record(cgroup, file, start=START)
                os._exit(0)
        self.thread.start()
        try:
            yield
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.ended.set()
            self.thread.join()


class Client:
    """A minimal Redis client."""

    def __init__(self) -> None:
        self.file = socket.create_connection(SOCKET, 30).makefile("rwb", buffering=1 << 20)

    def call(self, *words: str | bytes) -> object:
        """Send one command and return its answer."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        self.file.write(b"*%d\r\n" % len(parts))
        for part in parts:
            self.file.write(b"$%d\r\n%s\r\n" % (len(part), part))
        self.file.flush()
        return self._answer()

    def _answer(self) -> object:
        line = self.file.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        raise DemoError(f"Redis answered {line.decode(errors='replace').strip() or 'nothing'}")


def value(size: int) -> bytes:
    """The value of every key."""
    return (b"Bede holds a bound. " * (size // 20 + 1))[:size]


def call_far(nodes: str) -> None:
    """Tell Bede and the sampler which nodes are far."""
    with open(f"{sampler.NODES}/has_memory") as file:  # noqa: PTH123
        local = sampler.parse_nodes(file.read()) - sampler.parse_nodes(nodes)
    os.environ[sampler.NAMED] = ",".join(map(str, sorted(local)))
    os.makedirs(os.path.dirname(CONFIG), exist_ok=True)
    with open(CONFIG, "w") as file:  # noqa: PTH123
        file.write(f"far_nodes: [{nodes}]\n")
    subprocess.run(["systemctl", "try-restart", "bede-agent.service"], check=True)


def mover() -> float | None:
    """Seconds of CPU time that the agent's movers have used; None if there is no mover."""
    done = subprocess.run(["bede", "ps", "--json"], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        return None
    found = [one["mover_us"] / 1e6 for one in json.loads(done.stdout) if one["mover_us"]]
    return round(sum(found), 3) if found else None


def start(bound: str) -> "subprocess.Popen[bytes]":
    """Start Redis in a container with the bound as its annotation."""
    redis = ["/usr/bin/redis-server", "--save", "", "--appendonly", "no", "--bind", SOCKET[0]]
    podman = ["podman", "run", "--rm", "--name", NAME, "--pidfile", PIDFILE, "--network", "host"]
    podman += ["--annotation", f"bede.local={bound}", "-v", "/usr:/usr:ro", "--rootfs", ROOTFS]
    return subprocess.Popen([*podman, *redis], stdout=subprocess.DEVNULL)


def find_cgroup(podman: "subprocess.Popen[bytes]") -> str:
    """The directory of the container's cgroup, as soon as it exists: before Redis's first instruction."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and podman.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            with open(PIDFILE) as file:  # noqa: PTH123
                pid = int(file.read())
            with open(f"/proc/{pid}/cgroup") as file:  # noqa: PTH123
                return sampler.CGROUPS + file.read().strip().rpartition("::")[2]
        time.sleep(0.01)
    raise DemoError("podman did not start the container")


def connect(podman: "subprocess.Popen[bytes]") -> Client:
    """A client, once Redis answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and podman.poll() is None:
        with contextlib.suppress(OSError):
            client = Client()
            client.call("PING")
            return client
        time.sleep(0.1)
    raise DemoError("Redis did not start")


def load(keys: int, size: int) -> None:
    """Set *keys* random keys with redis-benchmark, of two random numbers each, so that no two are equal."""
    command = ["redis-benchmark", "-h", SOCKET[0], "-q", "-c", "4", "-n", str(keys)]
    command += ["-r", "2000000000", "-x", "SET", "key:__rand_int__:__rand_int__"]
    done = subprocess.run(command, input=value(size), stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise DemoError(f"redis-benchmark exited with {done.returncode}")


def check(client: Client, size: int) -> int:
    """Let Redis compare every key's value. Returns the number of keys with the right one."""
    expected = value(size)
    good, cursor = 0, b"0"
    seen: set[bytes] = set()
    while True:
        answer = client.call("SCAN", cursor, "COUNT", "500")
        assert isinstance(answer, list)
        cursor, found = answer
        fresh = [key for key in found if key not in seen]
        seen.update(fresh)
        count = client.call("EVAL", COMPARE, str(len(fresh)), *fresh, expected)
        assert isinstance(count, int)
        good += count
        if cursor == b"0":
            return good


def evicted(client: Client) -> int:
    """The number of keys that Redis itself evicted or let expire."""
    text = client.call("INFO", "stats")
    assert isinstance(text, bytes)
    fields = dict(line.split(":", 1) for line in text.decode().split() if ":" in line)
    return int(fields["evicted_keys"]) + int(fields["expired_keys"])


def run(host: Host, bound: str, keys: int, size: int, far: str = "") -> dict[str, object]:
    """Run the demonstration. Returns the facts about the workload for the final event."""
    if far:
        call_far(far)
    host.event(stage="starting Redis")
    podman = start(bound)
    try:
        with host.sampling(find_cgroup(podman)):
            client = connect(podman)
            host.event(stage="loading")
            load(keys, size)
            loaded = client.call("DBSIZE")
            host.event(stage="reading back")
            good = check(client, size)
            lost = evicted(client)
            ended = time.monotonic() - START
            used = mover() if far else None
            host.event(stage="stopping Redis")
            with contextlib.suppress(DemoError, OSError):
                client.call("SHUTDOWN", "NOSAVE")
            status = podman.wait(START_SECONDS)
    finally:
        podman.terminate()
    told = {"status": status, "loaded": loaded, "good": good, "evicted": lost, "ended": round(ended, 3)}
    return told | ({} if used is None else {"mover": used})


def main(argv: list[str]) -> int:
    """The command's exit status: 1 if the workload could not be completed."""
    host = Host()
    try:
        host.event(done=run(host, argv[0], int(argv[1]), int(argv[2]), *argv[3:4]))
    except (DemoError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
