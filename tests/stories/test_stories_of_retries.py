"""Stories of retries, delays and give-ups: told as they were, in spans, metrics and logs.

Each test plays a story, makes sure that it was the one that it claims to be, and has ``check``
compare all that was told with the calls' reports and the server's ledger (rules O1 and O2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from stage import Stage, check, only

import weatherglass
from weatherglass.testing import faults
from weatherglass.vocabulary import RetryAfterVariant

USABLE = {
    "delta_seconds",
    "delta_zero",
    "delta_float",
    "imf_fixdate",
    "rfc850",
    "asctime",
    "date_other_zone",
    "date_past",
    "iso8601",
    "duration",
    "epoch_seconds",
    "epoch_millis",
    "milliseconds_header",
    "multiple",
    "quoted",
}


def test_success_at_once() -> None:
    """O2: a call that succeeds at once is told as one attempt, and nothing else."""
    with Stage() as stage:
        stage.get(stage.session())
        story = only(check(stage))
    assert (story.outcome, len(story.attempts), story.waits) == ("success", 1, ())


def test_retries_by_status() -> None:
    """O2: retries after transient statuses are told with kind, code, delay and wait."""
    with Stage() as stage:
        stage.script(*(faults.answer(status) for status in (408, 429, 502, 503, 504)))
        stage.get(stage.session(breaker={"consecutive_failures": 10}))
        story = only(check(stage))
    assert [attempt.status for attempt in story.attempts] == [408, 429, 502, 503, 504, 200]
    assert [wait.reason for wait in story.waits] == ["backoff"] * 5
    assert story.outcome == "success"


def test_retries_by_network() -> None:
    """O2: retries after network failures are told, with no status that nobody sent."""
    with Stage() as stage:
        stage.script(faults.reset(), faults.raw(b"rubbish\r\n\r\n"), faults.cut())
        stage.get(stage.session())
        story = only(check(stage))
    kinds = [attempt.kind for attempt in story.attempts]
    assert kinds == ["connection_reset", "malformed_response", "truncated_body", None]
    assert [attempt.status for attempt in story.attempts] == [None, None, 200, 200]


def test_answer_that_does_not_come() -> None:
    """O2: an attempt that timed out is told without the answer that nobody waited for."""
    with Stage() as stage:
        stage.script(faults.hold("late"))
        stage.get(stage.session(), timeout=(5, 0.1))
        stage.server.release("late")
        story = only(check(stage))
    assert [attempt.kind for attempt in story.attempts] == ["read_timeout", None]


def test_connections_that_are_refused() -> None:
    """O2, N3: attempts that reached no server are told, and why the call gave up."""
    with Stage() as stage:
        stage.get(stage.session(), stage.server.refused_url() + "/")
        story = only(check(stage))
    assert [attempt.kind for attempt in story.attempts] == ["connect_refused"] * 4
    assert story.give_up == "network_retries_exhausted"
    assert story.exception == "requests.exceptions.ConnectionError"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("variant", list(RetryAfterVariant), ids=str)
def test_every_form_of_retry_after(variant: RetryAfterVariant, status: int) -> None:
    """O1, A1: each form of Retry-After is told with its variant, its source and its fate."""
    with Stage() as stage:
        stage.script(faults.answer(status, message="Busy.", retry_after=variant))
        stage.get(stage.session())
        story = only(check(stage))
    attempt = story.attempts[0]
    assert attempt.variant == variant
    assert (attempt.seconds is not None) == (attempt.variant in USABLE)
    assert attempt.delay_source == ("retry_after" if variant in USABLE else "backoff")
    assert story.outcome == "success"


def test_raw_value_of_retry_after_stays_on_the_span() -> None:
    """O1: an unusable value is warned of; what the server wrote is on the span, not in logs."""
    value = "soon " * 40
    with Stage() as stage:
        stage.script(faults.answer(503, headers={"Retry-After": value}))
        stage.get(stage.session())
        check(stage)
        event = only(
            event
            for span in stage.exported.spans()
            for event in span.events
            if event.name == "weatherglass.retry_after.received"
        )
        record = only(r for r in stage.logs if r.levelname == "WARNING")
    assert event.attributes["weatherglass.retry_after.raw"] == value[:64]
    assert "unparseable" in record.getMessage()
    assert "soon" not in record.getMessage()
    assert not any("soon" in str(value) for value in vars(record).values())


def test_delay_above_the_ceiling() -> None:
    """O1, A6: a delay above the ceiling is told as refused, and as the reason to give up."""
    with Stage() as stage:
        stage.script(faults.daily_limit(hours=5))
        stage.get(stage.session())
        story = only(check(stage))
    assert story.attempts[0].disposition == "refused"
    assert (story.outcome, story.give_up) == ("gave_up", "retry_after_above_ceiling")


def test_delay_across_the_deadline() -> None:
    """O1, D9: a delay that would cross the deadline is told as refused for the deadline."""
    with Stage() as stage:
        stage.script(faults.answer(503, retry_after=60))
        stage.get(stage.session(), deadline=10)
        story = only(check(stage))
    assert (story.attempts[0].disposition, story.give_up) == ("refused", "deadline")


def test_delay_of_a_request_that_may_not_be_replayed() -> None:
    """O1: a Retry-After that decides nothing is told as ignored."""
    with Stage() as stage:
        stage.script(faults.answer(504, retry_after=2))
        stage.play(stage.session(), "POST", "/echo", data="x")
        story = only(check(stage))
    assert (story.attempts[0].disposition, story.give_up) == ("ignored", "method_not_replayable")


def test_wait_at_the_gate() -> None:
    """O1, A8: a call that is held back by another one's 429 tells of its wait at the gate."""
    with Stage() as stage:
        session = stage.session()
        stage.script(faults.answer(429, retry_after=20))
        stage.get(session, max_retries=0)
        stage.get(session)
        first, second = check(stage)
    assert (first.give_up, first.waits) == ("retries_exhausted", ())
    assert [(wait.reason, wait.before_attempt) for wait in second.waits][:1] == [("gate", 1)]
    assert (second.outcome, len(second.attempts)) == ("success", 1)


