"""Series that rightly never come, whatever the weather: each with its reason, which is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from live_stack import Live

from weatherglass.telemetry import prometheus, registry
from weatherglass.telemetry.definitions import Metric


@dataclass(frozen=True)
class Excuse:
    """Why a metric has no series."""

    reason: str
    holds: Callable[[], bool]
    """Whether the reason is true of the code, beside there being no series."""


def _has_no_feeds() -> bool:
    from weatherglass.policy import MaintenancePolicy  # noqa: PLC0415 - asked when it matters

    return not any("feed" in name for name in MaintenancePolicy.__dataclass_fields__)


EXCUSES: dict[str, Excuse] = {
    registry.MAINTENANCE_FEED_AGE.name: Excuse(
        "no policy can name a feed of maintenance windows yet", _has_no_feeds
    ),
}
"""By metric, in the registry's names."""


def names_of(metric: str) -> tuple[str, ...]:
    """The names of a metric's series in Prometheus."""
    found: Metric = registry.METRICS[metric]
    return prometheus.series_names(found)


def excused(live: Live, text: str) -> bool:
    """Whether a query or a selector names a metric that rightly has no series."""
    return any(
        name in text and excuse.holds() and not live.series(name)
        for metric, excuse in EXCUSES.items()
        for name in names_of(metric)
    )
