# SPDX-License-Identifier: Apache-2.0
"""In the machine: runs the command, sends its output to virtio-serial ports, and reports its status.

On the port ``bede.status`` the host reads one line each: ``ready`` once the machine is up, then
``exit STATUS OUT ERR TAR``: the command's status, and how many bytes went to each of the other ports, so that
the host knows when it has them all.

If the command ends and has left ``/run/bede-vm/reboot`` behind, it asks for a reboot, and the host reads
``reboot``. Then the command runs again; BEDE_VM_BOOT in its environment is the number of reboots so far.
"""

import json
import os
import select
import signal
import subprocess
import termios
import time

CONFIG = "/etc/bede-vm/run.json"
REBOOT = "/run/bede-vm/reboot"
BOOTS = "/var/lib/bede-vm/boots"  #: on the disk, whose content survives a reboot
MARK = "/usr/local/bin/bede-mark"
CHUNK = 1 << 16


class Port:
    """A virtio-serial port to write to, with the number of bytes that were written."""

    def __init__(self, name: str) -> None:
        self.fd = os.open(port_path(name), os.O_RDWR | os.O_CLOEXEC)
        self.count = 0

    def write(self, data: bytes) -> None:
        """Write all of *data*, however long the host takes to read it."""
        self.count += len(data)
        while data:
            data = data[os.write(self.fd, data[:CHUNK]) :]


class Window:
    """Gives the terminal the size of the person's terminal, which comes in on the port `bede.window`."""

    def __init__(self, terminal: int, fd: int) -> None:
        self.terminal = terminal
        self.fd = fd
        self.rest = b""

    def take(self) -> None:
        """Apply the last of the lines ``LINES COLUMNS`` that have come in."""
        *lines, self.rest = (self.rest + (read(self.fd) or b"")).split(b"\n")
        if lines:
            rows, columns = map(int, lines[-1].split())
            termios.tcsetwinsize(self.terminal, (rows, columns))


def port_path(name: str) -> str:
    """The device of the port *name*: this machine has no udev that would name it."""
    root = "/sys/class/virtio-ports"
    for port in os.listdir(root):
        with open(f"{root}/{port}/name") as file:  # noqa: PTH123
            if file.read().strip() == name:
                return f"/dev/{port}"
    raise SystemExit(f"bede-vm: no port {name}")


def read(fd: int) -> bytes | None:
    """The bytes that can be read now; empty at the end, None if there are none yet."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
    except OSError:  # EIO: nobody has the terminal open any more
        return b""


def type_in(terminal: int, data: bytes) -> bytes:
    """Write to the terminal's keyboard side. Returns the bytes that did not fit."""
    try:
        return data[os.write(terminal, data) :]
    except BlockingIOError:
        return data


def pump(child: int, pipes: dict[int, Port], terminal: int | None) -> int:
    """Copy the pipes to their ports until *child* ends. Returns its wait status.

    If a grandchild keeps a pipe open, copying still ends when the child has ended and the pipes are empty.
    The input from the port `bede.stdin` goes to *terminal*.
    """
    poll = select.poll()
    pidfd = os.pidfd_open(child)
    keyboard = None if terminal is None else Port("bede.stdin").fd
    window = None if terminal is None else Window(terminal, Port("bede.window").fd)
    ours = [] if keyboard is None or window is None else [keyboard, window.fd]
    for fd in (pidfd, *pipes, *ours):
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)
    ended = False
    typed = b""
    while True:
        busy = False
        for fd, events in poll.poll(0 if ended else None):
            if fd == terminal and keyboard is not None and events & select.POLLOUT:
                typed = type_in(terminal, typed)
                if not typed:
                    poll.modify(terminal, select.POLLIN)
                    poll.register(keyboard, select.POLLIN)
                if not events & ~select.POLLOUT:
                    continue
            if fd == pidfd:
                ended = True
                poll.unregister(pidfd)
                busy = True
            elif window is not None and fd == window.fd:
                window.take()
            elif fd == keyboard and terminal is not None:
                typed = type_in(terminal, read(fd) or b"")
                if typed:
                    # A paste longer than the terminal's queue: read no more input until the queue has room.
                    poll.unregister(keyboard)
                    poll.modify(terminal, select.POLLIN | select.POLLOUT)
            elif data := read(fd):
                pipes[fd].write(data)
                busy = True
            elif data == b"":
                poll.unregister(fd)
        if ended and not busy:
            return os.waitpid(child, 0)[1]


