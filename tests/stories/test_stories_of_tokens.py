"""Stories of tokens: fetched, refreshed, waited for, refused (rules O1, O2 and T2 to T7)."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests
from narrative import REFRESH, WAIT, Told
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as LiveSpan
from opentelemetry.sdk.trace import SpanProcessor
from retelling import traced_by
from stage import Stage, check, only

import weatherglass
from weatherglass.testing import TOKEN_PATH, FaultPlan, Span, faults, rules_of

QUEUES = "/api/v2/routing/queues"


class StartedWaits(SpanProcessor):
    """Counts the waits that have begun, for whoever waits for them."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)

    def on_start(self, span: LiveSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the interface
        if span.name == WAIT:
            self.begun.release()


def told_by(stage: Stage) -> Told:
    return Told(stage.exported.spans(), [])


def test_first_token() -> None:
    """O2, T5: the fetch of the first token is told below the call that made it."""
    with Stage(require_tokens=True) as stage:
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        check(stage)
        told = told_by(stage)
    refresh = only(told.refreshes())
    call = only(span for span in told.calls() if span.parent_id is None)
    assert refresh.parent_id == call.span_id
    assert refresh.attributes["weatherglass.token.reason"] == "missing"
    assert refresh.attributes["weatherglass.token.source"] == "client_credentials"


def test_token_endpoint_below_the_refresh() -> None:
    """O2, T6: every attempt at the token endpoint is told, below the refresh that made it."""
    with Stage(require_tokens=True) as stage:
        stage.script(faults.answer(503), faults.reset(), path=TOKEN_PATH)
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        stories = check(stage)
        told = told_by(stage)
        token_calls = stage.server.ledger.token_calls()
    refresh = only(told.refreshes())
    endpoint = only(told.children(refresh))
    attempts = [span for span in told.children(endpoint) if span.kind == "CLIENT"]
    assert [(span.trace_id, span.span_id) for span in attempts] == [
        traced_by(entry) for entry in token_calls
    ]
    assert [span.attributes["http.request.method"] for span in attempts] == ["POST"] * 3
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1, 2]
    assert [story.policy for story in stories] == ["token-endpoint", "default"]


def test_refresh_after_401() -> None:
    """O2, T4: a 401, the refresh that it causes and the replay are one story."""
    with Stage(require_tokens=True) as stage:
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        stage.server.revoke_tokens()
        stage.get(session, QUEUES)
        story = check(stage)[-1]
        told = told_by(stage)
        report = stage.reports[-1]
        ledger = stage.server.ledger.requests(path=QUEUES)
    assert [(a.status, a.resend_reason) for a in story.attempts] == [(401, None), (200, "reauth")]
    assert (story.attempts[0].delay, story.attempts[0].delay_source) == (0.0, "token")
    assert [span.attributes["weatherglass.token.reason"] for span in told.refreshes()] == [
        "missing",
        "unauthorized",
    ]
    assert [attempt.token_generation for attempt in report.attempts] == [
        entry.token_generation for entry in ledger[1:]
    ]
    call = told.calls()[-1]
    names = [span.name for span in told.children(call)]
    assert names == ["GET", REFRESH, "GET"]


def test_401_again_after_the_refresh() -> None:
    """O1, T4: a second 401 is told as final, with its name."""
    with Stage(require_tokens=True) as stage:
        stage.script(*[faults.answer(401, code="bad.credentials")] * 2, path=QUEUES)
        stage.get(stage.session(token_source=stage.client_credentials()), QUEUES)
        story = check(stage)[-1]
    assert (story.outcome, story.give_up) == ("gave_up", "unauthorized_after_refresh")
    assert [attempt.resend_reason for attempt in story.attempts] == [None, "reauth"]


def test_resends_are_counted_together() -> None:
    """O3: retries, redirects and re-authentication share one count on the spans."""
    with Stage() as stage:
        stage.server.plan = FaultPlan(
            rules=rules_of(
                faults.answer(503),
                faults.redirect("/echo?again=1"),
                faults.answer(401, code="bad.credentials"),
                faults.answer(503),
                path="/echo",
            )
        )
        stage.get(stage.session(token_source=stage.client_credentials()))
        story = check(stage)[-1]
        spans = [
            s for s in stage.exported.spans() if s.attributes.get("url.full", "").find("/echo") > 0
        ]
        counts = [span.attributes.get("http.request.resend_count") for span in spans]
    assert [attempt.resend_reason for attempt in story.attempts] == [
        None,
        "retry",
        "redirect",
        "reauth",
        "retry",
    ]
    assert counts == [None, 1, 2, 3, 4]


def test_token_endpoint_that_is_down() -> None:
    """O1, T6: a refresh that fails is told as failed, and the call as refused for it."""
    with Stage() as stage:
        stage.script(*[faults.answer(503)] * 9, path=TOKEN_PATH)
        session = stage.session(token_source=stage.client_credentials())
        raised = [stage.get(session), stage.get(session)]
        stories = [story for story in check(stage) if story.policy == "default"]
        refresh = only(told_by(stage).refreshes())
    assert all(isinstance(error, weatherglass.TokenRefreshFailed) for error in raised)
    assert [(story.outcome, story.give_up) for story in stories] == [
        ("refused", "token_refresh_failed")
    ] * 2
    assert {story.exception for story in stories} == {"weatherglass.errors.TokenRefreshFailed"}
    assert refresh.status == "ERROR"


