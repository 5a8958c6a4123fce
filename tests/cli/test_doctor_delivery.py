"""Whether what the doctor sends is accepted: real exporters, against endpoints that go wrong."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from doctor_servers import HOST, Canned, always
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from weatherglass.cli.doctor import PROBE, SERVICE, SPAN
from weatherglass.cli.doctor.delivery import judge
from weatherglass.cli.doctor.findings import Finding, Status
from weatherglass.telemetry.configure import Wishes
from weatherglass.telemetry.probe import Delivery, Sender
from weatherglass.testing import OtlpReceiver

PROTOBUF = {"Content-Type": "application/x-protobuf"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
SETTINGS_FRAME = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00"
"""How a gRPC server begins."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests does not count."""
    for name in list(os.environ):
        if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def sender(url: str | None, protocol: str | None = None, timeout: float = 5.0) -> Sender:
    return Sender(Wishes(url, protocol, None, None), SERVICE, "instance-1", timeout)


def span_to(url: str, timeout: float = 5.0) -> Finding:
    return judge(sender(url, timeout=timeout).send_span(SPAN))


@contextmanager
def talking(greeting: bytes) -> Iterator[str]:
    """A server that says the same to everybody, whatever it hears, and hangs up."""
    with socket.create_server((HOST, 0)) as listening:

        def talk() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(greeting)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"http://{HOST}:{listening.getsockname()[1]}"
        # A thread that accepts is not woken by closing the socket.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_span_and_a_measurement_are_accepted() -> None:
    """They arrive as of the doctor's own service, and with nothing of the library's telemetry."""
    with OtlpReceiver() as receiver:
        span = sender(receiver.url).send_span(SPAN)
        gauge = sender(receiver.url).send_gauge(PROBE, 1234.5)
        (seen,) = receiver.spans()
        (point,) = receiver.points()

    assert judge(span).status is judge(gauge).status is Status.OK
    assert (seen.name, seen.trace_id) == (SPAN, span.trace_id)
    assert (point.name, point.unit, point.value) == (PROBE.name, "s", 1234.5)
    for resource in (seen.resource, point.resource):
        assert resource == {"service.name": SERVICE, "service.instance.id": "instance-1"}


def test_the_standard_variables_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """O4: endpoint, headers and compression are those that the application would use."""
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{receiver.url}/v1/traces")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
        delivery = sender(None).send_span(SPAN)
        assert len(receiver.spans()) == 1

    assert judge(delivery).status is Status.OK
    assert delivery.endpoint == f"{receiver.url}/v1/traces"


@pytest.mark.parametrize(
    ("answer", "said", "advice"),
    [
        (Canned(401, b"who are you?"), "401 (who are you?)", "OTEL_EXPORTER_OTLP_HEADERS"),
        (Canned(403), "403", "OTEL_EXPORTER_OTLP_HEADERS"),
        (Canned(404, b"404 page not found"), "404", "/v1/traces is added to it"),
        (Canned(405), "405", "/v1/traces is added to it"),
        (Canned(413), "413", "raise its limit"),
        (Canned(415), "415", "is it OTLP"),
        (Canned(429), "429", "takes nothing"),
        (Canned(503), "503", "memory limiter"),
        (Canned(400, b"bad"), "400 (bad)", "logs"),
        (
            Canned(400, b"Client sent an HTTP request to an HTTPS server.\n"),
            "HTTPS server",
            "must begin with https://",
        ),
        (Canned(302, b"", {"Location": "/login?token=s"}), "redirect to /login", "follow"),
        (Canned(200, b"<html>Welcome</html>", HTML), "<html>Welcome", "something else"),
        (Canned(200, b"\xff\xff", PROTOBUF), "not readable protobuf", "logs"),
    ],
)
def test_answers_that_are_no_acceptance_are_explained(
    answer: Canned, said: str, advice: str
) -> None:
    """Each answer that operators meet has its meaning, and what to do about it."""
    with always(answer) as url:
        found = span_to(url)

    assert found.status is Status.FAILED
    assert said in found.found
    assert advice in found.advice
    assert f"{url}/v1/traces (http/protobuf)" in found.found


def test_an_empty_answer_is_acceptance() -> None:
    """Prometheus' receiver answers 200 without a body."""
    with always(Canned(200)) as url:
        assert span_to(url).status is Status.OK


def test_an_answer_of_another_protocol_is_a_warning() -> None:
    """A 200 alone does not make an OTLP receiver: what was answered instead is told."""
    with always(Canned(200, b'{"hello": "world"}', {"Content-Type": "application/json"})) as url:
        found = span_to(url)

    assert found.status is Status.WARNING
    assert '{"hello": "world"}' in found.found
    assert "something else than an OTLP receiver" in found.advice


def test_an_endpoint_without_a_scheme_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable wants a URL; host and port alone are the usual mistake."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")
    found = judge(sender(None).send_span(SPAN))

    assert found.status is Status.FAILED
    assert "begins with http:// or https://" in found.advice


def test_a_failing_endpoint_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    """Exporters would try for a long time, and log; the doctor does neither."""
    with caplog.at_level(logging.DEBUG, logger="opentelemetry"), OtlpReceiver() as receiver:
        receiver.fail(503)
        assert span_to(receiver.url).status is Status.FAILED
        assert receiver.exports == {"/v1/traces": 1}
    assert [r for r in caplog.records if r.name.startswith("opentelemetry.exporter")] == []


