"""The live stack as fixtures, made once for all tests that ask it; see ``live_stack``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_stack import Live, live_stack


@pytest.fixture(scope="session")
def lives(
    collector_binary: Path,  # noqa: ARG001 - its absence skips
    prometheus_binary: Path,  # noqa: ARG001 - likewise
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Live]]:
    """Both ways through the stack, after the weather."""
    with live_stack(tmp_path_factory.mktemp("live")) as lives:
        yield lives


@pytest.fixture(scope="session")
def push(lives: dict[str, Live]) -> Live:
    """The way of ``otel-collector.yaml``, with our rules loaded."""
    return lives["push"]


@pytest.fixture(scope="session")
def scrape(lives: dict[str, Live]) -> Live:
    """The way of ``collector/scrape.yaml``."""
    return lives["scrape"]
