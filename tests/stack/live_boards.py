"""The dashboards as what a browser asks of Prometheus: every query, with its variables filled in.

Reads the committed JSON, and knows nothing of how it was generated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards"
_IN_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))|\[\[(\w+)(?::\w+)?\]\]")


@dataclass(frozen=True)
class Query:
    """One query of a dashboard."""

    board: str
    place: str
    """The panel's title, or what else it belongs to, and the query's letter."""
    text: str
    """With its variables not yet filled in."""
    legend: str = ""

    @property
    def legend_labels(self) -> set[str]:
        """The labels whose values stand in the legend."""
        return set(_IN_LEGEND.findall(self.legend))

    def __str__(self) -> str:
        return f"{self.board}: {self.place}"


def boards() -> dict[str, dict[str, Any]]:
    """The dashboards by file name."""
    files = sorted(FOLDER.glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def panel_queries() -> list[Query]:
    """Every query of every panel, those in collapsed rows included."""
    return [
        Query(
            name,
            f"{panel.get('title', '?')} [{target.get('refId', '?')}]",
            target["expr"],
            target.get("legendFormat") or "",
        )
        for name, board in boards().items()
        for panel in _panels(board["panels"])
        for target in panel.get("targets", ())
    ]


def annotation_queries() -> list[Query]:
    """Every query of an annotation of our own."""
    found = []
    for name, board in boards().items():
        for annotation in board.get("annotations", {}).get("list", ()):
            text = annotation.get("expr") or annotation.get("target", {}).get("expr")
            if text:
                found.append(Query(name, f"annotation {annotation['name']}", text))
    return found


def variable_queries() -> list[Query]:
    """What fills the variables."""
    found = []
    for name, board in boards().items():
        for variable in board.get("templating", {}).get("list", ()):
            if variable["type"] == "query":
                given = variable["query"]
                text = given["query"] if isinstance(given, Mapping) else given
                found.append(Query(name, f"variable {variable['name']}", text))
    return found


def fill(text: str, values: Mapping[str, str]) -> str:
    """The query with its variables filled in.

    Raises:
        KeyError: for a variable that nobody has a value for.
    """

    def value(found: re.Match[str]) -> str:
        name = next(filter(None, found.groups()))
        if name not in values:
            raise KeyError(f"${name} in {text!r}: there are {', '.join(values)}")
        return values[name]

    return _VARIABLE.sub(value, text)


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))
