"""Redirects: one call, of which each hop is a send of its own with its own origin."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.exceptions import TooManyRedirects
from scenes import CERTIFICATE, QUEUES, Clock, kinds, outcome_of, reason, statuses, token_source

import weatherglass
from weatherglass import (
    BreakerPolicy,
    CircuitOpen,
    IdempotencyPolicy,
    Policy,
    RetryPolicy,
    Session,
)
from weatherglass.testing import FakeServer, FaultPlan, faults
from weatherglass.vocabulary import BreakerState, ResendReason


def urls(answer: requests.Response | BaseException) -> list[str]:
    return [attempt.url for attempt in weatherglass.report(answer).attempts]


def test_hops_stand_in_one_report(server: FakeServer, session: Session) -> None:
    """D15: all hops of a redirect are attempts of one call, each with its own URL."""
    server.plan = FaultPlan(
        rules=(
            *FaultPlan.script(faults.redirect("/two"), path="/one").rules,
            *FaultPlan.script(faults.redirect(f"{server.other_url}/echo"), path="/two").rules,
        )
    )
    answer = session.get(f"{server.url}/one")
    report = weatherglass.report(answer)
    assert statuses(answer) == [302, 302, 200]
    assert urls(answer) == [f"{server.url}/one", f"{server.url}/two", f"{server.other_url}/echo"]
    assert [a.resend_reason for a in report.attempts] == [None, *[ResendReason.REDIRECT] * 2]
    assert [earlier.status_code for earlier in answer.history] == [302, 302]
    assert (report.url, report.succeeded) == (f"{server.url}/one", True)


def test_each_hop_is_retried_by_itself(server: FakeServer, session: Session) -> None:
    """D15: a hop that fails is retried where it failed; the hops before it are not made again."""
    server.plan = FaultPlan(
        rules=(
            *FaultPlan.script(faults.answer(503), faults.redirect("/echo"), path="/one").rules,
            *FaultPlan.script(faults.reset(), faults.answer(502), path="/echo").rules,
        )
    )
    answer = session.get(f"{server.url}/one")
    assert statuses(answer) == [503, 302, None, 502, 200]
    reasons = [a.resend_reason for a in weatherglass.report(answer).attempts]
    assert reasons == [
        None, ResendReason.RETRY, ResendReason.REDIRECT, ResendReason.RETRY, ResendReason.RETRY,
    ]  # fmt: skip


def test_retries_are_counted_over_all_hops(server: FakeServer, clock: Clock) -> None:
    """D15, R1: the limit of retries is one of the call, not of each hop."""
    server.plan = FaultPlan(
        rules=(
            *FaultPlan.script(
                *[faults.answer(503)] * 2, faults.redirect("/two"), path="/one"
            ).rules,
            *FaultPlan.script(*[faults.answer(503)] * 9, path="/two").rules,
        )
    )
    with Session(runtime=clock, policy=Policy(retry=RetryPolicy(max_retries=3))) as session:
        answer = session.get(f"{server.url}/one")
    assert statuses(answer) == [503, 503, 302, 503, 503]
    assert reason(answer) == "retries_exhausted"


def test_each_origin_has_its_breaker(server: FakeServer, clock: Clock) -> None:
    """D15, B5: a hop that fails counts against its own origin, and is refused by that one's."""
    server.plan = FaultPlan.script(*[faults.answer(503)] * 9, path="/down")
    policy = Policy(breaker=BreakerPolicy(consecutive_failures=2), retry=RetryPolicy(max_retries=1))
    there = f"{server.url}/redirect?to={server.other_url}"
    with Session(runtime=clock, policy=policy) as session:
        assert statuses(session.get(f"{there}/down")) == [302, 503, 503]
        assert session.breakers.state(server.url) is BreakerState.CLOSED
        assert session.breakers.state(server.other_url) is BreakerState.OPEN
        with pytest.raises(CircuitOpen) as caught:
            session.get(f"{there}/echo")
        assert statuses(caught.value) == [302]
        assert caught.value.request is not None
        assert caught.value.request.url == f"{server.other_url}/echo"
        assert session.get(f"{server.url}/echo").ok
    assert server.ledger.requests(path="/echo")[-1].header("Host") == server.url[len("http://") :]


