"""A program for a process of its own: the demo's weather and further troubles, with telemetry.

Started by the live tests with the collector's URL and the file for its figures. The figures are
those of the servers' ledgers and of the application's callbacks, never those of the telemetry.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from live_notes import Notes
from live_troubles import HOST, LIMIT, ROUNDS, Troubles

from weatherglass.demo.comparison import answered_by_kind
from weatherglass.demo.contest import Settings, go_through
from weatherglass.demo.contestants import Weatherglass
from weatherglass.demo.exports import to_collector
from weatherglass.demo.fleet import Tally
from weatherglass.demo.weather import API_HOST, Phase
from weatherglass.runtime import Runtime
from weatherglass.testing import TOKEN_PATH, FakeServer, Ledger, ScaledClock
from weatherglass.testing.plan import STATUS_PAGE_PATHS

PAUSE = 7.0
"""Real seconds from one round of troubles to the next, so that rates have something to show."""
SETTINGS = Settings(seed=1)


class Noted(Weatherglass):
    """The demo's contestant, with an application's callbacks."""

    def __init__(self, server: FakeServer, clock: Runtime, notes: Notes) -> None:
        super().__init__(server, clock, SETTINGS.workers, callbacks=notes.callbacks())
        self.ledger = server.ledger


class _Nobody:
    """Does not look on."""

    def phase_begins(self, phase: Phase) -> None: ...

    def tick(self) -> None: ...

    def phase_ends(self, phase: Phase, tally: Tally) -> None: ...


def _demo(notes: Notes, figures: dict[str, Any], kept: list[Noted]) -> None:
    def make(server: FakeServer, clock: Runtime, _stop: threading.Event) -> Noted:
        # Kept beyond its run: what is dead is not asked for its state any more.
        kept.append(Noted(server, clock, notes))
        return kept[-1]

    run = go_through(make, SETTINGS, ScaledClock(SETTINGS.speed, SETTINGS.seed), _Nobody())
    kinds = dict(answered_by_kind(run.books))
    figures["demo"] = {"kinds": kinds, **_figures(API_HOST, kept[-1].ledger, notes)}


def _figures(host: str, ledger: Ledger, notes: Notes) -> dict[str, Any]:
    pages = Counter(e.status for e in ledger.requests() if e.path in STATUS_PAGE_PATHS)
    return {
        "host": host,
        "statuses": _plain(Counter(ledger.by_status()) - pages),
        "token_statuses": _plain(ledger.by_status(path=TOKEN_PATH)),
        "page_statuses": _plain(pages),
        "paced_statuses": _plain(ledger.by_status(path=LIMIT.path)),
        "heard": notes.to_dict(),
    }


def _plain(counts: Mapping[int | None, int]) -> dict[str, int]:
    return {str(status): count for status, count in counts.items()}


def _all_weather(figures: dict[str, Any]) -> None:
    demo, troubled, kept = Notes(), Notes(), list[Noted]()
    thread = threading.Thread(target=_demo, args=(demo, figures, kept))
    with Troubles(ScaledClock(SETTINGS.speed), troubled) as troubles:
        thread.start()
        begin = time.monotonic()
        for number in range(1, ROUNDS + 1):
            troubles.round()
            _wait_until(begin + PAUSE * number)
        thread.join()
        figures["troubles"] = _figures(HOST, troubles.server.ledger, troubled)
        # Their breakers and tokens are to be seen in the last exports too.
        _wait_until(time.monotonic() + 2)


def _wait_until(moment: float) -> None:
    threading.Event().wait(max(0.0, moment - time.monotonic()))


def main(url: str, file: str) -> None:
    """Live through it all, and write down what was heard of it."""
    figures: dict[str, Any] = {"began": time.time()}
    with to_collector(url) as exports:
        _all_weather(figures)
        exports.flush()
    figures["ended"] = time.time()
    Path(file).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
