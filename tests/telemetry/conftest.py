"""A recorder on providers in memory, for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from telemetry_harness import Harness


@pytest.fixture
def harness() -> Iterator[Harness]:
    """A recorder and what it has told."""
    made = Harness()
    yield made
    made.tracer_provider.shutdown()
    made.meter_provider.shutdown()
