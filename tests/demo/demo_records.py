"""Records as the receiver keeps them, made by hand for the demo's tests."""

from __future__ import annotations

from typing import Any

from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Metric
from weatherglass.testing.telemetry_records import MetricPoint, Scope, Span

SCOPE = Scope(registry.SCOPE_NAME, "1")
BREAKER = "https://api.example.com"


def point(metric: Metric, value: float, *, at: int = 1, **labels: Any) -> MetricPoint:
    """A cumulative point; labels are spelled as the registry's constants are."""
    return _point(metric, labels, at, value=value)


def histogram(
    metric: Metric, count: int, total: float = 0.0, *, at: int = 1, **labels: Any
) -> MetricPoint:
    """A histogram's cumulative point."""
    return _point(metric, labels, at, count=count, total=total)


def call_span(policy: str, outcome: str) -> Span:
    """The span of an ended call."""
    return Span(
        name=registry.CALL_SPAN,
        kind="INTERNAL",
        trace_id="0" * 32,
        span_id="0" * 16,
        parent_id=None,
        start_ns=0,
        end_ns=1,
        attributes={registry.POLICY: policy, registry.OUTCOME: outcome},
        events=(),
        links=(),
        status="UNSET",
        status_message="",
        scope=SCOPE,
        resource={},
    )


def attempts(**kinds: int) -> list[MetricPoint]:
    """The attempts counter's points by failure kind."""
    return [
        point(registry.ATTEMPT_COUNT, count, FAILURE_KIND=kind, MAINTENANCE=False)
        for kind, count in kinds.items()
    ]


def breaker_status(state: str, *, at: int = 1) -> list[MetricPoint]:
    """The status series of a breaker, one for each of two states."""
    return [
        point(
            registry.BREAKER_STATUS,
            int(each == state),
            at=at,
            BREAKER_NAME=BREAKER,
            BREAKER_STATE=each,
        )
        for each in ("closed", "open", "half_open")
    ]


def moved(previous: str, state: str, cause: str, count: int = 1, *, at: int = 1) -> MetricPoint:
    """A point of the counter of breaker transitions."""
    return point(
        registry.BREAKER_TRANSITIONS,
        count,
        at=at,
        BREAKER_NAME=BREAKER,
        BREAKER_PREVIOUS_STATE=previous,
        BREAKER_STATE=state,
        BREAKER_CAUSE=cause,
    )


def _point(
    metric: Metric,
    labels: dict[str, Any],
    at: int,
    *,
    value: float | None = None,
    count: int | None = None,
    total: float | None = None,
) -> MetricPoint:
    attributes = {getattr(registry, name): label for name, label in labels.items()}
    assert set(attributes) <= {attribute.name for attribute in metric.attributes}
    return MetricPoint(
        name=metric.name,
        kind="sum" if count is None else "histogram",
        unit=metric.unit,
        attributes=attributes,
        value=value,
        count=count,
        sum=total,
        bounds=(),
        bucket_counts=(),
        start_ns=0,
        time_ns=at,
        temporality="cumulative",
        monotonic=True,
        exemplars=(),
        scope=SCOPE,
        resource={},
    )
