# SPDX-License-Identifier: Apache-2.0
"""One message from a hook to the agent, which is started when nobody listens.

The hook never waits for the agent: the kernel holds the bound already.
"""

import errno
import os

from ocihook.spec import fastjson
from ocihook.state import records

SYSTEMD = "/run/systemd/system"  #: exists where systemd is the host's init
ON_DEMAND = "BEDE_ON_DEMAND"  #: in the environment of an agent that is to end when it is idle
_UNIT = "bede-agent.service"
_SYSTEMCTL = "/usr/bin/systemctl"
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED)


def tell(op: str, key: str, bede: str = "/usr/bin/bede") -> bool:
    """Send ``{"op": op, "key": key}`` to the agent; True when somebody took it.

    *bede* is the program to start as ``bede agent`` where nobody listens. An agent that starts reads
    every record, so the message need not be sent again. Only an "added" starts one. Raises OSError.
    """
    try:
        _send(fastjson.dumps({"op": op, "key": key}))
        return True
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
    if op == "added":
        start(bede)
    return False


def start(bede: str) -> None:
    """Start the agent, detached from the hook and its pipes; its own lock keeps it single. Raises OSError."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        _detach()
        _become_agent(bede)
    finally:
        os._exit(127)


def _send(message: str) -> None:
    import _socket

    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
    connection = _socket.socket(_socket.AF_UNIX, kind, 0)
    try:
        connection.connect(records.RUN + "/agent.sock")
        connection.send(message.encode("ascii"), _socket.MSG_NOSIGNAL)
    finally:
        connection.close()


def _detach() -> None:
    import _signal  # type: ignore[import-not-found]

    # crun blocks all signals while it runs a hook; an agent without them could not be ended.
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _become_agent(bede: str) -> None:
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    # Under systemd the unit, so that the agent is not in the cgroup of whoever started the container. It is
    # root's; a rootless user's agent is its own.
    if records.RUN == records.OF_ROOT and os.path.isdir(SYSTEMD) and os.path.exists(_SYSTEMCTL):
        command = [_SYSTEMCTL, "start", _UNIT]
        if os.spawnve(os.P_WAIT, _SYSTEMCTL, command, environment) == 0:
            return
    # Without systemd it is a child of the runtime, and crun in the foreground waits for all of its
    # children: this agent must end when its containers have.
    os.execve(bede, [bede, "agent"], {**environment, ON_DEMAND: "1"})
