"""What ``make stack`` prints: where everything is, and where to go from there."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from stack.running import Running, Summary
from weatherglass.telemetry import prometheus as names
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Attribute, Metric
from weatherglass.vocabulary import BreakerState


def addresses(stack: Running) -> Iterator[str]:
    """Where the parts are."""
    yield f"OTLP over HTTP   {stack.collector.otlp_http_url}"
    yield f"OTLP over gRPC   http://{stack.collector.otlp_grpc}"
    yield f"Prometheus       {stack.prometheus.url}"
    yield f"Collector        {stack.collector.health_url} (health)"
    yield f"Traces           {stack.traces}"


def queries(stack: Running) -> Iterator[str]:
    """Links to questions that are worth asking."""
    for title, expression in _questions():
        parameters = {"g0.expr": expression, "g0.tab": "graph", "g0.range_input": "5m"}
        yield f"{title}\n  {stack.prometheus.url}/query?{urlencode(parameters)}"
    yield f"which alerts there are, and which of them fire\n  {stack.prometheus.url}/alerts"


def next_steps(stack: Running) -> Iterator[str]:
    """What to do with it."""
    prometheus, otlp = stack.prometheus.url, stack.collector.otlp_http_url
    yield "Dashboards: import dashboards/*.json into a Grafana that has this Prometheus as a data"
    yield f"source ({prometheus}); docs/dashboards.md tells how, and stack/compose.yaml brings one."
    yield "More weather:"
    yield f"  weatherglass demo --otlp {otlp}"
    yield "Your own application:"
    yield f"  OTEL_EXPORTER_OTLP_ENDPOINT={otlp}"
    yield "  and weatherglass.telemetry.configure() in it, or the SDK that it has already."


def result(found: Summary) -> Iterator[str]:
    """What has come of the weather."""
    yield f"arrived in Prometheus: {found.attempts} attempts, in {found.series} series"
    healthy = found.rules - len(found.ill)
    yield f"rules: {healthy} of {found.rules} are healthy"
    yield from (f"  {each}" for each in found.ill)
    yield "alerts, pending or firing: " + (", ".join(found.alerts) or "none")


def _questions() -> Iterator[tuple[str, str]]:
    attempts = names.metric_name(registry.ATTEMPT_COUNT)
    kind = _label(registry.ATTRIBUTES[registry.FAILURE_KIND])
    yield "attempts per second, by what went wrong with them", _rate(attempts, kind)
    outcome = _label(registry.ATTRIBUTES[registry.OUTCOME])
    yield (
        "calls per second, by how they ended",
        _rate(_part(registry.CALL_DURATION, "count"), outcome),
    )
    for title, metric in (
        ("how long 95 % of calls take, with all their waits", registry.CALL_DURATION),
        ("how long 95 % of requests take", registry.REQUEST_DURATION),
    ):
        yield title, f"histogram_quantile(0.95, {_rate(_part(metric, 'bucket'), 'le')})"
    state = _label(registry.ATTRIBUTES[registry.BREAKER_STATE])
    breaker = names.metric_name(registry.BREAKER_STATUS)
    yield "open breakers", f'sum({breaker}{{{state}="{BreakerState.OPEN}"}})'


def _rate(series: str, by: str) -> str:
    return f"sum by ({by}) (rate({series}[10s]))"


def _part(metric: Metric, part: str) -> str:
    return f"{names.metric_name(metric)}_{part}"


def _label(attribute: Attribute) -> str:
    return names.label_name(attribute.name)
