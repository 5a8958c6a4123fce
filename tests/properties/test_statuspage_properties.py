"""Status pages of any content: the parser is total."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.feeds import FeedUnreadable
from weatherglass.feeds.statuspage import MOST_ENTRIES, windows
from weatherglass.policy import StatusFeed

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
TIMES = st.datetimes().map(lambda at: at.isoformat() + "Z") | st.text() | JSON
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b"]) | JSON,
        "name": st.text() | JSON,
        "status": st.sampled_from(["scheduled", "in_progress", "verifying", "completed"]) | JSON,
        "scheduled_for": TIMES,
        "scheduled_until": TIMES,
        "started_at": TIMES,
        "components": st.lists(st.fixed_dictionaries({"name": st.text() | JSON})) | JSON,
    },
)
PAGES = st.lists(ENTRIES | JSON, max_size=8).map(
    lambda entries: json.dumps({"scheduled_maintenances": entries}).encode()
)
FEEDS = st.sampled_from(
    [
        StatusFeed("https://status.example.com"),
        StatusFeed("https://status.example.com", components=("*a*", "b"), hosts=("h",)),
    ]
)


@given(FEEDS, PAGES, PAGES)
def test_any_page_gives_windows(feed: StatusFeed, upcoming: bytes, active: bytes) -> None:
    """M1, S1: entries of any shape give windows that make sense, or none."""
    found = windows(feed, upcoming, active)

    assert len(found) <= 2 * MOST_ENTRIES
    for window in found:
        assert window.start < window.end
        assert window.hosts == feed.hosts
        assert window.name.encode()
        assert window.name.isprintable()
        assert 0 < len(window.name) <= 200
    assert list(found) == sorted(found, key=lambda window: (window.start, window.end))


@given(FEEDS, st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_windows_or_an_error(feed: StatusFeed, body: bytes) -> None:
    """M2: whatever a page answers, nothing but the one error is raised."""
    error = None
    try:
        windows(feed, body, body)
    except FeedUnreadable as refused:
        error = refused.error_type
    assert error in {None, "not_json", "not_a_status_page"}
