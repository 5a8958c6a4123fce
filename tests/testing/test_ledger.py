"""The ledger's queries, over requests that were really made."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import pytest
import requests

from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    VirtualClock,
    faults,
)

TIMEOUT = 20


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    with FakeServer(clock=clock) as running:
        yield running


def send(server: FakeServer, method: str, path: str, body: str = "") -> None:
    requests.request(method, server.url + path, data=body, timeout=TIMEOUT)


def test_entry_tells_the_whole_request(server: FakeServer, clock: VirtualClock) -> None:
    """An entry has everything that can be known of a request, and no header or body in its repr."""
    clock.advance(5)
    requests.post(
        f"{server.url}/echo?a=1",
        data=b"body",
        headers={"Idempotency-Key": "k", "X-Secret": "hidden"},
        timeout=TIMEOUT,
    )
    (entry,) = server.ledger.requests()
    assert (entry.number, entry.connection, entry.method) == (1, 1, "POST")
    assert (entry.path, entry.query) == ("/echo", "a=1")
    assert entry.arrived_at == clock.time() == server.started_at + 5
    assert entry.body_hash == hashlib.sha256(b"body").hexdigest()
    assert entry.body == b"body"
    assert (entry.idempotency_key, entry.token, entry.token_generation) == ("k", None, None)
    assert (entry.executed, entry.replayed, entry.fault, entry.status) == (True, False, None, 200)
    assert entry.header("x-secret") == "hidden"
    assert entry.header("x-none") is None
    assert "hidden" not in repr(entry)


def test_requests_can_be_asked_by_path_and_method(server: FakeServer) -> None:
    """Queries take a path, or a glob of paths, and a method."""
    for method, path in (("GET", "/echo"), ("POST", "/echo"), ("GET", "/bytes/1")):
        send(server, method, path)
    ledger = server.ledger
    assert [entry.number for entry in ledger.requests(path="/echo")] == [1, 2]
    assert [entry.number for entry in ledger.requests(path="/b*")] == [3]
    assert [entry.number for entry in ledger.requests(method="GET")] == [1, 3]
    assert [entry.number for entry in ledger.executions(path="/echo", method="POST")] == [2]


def test_statuses_are_counted(server: FakeServer) -> None:
    """by_status() counts answers, and requests that got none."""
    server.plan = FaultPlan.script(faults.answer(503), None, faults.reset())
    send(server, "GET", "/echo")
    send(server, "GET", "/echo")
    with pytest.raises(requests.ConnectionError):
        send(server, "GET", "/echo")
    assert server.ledger.by_status() == {503: 1, 200: 1, None: 1}
    assert server.ledger.by_status(path="/nothing") == {}


def test_duplicates_are_executions_that_look_alike(server: FakeServer) -> None:
    """Only a POST or PATCH that took effect twice, alike in all, is a duplicate."""
    server.plan = FaultPlan.script(faults.answer(503), path="/echo", method="POST")
    send(server, "POST", "/echo", "failed first")
    send(server, "POST", "/echo", "failed first")
    send(server, "POST", "/echo?x", "failed first")
    send(server, "PUT", "/echo", "idempotent")
    send(server, "PUT", "/echo", "idempotent")
    form = {"grant_type": "client_credentials"}
    for _ in range(2):
        requests.post(server.token_url, data=form, auth=(CLIENT_ID, CLIENT_SECRET), timeout=TIMEOUT)
    assert server.ledger.duplicates() == ()
    assert len(server.ledger.duplicates(methods=("PUT",))) == 1
    send(server, "POST", "/echo", "failed first")
    (group,) = server.ledger.duplicates()
    assert [entry.number for entry in group] == [2, 8]


def test_waiting_for_requests(server: FakeServer) -> None:
    """wait_until() returns as soon as enough requests of the kind have arrived."""
    server.plan = FaultPlan.script(faults.hold("x"), path="/echo")
    thread = threading.Thread(target=send, args=(server, "POST", "/echo"))
    thread.start()
    (entry,) = server.ledger.wait_until(1, path="/echo", method="POST")
    assert entry.status is None
    server.release("x")
    (entry,) = server.ledger.wait_until(1, executed=True)
    assert entry.executed
    thread.join(TIMEOUT)


def test_waiting_in_vain_says_what_came(server: FakeServer) -> None:
    """wait_until() gives up with what was seen and what was expected."""
    send(server, "GET", "/echo")
    with pytest.raises(TimeoutError, match=r"1 requests \(GET /e\*\) have been received .* but 2"):
        server.ledger.wait_until(2, 0.01, path="/e*", method="GET")
    with pytest.raises(TimeoutError, match=r"0 requests .* executed"):
        server.ledger.wait_until(1, 0.01, path="/x", executed=True)


def test_ledger_can_be_cleared_and_bounded() -> None:
    """A bounded ledger forgets the oldest; numbers go on after forgetting."""
    with FakeServer(keep=2) as server:
        for _ in range(3):
            send(server, "GET", "/echo")
        assert [entry.number for entry in server.ledger.requests()] == [2, 3]
        server.ledger.clear()
        assert len(server.ledger) == 0
        send(server, "GET", "/echo")
        assert [entry.number for entry in server.ledger.requests()] == [4]


def test_ledger_is_complete_under_threads(server: FakeServer) -> None:
    """Requests of many threads are all there, each once, and each as its client saw it."""

    def client(number: int) -> None:
        with requests.Session() as session:
            for step in range(10):
                session.post(f"{server.url}/echo", data=f"{number}-{step}", timeout=TIMEOUT)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    entries = server.ledger.requests()
    assert [entry.number for entry in entries] == list(range(1, 41))
    assert {entry.body.decode() for entry in entries} == {
        f"{number}-{step}" for number in range(4) for step in range(10)
    }
    assert server.connections == 4
