"""What the tests of telemetry need around the code: providers in memory, a clock, records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from weatherglass.report import Attempt, CallReport, Failure, RetryAfter
from weatherglass.runtime import Wakeable
from weatherglass.telemetry import AttemptScope, CallScope, Recorder
from weatherglass.vocabulary import (
    Disposition,
    Execution,
    GiveUpReason,
    Kind,
    Outcome,
    RetryAfterSource,
    RetryAfterVariant,
    WaitReason,
)

HOST = "api.example.com"
URL = f"https://{HOST}/queues"
PATIENCE = 60.0
"""Seconds after which a process in a test is taken to hang."""


class Clock:
    """A runtime whose time passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def random(self) -> float:
        return 0.5

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        self.now += seconds
        return wake.is_set()


class Harness:
    """A recorder on providers of its own, and what they have been told."""

    def __init__(self, *, events: str = "span", sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.clock = Clock()
        self.recorder = self.another(events=events)

    def another(self, *, events: str = "span") -> Recorder:
        """A further recorder on the same providers."""
        return Recorder(
            self.tracer_provider, self.meter_provider, events=events, runtime=self.clock
        )

    def call(self, **named: Any) -> CallScope:
        """Begin a call."""
        return self.recorder.enter_call(HOST, 443, "default", **named)

    def start(self, call: CallScope | None, **named: Any) -> AttemptScope:
        """Begin an attempt."""
        given: dict[str, Any] = {"headers": {}, **named}
        method, url = given.pop("method", "GET"), given.pop("url", URL)
        return self.recorder.start_attempt(call, method, url, HOST, 443, **given)

    def tell(self, report: CallReport, error: BaseException | None = None, **named: Any) -> None:
        """Tell a whole call from its report."""
        call = self.call(**named)
        for before, attempt in enumerate(report.attempts):
            scope = self.start(
                call,
                method=attempt.method,
                url=attempt.url,
                resend_count=before,
                resend_reason=attempt.resend_reason,
            )
            self.recorder.end_attempt(scope, attempt, "1.1")
        self.recorder.end_call(call, report, error)

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """The finished spans, in the order of their end."""
        found = self.exporter.get_finished_spans()
        return [span for span in found if name is None or span.name == name]

    def span(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (found,) = self.spans(name)
        return found

    def points(self, name: str | None = None) -> list[tuple[str, dict[str, Any], Any]]:
        """Name, attributes and data point of every series."""
        data = self.reader.get_metrics_data()
        return [
            (metric.name, dict(point.attributes or {}), point)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if name is None or metric.name == name
        ]

    def values(self, name: str) -> dict[tuple[Any, ...], float]:
        """Values of a counter or gauge by the values of its attributes, in the names' order."""
        return {
            tuple(attributes[key] for key in sorted(attributes)): point.value
            for _, attributes, point in self.points(name)
        }


def attempt(number: int = 1, **fields: Any) -> Attempt:
    """An attempt: by default a successful one."""
    given: dict[str, Any] = {
        "method": "GET",
        "url": URL,
        "started_at": 1.7e9,
        "duration": 0.25,
        "status": 200,
        **fields,
    }
    if given.get("failure") is not None and "status" not in fields:
        given["status"] = given["failure"].status
    return Attempt(number=number, **given)


def failure(kind: Kind = Kind.UNAVAILABLE, status: int | None = 503, **fields: Any) -> Failure:
    """A failure: by default a 503."""
    given: dict[str, Any] = {"transient": True, "execution": Execution.REJECTED, **fields}
    return Failure(kind=kind, status=status, **given)


def asked(
    variant: RetryAfterVariant = RetryAfterVariant.DELTA_SECONDS,
    seconds: float | None = 7.0,
    raw: str | None = "7",
) -> RetryAfter:
    """What a server said: by default 7 seconds."""
    return RetryAfter(variant, RetryAfterSource.RETRY_AFTER, seconds, raw)


def report(*attempts: Attempt, **fields: Any) -> CallReport:
    """A call's report: by default of a success."""
    given: dict[str, Any] = {
        "method": "GET",
        "url": URL,
        "policy": "default",
        "outcome": Outcome.SUCCESS,
        "duration": 1.5,
        **fields,
    }
    return CallReport(attempts=attempts, **given)


def given_up(**fields: Any) -> CallReport:
    """The report of a call that was retried once after 7 seconds, and then gave up."""
    first = attempt(
        1,
        failure=failure(retry_after=asked()),
        delay=7.0,
        delay_source=WaitReason.RETRY_AFTER,
        disposition=Disposition.HONOURED,
    )
    last = failure()
    return report(
        first,
        attempt(2, failure=last),
        **{
            "outcome": Outcome.GAVE_UP,
            "failure": last,
            "give_up_reason": GiveUpReason.RETRIES_EXHAUSTED,
            **fields,
        },
    )


def started(script: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A process of its own that runs a script."""
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run a script in a process of its own, and return what it prints last, as JSON."""
    with started(script, environment) as process:
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    lines = output.strip().splitlines()
    return json.loads(lines[-1]) if lines else None
