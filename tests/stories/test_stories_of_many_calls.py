"""Stories of many calls, of many threads, and of calls that are interrupted (rules O1 and O2)."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from opentelemetry import trace
from requests.adapters import HTTPAdapter
from stage import Stage, check

from weatherglass.testing import TOKEN_PATH, FaultPlan, faults
from weatherglass.vocabulary import RetryAfterVariant

QUEUES = "/api/v2/routing/queues"

BAD_WEATHER = [
    faults.answer(429, retry_after=2),
    faults.answer(503),
    faults.answer(504, form="html"),
    faults.answer(500),
    faults.reset(),
    faults.cut(),
    faults.disconnect(),
    faults.answer(503, retry_after=RetryAfterVariant.UNPARSEABLE),
    faults.redirect("/echo?again=1"),
]


@pytest.mark.parametrize("seed", range(3))
def test_random_weather(seed: int) -> None:
    """O2: the stories of many calls in random weather are told, each of them, and no more."""
    with Stage(FaultPlan.chaos(BAD_WEATHER, 0.5), seed=seed) as stage:
        session = stage.session()
        for number in range(60):
            method = ("GET", "POST", "PUT", "DELETE")[number % 4]
            stage.play(session, method, "/echo", params={"n": number}, deadline=120)
            stage.clock.advance(20)
        stories = check(stage)
    assert len(stories) == 60
    assert len({story.outcome for story in stories}) >= 3
    assert len({attempt.kind for story in stories for attempt in story.attempts}) >= 6


def test_random_weather_for_many_threads() -> None:
    """O2: so are those of threads that share session, token, gate and breaker."""
    token_weather = [faults.answer(503), faults.reset()]
    plan = FaultPlan(
        rules=(
            *FaultPlan.chaos(token_weather, 0.3, path=TOKEN_PATH).rules,
            *FaultPlan.chaos([*BAD_WEATHER, faults.revoke()], 0.4, path=QUEUES).rules,
        )
    )
    with Stage(plan, seed=3, require_tokens=True) as stage:
        session = stage.session(
            token_source=stage.client_credentials(), breaker={"consecutive_failures": 4}
        )

        def work() -> None:
            for number in range(12):
                stage.play(session, ("GET", "PUT")[number % 2], QUEUES, deadline=300)

        stage.clock.run_together([work] * 6)
        stories = check(stage, in_threads=True)
    assert len([story for story in stories if story.policy == "default"]) == 72
    assert {wait.reason for story in stories for wait in story.waits} >= {"backoff", "gate"}


class _Interrupting(HTTPAdapter):
    """Sends, and is interrupted before the answer is handed on."""

    def send(self, *arguments: Any, **named: Any) -> requests.Response:
        super().send(*arguments, **named).close()
        raise KeyboardInterrupt


@pytest.mark.parametrize("path", ["/echo", "/redirect?to=/echo"])
def test_interrupt(path: str) -> None:
    """O2, D13: an interrupted attempt was on the wire, so report and telemetry have it."""
    before = trace.get_current_span()
    with Stage() as stage:
        session = stage.session()

        def interrupt(response: requests.Response, **_: object) -> None:
            if response.status_code == 302:
                session.adapter.inner = _Interrupting()

        if path == "/echo":
            session.adapter.inner = _Interrupting()
        stage.get(session, path, hooks={"response": interrupt})
        session.adapter.inner = None
        stage.get(session)
        cut_short, later = check(stage)
    assert (cut_short.outcome, cut_short.exception) == ("failed", "KeyboardInterrupt")
    assert cut_short.attempts[-1].error_type == "KeyboardInterrupt"
    assert later.outcome == "success"
    assert trace.get_current_span() is before
