"""Maintenance windows: which are in force, when they start and end, what failures in them mean."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

import pytest

from weatherglass.decide.breaker import MaintenanceFailure
from weatherglass.decide.maintenance import Calendar, Edge, maintenance_failure, seen_down
from weatherglass.policy import MaintenancePolicy, MaintenanceWindow
from weatherglass.report import Failure
from weatherglass.vocabulary import Execution, Kind

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
T = NOON.timestamp()
HOST = "api.example.com"


def window(
    name: str, start: float = 0, end: float = 3600, hosts: tuple[str, ...] = ()
) -> MaintenanceWindow:
    """A window from ``start`` to ``end`` seconds after noon."""
    return MaintenanceWindow(
        name=name,
        start=NOON + timedelta(seconds=start),
        end=NOON + timedelta(seconds=end),
        hosts=hosts,
    )


def failure(kind: Kind, *, transient: bool = True, status: int | None = None) -> Failure:
    return Failure(kind=kind, transient=transient, execution=Execution.REJECTED, status=status)


def test_a_window_is_in_force_from_its_start_until_its_end() -> None:
    """M1: the start belongs to the window, the end does not."""
    release = window("release")
    calendar = Calendar([release])
    assert calendar.current(HOST, T - 0.1) is None
    assert calendar.current(HOST, T) is release
    assert calendar.current(HOST, T + 3599.9) is release
    assert calendar.current(HOST, T + 3600) is None


def test_time_zones_count() -> None:
    """M1: a window given in another zone is in force at the same moment."""
    zone = timezone(timedelta(hours=9))
    tokyo = MaintenanceWindow(
        name="tokyo",
        start=datetime(2026, 3, 1, 21, tzinfo=zone),
        end=datetime(2026, 3, 1, 22, tzinfo=zone),
    )
    assert Calendar([tokyo]).current(HOST, T) is tokyo


def test_windows_of_one_origin_do_not_affect_another() -> None:
    """M1: a window with hosts is about them alone, one without is about all."""
    mine = window("mine", hosts=("API.example.com",))
    calendar = Calendar([mine])
    assert calendar.current("api.Example.com", T) is mine
    assert calendar.current("login.example.com", T) is None
    everybody = window("everybody", 0, 60)
    calendar.replace("feed", [everybody])
    assert calendar.current("login.example.com", T) is everybody


def test_of_overlapping_windows_the_one_that_ends_last_counts() -> None:
    """M3: whoever waits for the end waits until none is in force."""
    calendar = Calendar([window("short", 0, 60), window("long", 0, 600), window("tiny", 0, 6)])
    current = calendar.current(HOST, T + 1)
    assert current is not None
    assert current.name == "long"


def test_a_calendar_without_windows_is_empty() -> None:
    """M1: without windows there is nothing to look up."""
    calendar = Calendar()
    assert calendar.empty
    assert calendar.current(HOST, T) is None
    assert calendar.upcoming(HOST, T) is None
    assert calendar.active(T) == ()
    assert calendar.poll(T) == ()


def test_a_source_replaces_its_own_windows_only() -> None:
    """M1: what a feed says neither adds to what it said before nor touches the policy's windows."""
    calendar = Calendar([window("policy", 0, 60)])
    calendar.replace("feed", [window("old", 100, 200)])
    calendar.replace("feed", [window("new", 300, 400)])
    assert [w.name for w in calendar.windows] == ["policy", "new"]
    calendar.replace("feed", [])
    assert [w.name for w in calendar.windows] == ["policy"]
    assert not calendar.empty
    calendar.replace("policy", [])
    assert calendar.empty


def test_a_new_window_is_seen_in_a_calm_stretch() -> None:
    """M1: that nothing was in force a moment ago does not hide a window that has come since."""
    calendar = Calendar([window("later", 7200, 7300)])
    assert calendar.current(HOST, T) is None
    now = window("now")
    calendar.replace("feed", [now])
    assert calendar.current(HOST, T) is now


