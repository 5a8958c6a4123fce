"""From exceptions to network failures, by what stands in their chain."""

from __future__ import annotations

import errno
import http.client
import itertools
import socket
import ssl
from typing import Any

import pytest
import requests
import urllib3
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    EmptyPoolError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from weatherglass.diagnose import classify_exception
from weatherglass.report import Failure
from weatherglass.vocabulary import NETWORK_KINDS, Execution, Kind


def _told(failure: Failure) -> tuple[Kind, Execution, bool]:
    return failure.kind, failure.execution, failure.transient


POOL: Any = urllib3.HTTPConnectionPool("127.0.0.1")
CONNECTION: Any = urllib3.connection.HTTPConnection("127.0.0.1")


@pytest.mark.parametrize(
    ("error", "kind", "execution"),
    [
        (requests.ConnectTimeout(), Kind.CONNECT_TIMEOUT, Execution.NOT_SENT),
        (requests.ReadTimeout(), Kind.READ_TIMEOUT, Execution.POSSIBLE),
        (requests.Timeout(), Kind.READ_TIMEOUT, Execution.POSSIBLE),
        (requests.exceptions.ProxyError(), Kind.PROXY, Execution.NOT_SENT),
        (requests.exceptions.SSLError("bad record"), Kind.TLS_HANDSHAKE, Execution.POSSIBLE),
        (
            requests.exceptions.SSLError("certificate verify failed"),
            Kind.TLS_CERTIFICATE,
            Execution.POSSIBLE,
        ),
        (
            requests.exceptions.SSLError(
                urllib3.exceptions.SSLError("Fingerprints did not match.")
            ),
            Kind.TLS_CERTIFICATE,
            Execution.POSSIBLE,
        ),
        (ssl.SSLCertVerificationError("m"), Kind.TLS_CERTIFICATE, Execution.NOT_SENT),
        (ssl.SSLError("TLSV1_ALERT_UNKNOWN_CA"), Kind.TLS_CERTIFICATE, Execution.POSSIBLE),
        (requests.ConnectionError("m"), Kind.NETWORK_OTHER, Execution.POSSIBLE),
        (requests.exceptions.ChunkedEncodingError(), Kind.TRUNCATED_BODY, Execution.POSSIBLE),
        (requests.exceptions.ContentDecodingError(), Kind.MALFORMED_RESPONSE, Execution.POSSIBLE),
        (requests.exceptions.RetryError(), Kind.NETWORK_OTHER, Execution.POSSIBLE),
        (requests.RequestException(), Kind.NETWORK_OTHER, Execution.POSSIBLE),
        (ProtocolError("Response ended prematurely"), Kind.TRUNCATED_BODY, Execution.POSSIBLE),
        (EmptyPoolError(POOL, "m"), Kind.NETWORK_OTHER, Execution.NOT_SENT),
        (ClosedPoolError(POOL, "m"), Kind.NETWORK_OTHER, Execution.NOT_SENT),
        (ConnectTimeoutError("m"), Kind.CONNECT_TIMEOUT, Execution.NOT_SENT),
        (NewConnectionError(CONNECTION, "m"), Kind.CONNECT_REFUSED, Execution.NOT_SENT),
        (
            NameResolutionError("host", CONNECTION, socket.gaierror(-3, "m")),
            Kind.DNS,
            Execution.NOT_SENT,
        ),
        (socket.gaierror(-2, "m"), Kind.DNS, Execution.NOT_SENT),
        (ConnectionRefusedError(), Kind.CONNECT_REFUSED, Execution.NOT_SENT),
        (ConnectionResetError(), Kind.CONNECTION_RESET, Execution.POSSIBLE),
        (ConnectionAbortedError(), Kind.CONNECTION_RESET, Execution.POSSIBLE),
        (BrokenPipeError(), Kind.CONNECTION_RESET, Execution.POSSIBLE),
        (http.client.RemoteDisconnected("m"), Kind.CONNECTION_RESET, Execution.POSSIBLE),
        (http.client.BadStatusLine("m"), Kind.MALFORMED_RESPONSE, Execution.POSSIBLE),
        (http.client.IncompleteRead(b""), Kind.TRUNCATED_BODY, Execution.POSSIBLE),
        (http.client.CannotSendRequest(), Kind.NETWORK_OTHER, Execution.POSSIBLE),
        (TimeoutError(), Kind.READ_TIMEOUT, Execution.POSSIBLE),
        (OSError(errno.ENETUNREACH, "m"), Kind.NETWORK_OTHER, Execution.POSSIBLE),
        (OSError("Tunnel connection failed: 502 Bad"), Kind.PROXY, Execution.NOT_SENT),
        (OSError("something"), Kind.NETWORK_OTHER, Execution.POSSIBLE),
        (LocationParseError("m"), Kind.INVALID_CALL, Execution.NOT_SENT),
        (http.client.InvalidURL("m"), Kind.INVALID_CALL, Execution.NOT_SENT),
        (requests.exceptions.InvalidHeader("m"), Kind.INVALID_CALL, Execution.NOT_SENT),
    ],
    ids=repr,
)
def test_bare_exceptions(error: BaseException, kind: Kind, execution: Execution) -> None:
    """N1, N4: exceptions without a history are named by their class, and prove only what it can."""
    failure = classify_exception(error)
    assert (failure.kind, failure.execution) == (kind, execution)
    assert failure.transient is (kind not in (Kind.TLS_CERTIFICATE, Kind.INVALID_CALL))


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ConnectionRefusedError(), Kind.CONNECT_REFUSED),
        (socket.gaierror(-2, "m"), Kind.DNS),
        (TimeoutError(), Kind.CONNECT_TIMEOUT),
        (OSError(errno.EHOSTUNREACH, "m"), Kind.NETWORK_OTHER),
        (PermissionError(errno.EPERM, "m"), Kind.NETWORK_OTHER),
    ],
    ids=repr,
)
def test_new_connection_errors(cause: OSError, kind: Kind) -> None:
    """N1, N4: why no connection could be made is named, and nothing was sent in any case."""
    error = NewConnectionError(CONNECTION, "m")
    error.__cause__ = cause
    failure = classify_exception(requests.ConnectionError(MaxRetryError(POOL, "/", error)))
    assert _told(failure) == (kind, Execution.NOT_SENT, True)


