# SPDX-License-Identifier: Apache-2.0
"""``bede-runtime ARGV...``: an OCI runtime that bounds annotated containers and then is the real one.

Docker and containerd have no hooks of their own. On ``create`` and ``run`` of a bundle with bede annotations
the hooks are written into its ``config.json``, or the limits that a patched kernel holds without any hook;
then, and for everything else, the real runtime takes over this process with the same arguments. Nothing is
ever written on standard output.
"""

import os
import time

from ocihook import config as configuration
from ocihook import fs, host
from ocihook.errors import AccessError, BedeError, RuntimeMissingError
from ocihook.runtime import argv as commandline
from ocihook.spec import bundle, fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

PROGRAM = "bede-runtime"
_NAMES = ("runc", "crun")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LIMIT = 16 << 20


def main(argv: list[str]) -> int:
    """Run the call in *argv* (with the program's own path first). Return only if it fails: an exit code."""
    script, arguments = commandline.of_script(argv[1:])
    call = commandline.parse(arguments)
    try:
        own = os.path.realpath(argv[0])
        settings = configuration.load()
        real = _find(script or settings.runtime, own, _hint(script))
        if call.starts:
            _prepare(call, settings, os.path.join(os.path.dirname(own), bundle.HOOK))
        elif call.command == "exec" and (settings.far_nodes or settings.promotion != "balancing"):
            from ocihook.backends import choose

            choose.stock(settings).prepare_exec(call.container)
        _become(real, arguments, _hint(script))
    except BedeError as error:
        _report(call, error)
        return error.exit_code
    except Exception as error:
        return _internal(call, error)


def _find(wanted: str | None, own: str, hint: str) -> str:
    """Return the path of the real runtime, never of this program. Raises RuntimeMissingError."""
    if wanted is not None and wanted.startswith("/"):
        if _usable(wanted, own):
            return wanted
        raise RuntimeMissingError(f"the OCI runtime {wanted} is not there, or is Bede itself", hint)
    names = (wanted,) if wanted else _NAMES
    for name in names:
        for directory in (os.environ.get("PATH") or _PATH).split(":"):
            path = f"{directory}/{name}"
            if path.startswith("/") and _usable(path, own):
                return path
    raise RuntimeMissingError(f"no OCI runtime {' or '.join(names)} on PATH", hint)


def _usable(path: str, own: str) -> bool:
    try:
        real = os.path.realpath(path)
        same = os.path.samestat(os.stat(real), os.stat(own))
    except OSError:
        return False
    # A script that `bede configure` has written is Bede as well.
    ours = same or real.rpartition("/")[2].startswith(PROGRAM)
    return os.path.isfile(real) and os.access(real, os.X_OK) and not ours


def _hint(script: str) -> str:
    """Return what to do if the real runtime is missing; *script* is the one that a script named, or ""."""
    if script:
        return "Install it, or name another by bede configure ENGINE --real NAME"
    return f"Install runc or crun, or set runtime: in {configuration.PATH}"


def _prepare(call: commandline.Call, settings: configuration.Config, hook: str) -> None:
    """Write the bound into the bundle's config.json if it asks for one; else leave the file alone."""
    directory, name = _open_bundle(call)
    try:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
            try:
                found = os.fstat(fd)
                data = fs.read_fd(fd, _LIMIT)
            finally:
                os.close(fd)
        except OSError as error:
            raise _unreadable(f"{name} of bundle {call.bundle}", error) from None
        # Most containers have no such annotation, however it is spelled: spare them the parsing.
        if b"bede." not in data and b"\\u" not in data:
            return
        config = fastjson.loads(data, f"{name} of bundle {call.bundle}")
        policy = bundle.policy_of(config)
        if policy is None:
            return
        from ocihook.backends import choose  # import it only now: every start of a container would pay for it
        from ocihook.backends.backend import BundleEdit

        own = _has_own(call, config)
        edit = BundleEdit(
            call.container,
            config,
            policy,
            settings,
            hook,
            own,
            # A container that may share its cgroup gets only the hook, which sees who is in the cgroup.
            own and _can_fence(call),
            lambda error: _report(call, error, "warning"),
        )
        changed = choose.for_host(host.path(host.CGROUP), settings).prepare(edit)
        if not changed:
            return
        try:
            mode = found.st_mode & 0o777
            text = fastjson.dumps(config) + "\n"
            fs.replace(name, text, dir_fd=directory, mode=mode, owner=(found.st_uid, found.st_gid))
        except OSError as error:
            raise AccessError(
                f"{name} of bundle {call.bundle} cannot be written: {error.strerror}",
                "Make the bundle writable",
            ) from None
    finally:
        os.close(directory)


def _open_bundle(call: commandline.Call) -> tuple[int, str]:
    """Return a descriptor of the directory with the configuration, and the file's name in it."""
    path = os.path.join(call.bundle, call.config)
    directory, name = os.path.split(path)
    try:
        # Follow links before the last part of the path, as the real runtime does: the caller chose them.
        return fs.open_directory(directory or "."), name
    except OSError as error:
        raise _unreadable(f"bundle {call.bundle}", error) from None


def _unreadable(what: str, error: OSError) -> RuntimeMissingError:
    return RuntimeMissingError(
        f"{what[:200]!a} cannot be read: {error.strerror}",
        "A bundle is a directory (no link) with a config.json",
    )


def _has_own(call: commandline.Call, config: "dict[str, Any]") -> bool:
    """Return whether the container certainly gets a cgroup that the runtime makes for it alone."""
    if call.manager == "disabled":
        return False
    where = bundle.cgroup(config)
    # systemd makes no scope that there is already. Where a relative path begins is each runtime's own idea.
    if not where or call.systemd:
        return True
    from ocihook.cgroup import own

    return where.startswith("/") and own.is_free(host.path(host.CGROUP), where)


def _can_fence(call: commandline.Call) -> bool:
    # systemd would put its own copy of memory.high back on every daemon-reload; there the hook alone sets it.
    return not call.systemd and "memory" in host.read(f"{host.CGROUP}/cgroup.controllers").split()


def _become(real: str, arguments: list[str], hint: str) -> "NoReturn":
    try:
        # crun looks at its own name, so it gets that of the program it is.
        os.execve(real, [real, *arguments], os.environ)
    except OSError as error:
        raise RuntimeMissingError(f"the OCI runtime {real} cannot be run: {error.strerror}", hint) from None


def _report(call: commandline.Call, error: BedeError, level: str = "error") -> None:
    """Write a line to standard error, and to the runtime's log, which Docker and containerd show."""
    line = error.line(PROGRAM)
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        os.write(2, (line + "\n").encode("utf-8", "replace"))
    except OSError:
        pass
    if not call.log:
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    message = "bede: " + line.removeprefix(PROGRAM + ": ")
    if call.log_format == "json":
        entry = fastjson.dumps({"level": level, "msg": message, "time": now})
    else:
        entry = f'time="{now}" level={level} msg={fastjson.dumps(message)}'
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(call.log, flags, 0o600)
        try:
            os.write(fd, (entry + "\n").encode("ascii", "replace"))
        finally:
            os.close(fd)
    except OSError:
        pass


def _internal(call: commandline.Call, error: Exception) -> int:
    if os.environ.get("BEDE_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    where = f"{type(error).__name__}: {error}"
    _report(call, BedeError(f"internal error: {where[:300]}", "Please report it, with BEDE_DEBUG=1 set"))
    return 1
