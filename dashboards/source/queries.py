"""PromQL for the panels, built from the telemetry registry, so that no name is spelt twice.

Functions that take and return text; what a query means is said where the panel is.
"""

from __future__ import annotations

from typing import Final

from weatherglass.telemetry import prometheus, registry
from weatherglass.telemetry.definitions import Instrument, Metric
from weatherglass.vocabulary import NETWORK_KINDS, Kind

PLANNED: Final = "true"
UNPLANNED: Final = "false"
"""The values of the label that says whether a maintenance window was in force."""

DOWN: Final = tuple(sorted(kind.value for kind in {Kind.UNAVAILABLE, *NETWORK_KINDS}))
"""The kinds of failures that show an origin to be down: those that a window explains."""

OURS: Final = tuple(
    sorted(
        kind.value
        for kind in (
            Kind.UNAUTHORIZED,
            Kind.FORBIDDEN,
            Kind.CONFLICT,
            Kind.NOT_FOUND,
            Kind.INVALID_REQUEST,
            Kind.CLIENT_ERROR,
            Kind.INVALID_CALL,
        )
    )
)
"""The kinds of failures that are answers to what was asked: no sign that an origin is ill."""

SHOWN: Final = 20
"""How many series a panel shows of those that there may be a hundred of, or more."""

RANGE: Final = "$__range"
"""The time range of the whole dashboard, for figures that are one number."""

_RATE_INTERVAL: Final = "$__rate_interval"

_REMEMBERED: Final = "6h"
"""How long after its last sample an instance is still known to be missing."""


def label(attribute: str) -> str:
    """An attribute of the registry as a label."""
    return prometheus.label_name(registry.ATTRIBUTES[attribute].name)


def equal(attribute: str, *values: str) -> str:
    """A condition: the label has one of these values."""
    return f'{label(attribute)}{_operator("=", "=~", values)}"{"|".join(values)}"'


def unequal(attribute: str, *values: str) -> str:
    """A condition: the label has none of these values."""
    return f'{label(attribute)}{_operator("!=", "!~", values)}"{"|".join(values)}"'


def unlike(attribute: str, pattern: str) -> str:
    """A condition: the label is not like this."""
    return f'{label(attribute)}!~"{pattern}"'


def _operator(exact: str, pattern: str, values: tuple[str, ...]) -> str:
    return exact if len(values) == 1 else pattern


def select(metric: Metric, *conditions: str, part: str = "") -> str:
    """The metric's series, of the jobs, instances and origins that were chosen on the dashboard.

    Args:
        metric: of the registry.
        conditions: from :func:`equal` and :func:`unequal`.
        part: ``bucket``, ``sum`` or ``count`` of a histogram.

    Raises:
        ValueError: for a histogram without a part, or another metric with one.
    """
    if bool(part) != (metric.instrument is Instrument.HISTOGRAM):
        raise ValueError(
            f"{metric.name} is a {metric.instrument.value} and part is {part!r}: a histogram needs"
            " bucket, sum or count, anything else has none"
        )
    name = "_".join(filter(None, (prometheus.metric_name(metric), part)))
    chosen = ['job=~"$job"', 'instance=~"$instance"']
    if any(each.name == registry.SERVER_ADDRESS for each in metric.attributes):
        chosen.append(f'{label(registry.SERVER_ADDRESS)}=~"$origin"')
    return f"{name}{{{', '.join((*chosen, *conditions))}}}"


def rate(series: str) -> str:
    """Growth per second."""
    return f"rate({series}[{_RATE_INTERVAL}])"


def increase(series: str, window: str = _RATE_INTERVAL) -> str:
    """Growth within a window."""
    return f"increase({series}[{window}])"


def per_minute(expression: str) -> str:
    """A rate per second as one per minute, in which rare things are whole numbers."""
    return f"60 * {expression}"


def total(expression: str, *by: str) -> str:
    """The sum, for each combination of these attributes."""
    return f"{_aggregate('sum', by)} ({expression})"


def highest(expression: str, *by: str) -> str:
    """The highest value."""
    return f"{_aggregate('max', by)} ({expression})"


def lowest(expression: str, *by: str) -> str:
    """The lowest value."""
    return f"{_aggregate('min', by)} ({expression})"


def most(expression: str) -> str:
    """The highest of many series, at each moment: more than that nobody can read."""
    return f"topk({SHOWN}, {expression})"


def least(expression: str) -> str:
    """The lowest of many series."""
    return f"bottomk({SHOWN}, {expression})"


def how_many(expression: str, *by: str) -> str:
    """The number of series."""
    return f"{_aggregate('count', by)} ({expression})"


def _aggregate(function: str, by: tuple[str, ...]) -> str:
    return f"{function} by ({', '.join(map(label, by))})" if by else function


def ratio(part: str, whole: str) -> str:
    """A part of a whole: no data, rather than 0 / 0, where the whole is nothing."""
    return f"{part} / ({whole} > 0)"


def share(parts: str, whole: str) -> str:
    """Each of several parts of one whole."""
    return f"{parts} / on () group_left () ({whole} > 0)"


def quantile(level: float, metric: Metric, *conditions: str, by: tuple[str, ...] = ()) -> str:
    """A quantile of a histogram, for each combination of these attributes."""
    kept = ", ".join(("le", *map(label, by)))
    buckets = rate(select(metric, *conditions, part="bucket"))
    return f"histogram_quantile({level:g}, sum by ({kept}) ({buckets}))"


def mean(metric: Metric, *by: str) -> str:
    """The mean of what a histogram measured."""
    measured = total(rate(select(metric, part="sum")), *by)
    return ratio(measured, total(rate(select(metric, part="count")), *by))


def calls() -> str:
    """What is always there once a process has made a call, and gone when its data are."""
    return select(registry.CALL_DURATION, part="count")


def zero_if_none(
    expression: str, *, attribute: str = "", word: str = "none", present: str | None = None
) -> str:
    """Zero where a counter does not exist yet, but nothing where no data come in at all.

    Args:
        expression: may have no series.
        attribute: the one that the expression's series are told apart by, if any.
        word: its value on the zero.
        present: what is there as long as data come in; if not given, :func:`calls`.
    """
    zero = f"0 * {total(present or calls())}"
    if attribute:
        zero = f'label_replace({zero}, "{label(attribute)}", "{word}", "", "")'
    return f"{expression} or on () {zero}"


def silence(*by: str) -> str:
    """Seconds since the last sample came in: also for series that have ended meanwhile.

    The second half looks back, by the minute, for what the first no longer finds.
    """
    names = f" by ({', '.join(by)})" if by else ""
    last = f"max{names} (timestamp({calls()}))"
    return f"time() - ({last} or max_over_time({last}[{_REMEMBERED}:1m]))"


def legend(*attributes: str) -> str:
    """A legend made of the values of labels."""
    return " · ".join(f"{{{{{label(each)}}}}}" for each in attributes)
