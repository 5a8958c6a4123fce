"""``weatherglass demo``: bad weather in under a minute, and how a session gets through it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weatherglass.cli.failure import CommandFailed, WrongUsage

if TYPE_CHECKING:
    from weatherglass.demo.exports import Exports
    from weatherglass.demo.screen import Screen

_MOST_WORKERS = 16
_SPEEDS = (1.0, 200.0)
_LOOPBACK = "127.0.0.1"
_EXAMPLES = """\
examples:
  weatherglass demo
  weatherglass demo --quick --seed 7
  weatherglass demo --plain --json figures.json
  weatherglass demo --otlp http://localhost:4318

A fleet of workers is sent through calm, a 429 storm with every form of Retry-After, revoked
tokens, connection resets, an outage and a maintenance window: with weatherglass, with plain
requests, and with requests and urllib3.Retry. Exit code 1 says that what weatherglass exported
is not what the server saw.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="send a fleet of workers through bad weather, and watch it by its telemetry",
        description="Runs a fake API server, a telemetry receiver and a fleet of workers in this\n"
        "process, shows what happens, and compares it with what else one would use.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--seed", type=_integer(0), default=1, metavar="N", help="of chance (1)")
    parser.add_argument(
        "--workers",
        type=_integer(1, _MOST_WORKERS),
        default=8,
        metavar="N",
        help="threads that make calls (8)",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=25.0,
        metavar="X",
        help="how many times faster than real time passes (25)",
    )
    parser.add_argument("--plain", action="store_true", help="print plain lines, as to a file")
    parser.add_argument("--json", metavar="F", help="write the figures to this file")
    parser.add_argument(
        "--otlp", metavar="URL", help="export to this collector, and draw no picture here"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo.

    Raises:
        WrongUsage: when the figures could not be written where they are wanted.
        CommandFailed: when they cannot be, or telemetry cannot be exported.
        InvalidPolicy: when the collector's URL is none.
    """
    # Imported here: the other commands need neither a server nor an SDK.
    from weatherglass.demo.contest import Settings  # noqa: PLC0415 - see above
    from weatherglass.demo.exports import CannotExport  # noqa: PLC0415 - likewise
    from weatherglass.demo.show import show  # noqa: PLC0415 - likewise

    if arguments.json is not None and not Path(arguments.json).absolute().parent.is_dir():
        raise WrongUsage(f"--json {arguments.json}: there is no such folder")
    settings = Settings(
        seed=arguments.seed,
        workers=arguments.workers,
        quick=arguments.quick,
        speed=arguments.speed,
    )
    _prepare_process()
    screen = _screen(plain=arguments.plain)
    try:
        with _exports(arguments.otlp) as exports:
            comparison = show(settings, screen, exports)
    except CannotExport as error:
        raise CommandFailed(str(error)) from error
    if arguments.json is not None:
        _write(Path(arguments.json), comparison.to_dict())
    return 0 if comparison.agrees else 1


def _exports(collector: str | None) -> AbstractContextManager[Exports]:
    from weatherglass.demo.exports import embedded, to_collector  # noqa: PLC0415 - see run()

    return embedded() if collector is None else to_collector(collector)


def _screen(*, plain: bool) -> Screen:
    from weatherglass.demo.lines import Lines  # noqa: PLC0415 - see run()

    if plain or not sys.stdout.isatty():
        return Lines(_print)
    if find_spec("rich") is None:
        print("The live picture needs rich: pip install 'weatherglass[cli]'\n")
        return Lines(_print)
    from weatherglass.demo.display import Display  # noqa: PLC0415 - an extra

    return Display()


def _print(line: str) -> None:
    print(line, flush=True)


def _prepare_process() -> None:
    """Keep what libraries log out of the picture, and a proxy out of the loopback traffic."""
    logging.getLogger().addHandler(logging.NullHandler())
    for name in ("no_proxy", "NO_PROXY"):
        listed = os.environ.get(name)
        os.environ[name] = f"{listed},{_LOOPBACK}" if listed else _LOOPBACK


def _write(file: Path, figures: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"the figures cannot be written: {error}") from error


def _integer(least: int, most: int | None = None) -> Callable[[str], int]:
    span = f"from {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        if number is None or number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {span}")
        return number

    return parse


def _speed(text: str) -> float:
    slowest, fastest = _SPEEDS
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not slowest <= speed <= fastest:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number from {slowest:g} to {fastest:g}"
        )
    return speed