def test_each_origin_has_its_gate(server: FakeServer, session: Session, clock: Clock) -> None:
    """D15, A8: a rate limit of the target holds back the hop, not the origin that sent us."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=60), path="/limited")
    session.request("GET", f"{server.other_url}/limited", max_retries=0)
    answer = session.get(f"{server.url}/redirect?to={server.other_url}/echo")
    assert statuses(answer) == [302, 200]
    first, second = (a.started_at for a in weatherglass.report(answer).attempts)
    assert first == clock.time() - clock.monotonic()
    assert second - first >= 60


@pytest.fixture
def guarded(clock: Clock) -> Iterator[FakeServer]:
    """A server whose API demands tokens."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        yield server


def authorizations(server: FakeServer, path: str = "*") -> list[str | None]:
    found = [entry.header("Authorization") for entry in server.ledger.requests(path=path)]
    return [None if header is None else header.partition(" ")[0] for header in found]


def test_token_does_not_travel_to_another_origin(guarded: FakeServer, clock: Clock) -> None:
    """D15, T11: the token is sent to its own origin, before and behind redirects, and no other."""
    there, back = (
        f"{guarded.other_url}/redirect?to={guarded.url}{QUEUES}",
        f"{guarded.url}/redirect",
    )
    with Session(runtime=clock, tokens=token_source(guarded)) as session:
        answer = session.get(back, params={"to": there})
        assert statuses(answer) == [302, 302, 200]
        abroad = session.get(back, params={"to": f"{guarded.other_url}{QUEUES}"})
    assert statuses(abroad) == [302, 401]
    assert authorizations(guarded, "/redirect") == ["Bearer", None, "Bearer"]
    assert authorizations(guarded, QUEUES) == ["Bearer", None]
    generations = [a.token_generation for a in weatherglass.report(answer).attempts]
    assert generations == [1, None, 1]


def test_token_of_one_s_own_does_not_travel_either(guarded: FakeServer, clock: Clock) -> None:
    """D15, T11: the caller's own header is dropped on the way, and ours does not take its place."""
    mine = {"Authorization": "Bearer mine"}
    with Session(runtime=clock, tokens=token_source(guarded)) as session:
        for here, there in (
            (guarded.url, guarded.other_url),
            (guarded.other_url, guarded.url),
        ):
            session.get(f"{here}/redirect", params={"to": f"{there}/echo"}, headers=mine)
    sent = [entry.header("Authorization") for entry in guarded.ledger.requests()]
    assert sent == ["Bearer mine", None] * 2


