"""The page that is made from the registry."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from weatherglass.telemetry import registry

TOOL = Path(__file__).parents[2] / "tools" / "generate_telemetry_page.py"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    """What the tool defines."""
    return runpy.run_path(str(TOOL))


def test_page_is_what_the_registry_says(tool: dict[str, Any]) -> None:
    """O1: docs/telemetry.md is up to date."""
    assert tool["main"](["--check"]) == 0


def test_page_has_every_name(tool: dict[str, Any]) -> None:
    """O1: every span, metric, event and attribute stands on the page."""
    page = tool["page"]()

    for table in (registry.SPANS, registry.METRICS, registry.EVENTS, registry.ATTRIBUTES):
        assert [name for name in table if f"`{name}`" not in page] == []


def test_page_states_the_number_of_series(tool: dict[str, Any]) -> None:
    """O6: the page states how many series there can be, metric by metric and in all."""
    page = tool["page"]()
    total = sum(metric.most_series for metric in registry.METRICS.values())

    assert f"| all together | {total:,} |" in page
