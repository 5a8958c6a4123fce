"""A program for a process of its own: the demo's weather and further troubles, with telemetry.

Started by the live tests with the collector's URL and the file for its figures. The figures are
those of the servers' ledgers and of the application's callbacks, never those of the telemetry.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from live_notes import Notes
from live_troubles import HOST, ROUNDS, Troubles

import weatherglass
from weatherglass.demo.comparison import answered_by_kind
from weatherglass.demo.contest import Settings, go_through
from weatherglass.demo.contestants import POLICY, Weatherglass
from weatherglass.demo.exports import to_collector
from weatherglass.demo.fleet import Tally
from weatherglass.demo.weather import Phase
from weatherglass.runtime import Runtime
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    TOKEN_PATH,
    FakeServer,
    Ledger,
    ScaledClock,
)

PAUSE = 7.0
"""Real seconds from one round of troubles to the next, so that rates have something to show."""
SETTINGS = Settings(seed=1)


class Noted(Weatherglass):
    """The demo's contestant, with an application's callbacks."""

    def __init__(self, server: FakeServer, clock: Runtime, notes: Notes) -> None:
        self.ledger = server.ledger
        self._url = server.url
        self._session = weatherglass.Session(
            policy=POLICY,
            tokens=weatherglass.ClientCredentials(
                token_url=server.token_url,
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                origins=[server.url],
            ),
            callbacks=notes.callbacks(),
            runtime=clock,
            pool_maxsize=SETTINGS.workers,
        )


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
    figures["demo"] = {"kinds": kinds, **_figures("127.0.0.1", kept[-1].ledger, notes)}


def _figures(host: str, ledger: Ledger, notes: Notes) -> dict[str, Any]:
    return {
        "host": host,
        "statuses": _by_status(ledger),
        "token_statuses": _by_status(ledger, path=TOKEN_PATH),
        "heard": notes.to_dict(),
    }


def _by_status(ledger: Ledger, **which: str) -> dict[str, int]:
    return {str(status): count for status, count in ledger.by_status(**which).items()}


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
