"""The fleet: workers that do all calls, whatever they are told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from weatherglass.demo.fleet import PATIENCE, Done, Failed, PutOff, Tally, Verdict, work_off
from weatherglass.demo.weather import Call, Phase
from weatherglass.testing import VirtualClock

CALLS = tuple(Call(f"call-{n}", "GET", "/") for n in range(20))


class Scripted:
    """A client that answers as it is told, and knows what it was asked for."""

    def __init__(self, answer: Callable[[Call, int], Verdict]) -> None:
        self.sent: Counter[str] = Counter()
        self._answer = answer
        self._lock = threading.Lock()

    def send(self, call: Call, phase: str) -> Verdict:
        assert phase == "test"
        with self._lock:
            self.sent[call.name] += 1
            count = self.sent[call.name]
        return self._answer(call, count)


def run(
    client: Scripted, *, workers: int = 4, stop: threading.Event | None = None
) -> tuple[Tally, VirtualClock]:
    clock = VirtualClock()
    phase = Phase(name="test", title="test", calls=CALLS)
    with ThreadPoolExecutor(workers) as pool:
        tally = work_off(
            phase,
            [client] * workers,
            pool,
            clock=clock,
            stop=stop or threading.Event(),
            tick=lambda: None,
        )
    return tally, clock


def test_every_call_is_made_once() -> None:
    """A call that succeeds or fails is not made again."""
    client = Scripted(lambda call, _: Failed("HTTP 500") if call.name == "call-7" else Done())
    tally, _ = run(client)

    assert client.sent == {call.name: 1 for call in CALLS}
    assert (tally.planned, tally.done, tally.failed) == (20, 19, Counter({"HTTP 500": 1}))


def test_a_call_that_was_put_off_comes_back_after_the_time_it_was_told() -> None:
    """Whoever is told when to come back waits for that long, and then makes the call."""
    client = Scripted(
        lambda call, n: PutOff(30, "circuit_open") if (call.name, n) == ("call-3", 1) else Done()
    )
    tally, clock = run(client, workers=1)

    assert client.sent["call-3"] == 2
    assert (tally.done, tally.put_off) == (20, Counter({"circuit_open": 1}))
    assert clock.waits == [30]


def test_nobody_is_waited_for_beyond_all_patience() -> None:
    """A call that is put off again and again, or until the next year, has failed in the end."""
    again = Scripted(lambda call, _: PutOff(50, "busy") if call.name == "call-0" else Done())
    tally, clock = run(again, workers=1)
    assert (tally.done, tally.failed["busy"]) == (19, 1)
    assert sum(clock.waits) <= PATIENCE

    far = Scripted(lambda call, _: PutOff(1e9, "later") if call.name == "call-0" else Done())
    tally, clock = run(far, workers=1)
    assert (tally.done, tally.failed["later"], clock.waits) == (19, 1, [])


def test_the_fleet_stops_when_it_is_told_to() -> None:
    """After the stop no call is begun."""
    stop = threading.Event()

    def answer(call: Call, _count: int) -> Verdict:
        if call.name == "call-5":
            stop.set()
        return Done()

    client = Scripted(answer)
    tally, _ = run(client, workers=1, stop=stop)

    assert tally.done == client.sent.total() == 6


def test_a_workers_own_error_is_not_swallowed() -> None:
    """A mistake in a client ends the phase with its exception."""

    def answer(_call: Call, _count: int) -> Verdict:
        raise ZeroDivisionError

    stop = threading.Event()
    clock = VirtualClock()
    phase = Phase(name="test", title="test", calls=CALLS)
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        work_off(phase, [Scripted(answer)] * 2, pool, clock=clock, stop=stop, tick=lambda: None)
