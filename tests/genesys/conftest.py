"""A fake server that wants tokens, in virtual time, and an environment without credentials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from genesys_scenes import Clock

from weatherglass.testing import FakeServer


@pytest.fixture
def clock() -> Clock:
    """Time that passes only in waits, and chance that is always one half."""
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[FakeServer]:
    """A server that demands tokens and has no faults; a test sets its ``plan``."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        yield server


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of Genesys Cloud."""
    for name in ("CLIENT_ID", "CLIENT_SECRET", "REGION"):
        monkeypatch.delenv(f"GENESYS_CLOUD_{name}", raising=False)
    return monkeypatch
