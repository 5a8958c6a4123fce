"""The demo's picture: drawn from receiver records, by the registry's names alone."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from demo_records import (
    BREAKER,
    attempts,
    breaker_status,
    call_span,
    histogram,
    moved,
    point,
)

import weatherglass.demo
from weatherglass.demo.picture import (
    NOTHING,
    Breaker,
    Move,
    Picture,
    Progress,
    Waits,
    changes,
    in_order,
    newest,
    picture,
    summary,
)
from weatherglass.telemetry import registry
from weatherglass.testing import MetricPoint


def drawn(*points: MetricPoint) -> Picture:
    return picture(newest(points), (), {})


def test_nothing_is_drawn_of_nothing() -> None:
    """O1: without records there are no figures, and nothing is made up."""
    assert drawn() == NOTHING
    assert (NOTHING.sent, NOTHING.breakers, NOTHING.waits) == (0, (), ())


def test_the_newest_point_of_a_series_counts() -> None:
    """Cumulative points replace each other, whichever arrives first."""
    late = point(registry.ATTEMPT_COUNT, 9, at=2, FAILURE_KIND="none", MAINTENANCE=False)
    early = point(registry.ATTEMPT_COUNT, 4, at=1, FAILURE_KIND="none", MAINTENANCE=False)

    assert drawn(early, late).attempts == drawn(late, early).attempts == Counter(none=9)
    assert newest([early], newest([late])) == newest([late])


def test_series_of_one_kind_are_added_up() -> None:
    """M4: attempts inside and outside of a maintenance window are one bar of the distribution."""
    inside = point(registry.ATTEMPT_COUNT, 3, FAILURE_KIND="unavailable", MAINTENANCE=True)
    seen = drawn(*attempts(unavailable=2, none=5), inside)

    assert seen.attempts == Counter(unavailable=5, none=5)
    assert (seen.sent, seen.failures) == (10, Counter(unavailable=5))


def test_progress_is_counted_from_the_spans_of_successful_calls() -> None:
    """O2: a phase's calls are told apart by the policy's name on their spans."""
    spans = [
        call_span("calm", "success"),
        call_span("calm", "success"),
        call_span("storm", "success"),
        call_span("storm", "gave_up"),
        call_span("storm", "refused"),
        call_span("token-endpoint", "success"),
    ]

    assert picture({}, spans, {"calm": 2, "storm": 3}).phases == (
        Progress("calm", 2, 2),
        Progress("storm", 3, 1),
    )


def test_breakers_are_drawn_with_state_moves_and_refusals() -> None:
    """B8: a breaker's state is the one whose series is 1."""
    refused = point(registry.BREAKER_REFUSALS, 7, BREAKER_NAME=BREAKER)
    seen = drawn(*breaker_status("open"), moved("closed", "open", "failure_rate"), refused)
    move = Move("closed", "open", "failure_rate")

    assert seen.breakers == (Breaker(BREAKER, "open", Counter({move: 1}), 7),)


def test_a_disabled_breaker_is_not_drawn() -> None:
    """The token endpoint's breaker is disabled, and shares its name with the one in force."""
    disabled = point(registry.BREAKER_STATUS, 1, BREAKER_NAME=BREAKER, BREAKER_STATE="disabled")

    assert drawn(disabled).breakers == ()
    assert [b.state for b in drawn(*breaker_status("open"), disabled).breakers] == ["open"]


def test_waits_are_drawn_by_reason() -> None:
    """R7, A8: how often, and how long in all, by what was waited for."""
    metric = registry.WAIT_DURATION
    seen = drawn(
        histogram(metric, 3, 4.5, SERVER_ADDRESS="a", WAIT_REASON="gate"),
        histogram(metric, 1, 2.0, SERVER_ADDRESS="b", WAIT_REASON="gate"),
        histogram(metric, 1, 1.0, SERVER_ADDRESS="a", WAIT_REASON="backoff"),
    )

    assert seen.waits == (Waits("backoff", 1, 1.0), Waits("gate", 4, 6.5))


def test_the_rest_is_drawn_by_its_labels() -> None:
    """O1: refreshes, give-ups, retries, Retry-After, keys and windows."""
    seen = drawn(
        histogram(registry.TOKEN_REFRESH_DURATION, 2, 1.0, TOKEN_REASON="unauthorized"),
        histogram(registry.CALL_DURATION, 5, 1.0, OUTCOME="success"),
        point(registry.GIVE_UPS, 1, GIVE_UP_REASON="deadline"),
        point(registry.RETRIES, 4, FAILURE_KIND="rate_limited", WAIT_REASON="gate"),
        point(
            registry.RETRY_AFTER_HEADERS,
            2,
            RETRY_AFTER_VARIANT="iso8601",
            RETRY_AFTER_DISPOSITION="honoured",
        ),
        point(registry.IDEMPOTENCY_KEYS, 3, KEY_SOURCE="deterministic", KEY_REUSED=True),
        point(registry.IDEMPOTENCY_KEYS, 9, KEY_SOURCE="deterministic", KEY_REUSED=False),
        point(registry.MAINTENANCE_ACTIVE, 1, MAINTENANCE_WINDOW="night"),
    )

    assert seen.refreshes == Counter(unauthorized=2)
    assert seen.calls == Counter(success=5)
    assert seen.give_ups == Counter(deadline=1)
    assert seen.retries == Counter(rate_limited=4)
    assert seen.retry_after == Counter(iso8601=2)
    assert seen.dispositions == Counter(honoured=2)
    assert (seen.keys, seen.windows) == (3, {"night": "in force"})


