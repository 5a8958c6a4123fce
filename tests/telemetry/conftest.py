"""A recorder on providers in memory, for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.context import Context, attach, detach
from telemetry_harness import Harness


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """Nothing is current at the start of a test, whatever the one before has left open."""
    token = attach(Context())
    yield
    detach(token)


@pytest.fixture
def harness() -> Iterator[Harness]:
    """A recorder and what it has told."""
    made = Harness()
    yield made
    made.tracer_provider.shutdown()
    made.meter_provider.shutdown()
