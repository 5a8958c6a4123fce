"""What became of the span and the measurement that were sent: accepted, or why not."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from weatherglass.cli.doctor.findings import Finding, failed, ok, warning
from weatherglass.cli.doctor.network import ADVICE, explained
from weatherglass.diagnose import classify_exception
from weatherglass.telemetry.probe import Answer, Delivery
from weatherglass.vocabulary import Kind

_SENT = {"traces": "a span", "metrics": "a measurement"}
_GRPC_PORT = 4317
_HTTP_PORT = 4318

_CODE = re.compile(r"StatusCode\.([A-Z_]+)")
_DETAILS = re.compile(r"[Ee]rror details: (.*)", re.DOTALL)

_USE_HTTP = (
    "this is not a gRPC port: use the port for it, as a rule 4317, or set"
    " OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
)
_USE_GRPC = (
    "this looks like a gRPC port: use the port for HTTP, as a rule 4318, or set"
    " OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
)
_CREDENTIALS = "give credentials that it accepts in OTEL_EXPORTER_OTLP_HEADERS"
_OVERLOADED = (
    "it is alive but takes nothing: look at its own logs, and at its memory limiter and exporters'"
    " queues if it is a Collector"
)
_NO_PIPELINE = (
    "add a pipeline for {signal} to the Collector, or send them elsewhere with"
    " OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT"
)
_NO_PATH = (
    "no receiver of {signal} has this path: the endpoint is the base URL, and /v1/{signal} is added"
    " to it (OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT holds the whole URL); a Collector has it only"
    " with a pipeline for {signal}, Prometheus only for metrics, under /api/v1/otlp and with"
    " --web.enable-otlp-receiver"
)
_NOT_OTLP = (
    "something else than an OTLP receiver answers there: correct the endpoint; a Collector has its"
    " receiver at port 4318, Prometheus under /api/v1/otlp"
)
_LOGS = "look at the receiver's logs"
_BY_STATUS = {
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: _NO_PATH,
    405: _NO_PATH,
    407: "a proxy of the environment wants credentials: see HTTPS_PROXY and NO_PROXY",
    413: "it takes no bodies as large as this: raise its limit",
    415: "it does not take protobuf: is it OTLP over HTTP at all?",
    429: _OVERLOADED,
}
_BY_CLASS = {3: f"{_NOT_OTLP}; exporters do not follow redirects", 4: _LOGS, 5: _OVERLOADED}
_SPEAKS_TLS = "HTTPS server"
"""What servers in Go answer to HTTP on a port for TLS."""
_REACH = (
    "start it, or correct host and port; with TLS, the endpoint must begin with https://; if it is"
    " a port for HTTP, as 4318 is, set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
)
_GRPC = {
    "UNAUTHENTICATED": ("it wants credentials", _CREDENTIALS),
    "PERMISSION_DENIED": ("the credentials do not suffice", _CREDENTIALS),
    "UNIMPLEMENTED": ("it takes no {signal}", _NO_PIPELINE),
    "RESOURCE_EXHAUSTED": ("it is overloaded", _OVERLOADED),
    "DEADLINE_EXCEEDED": ("no answer in time", _OVERLOADED),
    "UNAVAILABLE": (
        "it cannot be reached",
        _REACH,
    ),
}


def judge(delivery: Delivery) -> Finding:
    """Whether it was taken; if not, why, and what to do."""
    check = f"otlp {delivery.signal}"
    where = f"{delivery.endpoint} ({delivery.protocol})"
    problem = _problem(delivery)
    if problem is not None:
        found, advice = (_about(delivery.signal, text) for text in problem)
        return failed(check, f"{where}: {found}", advice)
    if delivery.complaint:
        return warning(
            check,
            f"{where} accepted {_SENT[delivery.signal]}, and said: {delivery.complaint}",
            _LOGS,
        )
    answer = delivery.answer
    if answer is not None and answer.excerpt:
        return warning(
            check,
            f"{where} took {_SENT[delivery.signal]}, but what it answered is not OTLP"
            f" ({answer.excerpt})",
            f"if it does not arrive, {_NOT_OTLP}",
        )
    trace = f", trace id {delivery.trace_id}" if delivery.trace_id else ""
    return ok(check, f"{where} accepted {_SENT[delivery.signal]}{trace}")


def _about(signal: str, text: str) -> str:
    return text.replace("{signal}", signal).replace("{SIGNAL}", signal.upper())


def _problem(delivery: Delivery) -> tuple[str, str] | None:
    if delivery.rejected:
        said = f": {delivery.complaint}" if delivery.complaint else ""
        return f"it rejected what was sent{said}", "look at the receiver's limits and filters"
    if delivery.answer is not None:
        return _of_answer(delivery, delivery.answer)
    if delivery.protocol == "grpc":
        return None if delivery.accepted else _of_grpc(delivery)
    if delivery.error is not None:
        return _of_error(delivery, delivery.error)
    if delivery.accepted:
        return None
    return delivery.told or "the exporter failed without a word", "see the exporter's logs"


def _of_answer(delivery: Delivery, answer: Answer) -> tuple[str, str] | None:
    said = f"it answered {answer.status}"
    if answer.location:
        said += f", a redirect to {answer.location}"
    if answer.excerpt:
        said += f" ({answer.excerpt})"
    if _SPEAKS_TLS in answer.excerpt:
        return said, "it speaks TLS: the endpoint must begin with https://"
    advice = _BY_STATUS.get(answer.status) or _BY_CLASS.get(answer.status // 100)
    if advice is not None:
        return said, advice
    if answer.content_type == "text/html":
        return said, _NOT_OTLP
    return None if delivery.accepted else (delivery.complaint or said, _LOGS)


def _of_error(delivery: Delivery, error: BaseException) -> tuple[str, str]:
    found, advice = explained(error)
    # A gRPC server opens with a frame of HTTP/2, which is no status line, and hangs up.
    kind = classify_exception(error).kind
    if kind in (Kind.MALFORMED_RESPONSE, Kind.CONNECTION_RESET):
        return found, _USE_GRPC
    if _port(delivery.endpoint) == _GRPC_PORT and kind is not Kind.CONNECT_REFUSED:
        return found, f"{_USE_GRPC}; otherwise: {advice}"
    return found, advice


def _of_grpc(delivery: Delivery) -> tuple[str, str]:
    code = _CODE.search(delivery.told)
    details = _DETAILS.search(delivery.told)
    if code is None:
        said = explained(delivery.error)[0] if delivery.error is not None else delivery.told
        return said or "the exporter failed without a word", "see the exporter's logs"
    found, advice = _GRPC.get(code[1], ("it failed", _LOGS))
    cause = details[1].rpartition("last error: ")[2] if details else ""
    said = f"{found} ({code[1]}{f': {cause}' if cause else ''})"
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return said, ADVICE[Kind.TLS_CERTIFICATE]
    if "handshake failed" in cause.lower():
        return said, ADVICE[Kind.TLS_HANDSHAKE]
    if (
        "HTTP/2" in cause
        or "http1" in cause
        or (code[1] == "UNAVAILABLE" and _port(delivery.endpoint) == _HTTP_PORT)
    ):
        return said, _USE_HTTP
    return said, advice


def _port(endpoint: str) -> int | None:
    try:
        return urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").port
    except ValueError:
        return None