def test_what_a_receiver_rejects_is_told() -> None:
    """A partial success is no success: how many were rejected, and why, is the receiver's word."""
    traces, metrics = ExportTraceServiceResponse(), ExportMetricsServiceResponse()
    traces.partial_success.rejected_spans = 1
    traces.partial_success.error_message = "too old"
    metrics.partial_success.rejected_data_points = 1
    with always(Canned(200, traces.SerializeToString(), PROTOBUF)) as url:
        span = span_to(url)
    with always(Canned(200, metrics.SerializeToString(), PROTOBUF)) as url:
        gauge = judge(sender(url).send_gauge(PROBE, 1.0))

    assert (span.status, gauge.status) == (Status.FAILED, Status.FAILED)
    assert span.found.endswith("it rejected what was sent: too old")


def test_what_a_receiver_only_says_is_a_warning() -> None:
    """A message without a rejection is passed on."""
    response = ExportTraceServiceResponse()
    response.partial_success.error_message = "deprecated"
    with always(Canned(200, response.SerializeToString(), PROTOBUF)) as url:
        found = span_to(url)

    assert found.status is Status.WARNING
    assert found.found.endswith("and said: deprecated")


def test_nobody_listening_is_told() -> None:
    """A refused connection is named as such."""
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
    found = span_to(f"http://{HOST}:{port}")

    assert found.status is Status.FAILED
    assert "the connection was refused" in found.found


def test_a_hanging_endpoint_is_not_waited_for() -> None:
    """After the timeout, that there was no answer is the answer."""
    with OtlpReceiver() as receiver:
        receiver.hang()
        found = span_to(receiver.url, timeout=0.2)

    assert found.status is Status.FAILED
    assert "no answer in time" in found.found


@pytest.mark.parametrize("greeting", [SETTINGS_FRAME, b""])
def test_http_sent_to_a_grpc_port_is_recognised(greeting: bytes) -> None:
    """The two ports are mixed up easily: it answers in HTTP/2, or hangs up."""
    with talking(greeting) as url:
        found = span_to(url)

    assert found.status is Status.FAILED
    assert "looks like a gRPC port" in found.advice
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in found.advice


def test_grpc_sent_to_an_http_port_is_recognised() -> None:
    """The other way round as well, and for both signals, whatever the exporter leaves out."""
    with talking(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as url:
        asked = sender(url, "grpc", timeout=1.0)
        findings = [judge(asked.send_span(SPAN)), judge(asked.send_gauge(PROBE, 1.0))]

    for found in findings:
        assert found.status is Status.FAILED
        assert "UNAVAILABLE" in found.found
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in found.advice


def test_tls_sent_to_a_plain_port_is_recognised() -> None:
    """TLS where http is spoken fails in the handshake."""
    with talking(b"HTTP/1.0 400 Bad Request\r\n\r\nplain") as url:
        found = span_to(url.replace("http://", "https://"))

    assert found.status is Status.FAILED
    assert "TLS handshake failed" in found.found
    assert "Try http://" in found.advice


@pytest.mark.parametrize(
    ("told", "said", "advice"),
    [
        ("error code: StatusCode.UNAUTHENTICATED", "wants credentials", "HEADERS"),
        ("error code: StatusCode.PERMISSION_DENIED, error details: no", "(PERMISSION_DENIED: no)",
         "HEADERS"),
        ("error code: StatusCode.UNIMPLEMENTED", "takes no traces", "a pipeline for traces"),
        ("error code: StatusCode.RESOURCE_EXHAUSTED", "overloaded", "memory limiter"),
        ("error code: StatusCode.DEADLINE_EXCEEDED", "in time", "logs"),
        ("error code: StatusCode.INTERNAL", "it failed (INTERNAL)", "logs"),
        ("StatusCode.UNAVAILABLE, error details: x; last error: CERTIFICATE_VERIFY_FAILED",
         "UNAVAILABLE: CERTIFICATE_VERIFY_FAILED", "certificate is not trusted"),
        ("StatusCode.UNAVAILABLE, error details: Tls handshake failed", "Tls", "is it https"),
        ("", "without a word", "logs"),
    ],
)  # fmt: skip
def test_codes_of_grpc_are_explained(told: str, said: str, advice: str) -> None:
    """Each status of gRPC that operators meet has its meaning."""
    found = judge(Delivery(signal="traces", protocol="grpc", endpoint="h:4317", told=told))

    assert found.status is Status.FAILED
    assert said in found.found
    assert advice in found.advice


def test_headers_that_cannot_be_read_are_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """O7: the SDK would log all of what it cannot read; the doctor only says that it is so."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Bearer s3cret")
    with always(Canned(200)) as url:
        found = span_to(url)

    assert found.status is Status.OK
    assert "s3cret" not in caplog.text + found.found


def test_credentials_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """O7: neither those of the URL nor those of the headers, nor what a server repeats of them."""
    headers = "authorization=Bearer%20s3cret, x-api-key=k3y%2Fs3cret"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
    with always(Canned(401, b"neither Bearer s3cret nor k3y/s3cret is known")) as url:
        found = span_to(url.replace("http://", "http://ann:s3cret@"))

    assert found.status is Status.FAILED
    assert "s3cret" not in found.found + found.advice
