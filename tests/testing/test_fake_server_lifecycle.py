"""The fake server begins at once, ends at once, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
from pathlib import Path

import pytest
import requests

from weatherglass.testing import FakeServer, FaultPlan, ScaledClock, faults

TIMEOUT = 20


def in_background(url: str) -> threading.Thread:
    """A client that asks and takes whatever comes."""

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            requests.get(url, timeout=TIMEOUT)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_nothing_is_left_after_stop() -> None:
    """After stop() there is no thread and no descriptor that was not there before."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("descriptors cannot be counted here")
    gc.collect()  # what earlier tests left to be closed
    threads_before, open_before = threading.active_count(), set(descriptors.iterdir())
    with FakeServer() as server:
        server.refused_url()
        server.stalled_url()
        server.unanswered_url()
        with requests.Session() as session:
            session.get(f"{server.url}/echo", timeout=TIMEOUT)
            with socket.create_connection(("127.0.0.1", server.port)):
                session.get(f"{server.url}/echo", timeout=TIMEOUT)
    assert threading.active_count() == threads_before
    assert set(descriptors.iterdir()) == open_before


@pytest.mark.parametrize(
    "fault",
    [
        faults.hang(),
        faults.hang(after_execution=True),
        faults.hold("for ever"),
        faults.hold("for ever", after_execution=True),
        faults.delay(3600),
        faults.drip(3600),
    ],
    ids=lambda fault: f"{fault.action}-{fault.after_execution}",
)
def test_stop_ends_requests_that_are_held(fault: faults.Fault) -> None:
    """stop() returns although a request hangs, and the client sees its connection end."""
    server = FakeServer(FaultPlan.script(fault)).start()
    client = in_background(f"{server.url}/echo")
    server.ledger.wait_until(1)
    server.stop()
    client.join(TIMEOUT)
    assert not client.is_alive()
    assert not [t for t in threading.enumerate() if t.name.startswith("weatherglass-server")]


def test_stop_ends_a_handshake_that_never_comes_to_its_end() -> None:
    """A client that begins a TLS handshake and falls silent does not keep stop() waiting."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("loopback.pem"))
    server = FakeServer(tls=context).start()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as client:
        client.sendall(outgoing.read())
        assert client.recv(65536)
        server.stop()
        while client.recv(65536):
            pass


def test_stop_can_be_repeated_and_start_cannot_follow() -> None:
    """A stopped server stays stopped, and says so."""
    server = FakeServer().start()
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="make a new one"):
        server.start()


def test_stop_without_start_frees_the_port() -> None:
    """A server that was only made can be stopped as well."""
    FakeServer().stop()


def test_refuse_and_resume() -> None:
    """refuse() cuts connections and refuses new ones; resume() is there on the same port."""
    with FakeServer() as server, requests.Session() as session:
        session.get(f"{server.url}/echo", timeout=TIMEOUT)
        server.refuse()
        with pytest.raises(requests.ConnectionError, match="refused"):
            session.get(f"{server.url}/echo", timeout=TIMEOUT)
        server.resume()
        assert session.get(f"{server.url}/echo", timeout=TIMEOUT).ok


def test_refuse_cuts_a_request_under_way() -> None:
    """A request that is held when the server goes down never gets an answer."""
    with FakeServer(FaultPlan.script(faults.hang())) as server:
        failed = threading.Event()

        def ask() -> None:
            try:
                requests.get(f"{server.url}/echo", timeout=TIMEOUT)
            except requests.ConnectionError:
                failed.set()

        thread = threading.Thread(target=ask)
        thread.start()
        server.wait_held("hung")
        server.refuse()
        assert failed.wait(TIMEOUT)
        thread.join()


def test_refused_url_refuses() -> None:
    """Connecting to refused_url() is refused, for as long as the server runs."""
    with FakeServer() as server:
        url = server.refused_url()
        for _ in range(2):
            with pytest.raises(requests.ConnectionError, match="refused"):
                requests.get(url, timeout=TIMEOUT)


def test_stalled_url_stalls_the_handshake() -> None:
    """Connecting to stalled_url() succeeds, and then nothing comes."""
    with FakeServer() as server:
        url = server.stalled_url()
        assert url.startswith("https://")
        with pytest.raises(requests.exceptions.Timeout, match=r"[Tt]imed out"):
            requests.get(url, timeout=(0.05, TIMEOUT))


@pytest.mark.skipif(not Path("/proc/net").exists(), reason="Linux drops what the backlog refuses")
def test_unanswered_url_lets_connecting_time_out() -> None:
    """Connecting to unanswered_url() neither succeeds nor fails in time."""
    with FakeServer() as server, pytest.raises(requests.exceptions.ConnectTimeout):
        requests.get(server.unanswered_url(), timeout=(0.05, TIMEOUT))


def test_chosen_port_that_is_taken_is_an_error() -> None:
    """Two servers cannot have one port."""
    with FakeServer() as server, pytest.raises(OSError, match="in use"):
        FakeServer(port=server.port)


def test_port_can_be_chosen() -> None:
    """A server can come back on the port of one that was stopped."""
    with FakeServer() as server:
        port = server.port
    with FakeServer(port=port) as again:
        assert requests.get(f"{again.url}/status/200", timeout=TIMEOUT).ok


def test_chaos_leaves_nothing_behind() -> None:
    """S2: many clients under every kind of fault leave one entry per request, and no thread."""
    candidates = [
        faults.answer(503),
        faults.reset(),
        faults.lose(),
        faults.disconnect(),
        faults.cut(),
        faults.cut(abrupt=True),
        faults.drip(0.001, 50),
        faults.delay(0.001),
        faults.idle_close(),
        faults.raw(b"nonsense"),
    ]

    def client(url: str) -> None:
        with requests.Session() as session:
            for _ in range(20):
                with contextlib.suppress(requests.RequestException):
                    session.post(f"{url}/echo", timeout=TIMEOUT)

    with FakeServer(FaultPlan.chaos(candidates, 0.8), ScaledClock(10), seed=1) as server:
        threads = [threading.Thread(target=client, args=(server.url,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
    assert len(server.ledger) == 100
    assert server.ledger.by_status()[None] > 10
    assert not [t for t in threading.enumerate() if t.name.startswith("weatherglass-server")]