def test_refusal_at_the_gate() -> None:
    """O1, A8: a call that has no time for the gate tells that it was refused, unsent."""
    with Stage() as stage:
        session = stage.session()
        stage.script(faults.answer(429, retry_after=20))
        stage.get(session, max_retries=0)
        stage.get(session, deadline=5)
        refused = check(stage)[1]
    assert (refused.outcome, refused.give_up, refused.kind) == ("refused", "deadline", "deadline")
    assert refused.exception == "weatherglass.errors.DeadlineExceeded"


def _one_shot() -> Iterator[bytes]:
    yield b"once"


@pytest.mark.parametrize(
    ("reason", "script", "policy", "arguments"),
    [
        ("retries_exhausted", [faults.answer(503)] * 3, {"retry": {"max_retries": 2}}, {}),
        ("network_retries_exhausted", [faults.reset()] * 4, {}, {}),
        ("retry_budget_empty", [faults.answer(502)] * 3, {"retry_budget": {"capacity": 1}}, {}),
        ("network_budget_empty", [faults.reset()] * 3, {"network_budget": {"capacity": 1}}, {}),
        ("body_not_replayable", [faults.answer(503)], {}, {"data": _one_shot()}),
        ("method_not_replayable", [faults.reset()], {}, {"data": b"x", "method": "POST"}),
        ("circuit_open", [faults.answer(503)] * 2, {"breaker": {"consecutive_failures": 2}}, {}),
        ("retry_after_above_ceiling", [faults.answer(503, retry_after=181)], {}, {}),
        ("deadline", [faults.answer(503, retry_after=6)], {"deadline": 5.0}, {}),
    ],
)
def test_each_reason_to_give_up(
    reason: str,
    script: list[faults.Fault],
    policy: dict[str, Any],
    arguments: dict[str, Any],
) -> None:
    """O1, R2: every reason to give up is told on span, in metric, event and log record."""
    with Stage() as stage:
        stage.script(*script)
        session = stage.session(**policy)
        arguments = {"method": "PUT", **arguments}
        stage.play(session, arguments.pop("method"), "/echo", **arguments)
        story = only(check(stage))
        warned = [r.getMessage() for r in stage.logs if r.levelname == "WARNING"]
    assert (story.outcome, story.give_up) == ("gave_up", reason)
    told = only(message for message in warned if message.startswith("call given up"))
    assert f"give_up.reason={reason}" in told


