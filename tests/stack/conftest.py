"""The real programs, for the tests in this folder.

Where one can neither be found nor built, its tests are skipped with the reason, or fail with it
if ``STACK_REQUIRED`` is set, as CI does.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from stack import binaries

_PROGRAMS = {
    "collector_binary": binaries.collector,
    "prometheus_binary": binaries.prometheus,
    "promtool": binaries.promtool,
    "dashboard_linter": binaries.dashboard_linter,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests on one worker: they share a stack that took long to come to life."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.xdist_group("stack"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test: that takes minutes, which no test may."""
    if session.config.option.collectonly:
        return
    needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for name, find in _PROGRAMS.items():
        if name in needed:
            with suppress(binaries.Unavailable):
                find()


def _found(name: str) -> Path:
    try:
        return _PROGRAMS[name]()
    except binaries.Unavailable as reason:
        if os.environ.get("STACK_REQUIRED"):
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    return _found("collector_binary")


@pytest.fixture(scope="session")
def prometheus_binary() -> Path:
    return _found("prometheus_binary")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return _found("promtool")


@pytest.fixture(scope="session")
def dashboard_linter() -> Path:
    return _found("dashboard_linter")


# The weather that goes through all of them once, for the tests that look at it from many sides.
from live_fixtures import lives, push, scrape  # noqa: E402, F401 - fixtures are found by name
