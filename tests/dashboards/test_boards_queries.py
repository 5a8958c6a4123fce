"""The boards ask for what the registry has, and for all of it."""

from __future__ import annotations

import pytest
from board_parts import (
    LABELS_OF_SERIES,
    NAMES,
    OF_PROMETHEUS,
    SELECTOR,
    expressions,
    in_legend,
    labels,
    load,
    panels,
    selected,
)
from dashboards.source import queries

from weatherglass.telemetry import prometheus, registry

every_query = pytest.mark.parametrize(
    ("where", "expression"),
    [
        pytest.param(where, expression, id=f"{name}-{where}-{number}")
        for name in NAMES
        for number, (where, expression) in enumerate(expressions(load(name)))
    ],
)


@every_query
def test_names_are_the_registrys(where: str, expression: str) -> None:
    """Every series that a query selects, and every label of it, is in the registry (rule O1)."""
    for name, conditions in selected(expression):
        assert name in LABELS_OF_SERIES, where
        assert conditions <= LABELS_OF_SERIES[name] | OF_PROMETHEUS, where
    asked = [name for name, _ in selected(expression)]
    known = set().union(*(LABELS_OF_SERIES[name] for name in asked)) | OF_PROMETHEUS
    if asked:
        assert labels(expression) <= known, where


@every_query
def test_nothing_is_selected_past_the_selector(where: str, expression: str) -> None:
    """No name of ours stands in a query outside of a selection or a label (rule O1)."""
    words = SELECTOR.sub("", expression)
    for name in LABELS_OF_SERIES:
        if where not in {"job", "instance", "origin"}:  # label_values(name, label)
            assert f"{name}[" not in words
            assert f"({name})" not in words


@pytest.mark.parametrize("name", NAMES)
def test_panels_respect_what_was_chosen(name: str) -> None:
    """Every selection is of the chosen jobs and instances, and of the chosen origins if it can."""
    for panel in panels(load(name)):
        for target in panel["targets"]:
            for series, conditions in SELECTOR.findall(target["expr"]):
                assert 'job=~"$job"' in conditions, panel["title"]
                assert 'instance=~"$instance"' in conditions, panel["title"]
                if "server_address" in LABELS_OF_SERIES[series]:
                    assert 'server_address=~"$origin"' in conditions, panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_legends_show_labels_that_are_there(name: str) -> None:
    """A legend shows only labels that its query keeps."""
    for panel in panels(load(name)):
        for target in panel["targets"]:
            assert in_legend(target["legendFormat"]) <= labels(target["expr"]) | {"le"}


def test_every_metric_is_shown() -> None:
    """Each metric of the registry is in at least one panel: what is told can be seen (rule O1)."""
    shown = {
        series
        for name in NAMES
        for panel in panels(load(name))
        for target in panel["targets"]
        for series, _ in selected(target["expr"])
    }
    unseen = [
        metric.name
        for metric in registry.METRICS.values()
        if not shown.intersection(prometheus.series_names(metric))
    ]
    assert unseen == []


def test_a_name_that_nobody_has_is_found() -> None:
    """The check of names would find a misspelt series and a label of another metric."""
    assert list(selected('rate(weatherglass_attempt_total{job="a", le="1"}[5m])')) == [
        ("weatherglass_attempt_total", {"job", "le"})
    ]
    assert "weatherglass_attempt_total" not in LABELS_OF_SERIES
    assert labels('sum by (a, b) (x{c="1"}) / on (d) group_left (e) y{f!~"2"}') == set("abcdef")


def test_a_histogram_is_asked_for_by_part() -> None:
    """A histogram without a part, and a counter with one, are refused, with what is allowed."""
    with pytest.raises(ValueError, match="bucket, sum or count"):
        queries.select(registry.CALL_DURATION)
    with pytest.raises(ValueError, match=r"weatherglass\.attempts is a counter"):
        queries.select(registry.ATTEMPT_COUNT, part="sum")


def test_conditions_take_one_value_or_several() -> None:
    """One value is compared, several are a pattern."""
    assert queries.equal(registry.BREAKER_STATE, "open") == 'weatherglass_breaker_state="open"'
    assert (
        queries.unequal(registry.BREAKER_STATE, "open", "closed")
        == 'weatherglass_breaker_state!~"open|closed"'
    )