def test_token_does_not_travel_over_http(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """D15, T11: a hop from HTTPS down to HTTP on the same host gets no token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with (
        FakeServer(clock=clock, require_tokens=True, tls=context) as secure,
        FakeServer(clock=clock) as insecure,
        Session(runtime=clock, tokens=token_source(secure, verify=str(CERTIFICATE))) as session,
    ):
        assert statuses(session.get(secure.url + QUEUES)) == [200]
        answer = session.get(f"{secure.url}/redirect", params={"to": f"{insecure.url}/echo"})
        assert statuses(answer) == [302, 200]
        assert authorizations(secure, "/redirect") == ["Bearer"]
        assert authorizations(insecure) == [None]


def test_netrc_does_not_override_the_token(
    guarded: FakeServer, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T11, D15: where our token goes, .netrc has no say, neither at first nor behind a redirect."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\nmachine localhost login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Session(runtime=clock, tokens=token_source(guarded)) as session:
        assert session.get(f"{guarded.url}/redirect", params={"to": f"{guarded.url}{QUEUES}"}).ok
        assert session.get(f"{guarded.url}/echo/a@b").status_code == 404
        assert authorizations(guarded)[1:] == ["Bearer"] * 3
        # Elsewhere it is heeded as by requests.
        guarded.ledger.clear()
        session.get(f"{guarded.other_url}/echo")
        session.get(f"{guarded.url}/redirect", params={"to": f"{guarded.other_url}/echo"})
    assert authorizations(guarded) == ["Basic", "Bearer", "Basic"]


def test_request_object_is_not_changed_for_netrc_s_sake(guarded: FakeServer, clock: Clock) -> None:
    """T11, D1: a Request that is prepared by our session is afterwards what it was before."""
    request = requests.Request("GET", f"{guarded.url}/echo")
    with Session(runtime=clock, tokens=token_source(guarded)) as session:
        session.send(session.prepare_request(request))
    assert request.auth is None


@pytest.mark.parametrize("status", [307, 308])
def test_post_is_kept_by_307(server: FakeServer, session: Session, status: int) -> None:
    """D15: a 307 or 308 keeps method, body and key, on another origin too."""
    answer = session.request(
        "POST",
        f"{server.url}/redirect?status={status}&to={server.other_url}/echo",
        json={"a": 1},
        idempotency_key="my-key",
    )
    seen = [(e.method, e.body, e.idempotency_key) for e in server.ledger.requests()]
    assert seen == [("POST", b'{"a": 1}', "my-key")] * 2
    assert statuses(answer) == [status, 200]


def test_key_of_the_first_hop_is_that_of_the_call(server: FakeServer, clock: Clock) -> None:
    """D15, I3: a key that we make is made for the first hop, and goes along to the next."""
    for key in ("per_call", "deterministic"):
        server.ledger.clear()
        policy = Policy(idempotency=IdempotencyPolicy(key=key))
        with Session(runtime=clock, policy=policy) as session:
            answer = session.post(f"{server.url}/redirect?status=307&to=/echo", data=b"x")
        made = weatherglass.report(answer).idempotency_key
        assert [entry.idempotency_key for entry in server.ledger.requests()] == [made, made]


@pytest.mark.parametrize("status", [302, 303])
def test_post_becomes_get_by_303(server: FakeServer, clock: Clock, status: int) -> None:
    """D15, I3: where a POST becomes a GET, neither its body nor its key goes along."""
    policy = Policy(idempotency=IdempotencyPolicy(key="per_call"))
    with Session(runtime=clock, policy=policy) as session:
        session.post(f"{server.url}/redirect?status={status}&to=/echo", json={"a": 1})
    first, second = server.ledger.requests()
    assert (first.method, first.body) == ("POST", b'{"a": 1}')
    assert first.idempotency_key is not None
    assert (second.method, second.body, second.idempotency_key) == ("GET", b"", None)


def test_endless_redirects_end_as_in_requests(server: FakeServer, session: Session) -> None:
    """D15, D7: too many redirects raise requests' own error, which has the report."""
    server.plan = FaultPlan.script(*[faults.redirect("/echo")] * 50)
    session.max_redirects = 3
    with pytest.raises(TooManyRedirects) as caught:
        session.get(f"{server.url}/echo")
    assert statuses(caught.value) == [302] * 4
    assert weatherglass.report(caught.value).failure is not None


def test_redirects_that_are_not_followed_are_the_caller_s(
    server: FakeServer, session: Session
) -> None:
    """D15, D1: with ``allow_redirects=False`` the redirect itself is the answer, and has a next."""
    answer = session.get(f"{server.url}/redirect?to=/echo", allow_redirects=False)
    assert (answer.status_code, statuses(answer)) == (302, [302])
    assert answer.next is not None
    followed = session.send(answer.next)
    assert (statuses(followed), urls(followed)) == ([200], [f"{server.url}/echo"])


def test_caller_may_follow_hop_by_hop(server: FakeServer, session: Session) -> None:
    """D15, D1: ``resolve_redirects`` works outside of a call, each hop being a call then."""
    answer = session.get(f"{server.url}/redirect?to=/redirect?to=/echo", allow_redirects=False)
    hops = list(session.resolve_redirects(answer, answer.request))
    assert [hop.status_code for hop in hops] == [302, 200]
    assert [statuses(hop) for hop in hops] == [[302], [200]]


def test_failed_hop_is_returned_like_any_other(server: FakeServer, session: Session) -> None:
    """D15, D5: the end of a redirect may fail like any call, by an answer or by the network."""
    assert kinds(session.get(f"{server.url}/redirect?to=/nowhere")) == [None, "not_found"]
    refused = server.refused_url()
    error = outcome_of(lambda: session.get(f"{server.url}/redirect?to={refused}"))
    assert type(error) is requests.ConnectionError
    assert kinds(error) == [None, *["connect_refused"] * 4]
