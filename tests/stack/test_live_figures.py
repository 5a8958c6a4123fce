"""The figures in a real Prometheus are those of the servers' ledgers and the application."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from live_prometheus import by_labels
from live_stack import Live
from live_troubles import LIMIT, ROUNDS

from weatherglass.policy import TokenPolicy

PARTS = ("demo", "troubles")
REASON = "weatherglass_wait_reason"
REFRESH_RETRIES = TokenPolicy().refresh_retries


def figures(live: Live, part: str) -> dict[str, Any]:
    return dict(live.figures[part])


def counted(live: Live, part: str, metric: str, *labels: str, only: str = "") -> dict[str, int]:
    """A counter of one part of the weather, by labels, as it stands at the end."""
    host = figures(live, part)["host"]
    selector = f'{metric}{{job="{live.job}",{only or f"server_address={chr(34)}{host}{chr(34)}"}}}'
    expression = f"sum by ({', '.join(labels)}) (last_over_time({selector}[1m]))"
    return by_labels(live.prometheus, expression, live.ended + 2, *labels)


@pytest.fixture(params=["push", "scrape"])
def live(request: pytest.FixtureRequest, lives: dict[str, Live]) -> Live:
    """Both ways, one after the other."""
    return lives[request.param]


def test_attempts_by_kind_are_the_ledgers(live: Live) -> None:
    """The failure distribution of the demo is its ledger's, success and each kind (O1, O6)."""
    told = counted(live, "demo", "weatherglass_attempts_total", "weatherglass_failure_kind")
    assert told == figures(live, "demo")["kinds"]


@pytest.mark.parametrize("part", PARTS)
def test_failures_by_status_are_the_ledgers(live: Live, part: str) -> None:
    """Failed answers are counted by status as the server has them in its ledger (O6)."""
    told = counted(live, part, "weatherglass_failures_total", "http_response_status_code")
    told.pop("", None)
    answered = figures(live, part)["statuses"]
    assert told == {
        status: count
        for status, count in answered.items()
        if status != "None" and int(status) >= 400
    }


@pytest.mark.parametrize("part", PARTS)
def test_retries_are_those_that_the_application_heard_of(live: Live, part: str) -> None:
    """Retries by kind are what the callbacks were told, and those at the token endpoint (O1)."""
    told = counted(live, part, "weatherglass_retries_total", "weatherglass_failure_kind")
    expected = Counter(figures(live, part)["heard"]["retries"])
    expected["server_error"] += REFRESH_RETRIES * exhausted(live, part)
    assert told == +expected


@pytest.mark.parametrize("part", PARTS)
def test_give_ups_are_those_that_the_application_heard_of(live: Live, part: str) -> None:
    """Give-ups by reason are what the callbacks were told, and those of the endpoint (O1)."""
    told = counted(live, part, "weatherglass_give_ups_total", "weatherglass_give_up_reason")
    expected = Counter(figures(live, part)["heard"]["give_ups"])
    expected["retries_exhausted"] += exhausted(live, part)
    assert told == +expected


@pytest.mark.parametrize("part", PARTS)
def test_calls_by_outcome_are_those_that_the_application_heard_of(live: Live, part: str) -> None:
    """Ended calls by outcome are what the callbacks were told, and the endpoint's ledger (O1).

    The status page that the demo reads has the host of the troubles: its readings count nowhere.
    """
    assert figures(live, "demo")["page_statuses"]["200"]
    told = counted(live, part, "weatherglass_call_duration_seconds_count", "weatherglass_outcome")
    expected = Counter(figures(live, part)["heard"]["calls"])
    expected["success"] += granted(live, part)
    expected["failed"] += figures(live, part)["token_statuses"].get("400", 0)
    expected["gave_up"] += exhausted(live, part)
    assert told == +expected


def test_refreshes_are_those_that_the_application_heard_of(live: Live) -> None:
    """Token refreshes by reason and end are what the callbacks were told (O1)."""
    metric = "weatherglass_token_refresh_duration_seconds_count"
    labels = ("weatherglass_token_reason", "error_type")
    told: Counter[str] = Counter()
    for words, count in counted(live, "demo", metric, *labels, only='le=""').items():
        reason, _, error = words.partition(" ")
        told[f"{reason} {'failed' if error else 'ok'}"] += count
    heard = sum((Counter(figures(live, part)["heard"]["refreshes"]) for part in PARTS), Counter())
    assert told == heard


@pytest.mark.parametrize("part", PARTS)
def test_refreshes_that_succeeded_are_the_ledgers(live: Live, part: str) -> None:
    """There are as many tokens in telemetry as the server has given out (O6)."""
    source = {"demo": "genesys", "troubles": "troubles"}[part]
    metric = "weatherglass_token_refresh_duration_seconds_count"
    only = f'weatherglass_token_source="{source}",error_type=""'
    told = counted(live, part, metric, "weatherglass_token_source", only=only)
    assert told == {source: granted(live, part)}


@pytest.mark.parametrize("part", PARTS)
def test_transitions_are_those_that_the_application_heard_of(live: Live, part: str) -> None:
    """Breaker transitions are what the callbacks were told: from, to and why (B8)."""
    host = figures(live, part)["host"]
    told = counted(
        live,
        part,
        "weatherglass_breaker_transitions_total",
        "weatherglass_breaker_previous_state",
        "weatherglass_breaker_state",
        "weatherglass_breaker_cause",
        only=f'weatherglass_breaker_name=~"http://{host}:.*"',
    )
    assert told == figures(live, part)["heard"]["transitions"]


@pytest.mark.parametrize("part", PARTS)
def test_the_first_counts_are_in_the_rates(live: Live, part: str) -> None:
    """A counter that begins with its first count has grown by it, as dashboards need it (O1)."""
    labels = ("weatherglass_failure_kind",)
    exact = counted(live, part, "weatherglass_attempts_total", *labels)
    host = figures(live, part)["host"]
    selector = f'weatherglass_attempts_total{{job="{live.job}",server_address="{host}"}}'
    grown = by_labels(
        live.prometheus,
        f"sum by ({labels[0]}) (increase({selector}[2m]))",
        live.ended + 2,
        *labels,
    )
    # Growth is extrapolated to the ends of its range: by a sample's distance, one of some twenty.
    assert grown == {kind: pytest.approx(count, rel=0.1, abs=1) for kind, count in exact.items()}


def test_pacing_keeps_below_the_limit(live: Live) -> None:
    """G4: a job at full speed is paced in each round, and is told nowhere that it was limited."""
    told = counted(live, "troubles", "weatherglass_wait_duration_seconds_count", REASON)
    assert told["pacing"] >= ROUNDS * LIMIT.limit / 2
    assert figures(live, "troubles")["paced_statuses"] == {"200": 2 * ROUNDS * LIMIT.limit}


def granted(live: Live, part: str) -> int:
    """How many tokens the server has given out."""
    return int(figures(live, part)["token_statuses"]["200"])


def exhausted(live: Live, part: str) -> int:
    """How many refreshes failed with all their retries: the callbacks do not hear of those."""
    failed = figures(live, part)["token_statuses"].get("500", 0)
    return int(failed) // (1 + REFRESH_RETRIES)
