"""The generator of the dashboards: plain functions that give Grafana's classic dashboard JSON.

:mod:`queries` builds PromQL from the telemetry registry, :mod:`panels` one panel each,
:mod:`boards` lays panels out, and one module per board says what is on it. Plain dictionaries,
since Grafana's own SDK needs a newer Python than this project does; a test reads every board with
that SDK's models instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from dashboards.source import breakers, failures, weather

BOARDS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "weather.json": weather.board,
    "failures.json": failures.board,
    "breakers.json": breakers.board,
}
"""What makes each file, in the order in which the boards are read."""


def render(name: str) -> str:
    """The text of one file.

    Raises:
        KeyError: for a name that is not in :data:`BOARDS`.
    """
    return json.dumps(BOARDS[name](), indent=2, ensure_ascii=False) + "\n"
