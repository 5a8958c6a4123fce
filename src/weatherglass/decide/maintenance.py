"""Which maintenance windows are known, which are in force, and what a failure in one means.

Windows come from sources, each of which replaces its own: the policy's are static, those of
feeds and files come and go (rule M1). All times are wall clock seconds since the epoch. This
module fetches nothing and refuses nothing: an origin that is down in a window is the breaker's
business (rule M3).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from weatherglass.decide.breaker import MaintenanceFailure
from weatherglass.policy import MaintenancePolicy, MaintenanceWindow
from weatherglass.report import Failure
from weatherglass.vocabulary import Kind, Word

POLICY_SOURCE: Final = "policy"
"""The source of the windows that a calendar is made with."""


class Edge(Word):
    """What has become of a window."""

    STARTED = "started"
    ENDED = "ended"


def seen_down(failure: Failure) -> bool:
    """Whether a failure inside a window shows the origin down: a 503, or the network (M3)."""
    return failure.transient and (failure.kind is Kind.UNAVAILABLE or failure.is_network)


def maintenance_failure(
    failure: Failure,
    window: MaintenanceWindow | None,
    policy: MaintenancePolicy,
    at: float,
    hold: float | None = None,
) -> MaintenanceFailure | None:
    """What the breaker is told of a failure at ``at``; ``None`` if the ordinary rules hold.

    ``hold`` is the Retry-After of a 503, in seconds. They also hold when the policy ignores
    windows, and when one overruns (rule M5): then none is in force any more.
    """
    if window is None or policy.mode == "ignore" or not seen_down(failure):
        return None
    ends_in = window.end.timestamp() - at
    if ends_in <= 0:
        return None
    return MaintenanceFailure(window.name, ends_in, policy.probe_interval, hold)


_Key = tuple[str, str, float, tuple[str, ...]]
_Name = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Span:
    """A window with its times as numbers: turning dates into them takes long."""

    source: str
    start: float
    end: float
    window: MaintenanceWindow

    @property
    def key(self) -> _Key:
        """What makes two versions of a window the same one: its end may be moved."""
        return self.source, self.window.name, self.start, self.window.hosts

    @property
    def name(self) -> _Name:
        """What stays of it when its start is corrected as well."""
        return self.source, self.window.name, self.window.hosts


_Stretch = tuple[float, float, tuple[_Span, ...]]
"""From when until when, and which windows are in force all the while: those that end last first."""


class _Table:
    """All windows at one time, and what was found last.

    The two belong together: a stretch found in an old table must not hide a new window.
    """

    __slots__ = ("_stretch", "spans")

    def __init__(self, spans: tuple[_Span, ...]) -> None:
        self.spans = spans
        self._stretch: _Stretch = (math.inf, -math.inf, ())

    def in_force(self, at: float) -> tuple[_Span, ...]:
        since, until, found = self._stretch
        if since <= at < until:
            return found
        edges = [edge for span in self.spans for edge in (span.start, span.end)]
        running = (span for span in self.spans if span.start <= at < span.end)
        found = tuple(sorted(running, key=lambda span: -span.end))
        self._stretch = (
            max((edge for edge in edges if edge <= at), default=-math.inf),
            min((edge for edge in edges if edge > at), default=math.inf),
            found,
        )
        return found


class _Phase(Enum):
    AHEAD = 1
    BEGUN = 2
    OVER = 3


class Calendar:
    """The windows of all sources, safe for threads; looking up takes no lock."""

    def __init__(self, windows: Iterable[MaintenanceWindow] = ()) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, tuple[MaintenanceWindow, ...]] = {}
        self._table = _Table(())
        self._phases: dict[_Key, tuple[_Phase, _Span]] = {}
        self._polled_at = -math.inf
        self._next_edge = math.inf
        self.empty = True
        """Whether no windows are known, and there is no end of one left to tell; read only."""
        self.replace(POLICY_SOURCE, windows)

    def replace(self, source: str, windows: Iterable[MaintenanceWindow]) -> None:
        """Make these the windows of a source, instead of those that it had."""
        windows = tuple(windows)
        with self._lock:
            self._sources[source] = windows
            spans = (
                _Span(name, window.start.timestamp(), window.end.timestamp(), window)
                for name, known in self._sources.items()
                for window in known
            )
            # Of a window that a source names twice, the later version counts.
            unique = {span.key: span for span in spans}
            ordered = sorted(unique.values(), key=lambda s: (s.start, s.end, s.window.name))
            self._table = _Table(tuple(ordered))
            self.empty = not ordered and not self._phases
            self._next_edge = -math.inf

    @property
    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """All windows, past, present and future, by their start."""
        return tuple(span.window for span in self._table.spans)

    def current(self, host: str, at: float) -> MaintenanceWindow | None:
        """The window in force for a host; of several, the one that ends last."""
        if self.empty:
            return None
        in_force = self._table.in_force(at)
        if not in_force:
            return None
        host = host.lower()
        return next((span.window for span in in_force if span.window.concerns(host)), None)

    def upcoming(self, host: str, at: float) -> MaintenanceWindow | None:
        """The next window that is still to begin for a host."""
        host = host.lower()
        for span in self._table.spans:
            if span.start > at and span.window.concerns(host):
                return span.window
        return None

    def active(self, at: float) -> tuple[MaintenanceWindow, ...]:
        """The windows in force for any host."""
        in_force = sorted(self._table.in_force(at), key=lambda span: span.start)
        return tuple(span.window for span in in_force)

    def poll(self, at: float) -> tuple[tuple[MaintenanceWindow, Edge], ...]:
        """The windows that have started or ended since the last poll, in order of time.

        Each edge is told to one caller, once. A window that was in force and is withdrawn has
        ended. What was already over when it was first seen is not told.
        """
        if at < self._next_edge:
            return ()
        with self._lock:
            # A clock that is set back must not start a window again.
            self._polled_at = at = max(at, self._polled_at)
            edges = self._withdrawn(at)
            for span in self._table.spans:
                edges.extend(self._edges_of(span, at))
            self._next_edge = self._find_next_edge()
            self.empty = not self._table.spans
        return tuple((w, edge) for _, w, edge in sorted(edges, key=lambda e: e[0]))

    def reset_after_fork(self) -> None:
        """Drop the inherited lock (rule D13)."""
        self._lock = threading.Lock()

    def _withdrawn(self, at: float) -> list[tuple[float, MaintenanceWindow, Edge]]:
        known = {span.key for span in self._table.spans}
        gone = [(key, *self._phases[key]) for key in self._phases if key not in known]
        for key, _, _ in gone:
            del self._phases[key]
        fresh = self._fresh(at) if gone else {}
        return [
            (min(at, span.end), span.window, Edge.ENDED)
            for _, phase, span in gone
            if phase is _Phase.BEGUN and not self._goes_on(span, fresh)
        ]

    def _fresh(self, at: float) -> dict[_Name, list[_Span]]:
        """The windows in force of which no start was told."""
        fresh: dict[_Name, list[_Span]] = {}
        for span in self._table.in_force(at):
            if span.key not in self._phases:
                fresh.setdefault(span.name, []).append(span)
        return fresh

    def _goes_on(self, gone: _Span, fresh: dict[_Name, list[_Span]]) -> bool:
        """Whether a window goes on with another start, which a status page may correct."""
        same = fresh.get(gone.name)
        if not same:
            return False
        span = same.pop()
        self._phases[span.key] = _Phase.BEGUN, span
        return True

    def _edges_of(self, span: _Span, at: float) -> list[tuple[float, MaintenanceWindow, Edge]]:
        phase = _Phase.OVER if at >= span.end else _Phase.BEGUN
        phase = _Phase.AHEAD if at < span.start else phase
        before, _ = self._phases.get(span.key, (None, span))
        self._phases[span.key] = phase, span
        started = (span.start, span.window, Edge.STARTED)
        ended = (span.end, span.window, Edge.ENDED)
        if phase is _Phase.BEGUN and before is not _Phase.BEGUN:
            return [started]
        if phase is _Phase.OVER and before is _Phase.AHEAD:
            return [started, ended]
        if phase is _Phase.OVER and before is _Phase.BEGUN:
            return [ended]
        return []

    def _find_next_edge(self) -> float:
        ahead = (s.start for phase, s in self._phases.values() if phase is _Phase.AHEAD)
        begun = (s.end for phase, s in self._phases.values() if phase is _Phase.BEGUN)
        return min((*ahead, *begun), default=math.inf)
