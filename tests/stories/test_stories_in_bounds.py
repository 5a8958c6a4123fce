"""Labels stay within the registry's bounds, whatever is called and answered (rule O6)."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

import pytest
from stage import Stage

import weatherglass
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import SERIES
from weatherglass.testing import FaultPlan, FaultRule, MetricPoint, Span, faults

MANY = 300
"""Of each thing that there may be without end; the bounds are a third of it."""

METHODS = ("GET", "PUT", "BREW", "PROPFIND", "X" * 40, "delete", "x-odd", "POST", "LOCK")


def _breaker_of(origin: str, method: str) -> str:
    return f"{method} {origin}"


@pytest.fixture(scope="module")
def flood() -> Iterator[tuple[list[MetricPoint], list[Span], int]]:
    """Calls to many hosts, through a proxy that answers with many codes and statuses."""
    chance = random.Random(11)
    statuses = [*range(400, 500), *range(500, 600)]
    rules = [
        FaultRule(
            fault=faults.answer(
                chance.choice(statuses),
                code=f"code.{number % MANY}",
                headers={"Retry-After": chance.choice(["1", "soon", "", "-1", "9" * 9])},
            ),
            nth=(number,),
        )
        for number in range(1, 2 * MANY + 1)
    ]
    rules.append(FaultRule(fault=faults.answer(200, body="ok")))
    with Stage(FaultPlan(rules=rules)) as stage:
        session = stage.session(
            retry={"max_retries": 0},
            retry_after={"gate": False},
            breaker_key=_breaker_of,
            idempotency={"key": "per_call", "methods": ("POST", "PUT", "BREW")},
        )
        proxies = {"http": stage.url}
        for number in range(3 * MANY):
            host = f"host-{number % MANY}.example:{8000 + number % MANY}"
            method = METHODS[number % len(METHODS)]
            stage.play(session, method, f"http://{host}/users/{number}?q={number}", proxies=proxies)
        assert len(stage.reports) == 3 * MANY
        yield stage.exported.points(), stage.exported.spans(), len(stage.reports)


Flood = tuple[list[MetricPoint], list[Span], int]


def test_series_stay_below_the_stated_number(flood: Flood) -> None:
    """O6: no metric has more series than the registry says, and none exceeds the SDK's cap."""
    series: dict[str, int] = defaultdict(int)
    for point in flood[0]:
        series[point.name] += 1
        assert "otel.metric.overflow" not in point.attributes
    assert {
        name for name, count in series.items() if count > registry.METRICS[name].most_series
    } == set()
    assert max(series.values()) <= SERIES
    assert series["weatherglass.attempts"] > 100


def test_values_of_each_label_stay_within_its_bound(flood: Flood) -> None:
    """O6: a label has no more values than its bound, in all metrics together."""
    values: dict[str, set[object]] = defaultdict(set)
    for point in flood[0]:
        for name, value in point.attributes.items():
            values[name].add(value)
    for name, found in values.items():
        attribute = registry.ATTRIBUTES[name]
        assert len(found) <= attribute.label_values, name
        if attribute.is_closed:
            assert {str(value) for value in found} <= {*attribute.values, "True", "False"}
    full = {name for name, found in values.items() if len(found) == 101}
    assert {
        "server.address",
        "weatherglass.failure.code",
        "weatherglass.breaker.name",
    } <= full


def test_nothing_is_lost_beyond_a_bound(flood: Flood) -> None:
    """O6: what is beyond a bound is counted as another, not left out."""
    points, _, calls = flood
    for name in ("weatherglass.attempts", "http.client.request.duration"):
        counts = [point.value or point.count or 0 for point in points if point.name == name]
        assert sum(counts) == calls
    others = [
        point
        for point in points
        if point.name == "weatherglass.attempts"
        and point.attributes["server.address"] == registry.OTHER
    ]
    assert others


def test_spans_tell_what_labels_do_not(flood: Flood) -> None:
    """O6: spans have the true host, code and method of every request."""
    attempts = [span for span in flood[1] if span.kind == "CLIENT"]
    hosts = {span.attributes["server.address"] for span in attempts}
    codes = {span.attributes.get("weatherglass.failure.code") for span in attempts}
    originals = {span.attributes.get("http.request.method_original") for span in attempts}
    assert len(hosts) == MANY
    assert len(codes) > MANY - 5
    assert {"BREW", "x-odd".upper(), "X" * 40} <= originals


def test_no_label_holds_a_path(flood: Flood) -> None:
    """O6: neither paths nor queries become labels."""
    for point in flood[0]:
        for value in point.attributes.values():
            assert "/users" not in str(value)
            assert "q=" not in str(value)


def test_many_sessions_share_their_bounds() -> None:
    """O6: however many sessions there are, the bounds are those of the process."""
    with Stage() as stage:
        sources = [
            weatherglass.CallableTokens(lambda: "token", origins=[stage.url], name=f"source-{n}")
            for n in range(150)
        ]
        for source in sources:
            stage.get(stage.session(token_source=source))
        names = {
            point.attributes["weatherglass.token.source"]
            for point in stage.exported.points()
            if "weatherglass.token.source" in point.attributes
        }
    assert len(names) == 101
    assert registry.OTHER in names