def test_windows_are_seen_however_time_goes() -> None:
    """M1: lookups need not come in order of time."""
    calendar = Calendar([window("a", 0, 10), window("b", 20, 30)])

    def name(after_noon: float) -> str | None:
        found = calendar.current(HOST, T + after_noon)
        return None if found is None else found.name

    times = [15, 5, 25, 15, -5, 35, 5, 12, 25, 40, 29.9]
    assert [name(t) for t in times] == [
        None, "a", "b", None, None, None, "a", None, "b", None, "b",
    ]  # fmt: skip


def test_the_next_window_is_the_first_that_is_still_to_begin() -> None:
    """M4: dashboards draw the next window of a host."""
    calendar = Calendar(
        [window("b", 200, 300), window("a", 100, 400), window("theirs", 50, 60, ("other",))]
    )

    def name(after_noon: float) -> str | None:
        found = calendar.upcoming(HOST, T + after_noon)
        return None if found is None else found.name

    assert [name(t) for t in (0, 99, 100, 199, 200)] == ["a", "a", "b", "b", None]


def test_active_windows_are_those_of_any_host() -> None:
    """M4: the gauge shows every window in force, whomever it concerns."""
    calendar = Calendar([window("a", 0, 10), window("b", 5, 15, ("other",))])
    assert [[w.name for w in calendar.active(T + t)] for t in (-1, 0, 5, 10, 15)] == [
        [], ["a"], ["a", "b"], ["b"], [],
    ]  # fmt: skip


def names(edges: tuple[tuple[MaintenanceWindow, Edge], ...]) -> list[str]:
    return [f"{w.name} {edge}" for w, edge in edges]


def test_each_start_and_each_end_is_told_once() -> None:
    """M4: polling tells of an edge when it has been passed, and then no more."""
    calendar = Calendar([window("a", 0, 100), window("b", 50, 150)])
    told = [names(calendar.poll(T + t)) for t in (-1, 0, 1, 49, 50, 99, 100, 149, 150, 151)]
    assert told == [
        [], ["a started"], [], [], ["b started"], [], ["a ended"], [], ["b ended"], [],
    ]  # fmt: skip


def test_edges_passed_between_two_polls_are_told_in_order() -> None:
    """M4: a night without calls loses no window."""
    calendar = Calendar([window("a", 0, 100), window("b", 50, 150)])
    calendar.poll(T - 1)
    assert names(calendar.poll(T + 1000)) == ["a started", "b started", "a ended", "b ended"]


def test_what_was_over_before_the_first_poll_is_not_told() -> None:
    """M4: a process that starts after a window did not see it."""
    calendar = Calendar([window("over", -100, -50), window("on", -100, 50)])
    assert names(calendar.poll(T)) == ["on started"]


def test_a_clock_that_is_set_back_starts_no_window_again() -> None:
    """M4: each edge is told once, even when wall time is corrected."""
    calendar = Calendar([window("a", 0, 100)])
    assert names(calendar.poll(T)) == ["a started"]
    assert calendar.poll(T - 5) == ()
    assert calendar.poll(T) == ()
    assert names(calendar.poll(T + 100)) == ["a ended"]
    assert calendar.poll(T + 50) == ()


def test_a_window_whose_end_is_moved_goes_on() -> None:
    """M5: a feed that prolongs a window neither ends nor starts it."""
    calendar = Calendar()
    calendar.replace("feed", [window("a", 0, 100)])
    assert names(calendar.poll(T)) == ["a started"]
    calendar.replace("feed", [window("a", 0, 200)])
    assert calendar.poll(T + 150) == ()
    assert names(calendar.poll(T + 200)) == ["a ended"]


def test_a_window_prolonged_after_its_end_starts_again() -> None:
    """M5: one that had ended and is in force after all is told of again."""
    calendar = Calendar()
    calendar.replace("feed", [window("a", 0, 100)])
    calendar.poll(T)
    assert names(calendar.poll(T + 100)) == ["a ended"]
    calendar.replace("feed", [window("a", 0, 200)])
    assert names(calendar.poll(T + 110)) == ["a started"]


def test_a_window_withdrawn_while_in_force_has_ended() -> None:
    """M5: a feed that takes a window back ends it; one still ahead just disappears."""
    calendar = Calendar()
    calendar.replace("feed", [window("on", 0, 100), window("ahead", 50, 100)])
    calendar.poll(T)
    calendar.replace("feed", [])
    assert names(calendar.poll(T + 10)) == ["on ended"]
    assert calendar.poll(T + 60) == ()


