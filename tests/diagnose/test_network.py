"""From exceptions to network failures, made by real sockets that misbehave."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    MaxRetryError,
    NewConnectionError,
)

from weatherglass.diagnose import classify_exception
from weatherglass.report import GENERIC, Failure
from weatherglass.vocabulary import Execution, Kind

CERTIFICATE = Path(__file__).parent / "self_signed.pem"
"""A key and certificate for localhost that nobody trusts; made for these tests."""

SHORT = 0.1
"""Seconds: a timeout that is meant to pass."""
LONG = 10.0
"""Seconds: a timeout that is not."""

Behaviour = Callable[[socket.socket], None]
Serve = Callable[[Behaviour], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that treats its one connection as told; gives its port."""
    done = threading.Event()
    threads: list[threading.Thread] = []

    def start(behaviour: Behaviour) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(LONG)

        def run() -> None:
            with listener, contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.settimeout(LONG)
                with connection:
                    behaviour(connection)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    def stall(connection: socket.socket) -> None:
        del connection
        done.wait(LONG)

    start.stall = stall  # type: ignore[attr-defined] # kept beside what it is used with
    yield start
    done.set()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


@pytest.fixture
def stall(serve: Any) -> Behaviour:
    """Say nothing until the test is over."""
    behaviour: Behaviour = serve.stall
    return behaviour


def _request(
    url: str, *, method: str = "GET", connect: float = LONG, read: float = LONG, **arguments: Any
) -> requests.Response:
    """One attempt with urllib3's own retries off, the body read."""
    with requests.Session() as session:
        session.trust_env = False
        for prefix in ("http://", "https://"):
            retries = urllib3.Retry(0, read=False, respect_retry_after_header=False)
            session.mount(prefix, HTTPAdapter(max_retries=retries))
        return session.request(method, url, timeout=(connect, read), **arguments)


def _failure_of(url: str, **arguments: Any) -> Failure:
    with pytest.raises((requests.RequestException, urllib3.exceptions.HTTPError)) as caught:
        _request(url, **arguments)
    failure = classify_exception(caught.value)
    assert (failure.status, failure.code, failure.raw) == (None, GENERIC, None)
    assert failure.error_type == type(caught.value).__qualname__
    return failure


def _told(failure: Failure) -> tuple[Kind, Execution, bool]:
    return failure.kind, failure.execution, failure.transient


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _answer(text: bytes, then: Behaviour | None = None) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)
        if then is not None:
            then(connection)

    return behave


# --- before anything is sent ---


def test_dns() -> None:
    """N1, N4: a name that does not resolve is dns; nothing was sent."""
    failure = _failure_of("http://no-such-host.invalid/")
    assert _told(failure) == (Kind.DNS, Execution.NOT_SENT, True)


def test_connect_refused() -> None:
    """N1, N4: a port where nobody listens is connect_refused; nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        failure = _failure_of(f"http://127.0.0.1:{unused.getsockname()[1]}/", method="POST")
    assert _told(failure) == (Kind.CONNECT_REFUSED, Execution.NOT_SENT, True)
    assert failure.rule == "exception NewConnectionError"


@pytest.mark.skipif(sys.platform != "linux", reason="how a full backlog behaves differs elsewhere")
def test_connect_timeout() -> None:
    """N1, N4: a connection that is not accepted in time is connect_timeout; nothing was sent."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        failure = _failure_of(f"http://127.0.0.1:{listener.getsockname()[1]}/", connect=SHORT)
    assert _told(failure) == (Kind.CONNECT_TIMEOUT, Execution.NOT_SENT, True)


