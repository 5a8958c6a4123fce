"""States and levels that are asked for at export."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterable, Mapping

from telemetry_harness import Harness

from weatherglass.telemetry import registry
from weatherglass.vocabulary import BreakerState


class Adapter:
    """A source of everything that can be asked for."""

    def __init__(self, name: str = "a", state: BreakerState = BreakerState.OPEN) -> None:
        self.name = name
        self.state = state
        self.level = 5.0

    def breaker_states(self) -> Mapping[str, BreakerState]:
        return {self.name: self.state}

    def token_ttls(self) -> Mapping[str, float]:
        return {"source": self.level}

    def budget_levels(self) -> Iterable[tuple[str, str, float]]:
        return [("h", "retry", self.level), ("h", "network", float("nan"))]

    def ratelimit_remaining(self) -> Iterable[tuple[str, str, float]]:
        return [("h", "source", self.level)]

    def maintenance_windows(self) -> Iterable[tuple[str, str, float, float]]:
        return [
            ("upgrade", "h", -5.0, 10.0),
            ("later", "h", 20.0, 30.0),
            ("weekly", "h", -700.0, -600.0),
            ("weekly", "h", 100.0, 200.0),
            ("weekly", "h", 800.0, 900.0),
            ("past", "h", -90.0, -80.0),
            ("past", "h", -9.0, -8.0),
        ]

    def feed_ages(self) -> Mapping[str, float]:
        return {"status": self.level}


class Broken(Adapter):
    """A source that is half closed."""

    def breaker_states(self) -> Mapping[str, BreakerState]:
        raise RuntimeError


def states(harness: Harness) -> dict[str, float]:
    return {
        attributes["weatherglass.breaker.state"]: point.value
        for _, attributes, point in harness.points("weatherglass.breaker.status")
    }


def test_all_states_of_a_breaker_are_series(harness: Harness) -> None:
    """O1: a breaker's state is a 1 among zeros, so that states can be added up."""
    adapter = Adapter()
    harness.recorder.register(adapter)

    assert states(harness) == {
        "closed": 0,
        "open": 1,
        "half_open": 0,
        "forced_open": 0,
        "disabled": 0,
    }


def test_levels_are_observed(harness: Harness) -> None:
    """O1: levels, times to live, headroom, windows and ages are told; what is no number is not."""
    adapter = Adapter()
    harness.recorder.register(adapter)

    assert harness.values("weatherglass.token.ttl") == {("source",): 5.0}
    assert harness.values("weatherglass.budget.level") == {("h", "retry"): 5.0}
    assert harness.values("weatherglass.ratelimit.remaining") == {("h", "source"): 5.0}
    assert harness.values("weatherglass.maintenance.active") == {
        ("h", "upgrade"): 1,
        ("h", "later"): 0,
        ("h", "weekly"): 0,
        ("h", "past"): 0,
    }
    assert harness.values("weatherglass.maintenance.feed.age") == {("status",): 5.0}


def test_windows_tell_when_they_begin_and_end(harness: Harness) -> None:
    """M4: of windows that share a name, the next edge is told, or the last if all are past."""
    adapter = Adapter()
    harness.recorder.register(adapter)

    assert harness.values("weatherglass.maintenance.time_to_start") == {
        ("h", "upgrade"): -5.0,
        ("h", "later"): 20.0,
        ("h", "weekly"): 100.0,
        ("h", "past"): -9.0,
    }
    assert harness.values("weatherglass.maintenance.time_to_end") == {
        ("h", "upgrade"): 10.0,
        ("h", "later"): 30.0,
        ("h", "weekly"): 200.0,
        ("h", "past"): -8.0,
    }


def test_sessions_of_one_process_are_one_story(harness: Harness) -> None:
    """O1: breakers of one name add up, of levels the lower is told, one window is one window."""
    one, other = Adapter(), Adapter(state=BreakerState.CLOSED)
    other.level = 3.0
    harness.recorder.register(one)
    harness.another().register(other)

    assert states(harness)["open"] == 1
    assert states(harness)["closed"] == 1
    assert harness.values("weatherglass.budget.level") == {("h", "retry"): 3.0}
    assert harness.values("weatherglass.maintenance.active")["h", "upgrade"] == 1
    assert harness.values("weatherglass.maintenance.feed.age") == {("status",): 5.0}


def test_sources_are_not_kept_alive(harness: Harness) -> None:
    """S2: OpenTelemetry keeps callbacks for ever, and none of them keeps a session."""
    adapter = Adapter()
    reference = weakref.ref(adapter)
    recorder = harness.another()
    recorder.register(adapter)
    assert states(harness)["open"] == 1

    del adapter, recorder
    gc.collect()

    assert reference() is None
    assert states(harness) == {}


def test_one_broken_source_does_not_silence_the_others(harness: Harness) -> None:
    """O8: a source that raises while it is asked changes nothing for the others."""
    broken, whole = Broken(), Adapter()
    harness.recorder.register(broken)
    harness.recorder.register(whole)

    assert states(harness)["open"] == 1


def test_names_are_bounded(harness: Harness) -> None:
    """O6: more breakers than a hundred are told as one."""
    adapters = [Adapter(f"breaker{n}") for n in range(130)]
    for adapter in adapters:
        harness.recorder.register(adapter)

    found = harness.points("weatherglass.breaker.status")
    others = [p.value for _, a, p in found if a["weatherglass.breaker.name"] == "_OTHER"]
    assert len(found) == registry.BREAKER_STATUS.most_series == 505
    assert sum(others) == 30


def test_sources_may_come_while_others_are_asked(harness: Harness) -> None:
    """S2: sessions that are made and dropped during an export do not disturb it."""
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            harness.another().register(Adapter())

    threads = [threading.Thread(target=come_and_go) for _ in range(2)]
    for thread in threads:
        thread.start()
    kept = Adapter("kept")
    harness.recorder.register(kept)
    found = [[a for _, a, _ in harness.points("weatherglass.breaker.status")] for _ in range(20)]
    stop.set()
    for thread in threads:
        thread.join()

    assert all("kept" in {a["weatherglass.breaker.name"] for a in each} for each in found)


def test_instruments_live_as_long_as_their_provider(harness: Harness) -> None:
    """O6: a recorder that comes after all others have gone counts on in the same series."""
    first = harness.another()
    instruments = weakref.ref(first._instruments)
    del first
    harness.recorder = harness.another()
    gc.collect()

    assert instruments() is harness.recorder._instruments
