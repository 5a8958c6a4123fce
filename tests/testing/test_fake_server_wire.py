"""HTTP as the fake server reads and writes it when nothing is to go wrong."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from weatherglass.testing import FakeServer

LOOPBACK_CERTIFICATE = Path(__file__).with_name("loopback.pem")
TIMEOUT = 20


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def exchange(server: FakeServer, request: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received


def test_connection_is_kept_over_many_requests(server: FakeServer) -> None:
    """Requests of one session come over one connection, and the ledger says so."""
    with requests.Session() as session:
        for number in range(5):
            session.post(f"{server.url}/echo", data=str(number), timeout=TIMEOUT)
    assert server.connections == 1
    assert [entry.connection for entry in server.ledger.requests()] == [1] * 5


def test_connection_close_is_honoured(server: FakeServer) -> None:
    """A client that asks for the connection to be closed gets it closed."""
    with requests.Session() as session:
        session.headers["Connection"] = "close"
        first = session.get(f"{server.url}/echo", timeout=TIMEOUT)
        session.get(f"{server.url}/echo", timeout=TIMEOUT)
    assert first.headers["Connection"] == "close"
    assert server.connections == 2


def test_pipelined_requests_are_answered_in_order(server: FakeServer) -> None:
    """Two requests that arrive in one piece are two requests."""
    received = exchange(
        server,
        b"GET /status/201 HTTP/1.1\r\nHost: x\r\n\r\nGET /status/202 HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    assert received.index(b"201 Created") < received.index(b"202 Accepted")


def test_chunked_request_body_is_read_whole(server: FakeServer) -> None:
    """A body of unknown length, as a generator makes one, arrives whole."""
    pieces = (piece for piece in (b"one ", b"two ", b"three"))
    answer = requests.post(f"{server.url}/echo", data=pieces, timeout=TIMEOUT)
    assert answer.json()["body"] == "one two three"
    assert answer.json()["headers"]["Transfer-Encoding"] == "chunked"


def test_head_has_the_headers_and_no_body(server: FakeServer) -> None:
    """HEAD is answered like GET, without the body, and the connection stays usable."""
    with requests.Session() as session:
        head = session.head(f"{server.url}/bytes/1000", timeout=TIMEOUT)
        assert head.headers["Content-Length"] == "1000"
        assert head.content == b""
        assert session.get(f"{server.url}/bytes/3", timeout=TIMEOUT).content == b"\0\1\2"
    assert server.connections == 1


def test_expectation_is_answered_before_the_body(server: FakeServer) -> None:
    """A client that waits for 100 Continue before it sends its body is told to go on."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as client:
        client.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hi")
        received = b""
        while piece := client.recv(65536):
            received += piece
    assert json.loads(received.partition(b"\r\n\r\n")[2])["body"] == "hi"


def test_http_1_0_is_answered_and_closed(server: FakeServer) -> None:
    """A client of the older protocol gets its answer and the end of the connection."""
    received = exchange(server, b"GET /status/204 HTTP/1.0\r\n\r\n")
    assert b"204 No Content" in received
    assert b"Content-Length" not in received


def test_request_through_a_proxy_is_understood(server: FakeServer) -> None:
    """A target in the absolute form, as a proxy is sent it, is taken for its path."""
    proxies = {"http": server.url}
    answer = requests.get("http://somewhere.example/echo?a=b", proxies=proxies, timeout=TIMEOUT)
    assert (answer.json()["path"], answer.json()["query"]) == ("/echo", "a=b")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /echo HTTP/3\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: minus one\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(server: FakeServer, request_bytes: bytes) -> None:
    """What cannot be read is answered 400, is no request in the ledger, and does no harm."""
    received = exchange(server, request_bytes)
    assert received.startswith(b"HTTP/1.1 400 Bad Request")
    assert len(server.ledger) == 0
    assert requests.get(f"{server.url}/status/200", timeout=TIMEOUT).status_code == 200


def test_stream_is_chunked(server: FakeServer) -> None:
    """/stream answers in chunks and without a length."""
    answer = requests.get(f"{server.url}/stream?chunks=4&size=32", stream=True, timeout=TIMEOUT)
    assert "Content-Length" not in answer.headers
    assert [json.loads(line) for line in answer.iter_lines()] == [
        {"chunk": number} for number in (1, 2, 3, 4)
    ]


def test_date_comes_from_the_clock(server: FakeServer) -> None:
    """Every answer has a Date, in the one form that servers may send."""
    date = requests.get(f"{server.url}/status/200", timeout=TIMEOUT).headers["Date"]
    assert abs(parsedate_to_datetime(date).timestamp() - server.clock.time()) < 60


def test_https_is_spoken_with_a_context() -> None:
    """With a context the server speaks TLS, and its origin says so."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOOPBACK_CERTIFICATE)
    trusted = str(LOOPBACK_CERTIFICATE)
    with FakeServer(tls=context) as server, requests.Session() as session:
        for _ in range(2):
            answer = session.get(f"{server.url}/bytes/300", timeout=TIMEOUT, verify=trusted)
            assert len(answer.content) == 300
        assert server.url.startswith("https://")
        assert server.connections == 1
