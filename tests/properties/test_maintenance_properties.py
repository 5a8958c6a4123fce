"""Calendars of arbitrary windows, looked up at arbitrary times."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.decide.maintenance import Calendar, Edge
from weatherglass.policy import MaintenanceWindow

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
T = NOON.timestamp()
HOSTS = ("a", "b")


@st.composite
def windows(draw: st.DrawFn) -> MaintenanceWindow:
    start = draw(st.integers(min_value=0, max_value=50))
    length = draw(st.integers(min_value=1, max_value=30))
    return MaintenanceWindow(
        name=draw(st.sampled_from(["x", "y", "z"])),
        start=NOON + timedelta(seconds=start),
        end=NOON + timedelta(seconds=start + length),
        hosts=draw(st.sampled_from([(), ("a",), ("b",), ("a", "b")])),
    )


CALENDARS = st.lists(
    windows(), max_size=6, unique_by=lambda window: (window.name, window.start, window.hosts)
)
TIMES = st.lists(st.integers(min_value=-5, max_value=90), min_size=1, max_size=20)


@given(CALENDARS, CALENDARS, TIMES)
def test_lookups_agree_with_the_windows_themselves(
    policy: list[MaintenanceWindow], feed: list[MaintenanceWindow], times: list[int]
) -> None:
    """M1: whatever was looked up before, a window is found exactly while it is in force."""
    calendar = Calendar(policy)
    for half, known in ((times[::2], policy), (times[1::2], policy + feed)):
        for second in half:
            check(calendar, known, T + second)
        calendar.replace("feed", feed)


def check(calendar: Calendar, known: list[MaintenanceWindow], at: float) -> None:
    in_force = [window for window in known if window.covers(at)]
    assert Counter(calendar.active(at)) == Counter(in_force)
    for host in HOSTS:
        mine = [window for window in in_force if window.concerns(host)]
        found = calendar.current(host, at)
        assert (found is None) == (not mine)
        assert found is None or found.end == max(window.end for window in mine)
        ahead = [w.start for w in known if w.concerns(host) and w.start.timestamp() > at]
        upcoming = calendar.upcoming(host, at)
        assert (None if upcoming is None else upcoming.start) == min(ahead, default=None)


@given(CALENDARS, TIMES)
def test_every_edge_is_told_once(known: list[MaintenanceWindow], times: list[int]) -> None:
    """M4: over any sequence of polls, each window starts once and ends once, in order of time."""
    calendar = Calendar(known)
    calendar.poll(T - 10)
    told = [edge for second in [*times, 1000] for edge in calendar.poll(T + second)]
    expected = [(window, edge) for window in known for edge in (Edge.STARTED, Edge.ENDED)]
    assert Counter(told) == Counter(expected)
    for window in known:
        assert told.index((window, Edge.STARTED)) < told.index((window, Edge.ENDED))