def night(active: int, starts_in: float, *, at: int = 1) -> list[MetricPoint]:
    """What is told of one window in one export."""
    return [
        point(registry.MAINTENANCE_ACTIVE, active, at=at, MAINTENANCE_WINDOW="night"),
        point(registry.MAINTENANCE_TIME_TO_START, starts_in, at=at, MAINTENANCE_WINDOW="night"),
    ]


def test_a_window_is_announced_in_force_and_over() -> None:
    """M4: a window is drawn before, in and after its time, and when it is told of no more."""
    assert drawn(*night(0, 30)).windows == {"night": "announced"}
    assert drawn(*night(1, -5)).windows == {"night": "in force"}
    assert drawn(*night(0, -90)).windows == {"night": "over"}
    later = point(registry.MAINTENANCE_FEED_AGE, 7, at=2, MAINTENANCE_FEED="page")
    withdrawn = drawn(*night(1, -5, at=1), later)
    assert (withdrawn.windows, withdrawn.feeds) == ({"night": "over"}, {"page": 7})


def test_changes_are_told_once() -> None:
    """What is the same in both pictures is no news."""
    before = drawn(*breaker_status("open"), moved("closed", "open", "failure_rate"))
    after = drawn(
        *breaker_status("closed"),
        moved("closed", "open", "failure_rate"),
        moved("half_open", "closed", "probe_succeeded"),
        moved("open", "half_open", "probe_due"),
        histogram(registry.TOKEN_REFRESH_DURATION, 1, TOKEN_REASON="missing"),
        point(registry.MAINTENANCE_ACTIVE, 1, MAINTENANCE_WINDOW="night"),
    )
    over = drawn(point(registry.MAINTENANCE_ACTIVE, 0, MAINTENANCE_WINDOW="night"))
    announced = drawn(*night(0, 30))

    assert changes(before, after) == [
        f"breaker {BREAKER}: open -> half_open (probe_due)",
        f"breaker {BREAKER}: half_open -> closed (probe_succeeded)",
        "token refreshed: missing",
        "maintenance window 'night' is in force",
    ]
    assert changes(after, after) == []
    assert changes(after, over) == ["maintenance window 'night' is over"]
    assert changes(NOTHING, announced) == ["maintenance window 'night' is announced"]


def test_moves_are_told_in_a_possible_order() -> None:
    """Counters say how often, not in which order: a chain from the known state is told."""
    opened = Move("closed", "open", "consecutive_failures")
    probed = Move("open", "half_open", "probe_due")
    reopened = Move("half_open", "open", "probe_failed")
    closed = Move("half_open", "closed", "probe_succeeded")
    moves = Counter({closed: 1, reopened: 1, probed: 2, opened: 1})

    ordered = in_order(moves, "closed")
    assert Counter(ordered) == moves
    assert ordered[:2] == [opened, probed]
    # After a restart in between, no chain is possible; nothing is left out for that.
    assert in_order(Counter({closed: 1}), "open") == [closed]


def test_a_phase_is_summed_up_by_what_was_added() -> None:
    """The line of a phase tells the difference between two pictures."""
    wait, keys = registry.WAIT_DURATION, registry.IDEMPOTENCY_KEYS
    before = drawn(*attempts(none=5), histogram(wait, 1, 2.0, WAIT_REASON="gate"))
    after = drawn(
        *attempts(none=9, rate_limited=2),
        histogram(wait, 3, 9.0, WAIT_REASON="gate"),
        point(registry.RETRY_AFTER_HEADERS, 1, RETRY_AFTER_VARIANT="empty"),
        point(registry.RETRY_AFTER_HEADERS, 1, RETRY_AFTER_VARIANT="quoted"),
        point(keys, 2, KEY_SOURCE="deterministic", KEY_REUSED=True),
    )

    assert summary(before, after) == [
        "attempts: 4 none, 2 rate_limited",
        "waits: 2 gate (7 s)",
        "forms of Retry-After: 2",
        "idempotency keys sent again: 2",
    ]
    assert summary(after, after) == []


def test_the_demo_spells_no_telemetry_name() -> None:
    """O4: what is drawn is asked for by the registry's constants."""
    names = registry.METRICS.keys() | registry.ATTRIBUTES.keys() | registry.SPANS.keys()
    for path in Path(weatherglass.demo.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        spelled = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert spelled & names == set(), path.name