# --- what an exception's history proves ---


def _raised(*chain: BaseException, explicit: bool) -> BaseException:
    """The last exception, each raised from, or in the context of, the one before."""
    for earlier, later in itertools.pairwise(chain):
        if explicit:
            later.__cause__ = earlier
        else:
            later.__context__ = earlier
    return chain[-1]


def test_explicit_cause_proves() -> None:
    """N1, N4: a cause that was named on purpose is evidence, however deep it stands."""
    error = _raised(
        ConnectionRefusedError(), ValueError("a"), requests.ConnectionError("b"), explicit=True
    )
    assert _told(classify_exception(error)) == (
        Kind.CONNECT_REFUSED,
        Execution.NOT_SENT,
        True,
    )


def test_context_names_but_does_not_prove() -> None:
    """N4: what an exception was merely raised in the context of does not prove it was not sent."""
    error = _raised(ConnectionRefusedError(), requests.ConnectionError("b"), explicit=False)
    assert _told(classify_exception(error)) == (
        Kind.CONNECT_REFUSED,
        Execution.POSSIBLE,
        True,
    )


def test_programming_errors_have_no_network_history() -> None:
    """N1: a mistake made while an older network error is handled is still a mistake."""
    error = _raised(ConnectionResetError(), ValueError("b"), explicit=False)
    assert _told(classify_exception(error)) == (Kind.INVALID_CALL, Execution.POSSIBLE, False)


