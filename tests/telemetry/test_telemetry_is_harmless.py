"""Telemetry that is broken in every way, and calls that do not notice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from telemetry_harness import HOST, URL, Harness, attempt, given_up, report

from weatherglass.telemetry import Recorder
from weatherglass.vocabulary import BreakerCause, BreakerState, TokenReason, WaitReason


class Boom(Exception):
    """What breaks."""


class RaisingAtStart(SpanProcessor):
    def on_start(self, *_: Any, **__: Any) -> None:
        raise Boom


class RaisingAtEnd(SpanProcessor):
    def on_end(self, *_: Any) -> None:
        raise Boom


class RaisingInstrument:
    def record(self, *_: Any) -> None:
        raise Boom

    add = record


class RaisingMeter:
    """A meter of another SDK than the known one, whose instruments raise."""

    def create_counter(self, *_: Any, **__: Any) -> RaisingInstrument:
        return RaisingInstrument()

    create_histogram = create_counter
    create_observable_gauge = create_counter
    create_observable_up_down_counter = create_counter


class RaisingMeterProvider(MeterProvider):
    def get_meter(self, *_: Any, **__: Any) -> Any:
        return RaisingMeter()


class UnusableProvider(NoOpMeterProvider, NoOpTracerProvider):
    def get_meter(self, *_: Any, **__: Any) -> Any:
        raise Boom

    def get_tracer(self, *_: Any, **__: Any) -> Any:
        raise Boom


class Unwritable(MutableMapping[str, str]):
    """Headers that cannot be set."""

    def __getitem__(self, key: str) -> str:
        raise Boom

    def __setitem__(self, key: str, value: str) -> None:
        raise Boom

    def __delitem__(self, key: str) -> None:
        raise Boom

    def __iter__(self) -> Iterator[str]:
        raise Boom

    def __len__(self) -> int:
        raise Boom


class Transition:
    name = "https://h"
    previous = BreakerState.CLOSED
    state = BreakerState.OPEN
    cause = BreakerCause.OPERATOR


def tell_everything(recorder: Recorder) -> None:
    """Use every method of a recorder as an adapter does."""
    recorder.register(object())  # type: ignore[arg-type]  # a source without anything
    call = recorder.enter_call(HOST, 443, "default", guarded=True)
    for tried in given_up().attempts:
        scope = recorder.start_attempt(call, "GET", URL, HOST, 443, headers=Unwritable())
        recorder.end_attempt(scope, tried, "1.1")
        with recorder.waiting(call, WaitReason.BACKOFF, 1.0):
            pass
    refresh = recorder.refresh_started("source", TokenReason.MISSING)
    recorder.refresh_ended(refresh, 0.1, Boom())
    recorder.breaker_moved(Transition())
    recorder.breaker_refused("https://h")
    recorder.maintenance_started("upgrade", HOST)
    recorder.maintenance_ended("upgrade", HOST)
    recorder.callback_failed("on_retry", Boom())
    with recorder.user_code(call):
        pass
    recorder.end_call(call, given_up(), Boom())
    plain = recorder.enter_call(HOST, 443, "default")
    recorder.end_call(plain, report(attempt()))


def tracing(processor: SpanProcessor) -> Recorder:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return Recorder(tracer_provider=provider)


@pytest.mark.parametrize(
    "recorder",
    [
        tracing(RaisingAtStart()),
        tracing(RaisingAtEnd()),
        Recorder(meter_provider=RaisingMeterProvider()),
        Recorder(UnusableProvider(), UnusableProvider()),
        Recorder(),
    ],
    ids=["start raises", "end raises", "meter raises", "provider raises", "none"],
)
def test_nothing_is_raised(recorder: Recorder) -> None:
    """O8: whatever an SDK does, no method raises, and the context is as it was before."""
    before = context_api.get_current()

    tell_everything(recorder)

    assert context_api.get_current() == before


def test_broken_records_raise_nothing(harness: Harness) -> None:
    """O8: even a record that is none only costs its telemetry, and the spans still end."""
    call = harness.call()
    scope = harness.start(call)
    harness.recorder.end_attempt(scope, attempt(failure=object(), status=None))
    harness.recorder.end_call(call, report(attempt(), waits=(object(),)))

    assert len(harness.spans()) == 2
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_broken_logging_raises_nothing(harness: Harness) -> None:
    """O8: a log handler that raises does not reach the call."""

    class Raising(logging.Handler):
        def emit(self, *_: Any) -> None:
            raise Boom

    handler = Raising()
    logger = logging.getLogger("weatherglass")
    logger.addHandler(handler)
    try:
        tell_everything(harness.recorder)
    finally:
        logger.removeHandler(handler)

    assert harness.spans("weatherglass.call")


def test_what_broke_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """O8: broken telemetry is warned of once per step, with the place and without messages."""
    recorder = tracing(RaisingAtEnd())
    for _ in range(3):
        recorder.end_call(recorder.enter_call(HOST, 443, "default"), report(attempt()))

    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("telemetry failed in end_call and the call went on: Boom in ")


def test_failing_processor_leaves_later_calls_whole(harness: Harness) -> None:
    """O8: a processor that raises once costs one span's processing and nothing after it."""

    class Once(SpanProcessor):
        raised = False

        def on_end(self, *_: Any) -> None:
            if not self.raised:
                self.raised = True
                raise Boom

    harness.tracer_provider.add_span_processor(Once())
    harness.tell(report(attempt()))
    harness.tell(report(attempt()))

    assert len(harness.spans()) == 4
