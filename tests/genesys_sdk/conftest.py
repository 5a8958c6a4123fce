"""The real SDK on a fake server, without what importing it leaves behind."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sdk_scenes import token_source

import weatherglass
from weatherglass.genesys import install
from weatherglass.testing import FakeServer, VirtualClock

NAME = "PureCloudPlatformClientV2"


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The SDK, imported such that it starts no threads and leaves the loggers as they were."""
    if find_spec(NAME) is None:
        pytest.skip(f"{NAME} is not installed")
    home: Path = tmp_path_factory.mktemp("home")
    folder = home / ".genesyscloudpython"
    folder.mkdir()
    (folder / "config").write_text("[general]\nlive_reload_config = false\n")
    loggers = [logging.getLogger(name) for name in ("urllib3", "watchdog")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    # For the time of the import alone: other tests follow in the same process.
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("HOME", str(home))
        # Its own, when it is compiled.
        warnings.simplefilter("ignore")
        import PureCloudPlatformClientV2  # noqa: PLC0415
    for logger, (level, propagate) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate = propagate
    return PureCloudPlatformClientV2


@pytest.fixture
def configuration(sdk: Any) -> Iterator[Any]:
    """The SDK's one configuration, put back afterwards."""
    found = sdk.configuration
    before = dict(vars(found))
    yield found
    vars(found).clear()
    vars(found).update(before)


@pytest.fixture
def clock() -> VirtualClock:
    """Time that passes only in waits."""
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    """A server that wants tokens; a test sets its ``plan``."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        yield server


@pytest.fixture
def session(server: FakeServer, clock: VirtualClock) -> Iterator[weatherglass.Session]:
    """A session with the server's token."""
    with weatherglass.Session(tokens=token_source(server), runtime=clock) as session:
        yield session


@pytest.fixture
def api_client(
    sdk: Any, configuration: Any, server: FakeServer, session: weatherglass.Session
) -> Any:
    """The SDK's client, on weatherglass."""
    assert sdk.configuration is configuration
    client = sdk.ApiClient(host=server.url)
    install(client, session)
    return client


@pytest.fixture
def busy_server() -> Iterator[FakeServer]:
    """Likewise in real time, for tests with many threads."""
    with FakeServer(require_tokens=True) as server:
        yield server


@pytest.fixture
def busy_client(sdk: Any, configuration: Any, busy_server: FakeServer) -> Iterator[Any]:
    """The SDK's client, on weatherglass, in real time."""
    assert sdk.configuration is configuration
    client = sdk.ApiClient(host=busy_server.url)
    with weatherglass.Session(tokens=token_source(busy_server)) as session:
        install(client, session)
        yield client
