"""The fixtures, as another project's tests use them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

USER_TESTS = """
import requests
from weatherglass.testing import FaultPlan, VirtualClock, faults


def test_server(weatherglass_server):
    weatherglass_server.plan = FaultPlan.script(faults.answer(503))
    assert requests.get(weatherglass_server.url + "/echo", timeout=20).status_code == 503
    assert weatherglass_server.ledger.by_status() == {503: 1}


def test_server_is_new_in_every_test(weatherglass_server):
    assert requests.get(weatherglass_server.url + "/echo", timeout=20).status_code == 200
    assert not isinstance(weatherglass_server.clock, VirtualClock)


def test_server_lives_in_the_clock(weatherglass_server, weatherglass_clock):
    assert weatherglass_server.clock is weatherglass_clock
    weatherglass_server.plan = FaultPlan.script(faults.delay(3600))
    assert requests.get(weatherglass_server.url + "/echo", timeout=20).ok
    assert weatherglass_clock.monotonic() == 3600


def test_receiver(weatherglass_otlp):
    headers = {"Content-Type": "application/x-protobuf"}
    assert requests.post(weatherglass_otlp.url + "/v1/traces", headers=headers, timeout=20).ok
    assert weatherglass_otlp.exports == {"/v1/traces": 1}
"""

MOCK_TEST = """
import weatherglass


def test_mock(weatherglass_requests_mock, weatherglass_clock):
    weatherglass_requests_mock.get(
        "https://api.example.com/x", [{"status_code": 503}, {"json": {"done": True}}]
    )
    with weatherglass.Session(runtime=weatherglass_clock) as session:
        answer = session.get("https://api.example.com/x")
    assert answer.json() == {"done": True}
    assert weatherglass_requests_mock.call_count == 2
    assert [attempt.status for attempt in weatherglass.report(answer).attempts] == [503, 200]
"""


@pytest.fixture
def alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project in which no plugin is loaded that it does not name."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # The tests may run on a source tree that is found by a relative path.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(p).resolve()) for p in sys.path))
    return pytester


def run(project: pytest.Pytester, tests: str) -> pytest.RunResult:
    project.makepyfile(tests)
    return project.runpytest_subprocess("-p", "weatherglass.testing.plugin", "-W", "error")


def test_fixtures_work_in_another_project(alone: pytest.Pytester) -> None:
    """Server, clock and receiver are there for the asking, and leave nothing to warn of."""
    run(alone, USER_TESTS).assert_outcomes(passed=4)


def test_requests_mock_fixture_works_in_another_project(alone: pytest.Pytester) -> None:
    """D3: under the fixture a weatherglass session retries what requests_mock answers."""
    run(alone, MOCK_TEST).assert_outcomes(passed=1)


def test_fixtures_have_their_documentation(alone: pytest.Pytester) -> None:
    """``pytest --fixtures`` says what each of them is for."""
    result = alone.runpytest_subprocess("-p", "weatherglass.testing.plugin", "--fixtures")
    result.stdout.fnmatch_lines_random(
        [
            "weatherglass_clock*",
            "weatherglass_server*",
            "weatherglass_otlp*",
            "weatherglass_requests_mock*",
        ]
    )
