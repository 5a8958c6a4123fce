"""What the documents of a status page are taken to say."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from weatherglass.feeds import FeedUnreadable
from weatherglass.feeds.statuspage import LARGEST, MOST_ENTRIES, MOST_WINDOWS, windows
from weatherglass.policy import MaintenanceWindow, StatusFeed

NOTHING = b'{"scheduled_maintenances": []}'


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "id": "abc",
        "name": "Database upgrade",
        "status": "scheduled",
        "scheduled_for": "2026-03-01T22:00:00.000Z",
        "scheduled_until": "2026-03-02T02:00:00.000Z",
        "started_at": None,
        "components": [{"id": "1", "name": "Americas (US East)"}],
        **fields,
    }


def document(*entries: Any) -> bytes:
    return json.dumps({"page": {"id": "x"}, "scheduled_maintenances": entries}).encode()


def read(
    *upcoming: Any, active: tuple[Any, ...] = (), **feed: Any
) -> tuple[MaintenanceWindow, ...]:
    page = StatusFeed("https://status.example.com", **feed)
    return windows(page, document(*upcoming), document(*active))


def utc(hour: int, minute: int = 0, day: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=timezone.utc)


def test_an_entry_is_a_window_of_the_hosts_of_the_feed() -> None:
    """M1: an announced maintenance is a window with its name and times, for the feed's hosts."""
    (window,) = read(entry(), hosts=("api.example.com",))

    assert window == MaintenanceWindow(
        name="Database upgrade", start=utc(22), end=utc(2, day=2), hosts=("api.example.com",)
    )


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("scheduled", True),
        ("in_progress", True),
        ("Verifying", True),
        ("completed", False),
        ("resolved", False),
        ("", False),
        (None, False),
        (3, False),
    ],
)
def test_what_is_completed_is_no_window(status: Any, counts: bool) -> None:
    """M1, M5: only what is to come, under way or being verified is a window."""
    assert bool(read(entry(status=status))) is counts


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2026-03-01T22:00:00Z", utc(22)),
        ("2026-03-01t22:00:00z", utc(22)),
        ("2026-03-01T22:00:00.123456789Z", utc(22).replace(microsecond=123456)),
        ("2026-03-02T00:00:00+02:00", utc(22)),
        ("2026-03-01T14:30:00.000-07:30", utc(22)),
        ("2026-03-01T22:00:60Z", utc(22, 0).replace(second=59)),
    ],
)
def test_times_have_any_offset(text: str, start: datetime) -> None:
    """M1: a page's times are RFC 3339, whatever their zone."""
    assert [window.start for window in read(entry(scheduled_for=text))] == [start]


@pytest.mark.parametrize(
    "text",
    [
        None,
        0,
        "",
        "soon",
        "2026-03-01",
        "2026-03-01T22:00:00",
        "2026-02-30T22:00:00Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01T22:00:61Z",
        "2026-03-01T22:00:00+99:99",
        "٢٠٢٦-03-01T22:00:00Z",
        "2026-03-01T22:00:00Z" * 100,
        "2026-03-03T22:00:00Z",  # after the end
    ],
)
def test_entries_without_sensible_times_are_left_out(text: Any) -> None:
    """M2, S1: an entry that makes no sense is skipped, and the others count."""
    found = read(entry(scheduled_for=text), entry(id="good", name="good"))
    assert [window.name for window in found] == ["good"]


def test_what_started_early_has_started() -> None:
    """M1: a maintenance that began before its time is a window from when it began."""
    begun = entry(status="in_progress", started_at="2026-03-01T21:30:00Z")
    late = entry(status="in_progress", started_at="2026-03-01T22:10:00Z")

    assert [window.start for window in read(active=(begun,))] == [utc(21, 30)]
    assert [window.start for window in read(active=(late,))] == [utc(22)]


def test_what_was_announced_has_not_started() -> None:
    """M1: where a page repeats the time of the announcement as that of the start, it is none."""
    announced = "2026-02-20T09:00:00.000-06:00"
    entries = entry(status="in_progress", created_at=announced, started_at=announced)
    assert [window.start for window in read(active=(entries,))] == [utc(22)]


