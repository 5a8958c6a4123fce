"""pytest fixtures; found by pytest itself once weatherglass is installed.

Loaded in every pytest run of whoever has weatherglass, so it imports pytest and nothing more:
each fixture fetches what it needs when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import requests_mock

    from weatherglass.testing.clocks import VirtualClock
    from weatherglass.testing.otlp import OtlpReceiver
    from weatherglass.testing.server import FakeServer


@pytest.fixture
def weatherglass_clock() -> VirtualClock:
    """A :class:`~weatherglass.testing.VirtualClock`, to be given to a session as its runtime."""
    from weatherglass.testing.clocks import VirtualClock  # noqa: PLC0415 - see the module

    return VirtualClock()


@pytest.fixture
def weatherglass_server(request: pytest.FixtureRequest) -> Iterator[FakeServer]:
    """A running :class:`~weatherglass.testing.FakeServer` without faults; set its ``plan``.

    In a test that also asks for ``weatherglass_clock``, the server lives in that clock's time.
    """
    from weatherglass.runtime import SYSTEM, Runtime  # noqa: PLC0415 - see the module
    from weatherglass.testing.server import FakeServer  # noqa: PLC0415 - likewise

    clock: Runtime = SYSTEM
    if "weatherglass_clock" in request.fixturenames:
        clock = request.getfixturevalue("weatherglass_clock")
    with FakeServer(clock=clock) as server:
        yield server


@pytest.fixture
def weatherglass_otlp() -> Iterator[OtlpReceiver]:
    """A running :class:`~weatherglass.testing.OtlpReceiver`."""
    from weatherglass.testing.otlp import OtlpReceiver  # noqa: PLC0415 - see the module

    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def weatherglass_requests_mock() -> Iterator[requests_mock.Mocker]:
    """A ``requests_mock`` mocker that leaves weatherglass' machinery in place (rule D3).

    Used as the ``requests_mock`` fixture is. An address that was not registered ends the call
    at once with ``requests_mock.NoMockAddress``.
    """
    from weatherglass.adapter import Adapter  # noqa: PLC0415 - see the module
    from weatherglass.testing.mocking import mocked_below  # noqa: PLC0415 - likewise

    with mocked_below(Adapter) as mocker:
        yield mocker
