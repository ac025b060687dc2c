# SPDX-License-Identifier: Apache-2.0
"""Stops the agent while more happens than its buffers hold; the kernel counts the events that are lost."""

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
# Sizes of the agent's two buffers in these tests, so small that some hundred events are too many.
MOVES_KIB = "4"
FORKS_BYTES = 1 << 15
CONNECTOR = "11"  # NETLINK_CONNECTOR of linux/netlink.h
PIDFD_GETFD = 438
SO_RCVBUFFORCE = 33


@contextlib.contextmanager
def unwatched():
    """Turn systemd's watchdog off, which would restart an agent that does not answer for a minute."""
    subprocess.run(["systemctl", "service-watchdogs", "no"], check=True)
    try:
        yield
    finally:
        subprocess.run(["systemctl", "service-watchdogs", "yes"], check=True)


@contextlib.contextmanager
def stopped():
    """Stop the agent by a signal while the block runs. Yields its pid."""
    pid = agent_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def standing_still():
    """Stop the agent and make its buffers small. Yields its pid and its socket of the process connector.

    This process stays on CPU 0 meanwhile, because each CPU has its own buffer of moves.
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
        room = connector.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)  # twice what was set
        after.callback(connector.setsockopt, socket.SOL_SOCKET, SO_RCVBUFFORCE, room // 2)
        connector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FORKS_BYTES)
        yield pid, connector


def moves():
    """(lost, unread) events of moves on CPU 0 so far; the lost ones count as unread, too."""
    lines = (TRACING / "per_cpu/cpu0/stats").read_text().splitlines()
    found = dict(line.split(": ", 1) for line in lines)
    lost = int(found["overrun"])
    return lost, lost + int(found["entries"])


def forks_lost(connector):
    """How many process events did not fit into the buffer of *connector* so far."""
    inode = str(os.fstat(connector.fileno()).st_ino)
    (drops,) = [int(words[8]) for words in _netlink() if words[9] == inode]
    return drops


def _netlink():
    """The columns sk, Eth, Pid, Groups, Rmem, Wmem, Dump, Locks, Drops, Inode of every netlink socket."""
    return [line.split() for line in NETLINK.read_text().splitlines()[1:]]


def _number(pid):
    """The descriptor of the process connector in the process *pid*; None if it has none yet."""
    links = {f"socket:[{words[9]}]" for words in _netlink() if words[1] == CONNECTOR}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # other descriptors come and go meanwhile
            if os.readlink(f"/proc/{pid}/fd/{fd}") in links:
                return int(fd)
    return None


@contextlib.contextmanager
def _taken(pid, number):
    """A duplicate of descriptor *number* of the process *pid*, which is a socket."""
    pidfd = os.pidfd_open(pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, number, 0)
    error = ctypes.get_errno()
    os.close(pidfd)
    if fd < 0:
        raise OSError(error, os.strerror(error))
    with socket.socket(fileno=fd) as found:
        yield found
