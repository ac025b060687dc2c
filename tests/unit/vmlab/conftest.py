# SPDX-License-Identifier: Apache-2.0
"""A machine with a script in place of QEMU."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vmlab import qemu, topology

#: A mock of QEMU: finds the sockets in its arguments as QEMU does, then acts as the machine.
MOCK = """#!{python}
import os, re, socket, sys, time
fds = {{m[1]: int(m[2]) for a in sys.argv if (m := re.match(r"socket,id=([^,]+),fd=(\\d+)", a))}}
port = {{name: socket.socket(fileno=fd) for name, fd in fds.items()}}
say = lambda name, data: port[name].sendall(data)
{body}
"""


@pytest.fixture
def mock_machine(tmp_path: Path) -> Callable[[str], qemu.Machine]:
    """Makes a machine that runs the given Python text, in which `say` writes to a port."""

    def made(body: str) -> qemu.Machine:
        script = tmp_path / "mock-qemu"
        script.write_text(MOCK.format(python=sys.executable, body=body))
        script.chmod(0o755)
        return qemu.Machine([str(script)], topology.find("single"), Path("/k"), Path("/i"), ())

    return made
