"""Names as Prometheus shows them."""

from __future__ import annotations

import re

import pytest

from weatherglass.telemetry import prometheus, registry
from weatherglass.telemetry.definitions import Metric


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        (registry.ATTEMPT_COUNT, ("weatherglass_attempts_total",)),
        (registry.BREAKER_STATUS, ("weatherglass_breaker_status",)),
        (registry.TOKEN_TTL, ("weatherglass_token_ttl_seconds",)),
        (registry.BUDGET_LEVEL, ("weatherglass_budget_level",)),
        (registry.MAINTENANCE_FEED_AGE, ("weatherglass_maintenance_feed_age_seconds",)),
        (
            registry.CALL_ATTEMPTS,
            (
                "weatherglass_call_attempts_bucket",
                "weatherglass_call_attempts_sum",
                "weatherglass_call_attempts_count",
            ),
        ),
        (
            registry.REQUEST_DURATION,
            (
                "http_client_request_duration_seconds_bucket",
                "http_client_request_duration_seconds_sum",
                "http_client_request_duration_seconds_count",
            ),
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_metrics_are_named_as_the_collector_names_them(
    metric: Metric, names: tuple[str, ...]
) -> None:
    """O3: counters end in ``_total``, seconds are spelled out, braces and 1 are dropped."""
    assert prometheus.series_names(metric) == names


@pytest.mark.parametrize("metric", registry.METRICS.values(), ids=lambda m: m.name)
def test_all_names_are_legal(metric: Metric) -> None:
    """O3: every translated name and label is a legal classic one."""
    names = prometheus.series_names(metric)
    labels = [prometheus.label_name(attribute.name) for attribute in metric.attributes]

    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in (*names, *labels))


def test_no_two_names_meet() -> None:
    """O3: no two metrics are translated to the same name."""
    names = [name for m in registry.METRICS.values() for name in prometheus.series_names(m)]

    assert len(names) == len(set(names))
