"""Whether what was exported keeps to the registry: names, types, closed sets, units and buckets.

That the registry has what the contract names is proved beside the registry; that stories are told
with the right values, in ``retelling``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Attribute, Instrument
from weatherglass.testing import MetricPoint, Span

_KINDS = {
    Instrument.COUNTER: ("sum", True),
    Instrument.HISTOGRAM: ("histogram", False),
    Instrument.OBSERVABLE_GAUGE: ("gauge", False),
    Instrument.OBSERVABLE_UP_DOWN_COUNTER: ("sum", False),
}


def check_registered(spans: Sequence[Span], points: Sequence[MetricPoint]) -> None:
    """Fail for any name, type, value or unit that the registry does not have in this place."""
    for span in spans:
        name = registry.ATTEMPT_SPAN if span.kind == "CLIENT" else span.name
        entry = registry.SPANS[name]
        assert span.kind == entry.kind
        _check(span.attributes, (*entry.start, *entry.end))
        assert (span.scope.name, span.scope.schema_url) == ("weatherglass", registry.SCHEMA_URL)
        for event in span.events:
            _check(event.attributes, registry.EVENTS[event.name].attributes)
    for point in points:
        _check_point(point)


def _check_point(point: MetricPoint) -> None:
    metric = registry.METRICS[point.name]
    assert (point.kind, point.monotonic) == _KINDS[metric.instrument]
    assert point.unit == metric.unit
    _check(point.attributes, metric.attributes)
    required = {each.name for each in metric.attributes} - set(metric.optional)
    assert required <= point.attributes.keys()
    if metric.instrument is Instrument.HISTOGRAM:
        assert point.bounds == metric.buckets
    assert (point.scope.name, point.scope.schema_url) == ("weatherglass", registry.SCHEMA_URL)


def _check(given: Mapping[str, Any], allowed: Sequence[Attribute]) -> None:
    known = {attribute.name: attribute for attribute in allowed}
    for name, value in given.items():
        attribute = known[name]
        assert type(value) is attribute.type, f"{name} is {value!r}"
        if attribute.values and attribute.type is str:
            assert value in attribute.values, f"{name} is {value!r}"
