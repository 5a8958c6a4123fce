"""The boards can be taken to any Grafana, and say what they show."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
from board_parts import FOLDER, NAMES, expressions, in_legend, load, panels
from dashboards.source import looks

from weatherglass.vocabulary import BreakerState, Kind, Outcome

BOARDS = {name: load(name) for name in NAMES}

every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def data_sources(part: Any) -> list[Any]:
    """All data sources that are named anywhere in a board."""
    if isinstance(part, list):
        return [source for each in part for source in data_sources(each)]
    if not isinstance(part, dict):
        return []
    here = [part["datasource"]] if "datasource" in part else []
    return here + [source for each in part.values() for source in data_sources(each)]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether two places on the grid have a cell in common."""
    return not (
        one["x"] + one["w"] <= other["x"]
        or other["x"] + other["w"] <= one["x"]
        or one["y"] + one["h"] <= other["y"]
        or other["y"] + other["h"] <= one["y"]
    )


def test_three_boards_with_fixed_addresses() -> None:
    """The boards are three, and links to them never break: their uids are fixed."""
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        "weather": "weatherglass-weather",
        "failures": "weatherglass-failures",
        "breakers": "weatherglass-breakers",
    }
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(NAMES)


@every_board
def test_nothing_is_of_one_grafana_alone(board: dict[str, Any]) -> None:
    """A board has no database id and asks nothing when it is imported."""
    assert board["id"] is None
    assert not [key for key in board if key.startswith("__")]


@every_board
def test_data_come_from_the_chosen_source(board: dict[str, Any]) -> None:
    """Every query goes to the data source that was chosen on the board, by no name of its own."""
    found = data_sources(board)
    assert found
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in found)


@every_board
def test_variables_choose_source_job_instance_and_origin(board: dict[str, Any]) -> None:
    """Data source, job, instance and origin can be chosen, the latter three several at once."""
    variables = board["templating"]["list"]
    assert [variable["name"] for variable in variables] == [
        "datasource",
        "job",
        "instance",
        "origin",
    ]
    for variable in variables[1:]:
        assert variable["multi"]
        assert variable["includeAll"]
        assert variable["current"]["value"] == ["$__all"]


@every_board
def test_panels_explain_themselves(board: dict[str, Any]) -> None:
    """Every panel has a title of its own, a unit, and a description of some length."""
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        assert len(panel["description"]) > 60, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@every_board
def test_legends_are_for_humans(board: dict[str, Any]) -> None:
    """Every query names what it gives; none leaves Grafana to print a set of labels."""
    for panel in panels(board):
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["legendFormat"] not in {"", "__auto"}, panel["title"]


@every_board
def test_places_do_not_overlap(board: dict[str, Any]) -> None:
    """Panels have ids and places of their own, within the 24 columns of the grid."""
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not [pair for pair in combinations(places, 2) if overlap(*pair)]


@every_board
def test_boards_lead_to_each_other(board: dict[str, Any]) -> None:
    """Links to the other boards keep the time and what was chosen."""
    (link,) = board["links"]
    assert link["type"] == "dashboards"
    assert link["tags"] == board["tags"] == ["weatherglass"]
    assert link["keepTime"]
    assert link["includeVars"]


@every_board
def test_maintenance_is_seen_everywhere(board: dict[str, Any]) -> None:
    """Windows shade every graph and have a timeline in the first row of panels (rule M4)."""
    (annotation,) = board["annotations"]["list"]
    assert annotation["enable"]
    assert "weatherglass_maintenance_active{" in annotation["target"]["expr"]
    first_row = [panel for panel in panels(board) if panel["gridPos"]["y"] <= 5]
    timelines = [panel for panel in first_row if panel["type"] == "state-timeline"]
    assert [panel["title"] for panel in timelines] == ["Maintenance windows"]


@every_board
def test_rates_suit_any_resolution(board: dict[str, Any]) -> None:
    """Rates look back as far as the data source and the screen ask for, never a fixed time."""
    for title, expression in expressions(board):
        if "rate(" in expression:
            assert expression.count("rate(") == expression.count(
                "[$__rate_interval]"
            ) - expression.count("increase("), title


def test_planned_failures_are_told_apart() -> None:
    """Failures in a window are a query of their own whose names say so; none is hidden (M4)."""
    for name in ("weather", "failures"):
        (panel,) = (each for each in panels(BOARDS[name]) if each["title"] == "Failures by kind")
        unplanned, planned, _ = panel["targets"]
        assert 'weatherglass_maintenance="false"' in unplanned["expr"]
        assert 'weatherglass_maintenance="true"' in planned["expr"]
        assert planned["legendFormat"] == unplanned["legendFormat"] + " (planned)"


