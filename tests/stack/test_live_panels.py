"""Every query of every dashboard has data to show, once there was weather."""

from __future__ import annotations

import pytest
from live_boards import (
    Query,
    annotation_queries,
    boards,
    fill,
    panel_queries,
    variable_queries,
)
from live_prometheus import ask, groupings, numbers, selectors
from live_stack import Live

BOARDS = ("breakers", "failures", "weather")


@pytest.fixture(params=["push", "scrape"])
def live(request: pytest.FixtureRequest, lives: dict[str, Live]) -> Live:
    """Both ways, one after the other: the boards fit either."""
    return lives[request.param]


def test_all_boards_are_there() -> None:
    """The boards that the following tests ask are those that are documented."""
    assert tuple(sorted(boards())) == BOARDS
    assert all(any(query.board == board for query in panel_queries()) for board in BOARDS)


@pytest.mark.parametrize("query", panel_queries(), ids=str)
def test_every_panels_query_returns_samples(live: Live, query: Query) -> None:
    """Each query of each panel draws something over the run, and not only zeros (O1)."""
    expression = fill(query.text, live.variables)
    found = numbers(live.over_the_run(expression))
    assert found, f"{query} draws nothing: {expression}"
    assert any(found), f"{query} draws only zeros: {expression}"


@pytest.mark.parametrize("query", panel_queries() + annotation_queries(), ids=str)
def test_every_selector_of_a_query_finds_series(push: Live, query: Query) -> None:
    """No panel owes its numbers to a zero that stands in for series which never come (O1)."""
    expression = fill(query.text, push.variables)
    for selector in selectors(push.prometheus, expression):
        found = push.series(selector)
        assert found, f"{query} selects {selector}, which no series fits, in {expression}"


@pytest.mark.parametrize("query", panel_queries() + annotation_queries(), ids=str)
def test_every_label_of_a_query_exists(push: Live, query: Query) -> None:
    """No query groups by, and no legend shows, a label that its series do not have (O1)."""
    expression = fill(query.text, push.variables)
    for labels, grouped in groupings(push.prometheus, expression):
        missing = labels - push.labels(grouped)
        assert not missing, f"{query} groups by {missing}"
    drawn = push.over_the_run(expression)
    shown = set().union(*(result["metric"] for result in drawn))
    assert query.legend_labels <= shown or not drawn, f"{query} has the legend {query.legend}"


@pytest.mark.parametrize(
    "wrong",
    [
        'weatherglass_attempts{job="weatherglass-demo"}',
        'weatherglass_attempts_total{weatherglass_failure_kind="rate-limited"}',
        'rate(weatherglass_retries_total{weatherglass_reason!=""}[5m]) or vector(0)',
    ],
)
def test_a_wrong_name_is_found(push: Live, wrong: str) -> None:
    """A metric, value or label that does not exist is noticed, also behind a zero."""
    (selector,) = selectors(push.prometheus, wrong)
    assert not push.series(selector)


@pytest.mark.parametrize("query", annotation_queries(), ids=str)
def test_every_annotation_appears(live: Live, query: Query) -> None:
    """Each annotation's query marks something in the run (O1)."""
    expression = fill(query.text, live.variables)
    assert numbers(live.over_the_run(expression)), f"{query} marks nothing: {expression}"


@pytest.mark.parametrize("query", variable_queries(), ids=str)
def test_every_variable_has_values(push: Live, query: Query) -> None:
    """Each variable of each dashboard is filled from what is there (O1)."""
    values = label_values(push, fill(query.text, push.variables))
    assert values, f"{query} has no values: {query.text}"
    expected = {"job": push.job, "instance": push.instance, "origin": "localhost"}
    name = query.place.split()[-1]
    assert expected.get(name, values[0]) in values


def label_values(live: Live, query: str) -> list[str]:
    """What the data source makes of ``label_values(metric, label)``."""
    assert query.startswith("label_values("), query
    inside = query.removeprefix("label_values(").removesuffix(")")
    selector, _, label = (part.strip() for part in inside.rpartition(","))
    matches = {"match[]": selector} if selector else {}
    times = {"start": live.began, "end": live.ended}
    return list(ask(live.prometheus, f"label/{label}/values", **matches, **times))
