"""The command line: ``weatherglass <command>``.

Each command is a module with ``add_parser(subparsers)``, which describes its arguments and sets
``run``, a function from the parsed arguments to an exit code. Exit codes: 0 for success, 1 for
a failure, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from weatherglass.cli import config, dashboards, demo, doctor, explain
from weatherglass.cli.failure import CommandFailed, WrongUsage
from weatherglass.errors import InvalidPolicy

__all__ = ["main"]

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130

COMMANDS = (demo, explain, config, dashboards, doctor)
"""The modules of the commands, in the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; arguments default to the process's own."""
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
        code: int = arguments.run(arguments)
        # What was printed must have arrived before the command can be called a success.
        sys.stdout.flush()
    except SystemExit as leaving:  # argparse has printed help, version or a usage error
        return leaving.code if isinstance(leaving.code, int) else OK
    except WrongUsage as error:
        return _complain(error, USAGE)
    except (CommandFailed, InvalidPolicy) as error:
        return _complain(error, FAILED)
    except BrokenPipeError:
        _let_go_of_stdout()
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weatherglass",
        description="Looks at API failures as weatherglass does, and shows what it would do.",
        epilog="weatherglass <command> --help tells more, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"weatherglass {_version()}")
    subparsers = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import

    try:
        return version("weatherglass")
    except PackageNotFoundError:
        return "(not installed)"


def _complain(error: Exception, code: int) -> int:
    print(f"weatherglass: error: {error}", file=sys.stderr)
    return code


def _let_go_of_stdout() -> None:
    # The reader has gone (``weatherglass config | head``); the interpreter would complain when
    # it flushes at exit.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
