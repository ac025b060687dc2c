# SPDX-License-Identifier: Apache-2.0
"""Sends one message from a hook to the agent, and starts the agent if none listens.

The hook never waits for an answer: the kernel holds the bound already.
"""

import errno
import os

from ocihook.spec import fastjson
from ocihook.state import records

SYSTEMD = "/run/systemd/system"  #: exists where systemd is the host's init
ON_DEMAND = "BEDE_ON_DEMAND"  #: set in the environment of an agent that must end when it is idle
_UNIT = "bede-agent.service"
_SYSTEMCTL = "/usr/bin/systemctl"
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED)


def tell(op: str, key: str, bede: str = "/usr/bin/bede") -> bool:
    """Send ``{"op": op, "key": key}`` to the agent. Return whether an agent received it.

    If none listens, an "added" starts *bede* as ``bede agent``. An agent that starts reads every record, so
    the message need not be sent again. Raises OSError.
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
    """Start the agent, detached from the hook and its pipes. Raises OSError.

    If several hooks do so at once, the agents' lock leaves one of them.
    """
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

    # crun blocks all signals while it runs a hook. An agent that inherited this could not be terminated.
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
    # Under systemd start the unit, so that the agent is not in the cgroup of whoever started the container.
    # The unit is for root. A rootless user's agent is started directly.
    if records.RUN == records.OF_ROOT and os.path.isdir(SYSTEMD) and os.path.exists(_SYSTEMCTL):
        command = [_SYSTEMCTL, "start", _UNIT]
        if os.spawnve(os.P_WAIT, _SYSTEMCTL, command, environment) == 0:
            return
    # Without systemd the agent is a child of the runtime, and crun in the foreground waits for all of its
    # children: so this agent must end when its containers have ended.
    os.execve(bede, [bede, "agent"], {**environment, ON_DEMAND: "1"})
