"""Who reads, when the process has no thread to spare."""

from __future__ import annotations

import threading

import pytest

from weatherglass.feeds import Feeds
from weatherglass.feeds.flight import Flight
from weatherglass.policy import MaintenancePolicy, MaintenanceWindow, StatusFeed
from weatherglass.testing import VirtualClock


class Page:
    """A page without a network, and what its readers make known."""

    def __init__(self) -> None:
        self.read = 0
        self.told: list[tuple[str, str]] = []

    def __call__(self, _feed: StatusFeed, _flight: Flight) -> tuple[bytes, bytes]:
        self.read += 1
        return b'{"scheduled_maintenances": []}', b'{"scheduled_maintenances": []}'

    def close(self) -> None:
        """There is nothing to wake."""

    def replaced(self, _source: str, _windows: object) -> None:
        raise AssertionError("nothing has changed")

    def feeds(self, clock: VirtualClock) -> Feeds:
        return Feeds(
            MaintenancePolicy(feeds=(StatusFeed("https://status.example.com"),)),
            clock,
            self,
            replace=self.replaced,
            changed=lambda: None,
            told=lambda name, error: self.told.append((name, error)),
        )


def test_call_is_made_though_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """M2: where no thread can be had, nothing is read, no call notices, and it is tried again."""
    clock, page = VirtualClock(), Page()
    feeds = page.feeds(clock)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        feeds.nudge()
    feeds.nudge()
    assert page.read == 0, "it was tried again at once"
    clock.advance(5)
    feeds.nudge()
    feeds.read()
    assert page.read == 2
    feeds.close()
    assert page.told == []


def test_child_does_not_wait_for_its_parent_s_reading() -> None:
    """D13: a reading whose thread has stayed behind keeps nobody from reading."""
    clock, page = VirtualClock(), Page()
    under_way, go_on = threading.Event(), threading.Event()

    class Slow(Page):
        def __call__(self, feed: StatusFeed, flight: Flight) -> tuple[bytes, bytes]:
            under_way.set()
            go_on.wait(10)
            return page(feed, flight)

    feeds = Slow().feeds(clock)
    feeds.nudge()
    assert under_way.wait(10)
    feeds.reset_after_fork()
    under_way.clear()
    go_on.set()
    feeds.nudge()
    assert under_way.wait(10), "the reading that was left behind is still taken for one"
    feeds.close()


def test_reading_of_the_same_windows_changes_nothing() -> None:
    """M2: a page that says the same as before replaces nothing."""
    clock, page = VirtualClock(), Page()
    feeds = page.feeds(clock)
    first: tuple[MaintenanceWindow, ...] = feeds.read()["status.example.com"].windows
    assert feeds.read()["status.example.com"].windows == first == ()
