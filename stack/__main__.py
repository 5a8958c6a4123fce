"""``python -m stack``, which is what ``make stack`` runs: a real Collector and a real Prometheus.

Starts both without Docker, with our configurations and rules, sends the demo's weather through
them, says where everything is, and stays until it is interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from stack import binaries, pointers
from stack.addresses import Ports, Taken, any_free, require_free
from stack.processes import NotStarted
from stack.running import Running, running, send_weather, summary

_EXAMPLES = """\
examples:
  python -m stack
  python -m stack --quick --seed 7
  python -m stack --weather none --data ~/weather
  python -m stack --once --free-ports

Exit code 0 after an interrupt. With --once, 0 says that the weather has arrived and that all
rules are healthy, and 130 that it was interrupted. 1 says that something could not be had or has
failed, 2 that an argument is wrong.
"""


_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack; returns the exit code."""
    options = _options(arguments)
    try:
        with _interruptible(), _data_folder(options.data) as data:
            return _run(options, data)
    except KeyboardInterrupt:
        _say(["", "Everything is stopped."])
        return _INTERRUPTED if options.once else 0
    except binaries.Unavailable as reason:
        return _fail(f"the stack needs a program that is missing: {reason}")
    except Taken as reason:
        return _fail(f"{reason}: stop whoever listens there, or give --free-ports")
    except (NotStarted, NotADirectoryError, PermissionError) as reason:
        return _fail(str(reason))


def _run(options: argparse.Namespace, data: Path) -> int:
    # Both are found, or built, before anything is started: that can take minutes.
    binaries.prometheus()
    binaries.collector()
    ports = any_free() if options.free_ports else Ports()
    require_free(ports)
    with running(ports, data, options.traces) as stack:
        _say(["The stack is up; its data and logs are in", f"  {data}", ""])
        _say([*pointers.addresses(stack), ""])
        code = _weather(options, stack)
        if options.once:
            return code
        _say(["", *pointers.queries(stack), "", *pointers.next_steps(stack)])
        _say(["", "Ctrl-C ends it."])
        threading.Event().wait()
    raise AssertionError("only an interrupt ends the wait")


def _weather(options: argparse.Namespace, stack: Running) -> int:
    """Send the weather through, and tell what has come of it."""
    if options.weather == "none":
        return 0
    code = send_weather(stack.collector.otlp_http_url, options.weather, options.seed)
    if code:
        return _fail(f"the demo has failed with exit code {code}")
    found = summary(stack.prometheus)
    _say(["", *pointers.result(found)])
    return 0 if found.good else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stack",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--weather",
        choices=("full", "quick", "none"),
        default="full",
        help="how much of the demo's weather is sent through (full)",
    )
    parser.add_argument(
        "--quick",
        dest="weather",
        action="store_const",
        const="quick",
        help="the same as --weather quick",
    )
    parser.add_argument("--seed", type=_whole, default=1, metavar="N", help="of chance (1)")
    parser.add_argument("--once", action="store_true", help="end after the weather")
    parser.add_argument("--free-ports", action="store_true", help="listen wherever there is room")
    parser.add_argument(
        "--data", metavar="DIR", help="keep data and logs here (a folder that is gone at the end)"
    )
    parser.add_argument(
        "--traces", metavar="HOST:PORT", help="a trace store that takes OTLP over gRPC (a file)"
    )
    return parser.parse_args(arguments)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


@contextmanager
def _data_folder(given: str | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory(prefix="weatherglass-data-") as temporary:
            yield Path(temporary)
        return
    folder = Path(given).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--data {given}: that is a file, but must be a folder")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt, or a request to terminate, end the stack in order, and once."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        # Another one would only keep the rest from being stopped.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(message: str) -> int:
    sys.stderr.write(f"stack: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