def test_colours_cover_the_vocabulary() -> None:
    """Every kind, outcome and state has a colour, and no two kinds have the same."""
    assert set(looks.KINDS) == set(Kind)
    assert len(set(looks.KINDS.values())) == len(looks.KINDS)
    assert set(looks.OUTCOMES) == set(Outcome)
    assert {state for state, _, _ in looks.STATES} == set(BreakerState)


def test_latency_leads_to_traces() -> None:
    """Every quantile and heat map of a histogram asks for exemplars."""
    for board in BOARDS.values():
        for panel in panels(board):
            for target in panel["targets"]:
                of_buckets = "histogram_quantile" in target["expr"] or panel["type"] == "heatmap"
                assert target["exemplar"] == of_buckets, panel["title"]


def test_no_data_is_not_zero() -> None:
    """Zero is drawn only while data come in: no query makes one out of nothing."""
    for board in BOARDS.values():
        for title, expression in expressions(board):
            assert "vector(0)" not in expression, title
            assert "absent(" not in expression, title


def test_the_first_row_answers_the_first_question() -> None:
    """Us, them, planned, from left to right, and beside them how old all of this is."""
    first = [panel for panel in panels(BOARDS["weather"]) if panel["gridPos"]["y"] == 1]
    assert [panel["title"].split(":")[0] for panel in first] == [
        "Us",
        "Us",
        "Us",
        "Them",
        "Them",
        "Planned",
        "Planned",
        "Planned",
    ]
    second = [panel["title"] for panel in panels(BOARDS["weather"]) if panel["gridPos"]["y"] == 5]
    assert second == ["Maintenance windows", "Last data received", "Token time left"]


def test_single_numbers_are_of_the_present() -> None:
    """A number that stands alone is asked for as of now, so that an old one never looks new."""
    for board in BOARDS.values():
        for panel in panels(board):
            if panel["type"] in {"stat", "bargauge", "table"}:
                assert all(target["instant"] for target in panel["targets"]), panel["title"]
                assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


def test_no_data_is_neither_good_nor_bad() -> None:
    """No data has a colour of its own: Grafana would give it that of the lowest threshold."""
    for board in BOARDS.values():
        for panel in panels(board):
            if panel["type"] == "stat":
                defaults = panel["fieldConfig"]["defaults"]
                (mapping,) = defaults["mappings"]
                assert mapping["type"] == "special", panel["title"]
                assert mapping["options"]["match"] == "null+nan", panel["title"]
                result = mapping["options"]["result"]
                assert result["text"] == defaults["noValue"], panel["title"]
                silent = panel["title"] == "Last data received"
                assert result["color"] == (looks.RED if silent else looks.GREY), panel["title"]


def test_a_panel_that_may_be_empty_says_of_what() -> None:
    """Where no zero is drawn, it is told what has not come in: waits, calls, a feed."""
    for board in BOARDS.values():
        for panel in panels(board):
            if not any(" or on () " in target["expr"] for target in panel["targets"]):
                assert panel["fieldConfig"]["defaults"].get("noValue"), panel["title"]


def test_panels_of_many_series_show_the_worst() -> None:
    """There may be a hundred origins, codes and instances: a graph shows a part of them."""
    many = {"server_address", "weatherglass_failure_code", "instance"}
    for board in BOARDS.values():
        for panel in panels(board):
            for target in panel["targets"]:
                drawn = panel["type"] in {"timeseries", "bargauge"}
                if drawn and many & in_legend(target["legendFormat"]):
                    assert re.search(r"\b(top|bottom)k\(20, ", target["expr"]), panel["title"]


def test_calls_are_judged_as_the_alerts_judge_them() -> None:
    """What answers and what windows end is not held against calls, nor 404s against origins."""
    first = {panel["title"]: panel["targets"][0]["expr"] for panel in panels(BOARDS["weather"])}
    assert 'error_type!~"4.."' in first["Us: calls that succeed"]
    for title in ("Us: calls that succeed", "Us: calls given up", "Us: calls refused"):
        assert '"maintenance|closed"' in first[title], title
    assert "not_found" in first["Them: failing origins"]
    assert 'weatherglass_outcome!="refused"' in first["p95 of calls and of attempts"]


def test_buckets_are_named_by_plain_numbers() -> None:
    """Grafana sorts the buckets of a histogram by their legends: these are their bounds alone."""
    for board in BOARDS.values():
        for panel in panels(board):
            for target in panel["targets"]:
                if target["format"] == "heatmap":
                    assert target["legendFormat"] == "{{le}}", panel["title"]
