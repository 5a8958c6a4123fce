"""What applications do with answers of requests, done with both: streams, cookies, hooks, hops."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses

import weatherglass
from weatherglass.testing import FakeServer, Fault, FaultPlan, VirtualClock, faults

PAGE = b'{"message": "there is no such thing"}\n'

# --- streams ----------------------------------------------------------------------------------

READERS: dict[str, Callable[[requests.Response], Any]] = {
    "content": lambda answer: answer.content,
    "text": lambda answer: answer.text,
    "json": lambda answer: answer.json(),
    "iter_content": lambda answer: list(answer.iter_content(7)),
    "iter_lines": lambda answer: list(answer.iter_lines()),
    "iteration": b"".join,
    "raw.read": lambda answer: answer.raw.read(decode_content=True),
    "raw.read in parts": lambda answer: [
        answer.raw.read(5, decode_content=True) for _ in range(12)
    ],
    "raw.read undecoded": lambda answer: answer.raw.read(),
    "raw.read1": lambda answer: answer.raw.read1(decode_content=True),
    "raw.readinto": lambda answer: (answer.raw.readinto(room := bytearray(9)), room),
    "raw iteration": lambda answer: list(answer.raw),
    "raw as a file": lambda answer: io.BufferedReader(answer.raw).readline(),
    "raw.stream": lambda answer: b"".join(answer.raw.stream(9, decode_content=True)),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("packed", [False, True])
def test_streamed_answer_is_read_as_with_requests(
    server: FakeServer, read: Callable[[requests.Response], Any], status: int, packed: bool
) -> None:
    """D1, C7: every way to read a streamed body gives the same, of an error's as well."""
    body = gzip.compress(PAGE) if packed else PAGE
    headers = {
        "Content-Type": "application/json",
        **({"Content-Encoding": "gzip"} if packed else {}),
    }
    server.plan = FaultPlan.script(*[faults.answer(status, body=body, headers=headers)] * 2)
    results = []
    for kind in (requests.Session, weatherglass.Session):
        with kind() as session, session.get(server.url, stream=True) as answer:
            results.append((read(answer), answer.status_code, answer.reason, answer.headers))
    before, after = results
    assert before[:3] == after[:3]
    assert before[3].keys() == after[3].keys()


@pytest.mark.parametrize("status", [200, 404])
def test_streamed_body_can_be_consumed_once(
    server: FakeServer, session: requests.Session, status: int
) -> None:
    """D1: ``with`` closes a streamed answer, read or not, and the session goes on."""
    server.plan = FaultPlan.script(faults.answer(status, body=PAGE))
    with session.get(server.url, stream=True) as answer:
        assert answer.raw.read(5) == PAGE[:5]
    assert answer.raw.closed
    assert session.get(f"{server.url}/echo").ok


# --- cookies and hooks ------------------------------------------------------------------------


def _cookies_received(answer: requests.Response) -> str | None:
    headers: dict[str, str] = answer.json()["headers"]
    return {name.lower(): value for name, value in headers.items()}.get("cookie")


def test_cookies_persist(server: FakeServer, session: requests.Session) -> None:
    """D1: cookies of answers, redirects and errors stay with the session; a call's own do not."""
    server.plan = FaultPlan.script(
        faults.answer(200, body=b"", headers={"Set-Cookie": "a=1; Path=/"}),
        faults.answer(302, body=b"", headers={"Location": "/echo", "Set-Cookie": "b=2; Path=/"}),
        None,
        faults.answer(404, body=b"", headers={"Set-Cookie": "c=3; Path=/"}),
    )
    assert session.get(server.url).cookies.get_dict() == {"a": "1"}
    assert _cookies_received(session.get(server.url)) == "a=1; b=2"
    session.get(server.url)
    assert session.cookies.get_dict() == {"a": "1", "b": "2", "c": "3"}
    answer = session.get(f"{server.url}/echo", cookies={"mine": "4"})
    assert _cookies_received(answer) == "a=1; b=2; c=3; mine=4"
    assert _cookies_received(session.get(f"{server.url}/echo")) == "a=1; b=2; c=3"


def test_cookie_of_a_failed_attempt_does_not_stay(server: FakeServer, clock: VirtualClock) -> None:
    """D1, R3: what stays with the session are the cookies of the answer that it returns."""
    server.plan = FaultPlan.script(faults.answer(503, headers={"Set-Cookie": "a=1; Path=/"}))
    with weatherglass.Session(runtime=clock) as session:
        assert session.get(f"{server.url}/echo").ok
        assert session.cookies.get_dict() == {}


def test_hooks_of_session_and_call(server: FakeServer, session: requests.Session) -> None:
    """D1: hooks run once per hop, a call's in place of the session's, and may replace answers."""
    heard: list[tuple[str, int, frozenset[str]]] = []
    other = requests.Response()
    other.status_code, other._content = 299, b"other"

    def of_session(answer: requests.Response, **how: Any) -> None:
        heard.append(("session", answer.status_code, frozenset(how)))

    def of_call(answer: requests.Response, **how: Any) -> requests.Response | None:
        heard.append(("call", answer.status_code, frozenset(how)))
        return other if answer.status_code == 200 else None

    how = frozenset({"timeout", "verify", "cert", "proxies", "stream"})
    session.hooks["response"] = [of_session]
    assert session.get(f"{server.url}/redirect?to=/echo").ok
    assert heard == [("session", 302, how), ("session", 200, how)]
    heard.clear()
    answer = session.get(f"{server.url}/redirect?to=/echo", hooks={"response": of_call})
    assert answer is other
    assert heard == [("call", 302, how), ("call", 200, how)]