def test_foreign_exceptions_are_seen_through() -> None:
    """N1: an exception of another library is what it was raised from, named or not."""

    class TransportError(Exception):
        """Says nothing by itself."""

    for explicit in (True, False):
        error = _raised(ConnectionResetError(), TransportError("b"), explicit=explicit)
        assert classify_exception(error).kind is Kind.CONNECTION_RESET
    vague = _raised(requests.RequestException(), TransportError("b"), explicit=True)
    assert classify_exception(vague).kind is Kind.NETWORK_OTHER
    assert classify_exception(TransportError("b")).kind is Kind.INVALID_CALL


def test_suppressed_context_is_not_followed() -> None:
    """N1: what was raised from None has no history."""
    error = requests.ConnectionError("b")
    error.__context__ = ConnectionResetError()
    error.__suppress_context__ = True
    assert classify_exception(error).kind is Kind.NETWORK_OTHER


def test_rings_of_exceptions_end() -> None:
    """N1: exceptions that are each other's cause are walked once."""
    first, second = requests.ConnectionError("a"), requests.ConnectionError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify_exception(first).kind is Kind.NETWORK_OTHER


@pytest.mark.timeout(10)
def test_long_chains_end() -> None:
    """N1: a chain of any length is followed only so far."""
    error: BaseException = ConnectionResetError()
    for _ in range(10_000):
        error = _raised(error, requests.ConnectionError(), explicit=True)
    assert classify_exception(error).kind is Kind.NETWORK_OTHER


def test_every_kind_of_the_network_can_be_told() -> None:
    """N1: no network kind is without an exception that leads to it."""
    timeout = ReadTimeoutError(POOL, "/", "m")
    examples: list[BaseException] = [
        socket.gaierror(),
        ConnectionRefusedError(),
        ConnectTimeoutError(),
        ssl.SSLError(),
        ssl.SSLCertVerificationError(),
        requests.exceptions.ProxyError(),
        ConnectionResetError(),
        timeout,
        http.client.IncompleteRead(b""),
        http.client.BadStatusLine(""),
        requests.ConnectionError(),
    ]
    assert {classify_exception(error).kind for error in examples} == NETWORK_KINDS


# --- the message ---


def test_message_has_no_credentials_or_query() -> None:
    """C10: credentials and queries of URLs do not get into the message."""
    url = "http://user:hunter2@example.com/path?token=hunter2&x=1"
    message = classify_exception(requests.exceptions.InvalidURL(f"Invalid URL {url!r}")).message
    assert "hunter2" not in message
    assert "example.com/path" in message


def test_message_is_bounded_and_on_one_line() -> None:
    """C10: a message of any length is cut and made printable."""
    message = classify_exception(ConnectionResetError("a\r\nb\x1b" + "c" * 100_000)).message
    assert message.startswith("a b ccc")
    assert len(message) == 500
    assert message.isprintable()


def test_exceptions_that_cannot_be_printed() -> None:
    """C3: an exception whose text raises is named by its class."""

    class Mute(ConnectionResetError):
        def __str__(self) -> str:
            raise RuntimeError

    failure = classify_exception(Mute())
    assert failure.kind is Kind.CONNECTION_RESET
    assert failure.message.endswith("Mute")


def test_exceptions_without_text() -> None:
    """C3: an exception that says nothing falls back to the outer one's words."""
    error = _raised(ConnectionResetError(), requests.ConnectionError("outer"), explicit=True)
    assert classify_exception(error).message == "outer"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("m"),
        TypeError("m"),
        RuntimeError("m"),
        PermissionError(errno.EACCES, "m"),
        requests.exceptions.StreamConsumedError("m"),
        requests.TooManyRedirects("m"),
        KeyboardInterrupt(),
        MemoryError(),
    ],
)
def test_programming_errors(error: BaseException) -> None:
    """N4: what is no network failure is permanent, and it is not claimed that nothing was sent."""
    assert _told(classify_exception(error)) == (Kind.INVALID_CALL, Execution.POSSIBLE, False)
