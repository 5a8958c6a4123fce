"""A whole dashboard from rows of panels: places, variables, annotations and links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dashboards.source.panels import DATA_SOURCE, Panel
from dashboards.source.queries import highest, label, legend, select
from weatherglass.telemetry import prometheus, registry

COLUMNS: Final = 24

TAG: Final = "weatherglass"
"""What the boards find each other by."""

_SCHEMA_VERSION: Final = 39
"""Grafana 11's; newer ones bring it up to date when they load it."""


@dataclass(frozen=True)
class Row:
    """A heading and lines of panels under it; each line is as high as its highest panel."""

    title: str
    lines: tuple[tuple[Panel, ...], ...]


def dashboard(uid: str, title: str, description: str, rows: list[Row]) -> dict[str, Any]:
    """The JSON of a dashboard.

    Args:
        uid: fixed for ever: links and bookmarks lead to it.
        title: of the board.
        description: which questions it answers.
        rows: what is on it.
    """
    return {
        "id": None,
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,  # the same moment is marked in all panels
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "links": [_links()],
        "annotations": {"list": [_windows()]},
        "templating": {"list": _variables()},
        "panels": _placed(rows),
    }


def _placed(rows: list[Row]) -> list[Panel]:
    placed: list[Panel] = []
    top = 0
    for row in rows:
        placed.append(_heading(row.title, len(placed) + 1, top))
        top += 1
        for line in row.lines:
            left = 0
            for panel in line:
                place = {**panel["gridPos"], "x": left, "y": top}
                placed.append({"id": len(placed) + 1, **panel, "gridPos": place})
                left += place["w"]
            if left != COLUMNS:
                raise ValueError(
                    f"a line of the row {row.title!r} is {left} columns wide, but must be {COLUMNS}"
                )
            top += max(panel["gridPos"]["h"] for panel in line)
    return placed


def _heading(title: str, number: int, top: int) -> Panel:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        "panels": [],
    }


def _links() -> dict[str, Any]:
    """To the other boards, with the time and the variables of this one."""
    return {
        "type": "dashboards",
        "title": "Weatherglass",
        "tags": [TAG],
        "asDropdown": False,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "The other weatherglass boards, at the same time and with the same variables",
        "url": "",
    }


def _windows() -> dict[str, Any]:
    """Maintenance windows as shaded stretches of every graph."""
    names = (registry.MAINTENANCE_WINDOW, registry.SERVER_ADDRESS)
    return {
        "name": "Maintenance windows",
        "datasource": DATA_SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "titleFormat": legend(registry.MAINTENANCE_WINDOW),
        "textFormat": f"Maintenance of {legend(registry.SERVER_ADDRESS)}",
        "tagKeys": label(registry.MAINTENANCE_WINDOW),
        "target": {
            "refId": "Anno",
            "expr": f"{highest(select(registry.MAINTENANCE_ACTIVE), *names)} > 0",
            "interval": "60s",
        },
    }


def _variables() -> list[dict[str, Any]]:
    series = prometheus.metric_name(registry.CALL_DURATION) + "_count"
    job, instance = 'job=~"$job"', 'instance=~"$instance"'
    origin = label(registry.SERVER_ADDRESS)
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "regex": "",
            "hide": 0,
            "includeAll": False,
            "multi": False,
            "refresh": 1,
            "current": {},
            "options": [],
        },
        _query("job", "Job", f"label_values({series}, job)", "Which services.", ".+"),
        _query(
            "instance",
            "Instance",
            f"label_values({series}{{{job}}}, instance)",
            "Which processes of them.",
            ".+",
        ),
        _query(
            "origin",
            "Origin",
            f"label_values({series}{{{job}, {instance}}}, {origin})",
            "Which servers they call. Breakers, tokens and callbacks are not told apart by it.",
            ".*",
        ),
    ]


def _query(name: str, title: str, query: str, description: str, every: str) -> dict[str, Any]:
    """A variable whose values are those that came in during the time that is shown."""
    return {
        "name": name,
        "label": title,
        "description": description,
        "type": "query",
        "datasource": DATA_SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "regex": "",
        "hide": 0,
        "includeAll": True,
        "allValue": every,
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "skipUrlSync": False,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
    }