def test_hook_may_send_again(server: FakeServer, session: requests.Session) -> None:
    """D1: a hook that sends through ``response.connection``, as an authentication does, can."""

    def again(answer: requests.Response, **how: Any) -> requests.Response | None:
        if answer.status_code != 401:
            return None
        answer.content  # noqa: B018 - read, so that the connection is free
        request = answer.request.copy()
        request.headers["Authorization"] = "Second"
        second: requests.Response = answer.connection.send(request, **how)
        second.history.append(answer)
        return second

    server.plan = FaultPlan.script(faults.answer(401))
    answer = session.get(f"{server.url}/echo", hooks={"response": again})
    assert [earlier.status_code for earlier in answer.history] == [401]
    assert answer.json()["headers"]["Authorization"] == "Second"


# --- redirects --------------------------------------------------------------------------------


def test_redirects_end_at_the_session_s_maximum(
    server: FakeServer, session: requests.Session
) -> None:
    """D1: ``max_redirects`` holds, and the error carries the last answer and its history."""
    server.plan = FaultPlan.script(*[faults.redirect("/")] * 9)
    session.max_redirects = 3
    with pytest.raises(requests.TooManyRedirects, match="Exceeded 3 redirects") as caught:
        session.get(server.url)
    assert caught.value.response is not None
    assert len(caught.value.response.history) == 3
    assert len(server.ledger) == 4


def test_redirect_that_is_not_followed_can_be_followed_later(
    server: FakeServer, session: requests.Session
) -> None:
    """D1: ``allow_redirects=False`` leaves the next request on the answer."""
    answer = session.get(f"{server.url}/redirect?to=/bytes/3", allow_redirects=False)
    assert (answer.status_code, answer.is_redirect, answer.history) == (302, True, [])
    assert answer.next is not None
    assert session.send(answer.next).content == b"\x00\x01\x02"
    (hop,) = session.resolve_redirects(answer, answer.request)
    assert hop.content == b"\x00\x01\x02"


_WRONGLY_PACKED = faults.answer(
    302, body=b"this is not gzip", headers={"Location": "/bytes/3", "Content-Encoding": "gzip"}
)
_CUT_OFF = faults.raw(
    b"HTTP/1.1 302 Found\r\nLocation: /bytes/3\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"
)


@pytest.mark.parametrize("fault", [_WRONGLY_PACKED, _CUT_OFF], ids=["packed", "cut"])
@pytest.mark.parametrize("stream", [False, True])
def test_redirect_is_followed_however_broken_its_body(
    server: FakeServer, session: requests.Session, fault: Fault, stream: bool
) -> None:
    """D1, D15: nobody needs the body of a redirect, so a broken one is no failure."""
    server.plan = FaultPlan.script(fault)
    answer = session.get(server.url, stream=stream)
    assert answer.content == b"\x00\x01\x02"
    assert [earlier.status_code for earlier in answer.history] == [302]
    assert len(server.ledger) == 2


@pytest.mark.parametrize("fault", [_WRONGLY_PACKED, _CUT_OFF], ids=["packed", "cut"])
def test_broken_body_of_a_redirect_that_is_the_answer_is_empty(
    server: FakeServer, session: requests.Session, fault: Fault
) -> None:
    """D1: nor does requests mind where the redirect is not followed."""
    server.plan = FaultPlan.script(fault)
    answer = session.get(server.url, allow_redirects=False)
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.next is not None
    assert len(server.ledger) == 1


@pytest.mark.parametrize("fault", [_WRONGLY_PACKED, _CUT_OFF], ids=["packed", "cut"])
def test_redirect_with_a_broken_body_on_a_plain_session(
    server: FakeServer, clock: VirtualClock, fault: Fault
) -> None:
    """D1, D2: the same holds with our adapter on a session of requests."""
    server.plan = FaultPlan.script(fault)
    with requests.Session() as session:
        session.mount(server.url, weatherglass.Adapter(runtime=clock))
        assert session.get(server.url).content == b"\x00\x01\x02"
    assert len(server.ledger) == 2


# --- requests ---------------------------------------------------------------------------------


def test_answer_carries_the_request_that_was_given(
    server: FakeServer, session: requests.Session
) -> None:
    """D1: ``response.request`` is the very object that the caller has sent, and unchanged."""
    prepared = session.prepare_request(requests.Request("PUT", f"{server.url}/echo", data=b"x"))
    before = dict(prepared.headers)
    answer = session.send(prepared)
    assert answer.request is prepared
    assert dict(prepared.headers) == before


@responses.activate
def test_answer_s_request_carries_what_a_tool_below_has_noted(session: requests.Session) -> None:
    """D3: what ``responses`` notes on the request that it gets is there, of the latest send."""
    responses.get("https://a.example/")
    answer = session.get("https://a.example", params={"page": "1"})
    assert answer.request.params == {"page": "1"}  # type: ignore[attr-defined] # a note of responses
    assert answer.request.req_kwargs["stream"] is False  # type: ignore[attr-defined] # likewise
    again = session.send(answer.request, stream=True)
    assert again.request.req_kwargs["stream"] is True  # type: ignore[attr-defined] # likewise
