"""What one sees while an import runs: a bar where there is rich and a terminal, else lines."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

import weatherglass
from weatherglass.vocabulary import BreakerState

from .journal import State

_SHARE = 0.1
"""How far an import gets between two lines."""


class Progress(Protocol):
    """Somewhere to show how far an import is."""

    def show(self, counts: Counter[State]) -> None: ...
    def note(self, line: str) -> None: ...


class Lines:
    """Plain lines, as for a file or a log."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = 0.0

    def show(self, counts: Counter[State]) -> None:
        """Print a line each time that a tenth more is done."""
        share = done(counts) / self._total
        if share >= self._shown + _SHARE or (share == 1 and self._shown < 1):
            self._shown = share
            self.note(f"{done(counts):,} of {self._total:,}: {told(counts)}")

    def note(self, line: str) -> None:
        """Print a line, at one go: other threads print as well."""
        print(f"{line}\n", end="", flush=True)


@contextmanager
def progress(total: int, *, plain: bool = False) -> Iterator[Progress]:
    """Show the progress of so many rows while this lasts."""
    if plain or not sys.stdout.isatty():
        yield Lines(total)
    elif find_spec("rich") is None:
        print("The progress bar needs rich: pip install 'weatherglass[cli]'")
        yield Lines(total)
    else:
        from .bar import Bar  # noqa: PLC0415 - an extra

        with Bar(total) as bar:
            yield bar


def done(counts: Counter[State]) -> int:
    """How many rows are final."""
    return sum(number for state, number in counts.items() if state.final)


def told(counts: Counter[State]) -> str:
    """How many rows are final in which way, and how many are in doubt."""
    shown = [state for state in State if state.final or state is State.IN_DOUBT]
    return ", ".join(f"{counts[s]:,} {s.value.replace('_', ' ')}" for s in shown if counts[s])


class Notes:
    """Says in a line what is out of the ordinary; these are a session's callbacks."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._windows: set[str] = set()

    def callbacks(self) -> weatherglass.Callbacks:
        """What the session is given."""
        return weatherglass.Callbacks(
            on_failure=self._failed, on_transition=self._turned, on_refresh=self._refreshed
        )

    def _failed(self, attempt: weatherglass.Attempt) -> None:
        window = attempt.maintenance
        with self._lock:
            known = window is None or window in self._windows
            self._windows |= {window} if window is not None else set()
        if not known:
            self._progress.note(f"maintenance {window!r}: calls wait for its end")

    def _turned(self, change: weatherglass.Transition) -> None:
        # What lies between, probes that fail, would be a line each half a minute.
        if change.state is BreakerState.CLOSED or change.previous is BreakerState.CLOSED:
            self._progress.note(f"breaker {change.state} ({change.cause}): {change.name}")

    def _refreshed(self, refresh: weatherglass.RefreshReport) -> None:
        self._progress.note(f"token fetched ({refresh.reason})")
