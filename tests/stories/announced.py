"""What feeds said to the sessions of a stage: the witness of what is told of windows and of feeds.

A feed is read through here, so that what it answered is known beside what was told of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from occurrences import FeedFailure, WindowEvent

import weatherglass
from weatherglass.feeds import FeedReading
from weatherglass.policy import MaintenanceWindow

_Known = dict[tuple[str, datetime], MaintenanceWindow]


class Announced:
    """What was read; of one stage."""

    def __init__(self) -> None:
        self.failures: list[FeedFailure] = []
        """Feeds that have begun to fail: once each until they are read well again."""
        self._windows: dict[tuple[int, str], _Known] = {}
        self._failing: set[tuple[int, str]] = set()

    def read(self, session: weatherglass.Session) -> Mapping[str, FeedReading]:
        """Have a session read its feeds now."""
        readings = session.adapter.read_feeds()
        now = datetime.fromtimestamp(session.adapter.runtime.time(), tz=timezone.utc)
        for name, reading in readings.items():
            feed = id(session), name
            if reading.error is None:
                self._failing.discard(feed)
                self._hear(self._windows.setdefault(feed, {}), reading, now)
            elif feed not in self._failing:
                self._failing.add(feed)
                self.failures.append(FeedFailure(name, reading.error))
        return readings

    def windows(self, session: weatherglass.Session) -> list[MaintenanceWindow]:
        """All windows that a session has heard of, each until it was withdrawn."""
        return [
            window
            for (heard_by, _), known in self._windows.items()
            if heard_by == id(session)
            for window in known.values()
        ]

    @staticmethod
    def _hear(known: _Known, reading: FeedReading, now: datetime) -> None:
        listed = {(window.name, window.start): window for window in reading.windows}
        for key in known.keys() - listed.keys():
            # Taken off before its end: to whoever listens, it is over from then on.
            if known[key].start >= now:
                del known[key]
            elif known[key].end > now:
                known[key] = replace(known[key], end=now)
        known.update(listed)


def edges_seen(window: MaintenanceWindow, looked: Iterable[float]) -> Iterator[WindowEvent]:
    """What must be told of a window to somebody who looked at these times."""
    start, end = window.start.timestamp(), window.end.timestamp()
    inside = [at for at in looked if start <= at < end]
    for address in window.hosts:
        if inside:
            yield WindowEvent("weatherglass.maintenance.started", window.name, address)
            if max(looked) >= end:
                yield WindowEvent("weatherglass.maintenance.ended", window.name, address)
