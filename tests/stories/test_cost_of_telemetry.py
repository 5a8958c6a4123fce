"""What telemetry costs a call: how much is told, injected and sampled, counted and not timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from measurements import OBSERVED_AT_EXPORT
from narrative import REFRESH, WAIT, Told
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from retelling import traced_by
from stage import Exported, Stage, check, only

import weatherglass
from weatherglass.testing import FakeServer, MetricPoint, VirtualClock, faults

QUEUES = "/api/v2/routing/queues"


class CountingPropagator(TextMapPropagator):
    """The propagator that was in force, with a count of its injections."""

    def __init__(self, inner: TextMapPropagator) -> None:
        self.injections = 0
        self._inner = inner

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        return self._inner.extract(carrier, context, getter)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        self.injections += 1
        self._inner.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        return self._inner.fields


@contextmanager
def counted_injections() -> Iterator[CountingPropagator]:
    before = propagate.get_global_textmap()
    counting = CountingPropagator(before)
    propagate.set_global_textmap(counting)
    try:
        yield counting
    finally:
        propagate.set_global_textmap(before)


class Counts(SpanProcessor):
    """How many spans ended."""

    def __init__(self) -> None:
        self.ended = 0

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - the interface
        self.ended += 1


def records(points: list[MetricPoint]) -> int:
    """How many measurements were recorded: each counts one, in a counter or a histogram."""
    return sum(
        int((point.count if point.value is None else point.value) or 0)
        for point in points
        if point.name not in OBSERVED_AT_EXPORT
    )


@pytest.mark.parametrize("way", ["session", "adapter", "streamed", "redirect not followed", "POST"])
def test_success_at_once(way: str) -> None:
    """O3: a success at once costs two spans, four measurements, one injection, no log record."""
    with Stage() as stage, counted_injections() as propagator:
        session: requests.Session = stage.session()
        if way == "adapter":
            adapter = weatherglass.Adapter(
                recorder=stage.exported.recorder(runtime=stage.clock), runtime=stage.clock
            )
            session = requests.Session()
            session.mount("http://", adapter)
        method = "POST" if way == "POST" else "GET"
        path = "/redirect?to=/echo" if way == "redirect not followed" else "/echo"
        answer = session.request(
            method, stage.url + path, stream=way == "streamed", allow_redirects=False
        )
        answer.close()
        session.close()
        spans = stage.exported.spans()
        points = stage.exported.points()
    assert sorted(span.kind for span in spans) == ["CLIENT", "INTERNAL"]
    assert records(points) == 4
    assert propagator.injections == 1
    assert stage.logs == []


def test_success_with_a_held_token() -> None:
    """O3: a token that is held and fresh costs nothing more."""
    with Stage(require_tokens=True) as stage:
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        before = len(stage.exported.spans()), records(stage.exported.points()), len(stage.logs)
        with counted_injections() as propagator:
            stage.get(session, QUEUES)
        after = len(stage.exported.spans()), records(stage.exported.points()), len(stage.logs)
    assert [later - earlier for later, earlier in zip(after, before, strict=True)] == [2, 4, 0]
    assert propagator.injections == 1


def test_one_injection_per_attempt() -> None:
    """O5: each attempt's own context is injected into its own headers, once."""
    with Stage() as stage, counted_injections() as propagator:
        stage.script(faults.answer(503), faults.reset(), faults.redirect("/echo"))
        stage.get(stage.session())
        check(stage)
    assert propagator.injections == 4


def test_header_of_the_caller() -> None:
    """O5: a trace context that the caller set by hand gives way to that of each attempt."""
    mine = "00-11111111111111111111111111111111-2222222222222222-01"
    with Stage() as stage:
        stage.script(faults.answer(503))
        response = stage.get(stage.session(), headers={"TraceParent": mine})
        check(stage)
    assert response.request.headers["traceparent"] == mine


def test_parent_and_baggage() -> None:
    """O5: the application's span is the call's parent, and its baggage goes over the wire."""
    with Stage() as stage:
        session = stage.session()
        tracer = stage.exported.tracer_provider.get_tracer("application")
        token = context.attach(baggage.set_baggage("tenant", "blue"))
        try:
            with tracer.start_as_current_span("work") as parent:
                stage.get(session)
        finally:
            context.detach(token)
        entry = only(stage.server.ledger.requests())
        call = only(Told(stage.exported.spans(), []).calls())
    expected = parent.get_span_context()
    assert call.parent_id == f"{expected.span_id:016x}"
    assert traced_by(entry)[0] == f"{expected.trace_id:032x}"
    assert entry.header("baggage") == "tenant=blue"


