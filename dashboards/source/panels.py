"""One function per kind of panel; each gives a panel without its place on the board.

Sizes are in Grafana's grid, which is 24 columns wide.
"""

from __future__ import annotations

from typing import Any, Final

from dashboards.source.looks import BLUE, GREY, Override, mapping, nothing, thresholds

Panel = dict[str, Any]
Target = dict[str, Any]

DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

_PLAIN: Final = thresholds(BLUE)


def target(
    expression: str,
    legend: str,
    *,
    instant: bool = False,
    exemplars: bool = False,
    format_: str = "time_series",
) -> Target:
    """A query and the name of what it gives.

    Args:
        expression: PromQL.
        legend: what a human reads; ``{{label}}`` stands for a value.
        instant: ask for the present only.
        exemplars: ask for the traces behind the values, too.
        format_: ``time_series``, ``table`` or ``heatmap``.
    """
    return {
        "datasource": DATA_SOURCE,
        "editorMode": "code",
        "exemplar": exemplars,
        "expr": expression,
        "format": format_,
        "instant": instant,
        "range": not instant,
        "legendFormat": legend,
    }


def _panel(
    kind: str,
    title: str,
    description: str,
    targets: list[Target],
    *,
    size: tuple[int, int],
    defaults: dict[str, Any],
    options: dict[str, Any],
    overrides: list[Override] | None = None,
) -> Panel:
    width, height = size
    for letter, each in zip("ABCDEFGH", targets, strict=False):
        each["refId"] = letter
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": overrides or []},
        "options": options,
    }


def stat(
    title: str,
    description: str,
    expression: str,
    *,
    unit: str,
    steps: dict[str, Any],
    no_value: str,
    no_value_colour: str = GREY,
    size: tuple[int, int] = (3, 4),
    decimals: int | None = None,
) -> Panel:
    """One number on a coloured ground, of the present.

    Asked for as of now, so that a number that has ended is not shown for one that goes on.

    Args:
        title: of the panel.
        description: what it means and what to do.
        expression: PromQL that gives one series.
        unit: Grafana's name of it.
        steps: the colours, from :func:`looks.thresholds`.
        no_value: what no data means here, in a word or two.
        no_value_colour: of the ground under that; grey is neither good nor bad.
        size: width and height.
        decimals: digits after the point, if not left to Grafana.
    """
    defaults: dict[str, Any] = {
        "unit": unit,
        "noValue": no_value,
        "mappings": [nothing(no_value, no_value_colour)],
        "color": {"mode": "thresholds"},
        "thresholds": steps,
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "value",
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
    }
    query = target(expression, title, instant=True)
    return _panel(
        "stat", title, description, [query], size=size, defaults=defaults, options=options
    )


def graph(
    title: str,
    description: str,
    targets: list[Target],
    *,
    unit: str,
    size: tuple[int, int],
    stacked: bool = False,
    overrides: list[Override] | None = None,
    highest: float | None = None,
    lowest: float | None = 0,
    steps: dict[str, Any] | None = None,
    no_value: str | None = None,
) -> Panel:
    """Values over time, as lines or as a stack of areas.

    ``no_value`` says what may be missing where all is well, if anything.
    """
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1 if stacked else 2,
        "fillOpacity": 40 if stacked else 10,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if steps is None else "line"},
    }
    defaults: dict[str, Any] = {
        "unit": unit,
        "color": {"mode": "palette-classic-by-name"},
        "thresholds": steps or _PLAIN,
        "custom": custom,
    }
    if no_value is not None:
        defaults["noValue"] = no_value
    if lowest is not None:
        defaults["min"] = lowest
    if highest is not None:
        defaults["max"] = highest
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel(
        "timeseries",
        title,
        description,
        targets,
        size=size,
        defaults=defaults,
        options=options,
        overrides=overrides,
    )


def timeline(
    title: str,
    description: str,
    targets: list[Target],
    *,
    words: dict[int, tuple[str, str]],
    no_value: str,
    size: tuple[int, int],
) -> Panel:
    """States over time, one line each; numbers stand for states.

    Args:
        title: of the panel.
        description: what it means and what to do.
        targets: from :func:`target`.
        words: each number's word and colour.
        no_value: what no data means here.
        size: width and height.
    """
    defaults = {
        "unit": "none",
        "noValue": no_value,
        "color": {"mode": "thresholds"},
        "thresholds": _PLAIN,
        "mappings": mapping(words),
        "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False},
    }
    options = {
        "showValue": "auto",
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel(
        "state-timeline", title, description, targets, size=size, defaults=defaults, options=options
    )


def bars(
    title: str,
    description: str,
    targets: list[Target],
    *,
    unit: str,
    size: tuple[int, int],
    no_value: str,
    overrides: list[Override] | None = None,
    highest: float | None = None,
) -> Panel:
    """One bar per series, for the whole time range."""
    defaults: dict[str, Any] = {
        "unit": unit,
        "min": 0,
        "noValue": no_value,
        "color": {"mode": "fixed", "fixedColor": BLUE},
        "thresholds": _PLAIN,
    }
    if highest is not None:
        defaults["max"] = highest
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "showUnfilled": True,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
    }
    return _panel(
        "bargauge",
        title,
        description,
        targets,
        size=size,
        defaults=defaults,
        options=options,
        overrides=overrides,
    )


def heat_map(
    title: str,
    description: str,
    query: Target,
    *,
    unit: str,
    size: tuple[int, int],
    no_value: str,
) -> Panel:
    """How often each bucket of a histogram was hit, over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "short", "decimals": 0},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "scale": "exponential",
            "exponent": 0.5,
            "fill": "dark-orange",
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    defaults = {"unit": "short", "noValue": no_value}
    return _panel(
        "heatmap", title, description, [query], size=size, defaults=defaults, options=options
    )


def table(
    title: str,
    description: str,
    targets: list[Target],
    *,
    columns: dict[str, str],
    size: tuple[int, int],
    unit: str,
    no_value: str,
    sort_by: str,
    overrides: list[Override] | None = None,
) -> Panel:
    """Rows of labels and values, of the present.

    Args:
        title: of the panel.
        description: what it means and what to do.
        targets: instant ones, of the format ``table``; rows with the same labels become one.
        columns: label, or ``Value #A`` for the first query's value, and the column's heading.
        size: width and height.
        unit: of the values.
        no_value: what no data means here.
        sort_by: the heading of the column that is sorted, highest first.
        overrides: for single columns.
    """
    order = {name: place for place, name in enumerate(columns)}
    names = dict(columns)
    if len(targets) == 1 and "Value #A" in columns:
        # A single query's value has no letter.
        order["Value"] = order.pop("Value #A")
        names["Value"] = names.pop("Value #A")
    return _panel(
        "table",
        title,
        description,
        targets,
        size=size,
        defaults={"unit": unit, "noValue": no_value, "custom": {"align": "auto"}},
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
            "sortBy": [{"displayName": sort_by, "desc": True}],
        },
        overrides=overrides,
    ) | {
        "transformations": [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": order,
                    "renameByName": names,
                },
            },
        ]
    }
