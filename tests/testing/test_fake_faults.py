"""Each fault, as the client sees it and as the ledger tells it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from weatherglass.testing import KNOWN_ERRORS, FakeServer, FaultPlan, VirtualClock, faults

TIMEOUT = 20


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    with FakeServer(clock=clock) as running:
        yield running


def suffer(
    server: FakeServer, fault: faults.Fault, method: str = "POST", path: str = "/echo"
) -> requests.Response:
    """One request that meets the fault."""
    server.plan = FaultPlan.script(fault)
    return requests.request(method, server.url + path, data="payload", timeout=TIMEOUT)


@pytest.mark.parametrize(("status", "code"), KNOWN_ERRORS)
def test_every_known_error_in_both_spellings(server: FakeServer, status: int, code: str) -> None:
    """Each status and code can be answered as Genesys spells it today, and as it once did."""
    modern = suffer(server, faults.answer(status, code=code))
    assert (modern.status_code, modern.json()["code"]) == (status, code)
    older = suffer(server, faults.answer(status, code=code, spelling="upper"))
    assert older.json()["errorCode"] == code.upper().replace(".", "_")
    assert not server.ledger.executions()


def test_code_is_the_usual_one_unless_given(server: FakeServer) -> None:
    """An error has the usual code of its status, a given one, or none at all."""
    assert suffer(server, faults.answer(503)).json()["code"] == "service.unavailable"
    assert suffer(server, faults.answer(507)).json()["code"] == "error.507"
    assert "code" not in suffer(server, faults.answer(503, code="")).json()
    assert "errorCode" not in suffer(server, faults.answer(503, code="", spelling="upper")).json()
    assert "error" not in suffer(server, faults.answer(503, code="", spelling="oauth")).json()


def test_answer_can_be_given_word_by_word(server: FakeServer) -> None:
    """Headers, JSON, text and bytes can be given; None takes a header of the server's away."""
    answer = suffer(
        server, faults.answer(503, json=[{"errorCode": "X"}], headers={"X-A": "b", "Date": None})
    )
    assert answer.json() == [{"errorCode": "X"}]
    assert answer.headers["X-A"] == "b"
    assert answer.headers["Content-Type"] == "application/json"
    assert "Date" not in answer.headers
    assert suffer(server, faults.answer(500, body=b"\xff\x00")).content == b"\xff\x00"
    assert suffer(server, faults.answer(500, message="Oh")).json()["message"] == "Oh"


def test_scripted_success_counts_as_executed(server: FakeServer) -> None:
    """A scripted answer below 400 stands for an execution; an error does not."""
    suffer(server, faults.answer(200, json={"done": True}))
    suffer(server, faults.answer(500))
    assert [entry.executed for entry in server.ledger.requests()] == [True, False]


def test_error_after_execution(server: FakeServer) -> None:
    """A 504 may come from a request that took effect all the same."""
    answer = suffer(server, faults.answer(504, after_execution=True))
    (entry,) = server.ledger.executions()
    assert (answer.status_code, entry.status) == (504, 504)


@pytest.mark.parametrize("form", ["html", "latin1", "empty", "truncated"])
def test_bodies_in_every_state_of_repair(server: FakeServer, form: str) -> None:
    """C7: error pages come as HTML, in Latin-1, empty and truncated; none of them is JSON."""
    answer = suffer(server, faults.answer(502, form=form))
    assert answer.status_code == 502
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert (answer.headers["Content-Type"] == "text/html") == (form in ("html", "latin1"))
    assert (answer.content == b"") == (form == "empty")
    if form == "latin1":
        with pytest.raises(UnicodeDecodeError):
            answer.content.decode()


def test_daily_limit_says_hours(server: FakeServer) -> None:
    """A6: a daily quota asks for hours, in the header and in words."""
    answer = suffer(server, faults.daily_limit(hours=5))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "18000")
    assert "Retry the request in [18000] seconds" in answer.json()["message"]


