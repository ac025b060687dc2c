# SPDX-License-Identifier: Apache-2.0
"""An agent that stands still while more happens than its buffers hold, by the kernel's count of the lost."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
from pathlib import Path

from helpers import agent_pid, wait_until

TRACING = Path("/sys/kernel/tracing/instances/bede")
NETLINK = Path("/proc/net/netlink")
# Of the agent's two buffers, in place of its own sizes: so that some hundred events are too many.
MOVES_KIB = "4"
FORKS_BYTES = 1 << 15
CONNECTOR = "11"  # linux/netlink.h
PIDFD_GETFD = 438
SO_RCVBUFFORCE = 33


@contextlib.contextmanager
def unwatched():
    """However long the machine takes: systemd lets a service be that does not answer for a minute."""
    subprocess.run(["systemctl", "service-watchdogs", "no"], check=True)
    try:
        yield
    finally:
        subprocess.run(["systemctl", "service-watchdogs", "yes"], check=True)


@contextlib.contextmanager
def stopped():
    """The agent, whose number this is, does nothing."""
    pid = agent_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def standing_still():
    """The agent is stopped, and has small buffers; its number, and its socket of the process connector.

    This process keeps to CPU 0 meanwhile: the buffers of moves are one a CPU.
    """
    pid, cpus = agent_pid(), os.sched_getaffinity(0)
    size = TRACING / "buffer_size_kb"
    kib = size.read_text().split()[0]
    number = wait_until("the agent hears of processes", lambda: _number(pid))
    with contextlib.ExitStack() as after:
        after.enter_context(stopped())
        after.callback(os.sched_setaffinity, 0, cpus)
        os.sched_setaffinity(0, {0})
        after.callback(size.write_text, kib)
        size.write_text(MOVES_KIB)
        connector = after.enter_context(_taken(pid, number))
        room = connector.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)  # twice what was asked for
        after.callback(connector.setsockopt, socket.SOL_SOCKET, SO_RCVBUFFORCE, room // 2)
        connector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FORKS_BYTES)
        yield pid, connector


def moves():
    """(lost, unread) of the moves that were made on CPU 0, so far; what is lost was not read either."""
    lines = (TRACING / "per_cpu/cpu0/stats").read_text().splitlines()
    found = dict(line.split(": ", 1) for line in lines)
    lost = int(found["overrun"])
    return lost, lost + int(found["entries"])


def forks_lost(connector):
    """How many events of processes did not fit into the buffer of *connector*, so far."""
    inode = str(os.fstat(connector.fileno()).st_ino)
    (drops,) = [int(words[8]) for words in _netlink() if words[9] == inode]
    return drops


def _netlink():
    """sk, Eth, Pid, Groups, Rmem, Wmem, Dump, Locks, Drops, Inode of every socket."""
    return [line.split() for line in NETLINK.read_text().splitlines()[1:]]


def _number(pid):
    """The descriptor by which the process *pid* hears of processes; None as long as it has none."""
    links = {f"socket:[{words[9]}]" for words in _netlink() if words[1] == CONNECTOR}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # it opens and closes others
            if os.readlink(f"/proc/{pid}/fd/{fd}") in links:
                return int(fd)
    return None


@contextlib.contextmanager
def _taken(pid, number):
    """The very socket that is descriptor *number* of the process *pid*."""
    pidfd = os.pidfd_open(pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, number, 0)
    error = ctypes.get_errno()
    os.close(pidfd)
    if fd < 0:
        raise OSError(error, os.strerror(error))
    with socket.socket(fileno=fd) as found:
        yield found