def start(config: dict[str, object], out: int, err: int, terminal: int | None) -> int:
    """Fork and exec the command. Returns its pid."""
    argv: list[str] = config["argv"]  # type: ignore[assignment]
    env: dict[str, str] = config["env"]  # type: ignore[assignment]
    pid = os.fork()
    if pid:
        return pid
    try:
        if terminal is not None:
            os.login_tty(terminal)
        else:
            os.setsid()
            os.dup2(out, 1)
            os.dup2(err, 2)
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("0")
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.chdir("/root")
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        os.write(2, f"bede vm: no such command in the machine: {argv[0]}\n".encode())
        os._exit(127)
    except OSError as exc:
        os.write(2, f"bede vm: cannot run {argv[0]}: {exc.strerror}\n".encode())
        os._exit(126)


def run(config: dict[str, object], out: Port, err: Port) -> int:
    """Run the command. Returns its exit status as a shell shows it."""
    ours: int | None = None
    theirs: int | None = None
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pipes = {out_read: out, err_read: err}
    if config["tty"]:
        ours, theirs = os.openpty()
        termios.tcsetwinsize(ours, tuple(config["tty"]))  # type: ignore[arg-type]
        pipes[ours] = out
    child = start(config, out_write, err_write, theirs)
    for fd in (out_write, err_write, theirs):
        if fd is not None:
            os.close(fd)
    code = os.waitstatus_to_exitcode(pump(child, pipes, ours))
    return 128 - code if code < 0 else code


def count_boots() -> int:
    """Count this boot. Returns the number of earlier ones."""
    os.makedirs(os.path.dirname(REBOOT), exist_ok=True)
    os.makedirs(os.path.dirname(BOOTS), exist_ok=True)
    try:
        with open(BOOTS) as file:  # noqa: PTH123
            before = int(file.read())
    except FileNotFoundError:
        before = 0
    with open(BOOTS, "w") as file:  # noqa: PTH123
        file.write(str(before + 1))
    return before


def send_out(port: Port) -> None:
    """Send what the command left in /out as a tar."""
    if not os.listdir("/out"):
        return
    tar = subprocess.Popen(["tar", "-C", "/out", "-cf", "-", "."], stdout=subprocess.PIPE)
    assert tar.stdout is not None
    while data := os.read(tar.stdout.fileno(), CHUNK):
        port.write(data)
    tar.wait()


def main() -> None:
    """Run the command, report to the host, and wait for the end of the machine."""
    with open(CONFIG) as file:  # noqa: PTH123
        config = json.load(file)
    status = Port("bede.status")
    out, err, tar = Port("bede.stdout"), Port("bede.stderr"), Port("bede.out")
    config["env"]["BEDE_VM_BOOT"] = str(count_boots())
    status.write(b"ready\n")
    if config["model"]:
        subprocess.run([MARK, "--flush-tlbs"], check=True)
        subprocess.run([MARK, "--begin"], check=True)
    code = run(config, out, err)
    if config["model"]:
        subprocess.run([MARK, "end"], check=True)
    if os.path.exists(REBOOT):
        status.write(b"reboot\n")
        subprocess.run(["systemctl", "reboot"], check=True)
    else:
        send_out(tar)
        status.write(f"exit {code} {out.count} {err.count} {tar.count}\n".encode())
    while True:  # until the host ends the machine
        time.sleep(3600)


if __name__ == "__main__":
    main()
