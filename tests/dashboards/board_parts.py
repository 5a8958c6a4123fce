"""What the tests of the boards read out of them. No Grafana and no Prometheus is needed here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weatherglass.telemetry import prometheus, registry

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "dashboards"
NAMES = ("weather", "failures", "breakers")

SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
_CONDITION = re.compile(r'(\w+)(?:=~|!~|!=|=)"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right) \(([^)]*)\)")
_REPLACED = re.compile(r'"(\w+)", "[^"]*", "", ""\)')
_IN_LEGEND = re.compile(r"\{\{(\w+)\}\}")

OF_PROMETHEUS = frozenset({"job", "instance", "le"})
"""Labels that are not the registry's."""

LABELS_OF_SERIES = {
    series: {prometheus.label_name(attribute.name) for attribute in metric.attributes}
    for metric in registry.METRICS.values()
    for series in prometheus.series_names(metric)
}


def load(name: str) -> dict[str, Any]:
    """A board, as it is committed."""
    board: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return board


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something: all but the headings of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """All queries, each with where it stands."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["target"]["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def selected(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The series that an expression selects, and the labels in their conditions."""
    for name, conditions in SELECTOR.findall(expression):
        yield name, set(_CONDITION.findall(conditions))


def labels(expression: str) -> set[str]:
    """All labels that an expression names, in conditions and in groupings."""
    found = {label for _, conditions in selected(expression) for label in conditions}
    for group in _GROUPING.findall(expression):
        found.update(filter(None, (each.strip() for each in group.split(","))))
    return found | set(_REPLACED.findall(expression))


def in_legend(legend: str) -> set[str]:
    """The labels whose values a legend shows."""
    return set(_IN_LEGEND.findall(legend))
