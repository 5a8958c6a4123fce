"""Scenes of maintenance that a status page or a file announces, and of those that fail.

What is due is read when the scene says so, by ``stage.read_feeds``, which waits for whoever reads
in the background. Each scene ends with its session closed: what is closed reads nothing more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from acts import feeds
from stage import Stage
from theatre import Theatre

import weatherglass
from weatherglass.testing import FaultPlan, FaultRule, Maintenance, faults

PAGES = "/api/v2/scheduled-maintenances/*"
HOSTS = ("127.0.0.1",)


def _listening(stage: Stage, **more: Any) -> weatherglass.Session:
    """A session that reads the server's own status page."""
    feed = weatherglass.StatusFeed(url=stage.url, name="page", hosts=HOSTS, ttl=86_400)
    return stage.session(maintenance={"feeds": (feed,), **more}, name="listening")


def window_from_a_page(theatre: Theatre) -> None:
    """Announced, begun, over: in each mode; another one is announced and withdrawn again."""
    for mode in ("fail", "wait", "ignore"):
        begins = Maintenance(name=f"announced {mode}", start=100, end=700)
        withdrawn = Maintenance(name="thought better of", start=5000, end=6000)
        stage = theatre.stage(FaultPlan(maintenance=[begins, withdrawn]))
        session = _listening(stage, mode=mode)
        readings = stage.read_feeds(session)
        assert len(readings["page"].windows) == 2
        for passed in (0, 150, 1):
            theatre.clock.advance(passed)
            stage.get(session)
        stage.server.plan = FaultPlan()
        theatre.clock.advance(700)
        stage.read_feeds(session)
        stage.get(session)
        session.close()


def window_that_ends_early(theatre: Theatre) -> None:
    """The page says so before a probe would have been due, and the breaker closes soon."""
    window = Maintenance(name="done sooner", start=10, end=10_000)
    stage = theatre.stage(FaultPlan(maintenance=[window]))
    session = _listening(stage, probe_interval=5000.0)
    stage.read_feeds(session)
    for passed in (20, 1):
        theatre.clock.advance(passed)
        stage.get(session)
    stage.server.plan = FaultPlan()
    stage.read_feeds(session)
    theatre.clock.advance(10)
    stage.get(session)
    session.close()


def page_that_nobody_asks_for(theatre: Theatre) -> None:
    """The first call has the page read in the background, and does not wait for it."""
    stage = theatre.stage(FaultPlan(maintenance=[Maintenance(name="far off", start=1e4, end=2e4)]))
    session = _listening(stage)
    stage.get(session)
    stage.read_feeds(session)
    stage.get(session)
    session.close()


def page_that_fails(theatre: Theatre) -> None:
    """In several ways, and each time it recovers; a second failure in a row is not told again.

    None that is tried again at once: that wait is in real time, in which no stage lives.
    """
    for fault in (
        faults.answer(404),
        faults.answer(200, body="no JSON"),
        faults.answer(200, json={"no": "page"}),
        faults.cut(of=faults.answer(200, body="x" * 99)),
    ):
        stage = theatre.stage()
        session = _listening(stage)
        window = Maintenance(name="known again", start=1e5, end=2e5)
        for good, windows in ((False, 0), (False, 0), (True, 1), (False, 1), (True, 1)):
            rules = () if good else (FaultRule(fault=fault, path=PAGES),)
            stage.server.plan = FaultPlan(rules=rules, maintenance=[window])
            reading = stage.read_feeds(session)["page"]
            assert (reading.good, len(reading.windows)) == (good, windows)
            theatre.clock.advance(7)
        stage.get(session)
        session.close()


def windows_from_a_file(theatre: Theatre) -> None:
    """A file that has none, one, and is gone."""
    stage = theatre.stage()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "windows.toml"
        session = stage.session(maintenance={"file": str(file)}, name="by file")
        assert stage.read_feeds(session)["file"].error == "FileNotFoundError"
        begins = datetime.fromtimestamp(theatre.clock.time() + 50, tz=timezone.utc)
        ends = datetime.fromtimestamp(theatre.clock.time() + 60, tz=timezone.utc)
        file.write_text(
            f'[[windows]]\nname = "by hand"\nstart = {begins.isoformat()}\n'
            f'end = {ends.isoformat()}\nhosts = ["127.0.0.1"]\n',
            encoding="utf-8",
        )
        for passed in (0, 55, 10):
            theatre.clock.advance(passed)
            assert stage.read_feeds(session)["file"].good
            stage.get(session)
        file.unlink()
        stage.read_feeds(session)
        session.close()


SCENES: tuple[Callable[[Theatre], None], ...] = (
    feeds,
    window_from_a_page,
    window_that_ends_early,
    page_that_nobody_asks_for,
    page_that_fails,
    windows_from_a_file,
)
