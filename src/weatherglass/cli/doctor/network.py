"""Asking over HTTP, and saying in words for operators why there was no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from weatherglass.diagnose import classify_exception
from weatherglass.runtime import SYSTEM
from weatherglass.telemetry.probe import GRACE, bounded
from weatherglass.telemetry.redact import redact_text, redact_url
from weatherglass.vocabulary import Kind

ADVICE = {
    Kind.DNS: "check the host's name, and the DNS of this machine",
    Kind.CONNECT_REFUSED: "nothing listens there: start it, or correct host and port",
    Kind.CONNECT_TIMEOUT: "a firewall or a wrong address: try from this machine with curl",
    Kind.TLS_CERTIFICATE: "the certificate is not trusted here: name the authority that issued it"
    " (REQUESTS_CA_BUNDLE; OTEL_EXPORTER_OTLP_CERTIFICATE for OTLP), or correct the host's name",
    Kind.TLS_HANDSHAKE: "is it https at all? Try http://, or another port",
    Kind.PROXY: "a proxy of the environment stands in between: see HTTP_PROXY, HTTPS_PROXY and"
    " NO_PROXY",
    Kind.INVALID_CALL: "a URL begins with http:// or https:// and has a host, as in"
    " http://localhost:4318",
    Kind.READ_TIMEOUT: "it took the connection and does not answer: look at its own logs, and"
    " whether http and https are mixed up",
}
_SAID = {
    Kind.DNS: "the host's name cannot be resolved",
    Kind.CONNECT_REFUSED: "the connection was refused",
    Kind.CONNECT_TIMEOUT: "no connection in time",
    Kind.TLS_CERTIFICATE: "the TLS certificate was refused",
    Kind.TLS_HANDSHAKE: "the TLS handshake failed",
    Kind.PROXY: "the proxy failed",
    Kind.READ_TIMEOUT: "no answer in time",
    Kind.INVALID_CALL: "this is no URL that can be asked",
    Kind.CONNECTION_RESET: "the connection was cut without an answer",
    Kind.MALFORMED_RESPONSE: "what came back is not HTTP/1.1",
}


class NoAnswer(Exception):
    """There was no answer, or not the kind of answer that was asked for."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.found = found
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the time on our clock before and after."""

    response: requests.Response
    sent_at: float
    received_at: float


def explained(error: BaseException) -> tuple[str, str]:
    """What happened, and what to do about it."""
    failure = classify_exception(error)
    said = _SAID.get(failure.kind, failure.kind.value.replace("_", " "))
    # urllib3 puts the name of an object before what happened.
    detail = redact_text(failure.message.rpartition("new connection: ")[2].partition('"))')[0])
    if failure.kind is Kind.MALFORMED_RESPONSE:
        detail = ""  # it is what the server sent in place of HTTP
    found = f"{said} ({detail})" if detail else said
    return found, ADVICE.get(failure.kind, "try it from this machine with curl")


def ask(method: str, url: str, timeout: float, params: Mapping[str, str] | None = None) -> Reply:
    """Send a request, once and without following redirects.

    Raises:
        NoAnswer: when there is none.
    """
    sent_at = SYSTEM.time()
    response, error = bounded(
        lambda: requests.request(
            method, url, params=params, timeout=timeout, allow_redirects=False
        ),
        timeout + GRACE,
        "the answer",
    )
    if error is not None:
        found, advice = explained(error)
        raise NoAnswer(f"{redact_url(url)}: {found}", advice) from error
    return Reply(response, sent_at, SYSTEM.time())


def is_web_url(url: str) -> bool:
    """Whether it is the URL of something that can be asked over HTTP."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