def test_context_of_the_application_is_left_as_it_was() -> None:
    """O8: whatever a call does, the current span afterwards is that of before."""
    with Stage() as stage:
        stage.script(faults.answer(503), faults.reset(), *[faults.answer(503)] * 9)
        session = stage.session(token_source=stage.client_credentials(), raise_failures=True)
        before = context.get_current()
        stage.get(session)
        stage.get(session, "http://")
        after = context.get_current()
    assert after == before
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_parent_that_is_not_sampled() -> None:
    """O3: below a parent that is not sampled, no span is told, and metrics are all the same."""
    counts = Counts()
    exported = Exported(counts, sampler=ParentBased(ALWAYS_OFF))
    clock = VirtualClock()
    remote = SpanContext(0x11, 0x22, is_remote=True, trace_flags=TraceFlags(0))
    with FakeServer(clock=clock) as server:
        server.plan = type(server.plan).script(faults.answer(503, retry_after=2), faults.reset())
        session = weatherglass.Session(runtime=clock, recorder=exported.recorder(runtime=clock))
        token = context.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
        try:
            response = session.get(server.url + "/echo")
        finally:
            context.detach(token)
        session.close()
        parents = [entry.header("traceparent") for entry in server.ledger.requests()]
    attempts = [p for p in exported.points() if p.name == "weatherglass.attempts"]
    assert response.status_code == 200
    assert (counts.ended, exported.spans()) == (0, [])
    assert sum(point.value or 0 for point in attempts) == 3
    assert not any(point.exemplars for point in exported.points())
    assert all(parent and parent.startswith(f"00-{0x11:032x}-") for parent in parents)
    assert all(parent and int(parent[-2:], 16) & 1 == 0 for parent in parents)
    exported.shutdown()


ATTEMPT, CALL = "an attempt", "weatherglass.call"


def test_exemplars() -> None:
    """O3: measurements are sampled in the span that they are about."""
    with Stage(require_tokens=True) as stage:
        stage.script(*[faults.answer(503, retry_after=2)] * 9, path=QUEUES)
        session = stage.session(
            token_source=stage.client_credentials(), breaker={"consecutive_failures": 3}
        )
        stage.get(session, QUEUES)
        points = stage.exported.points()
        names = {
            span.span_id: ATTEMPT if span.kind == "CLIENT" else span.name
            for span in stage.exported.spans()
        }
    sampled: dict[str, set[str]] = {}
    for point in points:
        for exemplar in point.exemplars:
            sampled.setdefault(point.name, set()).add(names[exemplar.span_id])
    assert sampled == {
        "http.client.request.duration": {ATTEMPT},
        "weatherglass.attempts": {ATTEMPT},
        "weatherglass.failures": {ATTEMPT},
        "weatherglass.retry_after.headers": {ATTEMPT},
        "weatherglass.breaker.transitions": {ATTEMPT},
        "weatherglass.breaker.refusals": {ATTEMPT},
        "weatherglass.call.duration": {CALL},
        "weatherglass.call.attempts": {CALL},
        "weatherglass.retries": {CALL},
        "weatherglass.give_ups": {CALL},
        "weatherglass.wait.duration": {WAIT},
        "weatherglass.token.refresh.duration": {REFRESH},
    }


def test_exception_event_has_no_stack_trace() -> None:
    """O3: the exception that a call ends with is one event, of its class and a safe message."""
    with Stage() as stage:
        url = stage.server.refused_url()
        stage.get(stage.session(), url + "/secret?token=secret")
        check(stage)
        call = only(Told(stage.exported.spans(), []).calls())
    event = only(event for event in call.events if event.name == "exception")
    attributes: dict[str, Any] = dict(event.attributes)
    message = attributes.pop("exception.message")
    assert attributes == {"exception.type": "requests.exceptions.ConnectionError"}
    assert "Connection refused" in message
    assert "token=secret" not in message