def test_rate_limit_without_retry_after_does_not_name_a_time(server: FakeServer) -> None:
    """A 429 without a Retry-After says no time anywhere, so that MISSING means missing."""
    answer = suffer(server, faults.answer(429))
    assert "Retry-After" not in answer.headers
    assert not any("ratelimit" in name.lower() for name in answer.headers)
    assert "seconds" not in answer.text


def test_redirect_to_another_host(server: FakeServer) -> None:
    """D15: a redirect can lead to what is another origin to the client."""
    server.plan = FaultPlan.script(faults.redirect(f"{server.other_url}/bytes/3", 307))
    answer = requests.get(f"{server.url}/echo", timeout=TIMEOUT)
    assert answer.url == f"{server.other_url}/bytes/3"
    assert answer.history[0].status_code == 307


def test_raw_bytes_are_no_http(server: FakeServer) -> None:
    """N1: what is not HTTP arrives as it is, and the connection is closed."""
    with pytest.raises(requests.ConnectionError, match="NONSENSE"):
        suffer(server, faults.raw(b"NONSENSE\r\n\r\n"))


@pytest.mark.parametrize(
    ("fault", "symptom", "executed"),
    [
        (faults.reset(), "Connection reset", False),
        (faults.lose(), "Connection reset", True),
        (faults.disconnect(), "without response", False),
        (faults.disconnect(after_execution=True), "without response", True),
    ],
    ids=["reset", "lose", "disconnect", "disconnect-after"],
)
def test_connection_ends_before_any_answer(
    server: FakeServer, fault: faults.Fault, symptom: str, executed: bool
) -> None:
    """N4: the end of a connection looks the same, executed or not; the ledger knows."""
    with pytest.raises(requests.ConnectionError, match=symptom):
        suffer(server, fault)
    (entry,) = server.ledger.requests()
    assert (entry.executed, entry.status, entry.fault) == (executed, None, fault.label)


@pytest.mark.parametrize("path", ["/bytes/1000", "/stream", "/status/200"])
@pytest.mark.parametrize("abrupt", [False, True])
def test_body_breaks_off(server: FakeServer, path: str, abrupt: bool) -> None:
    """D10: a cut body ends in mid-body, by a close or a reset, after the request was executed."""
    broken = (requests.exceptions.ChunkedEncodingError, requests.ConnectionError)
    with pytest.raises(broken):
        suffer(server, faults.cut(abrupt=abrupt), "GET", path)
    (entry,) = server.ledger.executions()
    assert (entry.status, entry.fault) == (200, "cut")


def test_cut_lets_so_much_through(server: FakeServer) -> None:
    """A cut lets exactly as many bytes of the body through as it says, of an error as well."""
    server.plan = FaultPlan.script(faults.cut(7, of=faults.answer(503, body="0123456789")))
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as client:
        client.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while piece := client.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Content-Length: 10" in head
    assert body == b"0123456"
    assert not server.ledger.executions()


def test_drip_takes_time_and_arrives_whole(server: FakeServer, clock: VirtualClock) -> None:
    """A body that drips arrives whole, and every piece takes its time on the server's clock."""
    before = clock.monotonic()
    answer = suffer(server, faults.drip(2.0, size=10), "GET", "/bytes/100")
    assert len(answer.content) == 100
    assert clock.monotonic() - before == 20.0


def test_drip_of_a_chunked_body_arrives_whole(server: FakeServer) -> None:
    """Chunks may be torn anywhere and still arrive."""
    answer = suffer(server, faults.drip(0.001, size=1), "GET", "/stream?chunks=2&size=16")
    assert len(answer.content) == 32


def test_delay_is_on_the_clock(server: FakeServer, clock: VirtualClock) -> None:
    """A delayed answer is late by that much on the server's clock, and else as usual."""
    answer = suffer(server, faults.delay(30))
    assert answer.json()["body"] == "payload"
    assert clock.monotonic() == 30.0


