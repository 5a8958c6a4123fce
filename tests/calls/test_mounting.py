"""The adapter on sessions of all kinds, and what subclasses and wrappers of it see."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from scenes import Clock, statuses

import weatherglass
from weatherglass import Adapter, Policy, RetryPolicy, Session
from weatherglass.testing import FakeServer, FaultPlan, faults

DOWN_ONCE = FaultPlan.script(faults.answer(503))


def test_session_is_a_session_with_our_adapter_mounted(session: Session) -> None:
    """D2: the session is requests' own class with one HTTPAdapter of ours on both schemes."""
    assert isinstance(session, requests.Session)
    assert isinstance(session.adapter, HTTPAdapter)
    found = {session.get_adapter(url) for url in ("http://a.example", "https://b.example")}
    assert found == {session.adapter}


def test_adapter_works_on_a_plain_session(server: FakeServer, clock: Clock) -> None:
    """D2: mounted on an existing session, the adapter retries, waits and reports."""
    server.plan = DOWN_ONCE
    with requests.Session() as plain:
        plain.mount("http://", Adapter(runtime=clock))
        answer = plain.get(f"{server.url}/echo")
    assert statuses(answer) == [503, 200]
    assert clock.waits == [0.5]


def test_prefix_bounds_the_adapter(server: FakeServer, clock: Clock) -> None:
    """D2: mounted on a prefix, the adapter concerns itself with nothing else."""
    server.plan = FaultPlan.script(faults.answer(503), faults.answer(503))
    with requests.Session() as plain:
        plain.mount(f"{server.url}/api/", Adapter(runtime=clock))
        elsewhere = plain.get(f"{server.url}/echo")
        assert elsewhere.status_code == 503
        assert statuses(plain.get(f"{server.url}/api/v2/routing/queues")) == [503, 200]
    with pytest.raises(LookupError, match="did not come from a weatherglass"):
        weatherglass.report(elsewhere)


def test_two_adapters_go_by_their_own_policies(server: FakeServer, clock: Clock) -> None:
    """D2: a session may hold several adapters, each with its policy and state."""
    server.plan = FaultPlan.script(*[faults.answer(503)] * 4)
    patient = Adapter(runtime=clock, policy=Policy(name="patient"))
    curt = Adapter(runtime=clock, policy=Policy(name="curt", retry=RetryPolicy(max_retries=0)))
    with requests.Session() as plain:
        plain.mount(server.url, curt)
        plain.mount(server.other_url, patient)
        first, second = plain.get(f"{server.url}/echo"), plain.get(f"{server.other_url}/echo")
    assert (statuses(first), weatherglass.report(first).policy) == ([503], "curt")
    assert (statuses(second), weatherglass.report(second).policy) == (
        [503, 503, 503, 200],
        "patient",
    )


def test_adapter_beside_a_session_s_own_sets_the_timeouts_of_its_prefix(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """D2, D8: an adapter mounted beside the session's own goes by its policy's timeouts too."""
    noted: list[Any] = []

    class Noted(Adapter):
        def send_once(self, wire: Any, stream: Any, timeout: Any, *rest: Any) -> Any:
            noted.append(timeout)
            return super().send_once(wire, stream, timeout, *rest)

    policy = Policy(timeout=weatherglass.TimeoutPolicy(connect=7, read=8))
    session.mount(f"{server.url}/api/", Noted(runtime=clock, policy=policy))
    session.get(f"{server.url}/api/v2/routing/queues")
    session.send(requests.Request("GET", f"{server.url}/api/v2/routing/queues").prepare())
    assert noted == [(7, 8), (7, 8)]


def test_options_reach_an_adapter_on_a_plain_session(server: FakeServer, clock: Clock) -> None:
    """D2, D16: where the session takes no arguments of ours, ``options`` takes them."""
    server.plan = DOWN_ONCE
    with requests.Session() as plain:
        plain.mount("http://", Adapter(runtime=clock))
        with weatherglass.options(max_retries=0):
            assert statuses(plain.get(f"{server.url}/echo")) == [503]
        assert statuses(plain.get(f"{server.url}/echo")) == [200]


def test_subclass_sees_every_attempt(server: FakeServer, clock: Clock) -> None:
    """D3: an adapter's usual hooks are called for each attempt, also below ours in the MRO."""
    seen: list[str] = []

    class Below(HTTPAdapter):
        def send(self, *given: Any, **how: Any) -> requests.Response:
            seen.append("send")
            return super().send(*given, **how)

        def add_headers(self, request: requests.PreparedRequest, **how: Any) -> None:
            seen.append("add_headers")
            request.headers["X-Added"] = str(seen.count("add_headers"))
            super().add_headers(request, **how)

    class Both(Adapter, Below):
        pass

    server.plan = FaultPlan.script(faults.answer(503), faults.answer(502))
    with requests.Session() as plain:
        plain.mount("http://", Both(runtime=clock))
        answer = plain.get(f"{server.url}/echo")
    assert seen == ["send", "add_headers"] * 3
    assert [entry.header("X-Added") for entry in server.ledger.requests()] == ["1", "2", "3"]
    assert "X-Added" not in answer.request.headers


def test_replaced_http_adapter_send_sees_every_attempt(
    server: FakeServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D3: a tool that replaces ``HTTPAdapter.send``, even later on, sees every attempt."""
    original, seen = HTTPAdapter.send, list[str]()

    def recording(adapter: HTTPAdapter, request: Any, **how: Any) -> requests.Response:
        answer = original(adapter, request, **how)
        seen.append(f"{request.method} {answer.status_code}")
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", recording)
    server.plan = FaultPlan.script(faults.answer(503), faults.answer(429, retry_after=1))
    assert session.get(f"{server.url}/echo").ok
    assert seen == ["GET 503", "GET 429", "GET 200"]
