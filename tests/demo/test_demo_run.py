"""The demo as a whole, at its small size: what its figures are, and that it leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from weatherglass.cli import main
from weatherglass.demo.comparison import Comparison
from weatherglass.demo.contest import Run, Settings
from weatherglass.demo.contestants import FEED_TTL, REQUESTS, URLLIB3_RETRY, WEATHERGLASS
from weatherglass.demo.exports import Exports
from weatherglass.demo.lines import Lines
from weatherglass.demo.show import show
from weatherglass.demo.weather import QUICK, weather
from weatherglass.telemetry import Recorder, registry
from weatherglass.testing import OtlpReceiver
from weatherglass.vocabulary import RetryAfterVariant

SETTINGS = Settings(quick=True, speed=50.0)
CALLS = sum(len(phase.calls) for phase in weather(QUICK))
LOST = (QUICK.resets // 3) // 2
"""Writes of the small size that are executed, and whose answer is lost."""


@dataclass(frozen=True)
class Ended:
    """A run of the demo in this process."""

    comparison: Comparison
    lines: list[str]
    threads: set[threading.Thread]
    """Those that are there after the run and were not before."""

    def run(self, name: str) -> Run:
        return next(run for run in self.comparison.runs if run.name == name)


@pytest.fixture(scope="module")
def ended() -> Ended:
    """One run, watched through providers of its own."""
    before = set(threading.enumerate())
    lines: list[str] = []
    with OtlpReceiver() as receiver:
        tracing, measuring = _providers(receiver.url)

        def flush() -> None:
            tracing.force_flush()
            measuring.force_flush()

        def close() -> None:
            tracing.shutdown()
            measuring.shutdown()

        exports = Exports(
            flush=flush,
            close=close,
            receiver=receiver,
            make_recorder=lambda clock: Recorder(tracing, measuring, runtime=clock),
        )
        comparison = show(SETTINGS, Lines(lines.append), exports)
    return Ended(comparison, lines, set(threading.enumerate()) - before)


def _providers(url: str) -> tuple[TracerProvider, MeterProvider]:
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces"), schedule_delay_millis=250)
    )
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=f"{url}/v1/metrics"), export_interval_millis=250
    )
    return tracing, MeterProvider(metric_readers=[reader], shutdown_on_exit=False)


def test_weatherglass_gets_every_call_through(ended: Ended) -> None:
    """S2, R3: no call of the job fails, and no write is executed twice."""
    run = ended.run(WEATHERGLASS)

    assert (run.planned, run.done, run.failed.total()) == (CALLS, CALLS, 0)
    assert run.books.duplicates == 0


def test_weatherglass_has_lost_writes_answered_again(ended: Ended) -> None:
    """I4: each write whose answer was lost was answered again by its key, and not repeated."""
    assert ended.run(WEATHERGLASS).books.replayed == LOST


def test_weatherglass_asks_for_one_token_per_revocation(ended: Ended) -> None:
    """T2, T3: one token at first and one after each revocation, for all workers together."""
    assert ended.run(WEATHERGLASS).books.token_calls == 1 + len(QUICK.revoked_at)


def test_an_outage_is_not_hammered(ended: Ended) -> None:
    """B1, M3: breaker and window spare a server that is down what the others send to it."""

    def in_vain(name: str) -> int:
        statuses = ended.run(name).books.statuses
        return sum(count for status, count in statuses.items() if status in (502, 503, 504))

    assert in_vain(WEATHERGLASS) < in_vain(REQUESTS) < in_vain(URLLIB3_RETRY)


@pytest.mark.parametrize("name", [REQUESTS, URLLIB3_RETRY])
def test_the_others_fail_calls_and_ask_for_more_tokens(ended: Ended, name: str) -> None:
    """Each worker of the others has a token of its own, and some of their calls fail."""
    run, ours = ended.run(name), ended.run(WEATHERGLASS)

    assert run.done + run.failed.total() == CALLS
    assert run.failed.total() > 0
    assert run.books.token_calls > ours.books.token_calls


def test_blind_retries_of_writes_execute_them_twice(ended: Ended) -> None:
    """R3: urllib3 with POST in its list repeats each write that was lost; plain requests none."""
    assert ended.run(URLLIB3_RETRY).books.duplicates == LOST
    assert ended.run(REQUESTS).books.duplicates == 0


def test_telemetry_and_ledger_agree(ended: Ended) -> None:
    """O2: what was exported is what server and callers saw, figure by figure."""
    assert ended.comparison.checks
    assert [check for check in ended.comparison.checks if not check.agrees] == []


def test_the_picture_is_complete(ended: Ended) -> None:
    """O1: phases, Retry-After forms, waits, breaker and window can be read off the exports."""
    picture = ended.comparison.picture
    assert picture is not None

    assert [phase.done for phase in picture.phases] == [len(p.calls) for p in weather(QUICK)]
    assert picture.retry_after.keys() == {variant.value for variant in RetryAfterVariant}
    assert {waits.reason for waits in picture.waits} >= {"retry_after", "gate", "maintenance"}
    assert [breaker.state for breaker in picture.breakers] == ["closed"]
    assert picture.windows == {"demo": "over"}
    assert [age < 10 * FEED_TTL for age in picture.feeds.values()] == [True]


def test_the_lines_tell_the_turns_of_the_story(ended: Ended) -> None:
    """Without a terminal, breaker, refresh and window are told as they change."""
    text = "\n".join(ended.lines)

    for expected in (
        "token refreshed: missing",
        "token refreshed: unauthorized",
        "closed -> open (consecutive_failures)",
        "closed -> open (maintenance)",
        "half_open -> closed (probe_succeeded)",
        f"forms of Retry-After: {len(RetryAfterVariant)}",
        "maintenance window 'demo' is announced",
        "maintenance window 'demo' is in force",
        "maintenance window 'demo' is over",
    ):
        assert expected in text
    assert "elsewhere" not in text


def test_windows_are_read_from_the_status_page(ended: Ended) -> None:
    """M1: only weatherglass reads the page; the others could, but do not."""
    assert ended.run(WEATHERGLASS).books.page_reads > 0
    assert [ended.run(name).books.page_reads for name in (REQUESTS, URLLIB3_RETRY)] == [0, 0]


def test_no_thread_is_left(ended: Ended) -> None:
    """D14: workers, servers and exporters have ended with the run."""
    assert ended.threads == set()


def command(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """``weatherglass demo`` in a process of its own."""
    # Tests that run in the background of a shell inherit that interrupts are ignored.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        " from weatherglass.cli import main; sys.exit(main())"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", program, "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain | dict(env or {}),
    )


def test_the_command_runs_and_writes_its_figures(tmp_path: Path) -> None:
    """O2: `weatherglass demo` ends with 0 when its own telemetry agrees with the ledger."""
    file = tmp_path / "figures.json"
    # Settings meant for a collector do not concern the receiver in the demo's own process.
    settings = {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    process = command("--quick", "--speed", "100", "--json", str(file), env=settings)
    out, err = process.communicate(timeout=100)
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    ours = figures["contestants"][0]

    assert (process.returncode, err) == (0, "")
    assert "Telemetry and ledger agree" in out
    assert figures["agrees"] is True
    assert (ours["name"], ours["done"], ours["failed"]) == (WEATHERGLASS, CALLS, 0)
    assert figures["telemetry"]["attempts"]["none"] == ours["statuses"]["200"]


def test_an_interrupt_ends_a_run_with_a_collector(tmp_path: Path) -> None:
    """D14: Ctrl-C ends the demo with 130 and no traceback; what happened until then is exported."""
    file = tmp_path / "figures.json"
    with OtlpReceiver() as collector:
        process = command("--otlp", collector.url, "--json", str(file))
        collector.wait_for(
            lambda receiver: receiver.metric(registry.RETRY_AFTER_HEADERS.name).value, timeout=60
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        resources = {span.resource["service.name"] for span in collector.spans()}

    assert (process.returncode, err) == (130, "")
    assert f"Telemetry goes to {collector.url}" in out
    assert resources == {"weatherglass-demo"}
    assert not file.exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost", "endpoint is 'localhost', but must be a URL"),
        ("http://127.0.0.1:1", "no collector listens at http://127.0.0.1:1"),
    ],
)
def test_a_collector_that_is_none_is_named(url: str, message: str) -> None:
    """D16: a collector that cannot be reached is said at once, and nothing is run."""
    process = command("--otlp", url)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"weatherglass: error: {message}")


def test_telemetry_that_is_switched_off_is_named() -> None:
    """D16: with a collector, the environment's own settings hold."""
    with OtlpReceiver() as collector:
        process = command("--otlp", collector.url, env={"OTEL_SDK_DISABLED": "true"})
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    assert "OTEL_* variables of the environment switch them off" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "'0' is not a whole number from 1 to 16"),
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
        (["--speed", "fast"], "'fast' is not a number from 1 to 200"),
        (["--speed", "nan"], "'nan' is not a number from 1 to 200"),
        (["--json", "/there/is/no/such/folder.json"], "there is no such folder"),
    ],
)
def test_wrong_usage_is_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """D16: an argument that makes no sense ends with 2, naming what is allowed."""
    assert main(["demo", *arguments]) == 2
    assert message in capsys.readouterr().err
