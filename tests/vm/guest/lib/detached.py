# SPDX-License-Identifier: Apache-2.0
"""Containers that run on after the client that started them, and engines with other settings."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from helpers import Container, cgroup_of, run, wait_until

DAEMON = Path("/etc/docker/daemon.json")


class Detached(Container):
    """A container of Podman or Docker in the background; it is removed on leaving."""

    def __init__(self, runtime, name, size, megabytes, options=()):
        super().__init__(runtime, name, size, megabytes, options=("-d", *options))
        self.engine = runtime.partition("-")[0]

    def __exit__(self, *exc):
        self.process.communicate()
        run(self.engine, "kill", self.name)  # Podman's rm waits for an answer to SIGTERM
        run(self.engine, "rm", "-f", self.name)

    def _ended(self):
        return self.process.poll() not in (None, 0)

    def killed(self):
        """Kill the container's process, and refer to the one that the engine starts in its place."""
        before = self.pid
        (self.gate / "full").unlink()
        os.kill(before, signal.SIGKILL)
        self.found(before)

    def found(self, before=0):
        """Refer to the container's present process, once that is not *before*."""

        def other():
            pid = self._find()
            return pid if pid != before else 0

        self.pid = wait_until(f"{self.name} runs again", other)
        self.cgroup = cgroup_of(self.pid)

    def stop(self):
        """Let the container end by itself. Returns its exit status."""
        (self.gate / "stop").touch()
        return int(run(self.engine, "wait", self.name).stdout)


@contextlib.contextmanager
def docker(**settings):
    """Run Docker's daemon with other *settings* while the block runs."""
    before = DAEMON.read_text()
    DAEMON.write_text(json.dumps(json.loads(before) | {k.replace("_", "-"): v for k, v in settings.items()}))
    try:
        restart("docker")
        yield
    finally:
        DAEMON.write_text(before)
        restart("docker")


def restart(unit):
    """Restart a systemd unit, also if that has been done often (systemd limits the rate)."""
    subprocess.run(["systemctl", "reset-failed", unit], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["systemctl", "restart", unit], check=True)
