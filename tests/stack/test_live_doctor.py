"""`weatherglass doctor` with the real Collector and the real Prometheus."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from stack.processes import Collector, Prometheus

import weatherglass
from weatherglass.cli import main
from weatherglass.cli.doctor import PROBE, SERVICE
from weatherglass.telemetry.prometheus import metric_name
from weatherglass.testing import FakeServer

ROOT = Path(__file__).resolve().parents[2]
JOB = "doctored"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests does not count."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "WEATHERGLASS_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def prometheus(
    prometheus_binary: Path,  # noqa: ARG001 - that it is there
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    with Prometheus(
        tmp_path_factory.mktemp("prometheus"), rules=[ROOT / "dashboards" / "rules"]
    ) as running:
        yield running


@pytest.fixture(scope="module")
def collector(
    collector_binary: Path,  # noqa: ARG001 - that it is there
    prometheus: Prometheus,
) -> Iterator[Collector]:
    with Collector(
        ROOT / "otel-collector.yaml", env={"COLLECTOR_PROMETHEUS": prometheus.otlp_endpoint}
    ) as running:
        yield running


def doctor(
    capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and what was found by check."""
    code = main(["doctor", "--json", *arguments])
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(capsys.readouterr().out)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return code, found


def call_as_an_application(endpoint: str) -> None:
    """One call, exported as of a service of its own; not by the global providers of the tests."""
    exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
    provider = MeterProvider(
        metric_readers=[PeriodicExportingMetricReader(exporter)],
        resource=Resource({"service.name": JOB, "service.instance.id": "1"}),
    )
    recorder = weatherglass.telemetry.Recorder(meter_provider=provider)
    with (
        FakeServer(require_tokens=False) as server,
        weatherglass.Session(recorder=recorder) as session,
    ):
        session.get(f"{server.url}/echo")
        provider.force_flush()
    provider.shutdown()


def test_an_installation_that_works_has_no_failure(
    collector: Collector, prometheus: Prometheus, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sent to the Collector, seen in Prometheus: under its name, its job, and with the rules."""
    call_as_an_application(collector.otlp_http_url)

    code, found = doctor(
        capsys, "--otlp", collector.otlp_http_url, "--prometheus", prometheus.url, "--job", JOB
    )

    assert code == 0, found
    assert {each["status"] for findings in found.values() for each in findings} == {"ok"}
    assert found["arrival"][0]["found"].startswith("what was sent is in Prometheus")
    assert found["series"][0]["found"].startswith(f"newest samples by job: {JOB} (")
    assert len(found["clock"]) == 2
    (series,) = prometheus.query(f'{metric_name(PROBE)}{{job="{SERVICE}"}}')[:1]
    assert set(series["metric"]) == {"__name__", "job", "instance"}


def test_the_doctor_leaves_dashboards_alone(
    collector: Collector, prometheus: Prometheus, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the doctor's job there is its own measurement, and no metric of the library."""
    doctor(capsys, "--otlp", collector.otlp_http_url, "--prometheus", prometheus.url)

    found = prometheus.query(f'count by (__name__) ({{job="{SERVICE}"}})')
    assert {each["metric"]["__name__"] for each in found} <= {metric_name(PROBE), "target_info"}


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_http_sent_to_the_collector_s_grpc_port_is_recognised(
    collector: Collector, capsys: pytest.CaptureFixture[str], signal: str
) -> None:
    """The typical mistake is named, with what to do."""
    code, found = doctor(capsys, "--otlp", f"http://{collector.otlp_grpc}")

    assert code == 1
    assert "looks like a gRPC port" in found[f"otlp {signal}"][0]["advice"]


def test_grpc_is_spoken_where_it_is_asked_for(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """O4: on its own port it is accepted, and on that of HTTP the mistake is named."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    right, _ = doctor(capsys, "--otlp", f"http://{collector.otlp_grpc}")
    wrong, found = doctor(capsys, "--otlp", collector.otlp_http_url, "--timeout", "1")

    assert (right, wrong) == (0, 1)
    for signal in ("traces", "metrics"):
        assert "this is not a gRPC port" in found[f"otlp {signal}"][0]["advice"]


def test_a_prometheus_that_is_no_trace_store_says_so(
    prometheus: Prometheus, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its receiver takes metrics, which arrive, and no traces, which is told."""
    code, found = doctor(capsys, "--otlp", prometheus.otlp_endpoint, "--prometheus", prometheus.url)

    assert code == 1
    assert found["otlp metrics"][0]["status"] == found["arrival"][0]["status"] == "ok"
    assert "Prometheus only for metrics" in found["otlp traces"][0]["advice"]


@pytest.mark.usefixtures("collector_binary")
def test_a_collector_that_passes_nothing_on_is_found_out(
    prometheus: Prometheus, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it accepts and does not deliver is missed at the far end."""
    nowhere = {"COLLECTOR_PROMETHEUS": "http://127.0.0.1:1/api/v1/otlp"}
    with Collector(ROOT / "otel-collector.yaml", env=nowhere) as broken:
        code, found = doctor(
            capsys,
            *("--otlp", broken.otlp_http_url, "--prometheus", prometheus.url, "--wait", "1"),
        )

    assert code == 1
    assert found["otlp metrics"][0]["status"] == "ok"
    assert "does it export metrics to this Prometheus?" in found["arrival"][0]["advice"]


def test_a_collector_as_prometheus_is_explained(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """URLs that were swapped are told apart from servers that are down."""
    code, found = doctor(capsys, "--prometheus", collector.otlp_http_url)

    assert code == 1
    assert "no answer of Prometheus" in found["prometheus"][0]["found"]


@pytest.mark.parametrize(
    "strategy",
    ["NoTranslation", "NoUTF8EscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"],
)
@pytest.mark.usefixtures("prometheus_binary")
def test_every_other_translation_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], strategy: str
) -> None:
    """O3: names that the dashboards do not ask for are recognised, and the setting is named."""
    server = Prometheus(tmp_path)
    server._configuration["otlp"]["translation_strategy"] = strategy
    with server as otherwise:
        call_as_an_application(otherwise.otlp_endpoint)
        code, found = doctor(
            capsys, "--otlp", otherwise.otlp_endpoint, "--prometheus", otherwise.url
        )

    assert code == 1
    for check in ("arrival", "metric names"):
        assert found[check][0]["status"] == "failed", found[check]
        assert "UnderscoreEscapingWithSuffixes" in found[check][0]["advice"]


@pytest.mark.usefixtures("collector_binary", "prometheus_binary")
def test_a_scraped_collector_delivers_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other way to Prometheus ends in the same names and the same job."""
    with (
        Collector(ROOT / "collector" / "scrape.yaml") as collector,
        Prometheus(tmp_path, scrape=[collector.scrape_target]) as prometheus,
    ):
        call_as_an_application(collector.otlp_http_url)
        code, found = doctor(
            capsys, "--otlp", collector.otlp_http_url, "--prometheus", prometheus.url
        )

    assert found["arrival"][0]["status"] == "ok", found
    assert found["metric names"][0]["status"] == "ok", found
    assert code == 0