@pytest.mark.parametrize("code", ["invalid_grant", "INVALID_CLIENT", "unauthorized_client"])
def test_credentials_that_are_refused(code: str) -> None:
    """O1, T7: a terminal failure is told once as a refresh, and as the reason of each call."""
    with Stage() as stage:
        stage.script(faults.answer(400, code=code, spelling="oauth"), path=TOKEN_PATH)
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session)
        stage.get(session)
        stories = [story for story in check(stage) if story.policy == "default"]
        refresh = only(told_by(stage).refreshes())
    assert [(story.kind, story.give_up) for story in stories] == [
        ("reauthentication", "reauthentication_required")
    ] * 2
    assert refresh.attributes["error.type"]


def test_refresh_that_fails_in_mid_call() -> None:
    """O1, T6: a 401 whose refresh fails is told as both, and is not the API's answer."""
    with Stage(require_tokens=True) as stage:
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        stage.server.revoke_tokens()
        stage.script(*[faults.answer(503)] * 3, path=TOKEN_PATH)
        raised = stage.get(session, QUEUES)
        story = check(stage)[-1]
    assert isinstance(raised, weatherglass.TokenRefreshFailed)
    assert [attempt.status for attempt in story.attempts] == [401]
    assert (story.outcome, story.kind) == ("gave_up", "token_refresh")


def test_advisory_refresh() -> None:
    """O1, T5: a refresh ahead of time is told with its reason, and delays nobody else."""
    with Stage(require_tokens=True, token_lifetime=1000) as stage:
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        stage.clock.advance(960)
        stage.get(session, QUEUES)
        stage.clock.advance(990)
        stage.get(session, QUEUES)
        check(stage)
        reasons = [
            span.attributes["weatherglass.token.reason"] for span in told_by(stage).refreshes()
        ]
    assert reasons == ["missing", "advisory", "mandatory"]


def test_single_flight_and_its_waiters() -> None:
    """O2, T2: those who wait for another thread's refresh are linked to it, from their waits."""
    waits, threads = StartedWaits(), 8
    with Stage(FaultPlan(), waits, require_tokens=True) as stage:
        session = stage.session(token_source=stage.client_credentials())
        stage.server.plan = FaultPlan.script(faults.hold("token"), path=TOKEN_PATH)

        def conduct() -> None:
            for _ in range(threads - 1):
                assert waits.begun.acquire(timeout=30)
            stage.server.release("token")

        conductor = threading.Thread(target=conduct)
        conductor.start()
        answers = stage.clock.run_together([lambda: stage.get(session, QUEUES)] * threads)
        conductor.join(30)
        stories = [story for story in check(stage) if story.policy == "default"]
        told = told_by(stage)
    assert {answer.status_code for answer in answers} == {200}
    refresh = only(told.refreshes())
    waiting = [span for span in told.spans if span.name == WAIT]
    assert len(waiting) == threads - 1
    for span in waiting:
        assert span.attributes["weatherglass.wait.reason"] == "token"
        assert [(link.trace_id, link.span_id) for link in span.links] == [
            (refresh.trace_id, refresh.span_id)
        ]
        assert span.trace_id != refresh.trace_id
    assert sorted(len(story.waits) for story in stories) == [0] + [1] * (threads - 1)


def test_token_function_with_its_own_calls() -> None:
    """O2, T1: calls that a token function makes are calls of their own, below the refresh."""
    with Stage() as stage:
        inner = stage.session(name="inner")

        def fetch() -> tuple[str, float]:
            stage.get(inner, "/status/200")
            return "token-of-ours", 3600.0

        source = weatherglass.CallableTokens(fetch, origins=[stage.url])
        stage.get(stage.session(token_source=source))
        stories = check(stage)
        told = told_by(stage)
    assert [story.policy for story in stories] == ["inner", "default"]
    inner_call, outer_call = told.calls()
    refresh = only(told.refreshes())
    assert refresh.parent_id == outer_call.span_id
    assert inner_call.parent_id == refresh.span_id


def test_hook_with_its_own_calls() -> None:
    """O2: calls that a response hook makes are calls of their own, below the one that it is in."""
    with Stage() as stage:
        session = stage.session()
        inner = stage.session(name="inner")

        def hook(response: requests.Response, **_: Any) -> None:
            if response.status_code == 200:
                stage.get(inner, "/status/204")

        stage.get(session, hooks={"response": hook})
        stories = check(stage)
        told = told_by(stage)
    assert [story.policy for story in stories] == ["inner", "default"]
    inner_call, outer_call = told.calls()
    assert inner_call.parent_id == outer_call.span_id
    assert [len(_attempts(told, call)) for call in (inner_call, outer_call)] == [1, 1]


def _attempts(told: Told, call: Span) -> list[Span]:
    return [span for span in told.children(call) if span.kind == "CLIENT"]


def test_callback_with_its_own_calls() -> None:
    """O2, R6: calls that a callback makes are calls of their own."""
    with Stage() as stage:
        inner = stage.session(name="inner")
        session = stage.session(callbacks={"on_failure": lambda _: stage.get(inner, "/status/204")})
        stage.script(faults.answer(503), path="/echo")
        stage.get(session)
        stories = check(stage)
    assert [story.policy for story in stories] == ["inner", "default"]
