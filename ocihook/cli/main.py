"""`bede SUBCOMMAND`: finds the subcommand's module, runs it, and turns errors into one line."""

import argparse
import importlib
import os
import sys

from ocihook import errors

#: name → what `bede --help` says; each is the module `ocihook.cli.NAME`, imported only when it is called
COMMANDS = {
    "ps": "show the bound containers and what they hold",
    "set": "change a running container's bound",
    "agent": "hold the bounds of this host's containers (started by systemd or by the hook)",
    "vm": "the two-tier machine in a box: run a command on a host with far memory",
    "demo": "see Redis held to a bound in the machine in a box",
}


def main(argv: list[str] | None = None) -> int:
    """Run `bede`; the exit status."""
    args = sys.argv[1:] if argv is None else argv
    try:
        return _run(args)
    except errors.BedeError as exc:
        if os.environ.get("BEDE_DEBUG"):
            raise
        for note in getattr(exc, "__notes__", ()):
            print(note, file=sys.stderr)
        print(exc.line("bede"), file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # whoever read our output has gone; keep the interpreter from complaining at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bede",
        description="Hold a container's local memory (DRAM) to a bound.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n" + "\n".join(f"  {name:8} {text}" for name, text in COMMANDS.items()),
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("command", nargs="?", metavar="COMMAND", choices=COMMANDS)
    top, rest = args[:1], args[1:]
    options = parser.parse_args(top)
    if options.version:
        print("bede", importlib.import_module("ocihook").__version__)
        return errors.EXIT_OK
    if options.command is None:
        parser.print_help(sys.stderr)
        return errors.EXIT_INPUT
    try:
        module = importlib.import_module(f"ocihook.cli.{options.command}")
    except ModuleNotFoundError as exc:
        if exc.name != f"ocihook.cli.{options.command}":
            raise
        raise errors.InputError(f"bede {options.command} is not part of this installation") from None
    command = argparse.ArgumentParser(prog=f"bede {options.command}", description=COMMANDS[options.command])
    module.add_arguments(command)
    return int(module.run(command.parse_args(rest)))


if __name__ == "__main__":
    sys.exit(main())
