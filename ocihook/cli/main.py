# SPDX-License-Identifier: Apache-2.0
"""`bede SUBCOMMAND`: finds the subcommand's module, runs it, and turns errors into one line."""

import argparse
import contextlib
import importlib
import os
import sys

from ocihook import errors
from ocihook.cli import detail, output
from ocihook.cli.parser import Parser
from ocihook.topology import nodes

#: name → what `bede --help` says; each is the module `ocihook.cli.NAME`, imported only when it is called
COMMANDS = {
    "ps": "show the bound containers and what they hold",
    "top": "watch the bound containers, full screen",
    "stats": "print what the bound containers hold and do, once or at each interval",
    "set": "change a running container's bound",
    "explain": "show what holds a container's bound, what was asked for, and who set it",
    "run": "run a command under a bound, without a container",
    "record": "record what bound containers hold over time",
    "plot": "draw recordings: a picture, or a page for a browser",
    "doctor": "check whether this host can hold bounds, and what is missing",
    "configure": "make a container engine use Bede",
    "unconfigure": "undo what `bede configure` did",
    "metrics": "answer Prometheus with figures of the bound containers",
    "agent": "hold the bounds of this host's containers (started by systemd or by the hook)",
    "completion": "print the completion of this command for a shell",
    "vm": "the two-tier machine in a box: run a command on a host with far memory",
    "demo": "see Redis held to a bound in the machine in a box",
}
#: Commands that need the machine in a box, which only a checkout has.
CHECKOUT_ONLY = ("vm", "demo")
STATUSES = """\
exit status:
  0  done
  1  a file or an output failed, or a mistake of Bede's
  2  an argument, an annotation, a file given or the configuration is wrong
  3  this host cannot hold a bound
  4  not allowed: not root, or a file that root may not trust
  5  a runtime, an engine or a bundle is missing
  6  the agent cannot be reached, or refused
"""
DEMO_STATUS = "`bede demo`: 1 also where the bound was passed\n"


def main(argv: list[str] | None = None) -> int:
    """Run `bede` with *argv* (default: the arguments of this process). Return the exit status."""
    args = sys.argv[1:] if argv is None else argv
    _prepare_output()
    standard = output.Standard(sys.stdout)
    try:
        with contextlib.redirect_stdout(standard):
            try:
                status = _run(args)
            except SystemExit:  # argparse has printed a help
                sys.stdout.flush()
                raise
            sys.stdout.flush()
        return status
    except errors.BedeError as error:
        return _failed(error, error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        standard.broken = True
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(errors.BedeError(f"{where}{error.strerror or error}", "See it with --verbose"), error)
    except Exception as error:
        what = f"internal error: {type(error).__name__}: {error}"
        return _failed(errors.BedeError(what[:300], "Please report it, with --verbose"), error)
    finally:
        standard.give_up()
        detail.off()


def _failed(failed: errors.BedeError, error: BaseException) -> int:
    """Print *failed*, the BedeError that was made from *error*. Return the exit status."""
    with contextlib.suppress(OSError):  # the exit status shows the failure, too
        detail.of(error)
        for note in getattr(error, "__notes__", ()):
            print(note, file=sys.stderr)
        print(failed.line("bede"), file=sys.stderr)
    return failed.exit_code


def _prepare_output() -> None:
    """Make the output usable even if it is closed, or its character set lacks characters that we print."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - to the end
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def commands() -> dict[str, str]:
    """Return those of :data:`COMMANDS` that this installation has."""
    checkout = os.path.isdir(nodes.MACHINE)
    return {name: text for name, text in COMMANDS.items() if checkout or name not in CHECKOUT_ONLY}


def top_parser() -> Parser:
    """Return the parser of the options before the command."""
    parser = Parser(
        prog="bede",
        description="Hold a container's local memory (DRAM) to a bound.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:12} {text}" for name, text in commands().items())
        + "\n\n`bede COMMAND --help` tells more.\n\n"
        + STATUSES
        + (DEMO_STATUS if "demo" in commands() else ""),
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("-v", "--verbose", action="store_true", help=detail.HELP)
    parser.add_argument("command", nargs="?", metavar="COMMAND", choices=[*commands()])
    return parser


def command_parser(name: str) -> Parser:
    """Import the module of command *name*. Return its parser. Raises InputError if it is not installed."""
    parser = Parser(
        prog=f"bede {name}",
        description=COMMANDS[name][:1].upper() + COMMANDS[name][1:] + ".",
        epilog=getattr(_module(name), "DETAILS", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _module(name).add_arguments(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help=detail.HELP)
    return parser


def _module(name: str):  # type: ignore[no-untyped-def]
    try:
        return importlib.import_module(f"ocihook.cli.{name}")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if name in CHECKOUT_ONLY and package in ("ocihook", "vmlab"):
            raise errors.InputError(
                f"bede {name} comes with a checkout of Bede, and is not part of this installation",
                f"In a checkout, run make build, then .venv/bin/bede {name}",
            ) from None
        if package != "ocihook":
            raise errors.InputError(
                f"bede {name} needs the Python package {package}, which is not installed",
                f"Install it with pip, or as Debian's python3-{package.replace('_', '-')}",
            ) from None
        raise errors.InputError(f"bede {name} is not part of this installation") from None


def _run(args: list[str]) -> int:
    parser = top_parser()
    at = next((at for at, word in enumerate(args) if not word.startswith("-")), len(args))
    options = parser.parse_args(args[: at + 1])
    if options.version:
        print("bede", importlib.import_module("ocihook").__version__)
        return errors.EXIT_OK
    if options.command is None:
        parser.print_help(sys.stderr)
        return errors.EXIT_INPUT
    command = command_parser(options.command)
    given = command.parse_args(args[at + 1 :])
    if options.verbose or given.verbose:
        detail.on()
    return int(_module(options.command).run(given))


if __name__ == "__main__":
    sys.exit(main())
