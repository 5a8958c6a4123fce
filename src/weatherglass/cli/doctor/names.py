"""Whether metrics came to Prometheus under the names that dashboards and rules ask for.

OTLP names become Prometheus names by a *translation strategy* that is a setting of whoever
translates; the dashboards want the classic one, with underscores and suffixes.
"""

from __future__ import annotations

from collections.abc import Iterable

from weatherglass.telemetry.definitions import Metric
from weatherglass.telemetry.prometheus import series_names

ADVICE = (
    "set translation_strategy to UnderscoreEscapingWithSuffixes, where the translation is made:"
    " under otlp: in prometheus.yml for what is pushed to Prometheus, in the Collector's"
    " prometheus exporter for what is scraped"
)
_SUFFIXES = ("_seconds", "_total", "_bucket", "_sum", "_count", "_ratio")


def mistranslated(found: Iterable[str], metrics: Iterable[Metric]) -> dict[str, str]:
    """Names that stand for a metric without being its own: name to the one that is expected."""
    known: dict[str, str] = {}
    expected: set[str] = set()
    for metric in metrics:
        names = series_names(metric)
        expected.update(names)
        known[_bare(metric.name)] = names[-1]
    return {
        name: known[_bare(name)] for name in sorted(set(found) - expected) if _bare(name) in known
    }


def described(wrong: dict[str, str]) -> str:
    """What is wrong with the names, by an example."""
    name, expected = next(iter(wrong.items()))
    why = "dots were kept" if "." in name else "suffixes are missing or others"
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{name} is there, but dashboards ask for {expected}: {why}{more}"


def _bare(name: str) -> str:
    """A name as any translation would have it, without what the strategies differ in."""
    bare = name.replace(".", "_")
    while (shorter := _without_suffix(bare)) != bare:
        bare = shorter
    return bare


def _without_suffix(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name
