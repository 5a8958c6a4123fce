"""Whole calls beside the official instrumentations of requests and urllib3 (rule O5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests
from narrative import REFRESH, Told
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.instrumentation.utils import (
    suppress_http_instrumentation,
    suppress_instrumentation,
)
from retelling import traced_by
from stage import Stage, check, only

import weatherglass
from weatherglass.testing import TOKEN_PATH, Span, faults

INSTRUMENTORS: dict[str, Any] = {
    "requests": RequestsInstrumentor,
    "urllib3": URLLib3Instrumentor,
}
OURS = "weatherglass"
QUEUES = "/api/v2/routing/queues"


@contextmanager
def instrumented(stage: Stage, *names: str) -> Iterator[None]:
    """The instrumentations of these packages, exporting to the same place as the stage."""
    with ExitStack() as undone:
        for name in names:
            instrumentor = INSTRUMENTORS[name]()
            instrumentor.instrument(
                tracer_provider=stage.exported.tracer_provider,
                meter_provider=stage.exported.meter_provider,
                skip_dep_check=True,
            )
            undone.callback(instrumentor.uninstrument)
        yield


def plain_session(stage: Stage, **policy: Any) -> requests.Session:
    """A session of requests with our adapter mounted."""
    tokens = policy.pop("token_source", None)
    adapter = weatherglass.Adapter(
        policy=weatherglass.Policy().new(**policy),
        tokens=tokens,
        callbacks=stage.callbacks(),
        runtime=stage.clock,
        recorder=stage.exported.recorder(runtime=stage.clock),
    )
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", adapter)
    return session


def clients(stage: Stage) -> list[Span]:
    return [span for span in stage.exported.spans() if span.kind == "CLIENT"]


ALL = [("requests",), ("urllib3",), ("requests", "urllib3")]


@pytest.mark.parametrize("names", ALL, ids="+".join)
def test_session(names: tuple[str, ...]) -> None:
    """O5: with Session, the attempts are the only CLIENT spans, and the contexts on the wire."""
    with Stage() as stage, instrumented(stage, *names):
        stage.script(faults.answer(503), faults.redirect("/echo"), faults.reset())
        stage.get(stage.session())
        story = only(check(stage))
        scopes = {span.scope.name for span in stage.exported.spans()}
    assert [attempt.status for attempt in story.attempts] == [503, 302, None, 200]
    assert scopes == {OURS}


@pytest.mark.parametrize("names", ALL, ids="+".join)
def test_session_with_tokens(names: tuple[str, ...]) -> None:
    """O5: so it is at the token endpoint, where each attempt has a span and a context too."""
    with Stage(require_tokens=True) as stage, instrumented(stage, *names):
        stage.script(faults.answer(503), path=TOKEN_PATH)
        stage.get(stage.session(token_source=stage.client_credentials()), QUEUES)
        stories = check(stage)
        scopes = {span.scope.name for span in stage.exported.spans()}
    assert [len(story.attempts) for story in stories] == [2, 1]
    assert scopes == {OURS}


def test_adapter_beside_urllib3() -> None:
    """O5: an adapter on a plain session is not seen by an instrumentation below it."""
    with Stage() as stage, instrumented(stage, "urllib3"):
        stage.script(faults.answer(503))
        stage.get(plain_session(stage))
        story = only(check(stage))
        scopes = {span.scope.name for span in stage.exported.spans()}
    assert len(story.attempts) == 2
    assert scopes == {OURS}


@pytest.mark.parametrize("names", [ALL[0], ALL[2]], ids="+".join)
def test_adapter_below_requests(names: tuple[str, ...]) -> None:
    """O5: below another's CLIENT span there is none of ours: it is told what we know."""
    with Stage() as stage, instrumented(stage, *names):
        stage.script(faults.answer(503, retry_after=2), faults.answer(500))
        stage.get(plain_session(stage))
        span = only(stage.exported.spans())
        entries = stage.server.ledger.requests()
        report = stage.reports[0]
        ours = [point.name for point in stage.exported.points() if point.scope.name == OURS]
    given = span.attributes
    assert (span.kind, span.scope.name) == ("CLIENT", "opentelemetry.instrumentation.requests")
    assert given["weatherglass.policy"] == "default"
    assert given["weatherglass.outcome"] == str(report.outcome) == "failed"
    assert given["weatherglass.attempts"] == len(report.attempts) == 2
    assert given["weatherglass.waited"] == report.waited > 0
    assert given["weatherglass.failure.kind"] == "server_error"
    events = [event.name for event in span.events]
    assert events == ["weatherglass.retry_after.received", "weatherglass.retry.scheduled"]
    assert [traced_by(entry) for entry in entries] == [(span.trace_id, span.span_id)] * 2
    assert not [name for name in ours if name.startswith("http.")]
    assert {"weatherglass.attempts", "weatherglass.call.duration"} <= set(ours)


def test_success_after_a_retry_below_requests() -> None:
    """O5: on another's span, a success is not labelled with a failure that was overcome."""
    with Stage() as stage, instrumented(stage, "requests"):
        stage.script(faults.answer(503, retry_after=2))
        stage.get(plain_session(stage))
        given = only(stage.exported.spans()).attributes
    assert given["weatherglass.outcome"] == "success"
    assert given["weatherglass.attempts"] == 2
    assert not [name for name in given if ".failure." in name or ".retry_after." in name]


