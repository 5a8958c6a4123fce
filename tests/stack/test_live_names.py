"""What arrives in Prometheus: the registry's names, no more series than promised, exemplars."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from live_prometheus import ask, wait_for
from live_stack import Live

from weatherglass.telemetry import prometheus, registry
from weatherglass.telemetry.definitions import Instrument, Metric

NAMES = {
    name: metric for metric in registry.METRICS.values() for name in prometheus.series_names(metric)
}
FROM_THE_WAY = {"__name__", "job", "instance"}
LATENCIES = (
    registry.REQUEST_DURATION,
    registry.CALL_DURATION,
    registry.WAIT_DURATION,
    registry.TOKEN_REFRESH_DURATION,
)


@pytest.fixture(params=["push", "scrape"])
def live(request: pytest.FixtureRequest, lives: dict[str, Live]) -> Live:
    """Both ways, one after the other."""
    return lives[request.param]


def series_by_name(live: Live) -> dict[str, list[dict[str, str]]]:
    """The series of our job by name, without those that rules have recorded."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for series in live.series(f'{{job="{live.job}",__name__!~".*:.*|ALERTS.*"}}'):
        found[series["__name__"]].append(series)
    return dict(found)


def test_metric_names_are_the_registrys(live: Live) -> None:
    """Prometheus knows our metrics by exactly the names that the documentation lists (O1)."""
    assert set(series_by_name(live)) == set(NAMES) | {"target_info"}


def test_label_names_are_the_registrys(live: Live) -> None:
    """Each series has its metric's labels, those that are not optional for certain (O1)."""
    for name, all_series in series_by_name(live).items():
        if name == "target_info":
            continue
        metric = NAMES[name]
        labels = {prometheus.label_name(each.name) for each in metric.attributes}
        optional = {prometheus.label_name(each) for each in metric.optional}
        buckets = {"le"} if name.endswith("_bucket") else set()
        for series in all_series:
            given = set(series) - FROM_THE_WAY - buckets
            assert labels - optional <= given <= labels, (name, series)


def test_both_ways_give_the_same_names(push: Live, scrape: Live) -> None:
    """Pushed or scraped, the same series have the same labels: boards and rules fit both."""
    ways = [
        {
            name: set().union(*all_series)
            for name, all_series in series_by_name(live).items()
            if name != "target_info"
        }
        for live in (push, scrape)
    ]
    assert ways[0] == ways[1]


def test_series_stay_within_the_bound(
    live: Live, record_property: Callable[[str, object], None]
) -> None:
    """A process has at most the documented number of series, and in this weather far fewer (O6)."""
    found: Counter[str] = Counter()
    for name, all_series in series_by_name(live).items():
        assert {series["instance"] for series in all_series} == {live.instance}
        if name in NAMES:
            found[NAMES[name].name] += len(all_series)
    for name, count in found.items():
        assert count <= bound(registry.METRICS[name]), name
    together = sum(found.values())
    record_property("series_per_process", together)
    print(f"series of one process: {together}")  # noqa: T201 - a figure to be read
    assert 50 * together <= sum(map(bound, registry.METRICS.values()))


def bound(metric: Metric) -> int:
    """The most series of a metric, as ``docs/telemetry.md`` has it."""
    return metric.most_series * prometheus.series_per_attribute_set(metric)


@pytest.mark.parametrize("metric", LATENCIES, ids=lambda metric: metric.name)
def test_exemplars_lead_to_traces(live: Live, metric: Metric) -> None:
    """The exemplars of a latency name spans that the trace store really got (O3)."""
    selector = f'{prometheus.metric_name(metric)}_bucket{{job="{live.job}"}}'
    found = ask(
        live.prometheus,
        "query_exemplars",
        query=selector,
        start=live.began,
        end=live.ended + 5,
    )
    named = {
        (exemplar["labels"]["trace_id"], exemplar["labels"]["span_id"])
        for series in found
        for exemplar in series["exemplars"]
    }
    assert named
    wait_for(lambda: named <= live.traces.spans())


def test_only_histograms_have_buckets(live: Live) -> None:
    """No name is that of two metrics, and ``le`` is on histograms alone (O1)."""
    names = [name for m in registry.METRICS.values() for name in prometheus.series_names(m)]
    assert len(names) == len(set(names))
    for name, all_series in series_by_name(live).items():
        if any("le" in series for series in all_series):
            assert NAMES[name].instrument is Instrument.HISTOGRAM