def test_windows_of_one_name_are_told_apart_by_their_starts() -> None:
    """M1: a weekly window may bear the same name each time, and differ by host."""
    calendar = Calendar(
        [window("weekly", 0, 10), window("weekly", 100, 110), window("weekly", 0, 10, ("other",))]
    )
    assert len(calendar.windows) == 3
    calendar.poll(T - 1)
    assert names(calendar.poll(T + 105)) == [
        "weekly started", "weekly started", "weekly ended", "weekly ended", "weekly started",
    ]  # fmt: skip


def test_each_edge_is_told_to_one_thread() -> None:
    """M4, D13: of many threads that poll at once, one is told."""
    calendar = Calendar([window("a", 0, 100)])
    calendar.poll(T - 1)
    start = threading.Barrier(10)
    told: list[str] = []

    def poll() -> None:
        start.wait(30)
        told.extend(names(calendar.poll(T + 1)))

    threads = [threading.Thread(target=poll) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert told == ["a started"]


def test_a_calendar_works_after_a_fork() -> None:
    """D13: with its lock dropped, a child's calendar goes on from what was told already."""
    calendar = Calendar([window("a", 0, 100)])
    calendar.poll(T)
    calendar.reset_after_fork()
    assert names(calendar.poll(T + 100)) == ["a ended"]


@pytest.mark.parametrize(
    ("failed", "down"),
    [
        (failure(Kind.UNAVAILABLE, status=503), True),
        (failure(Kind.CONNECT_REFUSED), True),
        (failure(Kind.READ_TIMEOUT), True),
        (failure(Kind.BAD_GATEWAY, status=502), False),
        (failure(Kind.RATE_LIMITED, status=429), False),
        (failure(Kind.RATE_LIMITED, status=503), False),
        (failure(Kind.TLS_CERTIFICATE, transient=False), False),
        (failure(Kind.UNAVAILABLE, transient=False, status=503), False),
    ],
)
def test_what_shows_an_origin_down_in_a_window(failed: Failure, down: bool) -> None:
    """M3: a 503 and a transient network failure do; rate limits and permanent failures do not."""
    assert seen_down(failed) is down
    told = maintenance_failure(failed, window("a"), MaintenancePolicy(), T)
    assert (told is not None) is down


def test_the_breaker_is_told_how_long_the_window_lasts() -> None:
    """M3, B7: until the window's end, with the policy's probe interval and the 503's delay."""
    policy = MaintenancePolicy(probe_interval=45)
    down = failure(Kind.UNAVAILABLE, status=503)
    told = maintenance_failure(down, window("a", 0, 100), policy, T + 10, hold=20)
    assert told == MaintenanceFailure("a", 90, 45, 20)


def test_outside_of_a_window_the_ordinary_rules_hold() -> None:
    """M3, M5: without a window, after its end, or when windows are ignored."""
    down = failure(Kind.UNAVAILABLE, status=503)
    policy = MaintenancePolicy()
    assert maintenance_failure(down, None, policy, T) is None
    assert maintenance_failure(down, window("a", 0, 100), policy, T + 100) is None
    ignoring = MaintenancePolicy(mode="ignore")
    assert maintenance_failure(down, window("a"), ignoring, T) is None


def test_waiting_for_the_end_opens_the_breaker_all_the_same() -> None:
    """M3: in mode `wait` nobody is to hammer the origin either."""
    down = failure(Kind.UNAVAILABLE, status=503)
    assert maintenance_failure(down, window("a"), MaintenancePolicy(mode="wait"), T) is not None


def test_start_that_is_corrected_does_not_start_a_window_again() -> None:
    """M4: a feed that learns of an earlier start of a window in force tells no second start."""
    calendar = Calendar()
    calendar.replace("feed", [window("release")])
    assert [edge for _, edge in calendar.poll(T + 10)] == [Edge.STARTED]
    earlier = window("release", start=-300)
    calendar.replace("feed", [earlier])
    assert calendar.poll(T + 20) == ()
    calendar.replace("feed", [])
    assert not calendar.empty
    assert calendar.poll(T + 30) == ((earlier, Edge.ENDED),)
    assert calendar.empty
