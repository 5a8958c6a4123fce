"""How the registry's names read in Prometheus, with the classic underscore names.

Follows the OpenTelemetry Collector's translation: dots to underscores, the unit and ``_total``
as suffixes. For dashboards, alert rules and the docs; nothing is exported with these names here.
"""

from __future__ import annotations

from typing import Final

from weatherglass.telemetry.definitions import Instrument, Metric

_UNITS: Final = {"s": "seconds"}


def metric_name(metric: Metric) -> str:
    """The metric's name in Prometheus, without the suffixes of a histogram's parts.

    A unit in braces or ``1`` has no suffix. (A *gauge* with unit ``1`` would get ``_ratio``;
    the registry has none.)
    """
    name = _underscored(metric.name)
    unit = _UNITS.get(metric.unit)
    if unit is not None and not name.endswith(f"_{unit}"):
        name += f"_{unit}"
    return f"{name}_total" if metric.instrument is Instrument.COUNTER else name


def series_names(metric: Metric) -> tuple[str, ...]:
    """The names under which the metric's series can be queried."""
    name = metric_name(metric)
    if metric.instrument is Instrument.HISTOGRAM:
        return (f"{name}_bucket", f"{name}_sum", f"{name}_count")
    return (name,)


def series_per_attribute_set(metric: Metric) -> int:
    """How many Prometheus series one set of labels becomes: a histogram has one per bucket."""
    if metric.instrument is Instrument.HISTOGRAM:
        return len(metric.buckets) + 3  # the bucket above all, the sum and the count
    return 1


def label_name(attribute: str) -> str:
    """An attribute's name as a label."""
    return _underscored(attribute)


def _underscored(name: str) -> str:
    return name.replace(".", "_")