def test_giving_up_below_requests() -> None:
    """O5: events and reasons of a call that gives up go on another's span."""
    with Stage() as stage, instrumented(stage, "requests"):
        stage.script(*[faults.answer(503)] * 2)
        stage.get(plain_session(stage, retry={"max_retries": 1}))
        span = only(stage.exported.spans())
    assert span.attributes["weatherglass.give_up.reason"] == "retries_exhausted"
    assert span.events[-1].name == "weatherglass.call.given_up"


def test_tokens_below_requests() -> None:
    """O5: a token request is not told as if it were the call that another's span is about."""
    with Stage(require_tokens=True) as stage, instrumented(stage, "requests"):
        stage.script(faults.answer(503), path=TOKEN_PATH)
        session = plain_session(stage, token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        span = only(stage.exported.spans())
        entry = only(stage.server.ledger.requests(path=QUEUES))
        token_calls = stage.server.ledger.token_calls()
    assert span.attributes["weatherglass.policy"] == "default"
    assert span.attributes["weatherglass.attempts"] == 1
    assert not [name for name in span.attributes if ".failure." in name]
    assert [event.name for event in span.events] == ["weatherglass.token.refreshed"]
    assert traced_by(entry) == (span.trace_id, span.span_id)
    assert [call.header("traceparent") for call in token_calls] == [None, None]


def test_token_function_that_is_instrumented() -> None:
    """O5: what a token function does over HTTP of its own is told by its own instrumentation."""
    with Stage() as stage, instrumented(stage, "requests", "urllib3"):

        def fetch() -> str:
            with requests.Session() as session:
                session.trust_env = False
                return str(session.get(stage.url + "/status/200").status_code)

        source = weatherglass.CallableTokens(fetch, origins=[stage.url])
        stage.get(stage.session(token_source=source))
        told = Told(stage.exported.spans(), [])
        seen = [traced_by(entry)[1] for entry in stage.server.ledger.requests()]
    refresh = only(told.spans_named(REFRESH))
    theirs = only(told.children(refresh))
    assert theirs.scope.name == "opentelemetry.instrumentation.requests"
    ours = only(span for span in told.attempts() if span.scope.name == OURS)
    assert seen == [theirs.span_id, ours.span_id]


def test_callback_that_is_instrumented() -> None:
    """O5, R6: what a callback does over HTTP of its own is told by its own instrumentation."""
    with Stage() as stage, instrumented(stage, "requests"):

        def note(_: object) -> None:
            with requests.Session() as session:
                session.trust_env = False
                session.get(stage.url + "/status/200")

        stage.script(faults.answer(503), path="/echo")
        stage.get(stage.session(callbacks={"on_failure": note}))
        theirs = [span for span in clients(stage) if span.scope.name != OURS]
        told = Told(stage.exported.spans(), [])
        call = only(told.calls())
    assert only(theirs).parent_id == call.span_id
    assert [entry.path for entry in stage.server.ledger.requests()] == [
        "/echo",
        "/status/200",
        "/echo",
    ]


@pytest.mark.parametrize("kind", ["session", "adapter"])
def test_all_instrumentation_suppressed(kind: str) -> None:
    """O5: where all instrumentation is suppressed, nothing is told and nothing injected."""
    with Stage() as stage:
        session = stage.session() if kind == "session" else plain_session(stage)
        stage.script(faults.answer(503, retry_after=2), *[faults.answer(502)] * 9)
        with suppress_instrumentation():
            response = stage.get(session)
        points = [point.name for point in stage.exported.points()]
        entries = stage.server.ledger.requests()
        spans = stage.exported.spans()
    assert response.status_code == 502
    assert (spans, stage.logs) == ([], [])
    assert {name for name in points if not _is_state(name)} == set()
    assert all(entry.header("traceparent") is None for entry in entries)


def _is_state(metric: str) -> bool:
    return metric.startswith(("weatherglass.breaker.status", "weatherglass.budget"))


def test_http_instrumentation_suppressed_without_a_span() -> None:
    """O5: where somebody silenced HTTP instrumentation, there is no span, and our metrics are."""
    with Stage() as stage:
        stage.script(faults.answer(503))
        with suppress_http_instrumentation():
            stage.get(stage.session())
        names = {point.name for point in stage.exported.points()}
        spans = stage.exported.spans()
    assert spans == []
    assert "weatherglass.retries" in names
    assert "http.client.request.duration" not in names


def test_other_sessions_are_left_to_others() -> None:
    """O5: a plain session, used after ours, is instrumented as ever."""
    with Stage() as stage, instrumented(stage, "requests"):
        stage.script(faults.answer(503))
        stage.get(stage.session())
        with requests.Session() as plain:
            plain.trust_env = False
            plain.get(stage.url + "/status/200")
        scopes = [span.scope.name for span in clients(stage)]
    assert scopes == [OURS, OURS, "opentelemetry.instrumentation.requests"]