def test_tls_to_a_plaintext_port(serve: Serve) -> None:
    """N1, N4: a handshake that fails is tls_handshake; nothing was sent."""
    port = serve(_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    failure = _failure_of(f"https://127.0.0.1:{port}/", method="POST")
    assert _told(failure) == (Kind.TLS_HANDSHAKE, Execution.NOT_SENT, True)


@pytest.mark.parametrize("close", [_reset, socket.socket.close])
def test_connection_closed_amid_the_handshake(serve: Serve, close: Behaviour) -> None:
    """N1, N4: a connection that is closed in the handshake is tls_handshake, not a reset."""

    def behave(connection: socket.socket) -> None:
        connection.recv(1)
        close(connection)

    failure = _failure_of(f"https://127.0.0.1:{serve(behave)}/", method="POST")
    assert _told(failure) == (Kind.TLS_HANDSHAKE, Execution.NOT_SENT, True)


def test_tls_handshake_timeout(serve: Serve, stall: Behaviour) -> None:
    """N1, N4: a handshake that hangs is tls_handshake, although it comes as a ReadTimeout."""
    failure = _failure_of(f"https://127.0.0.1:{serve(stall)}/", connect=SHORT, method="POST")
    assert _told(failure) == (Kind.TLS_HANDSHAKE, Execution.NOT_SENT, True)
    assert failure.error_type == "ReadTimeout"


def _tls(behaviour: Behaviour) -> Behaviour:
    """Speak TLS with a certificate that nobody trusts."""

    def behave(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        with context.wrap_socket(connection, server_side=True) as secured:
            behaviour(secured)

    return behave


def test_certificate_refused(serve: Serve) -> None:
    """N1, N4: a certificate that is not trusted is tls_certificate, which is permanent."""
    port = serve(_tls(_answer(b"HTTP/1.1 200 OK\r\n\r\n")))
    failure = _failure_of(f"https://127.0.0.1:{port}/", method="POST")
    assert _told(failure) == (Kind.TLS_CERTIFICATE, Execution.NOT_SENT, False)


def test_tls_that_breaks_after_the_handshake(serve: Serve) -> None:
    """N4: TLS that breaks on a connection in use is a reset, and the request may be executed."""

    def behave(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        secured = context.wrap_socket(connection, server_side=True)
        secured.recv(65536)
        with socket.socket(fileno=secured.detach()) as plain:
            plain.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    url = f"https://localhost:{serve(behave)}/"
    failure = _failure_of(url, method="POST", verify=str(CERTIFICATE))
    assert _told(failure) == (Kind.CONNECTION_RESET, Execution.POSSIBLE, True)


def test_tls_that_breaks_in_the_body(serve: Serve) -> None:
    """N4: TLS that breaks while the body is read is a truncated body."""

    def behave(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        secured = context.wrap_socket(connection, server_side=True)
        secured.recv(65536)
        secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nbegin")
        with socket.socket(fileno=secured.detach()) as plain:
            plain.sendall(b"this is no TLS record at all")

    url = f"https://localhost:{serve(behave)}/"
    failure = _failure_of(url, method="POST", verify=str(CERTIFICATE))
    assert _told(failure) == (Kind.TRUNCATED_BODY, Execution.POSSIBLE, True)


def test_proxy_refused() -> None:
    """N1, N4: a proxy that cannot be reached is proxy; nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
        proxies = {"http": proxy, "https": proxy}
        for url in ("http://service.invalid/", "https://service.invalid/"):
            failure = _failure_of(url, proxies=proxies, method="POST")
            assert _told(failure) == (Kind.PROXY, Execution.NOT_SENT, True)


@pytest.mark.parametrize(
    ("status", "transient"), [(407, False), (403, False), (429, True), (502, True), (503, True)]
)
def test_tunnel_refused(serve: Serve, status: int, transient: bool) -> None:
    """N1, N4: a tunnel that is refused is proxy, and permanent when the proxy forbids it."""
    port = serve(_answer(b"HTTP/1.1 %d No\r\n\r\n" % status))
    proxies = {"https": f"http://127.0.0.1:{port}"}
    failure = _failure_of("https://service.invalid/", proxies=proxies, method="POST")
    assert _told(failure) == (Kind.PROXY, Execution.NOT_SENT, transient)


def test_tunnel_reset(serve: Serve) -> None:
    """N1, N4: a reset while the tunnel is asked for is proxy, although it comes as a reset."""
    proxies = {"https": f"http://127.0.0.1:{serve(_answer(b'', _reset))}"}
    failure = _failure_of("https://service.invalid/", proxies=proxies, method="POST")
    assert _told(failure) == (Kind.PROXY, Execution.NOT_SENT, True)


def test_tunnel_timeout(serve: Serve, stall: Behaviour) -> None:
    """N1, N4: a proxy that never answers CONNECT is proxy, although it comes as a ReadTimeout."""
    proxies = {"https": f"http://127.0.0.1:{serve(stall)}"}
    failure = _failure_of(
        "https://service.invalid/", proxies=proxies, method="POST", connect=SHORT, read=SHORT
    )
    assert _told(failure) == (Kind.PROXY, Execution.NOT_SENT, True)


# --- after the request was sent ---


@pytest.mark.parametrize("close", [_reset, socket.socket.close])
def test_connection_reset(serve: Serve, close: Behaviour) -> None:
    """N1, N4: a connection lost before the answer is a reset; the request may be executed."""
    failure = _failure_of(f"http://127.0.0.1:{serve(_answer(b'', close))}/", method="POST")
    assert _told(failure) == (Kind.CONNECTION_RESET, Execution.POSSIBLE, True)


def test_read_timeout(serve: Serve, stall: Behaviour) -> None:
    """N1, N4: an answer that does not come is read_timeout; the request may be executed."""
    failure = _failure_of(f"http://127.0.0.1:{serve(stall)}/", read=SHORT, method="POST")
    assert _told(failure) == (Kind.READ_TIMEOUT, Execution.POSSIBLE, True)


def test_read_timeout_in_the_body(serve: Serve, stall: Behaviour) -> None:
    """N1: a body that stops coming is read_timeout, although requests calls it ConnectionError."""
    behave = _answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", stall)
    failure = _failure_of(f"http://127.0.0.1:{serve(behave)}/", read=SHORT)
    assert _told(failure) == (Kind.READ_TIMEOUT, Execution.POSSIBLE, True)
    assert failure.error_type == "ConnectionError"


@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
    ids=["content-length", "in a chunk", "between chunks"],
)
@pytest.mark.parametrize("close", [_reset, socket.socket.close])
def test_truncated_body(serve: Serve, begun: bytes, close: Behaviour) -> None:
    """N1, N4: a body that breaks off, however, is truncated_body."""
    failure = _failure_of(f"http://127.0.0.1:{serve(_answer(begun, close))}/")
    assert _told(failure) == (Kind.TRUNCATED_BODY, Execution.POSSIBLE, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["protocol", "status", "line", "headers", "chunk", "gzip"],
)
def test_malformed_response(serve: Serve, answer: bytes) -> None:
    """N1, N4: an answer that is not HTTP is malformed_response; the request may be executed."""
    # Everything is read before closing, so that the close is no reset.
    failure = _failure_of(f"http://127.0.0.1:{serve(_answer(answer))}/")
    assert _told(failure) == (Kind.MALFORMED_RESPONSE, Execution.POSSIBLE, True)


# urllib3 lets this one exception pass without closing the answer, whose socket then waits for the
# garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_contradictory_length(serve: Serve) -> None:
    """N1, N4: requests calls a contradiction in the answer InvalidHeader; it is malformed."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc"
    failure = _failure_of(f"http://127.0.0.1:{serve(_answer(answer))}/")
    gc.collect()
    assert _told(failure) == (Kind.MALFORMED_RESPONSE, Execution.POSSIBLE, True)
    assert failure.error_type == "InvalidHeader"


# --- calls that are invalid in themselves ---


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("no-scheme", {}),
        ("ftp://example.com/", {}),
        ("http://", {}),
        ("http://*bad/", {}),
        ("http://" + "a" * 70 + ".com/", {}),
        ("http://example.com/", {"headers": {"X": "a\nb"}}),
        ("http://example.com/", {"proxies": {"http": "http:///no-host"}}),
    ],
    ids=["schema", "scheme", "host", "wildcard", "label", "header", "proxy"],
)
def test_invalid_calls(url: str, arguments: dict[str, Any]) -> None:
    """N4: a call that cannot be made is invalid_call, permanent, and never sent."""
    failure = _failure_of(url, **arguments)
    assert _told(failure) == (Kind.INVALID_CALL, Execution.NOT_SENT, False)
    assert not failure.is_network


def test_missing_certificates(tmp_path: Path) -> None:
    """N4: a CA bundle that is not there is the caller's mistake, although it is an OSError."""
    with pytest.raises(OSError, match="Could not find") as caught:
        _request("https://127.0.0.1:1/", verify=str(tmp_path / "none.pem"))
    failure = classify_exception(caught.value)
    assert _told(failure) == (Kind.INVALID_CALL, Execution.NOT_SENT, False)


# --- what the history of an error proves ---

POOL: Any = urllib3.HTTPConnectionPool("127.0.0.1")
CONNECTION: Any = urllib3.connection.HTTPConnection("127.0.0.1")


def test_an_older_error_of_the_application_is_not_ours(serve: Serve) -> None:
    """N4: a call made while the application handles a refused connection is judged by itself."""
    port = serve(_answer(b"", _reset))
    try:
        raise NewConnectionError(CONNECTION, "an older call's")  # noqa: TRY301 - as an application does
    except NewConnectionError:
        failure = _failure_of(f"http://127.0.0.1:{port}/", method="POST")
    assert _told(failure) == (Kind.CONNECTION_RESET, Execution.POSSIBLE, True)


def test_errors_of_the_body_prove_nothing(serve: Serve) -> None:
    """N4: a body that fails with a refused connection of its own does not mean "never sent"."""

    class Source:
        """A body that is read from another server, which is down."""

        def __init__(self, error: Exception) -> None:
            self.error = error

        def __iter__(self) -> Iterator[bytes]:
            yield b"begun"
            raise self.error

    refused = NewConnectionError(CONNECTION, "m")
    nested = requests.ConnectionError(MaxRetryError(POOL, "/", refused))
    for error in (ConnectionRefusedError(), nested):
        port = serve(_answer(b""))
        failure = _failure_of(f"http://127.0.0.1:{port}/", method="POST", data=Source(error))
        assert failure.execution is Execution.POSSIBLE


def test_message_is_the_innermost_that_decided(serve: Serve) -> None:
    """C3: the message is that of the exception which says what happened."""
    failure = _failure_of(f"http://127.0.0.1:{serve(_answer(b'', _reset))}/")
    assert "reset by peer" in failure.message
    assert failure.rule == "exception ConnectionResetError"
