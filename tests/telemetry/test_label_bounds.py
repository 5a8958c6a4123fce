"""Labels and series that cannot grow without end."""

from __future__ import annotations

import threading

import pytest
from telemetry_harness import HOST, Harness, asked, attempt, failure, report

from weatherglass.telemetry import registry
from weatherglass.telemetry.bounds import BoundedValues, LabelBounds, Memo, Series
from weatherglass.vocabulary import (
    Disposition,
    GiveUpReason,
    KeySource,
    Kind,
    Outcome,
    TokenReason,
    WaitReason,
)


def test_first_values_are_admitted_for_good() -> None:
    """O6: a bounded label tells the first values apart, now and later, and no others."""
    values = BoundedValues(2)

    assert [values.admits(each) for each in "abcabc"] == [True, True, False, True, True, False]


def test_bound_holds_under_threads() -> None:
    """O6: threads that bring new values at the same time cannot exceed a bound together."""
    values = BoundedValues(50)
    barrier = threading.Barrier(8)
    admitted: list[set[str]] = [set() for _ in range(8)]

    def bring(number: int) -> None:
        barrier.wait()
        for n in range(200):
            value = f"{number}-{n}"
            if values.admits(value):
                admitted[number].add(value)

    threads = [threading.Thread(target=bring, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(map(len, admitted)) == 50


def test_memo_forgets_when_it_is_full() -> None:
    """O6: what is remembered to save work is bounded too, and right after it was forgotten."""
    memo: Memo[int, int] = Memo(lambda key: key * 2, limit=3)

    assert [memo[key] for key in (1, 2, 3, 4, 1)] == [2, 4, 6, 8, 2]
    assert len(memo) <= 3


def test_label_sets_are_built_once() -> None:
    """O6: the same values give the same label set, not a copy of it."""
    series = Series(registry.GIVE_UPS, LabelBounds())

    assert series[HOST, GiveUpReason.DEADLINE] is series[HOST, GiveUpReason.DEADLINE]


def test_closed_labels_take_no_other_values() -> None:
    """O6: a value outside of a closed set is told as ``_OTHER``."""
    series = Series(registry.GIVE_UPS, LabelBounds())

    assert series[HOST, "bad luck"][registry.GIVE_UP_REASON] == "_OTHER"


def test_origins_are_bounded_in_all_metrics_together() -> None:
    """O6: the hundred servers that are told apart are the same hundred in all metrics."""
    bounds = LabelBounds()
    calls, retries = Series(registry.CALL_ATTEMPTS, bounds), Series(registry.RETRIES, bounds)
    for n in range(150):
        told = calls[f"host{n}", Outcome.SUCCESS][registry.SERVER_ADDRESS]
        assert told == (f"host{n}" if n < 100 else "_OTHER")

    assert retries["host99", Kind.DNS, WaitReason.BACKOFF][registry.SERVER_ADDRESS] == "host99"
    assert retries["host100", Kind.DNS, WaitReason.BACKOFF][registry.SERVER_ADDRESS] == "_OTHER"


def test_too_many_combinations_become_coarse() -> None:
    """O6: beyond its share of combinations a metric keeps closed labels and drops open ones."""
    series = Series(registry.FAILURES, LabelBounds())
    sets = {
        tuple(series[f"h{n % 100}", Kind.SERVER_ERROR, f"c{n // 100}", 500].items())
        for n in range(2500)
    }

    assert len(sets) == registry.FAILURES.fine_series + 1
    assert series["h1", Kind.SERVER_ERROR, "c24", 500] == {
        registry.SERVER_ADDRESS: "_OTHER",
        registry.FAILURE_KIND: "server_error",
        registry.FAILURE_CODE: "_OTHER",
    }


def flood(harness: Harness) -> None:
    """Calls that differ in whatever a server or a caller can choose."""
    recorder = harness.recorder
    kinds, waits = list(Kind), list(WaitReason)
    for n in range(2600):
        host, port = f"host{n % 130}", 1 + n % 150
        found = failure(
            kinds[n % len(kinds)],
            100 + n % 900,
            code=f"code{n % 210}",
            error_type=f"Error{n % 170}",
            retry_after=asked(),
        )
        tried = attempt(
            1,
            method=f"M{n}",
            failure=found,
            delay=1.0,
            delay_source=waits[n % len(waits)],
            disposition=list(Disposition)[n % 4],
        )
        call = recorder.enter_call(host, port, f"policy{n}")
        scope = recorder.start_attempt(
            call, f"M{n}", f"https://{host}:{port}/{n}", host, port, headers={}
        )
        recorder.end_attempt(scope, tried)
        with recorder.waiting(call, waits[n % len(waits)], 1.0):
            pass
        recorder.breaker_refused(f"breaker{n}")
        recorder.callback_failed(f"callback{n}", RuntimeError())
        refresh = recorder.refresh_started(f"source{n % 150}", list(TokenReason)[n % 4])
        recorder.refresh_ended(refresh, 0.1, RuntimeError() if n % 2 else None)
        ended = report(
            tried,
            outcome=list(Outcome)[n % 4],
            failure=found,
            give_up_reason=list(GiveUpReason)[n % len(GiveUpReason)],
            idempotency_key_source=list(KeySource)[n % 4],
        )
        recorder.end_call(call, ended)


@pytest.fixture
def unrecorded() -> Harness:
    """A harness whose spans are not kept."""
    made = Harness()
    made.exporter.shutdown()
    return made


def test_hostile_input_cannot_exceed_the_stated_series(unrecorded: Harness) -> None:
    """O6: whatever servers and callers say, no metric has more series than the page states."""
    flood(unrecorded)

    counted: dict[str, int] = {}
    for name, _, _ in unrecorded.points():
        counted[name] = counted.get(name, 0) + 1
    assert counted["http.client.request.duration"] > 1900
    assert counted["weatherglass.failures"] > 1900
    assert counted["weatherglass.breaker.refusals"] == 101
    assert {
        name: (count, registry.METRICS[name].most_series)
        for name, count in counted.items()
        if count > registry.METRICS[name].most_series
    } == {}


def test_paths_are_no_labels(harness: Harness) -> None:
    """O6: no label of any metric holds a path or a query."""
    url = "https://api.example.com/users/ann?page=2"
    harness.tell(report(attempt(1, url=url), url=url))

    assert not [
        value
        for _, attributes, _ in harness.points()
        for value in attributes.values()
        if "ann" in str(value) or "page" in str(value)
    ]
