"""What the tests of the SDK have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

import weatherglass
from weatherglass.genesys import install
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, FakeServer

PATIENCE = 30.0
"""Real seconds after which a thread is taken to be stuck."""

QUEUES = "/api/v2/routing/queues"

Result = TypeVar("Result")


def token_source(server: FakeServer, **changes: Any) -> weatherglass.ClientCredentials:
    """The credentials of the server's own client, for the server's origin."""
    given: dict[str, Any] = {
        "token_url": server.token_url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "origins": [server.url],
    }
    return weatherglass.ClientCredentials(**{**given, **changes})


def installed(sdk: Any, server: FakeServer, session: weatherglass.Session) -> Any:
    """A client of the SDK for this server, on this session."""
    client = sdk.ApiClient(host=server.url)
    install(client, session)
    return client


def failure_of(call: Callable[[], Any]) -> Any:
    """The ``ApiException`` that a call raises."""
    from PureCloudPlatformClientV2.rest import (  # noqa: PLC0415 - after the fixture
        ApiException,
    )

    with pytest.raises(ApiException) as caught:
        call()
    return caught.value


def in_threads(count: int, function: Callable[[int], Result]) -> list[Result]:
    """Run a function in so many threads, which begin together; returns their results."""
    begin = threading.Barrier(count)
    results: dict[int, Result] = {}

    def run(number: int) -> None:
        begin.wait(PATIENCE)
        results[number] = function(number)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a thread is stuck"
    return [results[number] for number in range(count)]