def test_an_entry_in_both_documents_is_one_window() -> None:
    """M1: what became active between two requests counts once, as what it is now."""
    active = entry(status="in_progress", scheduled_until="2026-03-02T03:00:00Z")
    assert [window.end for window in read(entry(), active=(active,))] == [utc(3, day=2)]


@pytest.mark.parametrize(
    ("components", "counts"),
    [
        ((), True),
        (("Americas (US East)",), True),
        (("americas (us EAST)",), True),
        (("Americas",), False),
        (("Americas*",), True),
        (("*(US East)",), True),
        (("*east*",), True),
        (("*west*",), False),
        (("Login", "*east*"), True),
    ],
)
def test_components_are_filtered_by_name(components: tuple[str, ...], counts: bool) -> None:
    """M1: names are compared without regard to case, with globs at either end."""
    assert bool(read(entry(), components=components)) is counts


@pytest.mark.parametrize("components", [[], None, "Login", [{"name": 3}, "Login", {}]])
def test_an_entry_without_components_is_for_those_without_a_filter(components: Any) -> None:
    """M1: an entry that names no component does not match a filter; without one it counts."""
    assert read(entry(components=components), components=("*login*",)) == ()
    assert len(read(entry(components=components))) == 1


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("  two\nlines\t", "two lines"),
        ("half \ud800 pair", "half pair"),
        ("", "maintenance"),
        ("\x00", "maintenance"),
        (None, "maintenance"),
        ("x" * 1000, "x" * 200),
    ],
)
def test_names_are_fit_to_be_exported(name: Any, taken: str) -> None:
    """S1, O6: whatever a page calls a maintenance, the window's name can be printed and sent."""
    (window,) = read(entry(name=name))
    assert window.name == taken
    window.name.encode()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (b"\xff\xfe\x00", "not_json"),
        (b"[" * 500_000, "not_json"),
        (document(entry())[:-5], "not_json"),
        (b"9" * 1_000_000, "not_a_status_page"),
        (b"[]", "not_a_status_page"),
        (b"null", "not_a_status_page"),
        (b"{}", "not_a_status_page"),
        (b'{"scheduled_maintenances": {}}', "not_a_status_page"),
        (b" " * (LARGEST + 1), "too_large"),
    ],
)
def test_what_is_no_status_page_is_refused_whole(body: bytes, error: str) -> None:
    """M2: a document that cannot be understood is an error, never an empty list of windows."""
    page = StatusFeed("https://status.example.com")
    for documents in ((body, NOTHING), (NOTHING, body)):
        with pytest.raises(FeedUnreadable) as refused:
            windows(page, *documents)
        assert refused.value.error_type == error


def test_entries_are_bounded() -> None:
    """S1: of a page with thousands of entries some hundreds are looked at, and fewer count."""
    many = [entry(id=str(number), name=str(number)) for number in range(2000)]
    assert len(read(*many)) == MOST_WINDOWS
    many[:MOST_ENTRIES] = [entry(status="completed")] * MOST_ENTRIES
    assert read(*many) == ()
    assert read(3, None, [], "x") == ()


def test_the_first_windows_to_begin_are_kept() -> None:
    """S1: where a page announces too many, those that are nearest count."""
    later = [entry(id=f"{n}", scheduled_for=f"2026-03-01T22:{n % 60:02}:01Z") for n in range(400)]
    soonest = entry(id="soonest", name="soonest", scheduled_for="2026-03-01T22:00:00Z")
    found = read(*later, soonest)
    assert (found[0].name, len(found)) == ("soonest", MOST_WINDOWS)


def test_numbers_are_not_worked_out() -> None:
    """S1: a number of a million digits, which takes Python seconds or is refused, costs nothing."""
    page = StatusFeed("https://status.example.com")
    body = document(entry(junk="?")).replace(b'"?"', b"9" * 900_000)
    assert len(windows(page, body, NOTHING)) == 1