def test_session_that_is_closed_meanwhile() -> None:
    """O1, D14: a call that was waiting when its session was closed tells so."""
    opened: list[weatherglass.Session] = []
    with Stage() as stage:
        stage.script(faults.answer(503))
        session = stage.session(callbacks={"on_retry": lambda _: opened[0].close()})
        opened.append(session)
        stage.get(session)
        story = only(check(stage))
    assert (story.outcome, story.give_up) == ("gave_up", "closed")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.answer(400, code="INVALID_REQUEST"), "invalid_request"),
        (faults.answer(403), "forbidden"),
        (faults.answer(404), "not_found"),
        (faults.answer(409), "conflict"),
        (faults.answer(500), "server_error"),
        (faults.answer(500, form="html"), "server_error"),
        (faults.answer(503, code="VALIDATION_FAILED"), "invalid_request"),
    ],
)
def test_permanent_failures(fault: faults.Fault, kind: str) -> None:
    """O1: a permanent failure is told as failed, without a reason to give up."""
    with Stage() as stage:
        stage.script(fault)
        stage.get(stage.session())
        story = only(check(stage))
    assert (story.outcome, story.give_up, story.exception) == ("failed", None, None)
    assert story.attempts[0].transient is False
    assert kind in (story.kind, "invalid_request")


def test_failure_that_is_raised() -> None:
    """O2, D5: a failure that is raised leaves one exception event, whatever the attempts were."""
    with Stage() as stage:
        stage.script(*[faults.answer(503)] * 3)
        raised = stage.get(stage.session(raise_failures=True, retry={"max_retries": 2}))
        story = only(check(stage))
    assert isinstance(raised, weatherglass.StatusFailed)
    assert story.exception == "weatherglass.errors.StatusFailed"


def test_request_that_cannot_be_sent() -> None:
    """O2: an exception that is no weather is told as the failure that it is."""
    with Stage() as stage:
        raised = stage.get(stage.session(), timeout=(1, 2, 3))
        story = only(check(stage))
    assert isinstance(raised, ValueError)
    assert (story.outcome, story.kind) == ("failed", "invalid_call")


def test_hook_that_raises() -> None:
    """O2: what an application's own hook raises after a success is told once, on the call."""

    def hook(*_: object, **__: object) -> None:
        raise LookupError("of the application")

    with Stage() as stage:
        raised = stage.get(stage.session(), hooks={"response": hook})
        story = only(check(stage))
    assert isinstance(raised, LookupError)
    assert (story.outcome, story.exception) == ("success", "LookupError")


def test_escalation() -> None:
    """O1, C9: a 403 that ends a run of 429s is told as escalated, once, and never retried."""
    with Stage() as stage:
        stage.script(*[faults.answer(429, retry_after=1)] * 3, faults.answer(403))
        stage.get(stage.session())
        story = only(check(stage))
        event = only(
            (span, event)
            for span in stage.exported.spans()
            for event in span.events
            if event.name == "weatherglass.auth.escalated"
        )
    assert (story.outcome, story.kind) == ("failed", "escalated")
    assert event[0].attributes["http.response.status_code"] == 403
    assert event[1].attributes == {
        "server.address": "127.0.0.1",
        "weatherglass.failure.code": story.attempts[-1].code,
        "weatherglass.correlation_id": story.attempts[-1].correlation_id,
    }


def test_streaming() -> None:
    """O2, D10: a streamed call is told as it stood when the caller got the response."""
    with Stage() as stage:
        session = stage.session()
        stage.script(faults.answer(503), None, faults.cut(of=faults.answer(200, body="x" * 99)))
        with stage.get(session, "/stream", stream=True) as streamed:
            assert len(list(streamed.iter_lines())) == 3
        with stage.get(session, stream=True) as broken, pytest.raises(requests.RequestException):
            broken.content  # noqa: B018 - the property reads the body
        first, second = check(stage)
    assert [attempt.status for attempt in first.attempts] == [503, 200]
    assert second.outcome == "success"


def test_callbacks_that_raise() -> None:
    """O1, R6: a callback that raises is counted and logged, and the story goes on as it was."""

    def broken(_: object) -> None:
        raise LookupError("of the application")

    with Stage() as stage:
        stage.script(faults.answer(503))
        stage.get(stage.session(callbacks={"on_failure": broken, "on_retry": broken}))
        story = only(check(stage))
        failed = [r for r in stage.logs if r.levelname == "ERROR"]
    assert story.outcome == "success"
    assert len(failed) == 2
    assert all("error.type=LookupError" in record.getMessage() for record in failed)