def test_delayed_error(server: FakeServer) -> None:
    """Faults of delivery can carry a scripted answer in place of the route's."""
    answer = suffer(server, faults.delay(30, of=faults.answer(503, code="x.server.too.busy")))
    assert (answer.status_code, answer.json()["code"]) == (503, "x.server.too.busy")
    assert not server.ledger.executions()


def test_hang_ends_when_the_client_leaves(server: FakeServer) -> None:
    """A request that hangs is not executed; when its client has had enough, nothing is left."""
    server.plan = FaultPlan.script(faults.hang())
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{server.url}/echo", timeout=(TIMEOUT, 0.05))
    (entry,) = server.ledger.requests()
    assert (entry.executed, entry.status, entry.fault) == (False, None, "hang")


def test_hang_after_execution(server: FakeServer) -> None:
    """A request can be executed and its answer never come."""
    server.plan = FaultPlan.script(faults.hang(after_execution=True))
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{server.url}/echo", timeout=(TIMEOUT, 0.05))
    assert len(server.ledger.executions()) == 1


def test_hang_can_be_released(server: FakeServer) -> None:
    """A released request gets no answer, only the end of its connection."""
    server.plan = FaultPlan.script(faults.hang("my latch"), faults.hang("my latch"))
    outcome: list[Exception] = []

    def ask() -> None:
        try:
            requests.get(f"{server.url}/echo", timeout=TIMEOUT)
        except requests.ConnectionError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    server.wait_held("my latch")
    server.release("my latch")
    thread.join(TIMEOUT)
    assert "without response" in str(outcome[0])
    ask()
    assert len(outcome) == 2


@pytest.mark.parametrize("after_execution", [False, True])
def test_held_requests_go_on_together(server: FakeServer, after_execution: bool) -> None:
    """Requests held on a latch are answered when it is released, before or after execution."""
    hold = faults.hold("gate", after_execution=after_execution)
    server.plan = FaultPlan.script(hold, hold, hold)
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(requests.post(f"{server.url}/echo", timeout=TIMEOUT).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    server.wait_held("gate", 3)
    assert statuses == []
    assert len(server.ledger.executions()) == (3 if after_execution else 0)
    assert {entry.fault for entry in server.ledger.requests()} == {"hold"}
    server.release("gate")
    for thread in threads:
        thread.join(TIMEOUT)
    assert statuses == [200, 200, 200]


def test_released_latch_stays_open_until_closed(server: FakeServer) -> None:
    """After a release nobody is held on the latch, until it is closed again."""
    server.release("gate")
    assert suffer(server, faults.hold("gate")).ok
    server.close_latch("gate")
    server.plan = FaultPlan.script(faults.hold("gate"))
    thread = threading.Thread(
        target=requests.get, args=(f"{server.url}/echo",), kwargs={"timeout": TIMEOUT}
    )
    thread.start()
    server.wait_held("gate")
    server.release("gate")
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_waiting_for_a_latch_gives_up(server: FakeServer) -> None:
    """wait_held() says what it saw when too few requests are held."""
    with pytest.raises(TimeoutError, match=r"0 requests are held on latch 'gate'.* but 2"):
        server.wait_held("gate", 2, timeout=0.01)


def test_idle_connection_is_found_closed(server: FakeServer) -> None:
    """The next request on a kept connection meets its end, and is not executed."""
    server.plan = FaultPlan.script(faults.idle_close())
    with requests.Session() as session:
        assert session.get(f"{server.url}/echo", timeout=TIMEOUT).ok
        with pytest.raises(requests.ConnectionError, match="without response"):
            session.get(f"{server.url}/echo", timeout=TIMEOUT)
        assert session.get(f"{server.url}/echo", timeout=TIMEOUT).ok
    entries = server.ledger.requests()
    assert [entry.connection for entry in entries] == [1, 1, 2]
    assert [entry.executed for entry in entries] == [True, False, True]
    assert [entry.fault for entry in entries] == ["idle_close", "idle_close", None]
