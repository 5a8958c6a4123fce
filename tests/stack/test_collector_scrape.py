"""collector/scrape.yaml at work: what a real Prometheus reads from it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from collecting import INSTANCE, NAMESPACE, PATIENCE, SCRAPE, SERVICE, Application, trace_store
from stack.processes import Collector, Prometheus

from weatherglass.testing import OtlpReceiver, Span, faults

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("collector_binary")]

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
JOB = f"{NAMESPACE}/{SERVICE}"


@contextmanager
def scraped(folder: Path) -> Iterator[tuple[Collector, list[Span]]]:
    """A Collector that has the metrics of two calls, and the spans of these."""
    with (
        OtlpReceiver() as receiver,
        trace_store(folder, receiver) as store,
        Collector(SCRAPE, env={"COLLECTOR_TRACES": store}) as collector,
        Application(collector.otlp_http_url) as app,
    ):
        app.calls(None)
        app.calls(faults.answer(503), None)
        app.flush()
        receiver.wait_for(lambda came: len(came.spans()) == 6, PATIENCE)
        yield collector, list(receiver.spans())


def test_metrics_are_there_as_openmetrics_with_exemplars(tmp_path: Path) -> None:
    """Each counter and histogram carries an exemplar that leads to a trace which was exported."""
    with scraped(tmp_path) as (collector, spans):
        answer = requests.get(
            f"http://{collector.scrape_target}/metrics",
            headers={"Accept": OPEN_METRICS},
            timeout=10,
        )

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    lines = answer.text.splitlines()
    traces = {span.trace_id for span in spans}
    for name in ("weatherglass_attempts_total", "weatherglass_call_duration_seconds_bucket"):
        exemplars = [line for line in lines if line.startswith(name) and " # {" in line]
        assert exemplars, name
        assert all(any(trace in line for trace in traces) for line in exemplars)
    series = [line for line in lines if line.startswith("weatherglass_")]
    assert all(f'job="{JOB}"' in line and f'instance="{INSTANCE}"' in line for line in series)
    assert not any("otel_scope" in line for line in series)
    assert any(line.startswith("target_info{") for line in lines)


@pytest.mark.usefixtures("prometheus_binary")
def test_prometheus_reads_what_was_told(tmp_path: Path) -> None:
    """Job and instance are the application's, counters begin with 0, and exemplars are kept."""
    succeeded = 'weatherglass_attempts_total{weatherglass_failure_kind="none"}'
    with (
        scraped(tmp_path) as (collector, spans),
        Prometheus(tmp_path / "data", scrape=[collector.scrape_target]) as prometheus,
    ):
        (sample,) = prometheus.wait_for(succeeded)
        (course,) = prometheus.query(f"{succeeded}[10m]")
        now = time.time()
        exemplars = prometheus.exemplars(succeeded, now - 600, now + 600)

    assert sample["value"][1] == "2"
    assert course["values"][0][1] == "0"
    assert (sample["metric"]["job"], sample["metric"]["instance"]) == (JOB, INSTANCE)
    found = {each["labels"]["trace_id"] for series in exemplars for each in series["exemplars"]}
    assert found
    assert found <= {span.trace_id for span in spans}
