"""Authentication of the caller's own, and hooks: they work as in requests, inside the call."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth
from scenes import QUEUES, Background, Clock, reason, statuses, token_source

import weatherglass
from weatherglass import Adapter, CallFailed, Policy, RetryPolicy, Session, StatusFailed
from weatherglass.testing import FakeServer, FaultPlan, faults
from weatherglass.vocabulary import ResendReason

CHALLENGE = faults.answer(
    401, headers={"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
)


def authorizations(server: FakeServer) -> list[str | None]:
    found = [entry.header("Authorization") for entry in server.ledger.requests(path="/echo")]
    return [None if header is None else header.partition(" ")[0] for header in found]


def test_digest_joins_the_call(server: FakeServer, session: Session) -> None:
    """D1, D7: digest authentication works, and its second request is an attempt of the call."""
    server.plan = FaultPlan.script(CHALLENGE)
    answer = session.get(f"{server.url}/echo", auth=HTTPDigestAuth("user", "password"))
    report = weatherglass.report(answer)
    assert (statuses(answer), report.succeeded) == ([401, 200], True)
    assert report.attempts[1].resend_reason is ResendReason.REAUTH
    assert [earlier.status_code for earlier in answer.history] == [401]
    assert authorizations(server) == [None, "Digest"]


def test_digest_joins_the_call_when_failures_are_raised(server: FakeServer, clock: Clock) -> None:
    """D5, D1: ``raise_failures`` does not raise the challenge before it can be answered."""
    with Session(runtime=clock, policy=Policy(raise_failures=True)) as session:
        server.plan = FaultPlan.script(CHALLENGE)
        auth = HTTPDigestAuth("user", "password")
        assert session.get(f"{server.url}/echo", auth=auth).ok
        server.plan = FaultPlan.script(CHALLENGE, CHALLENGE)
        with pytest.raises(StatusFailed) as caught:
            session.get(f"{server.url}/echo", auth=HTTPDigestAuth("user", "wrong"))
    assert statuses(caught.value) == [401, 401]


def test_digest_is_retried_with_its_answer(server: FakeServer, session: Session) -> None:
    """D1, R3: what fails behind the challenge is retried as any attempt is."""
    server.plan = FaultPlan.script(faults.answer(503), CHALLENGE, faults.answer(503))
    answer = session.get(f"{server.url}/echo", auth=HTTPDigestAuth("user", "password"))
    assert statuses(answer) == [503, 401, 503, 200]
    assert authorizations(server) == [None, None, "Digest", "Digest"]


def test_digest_with_a_body_from_a_file(
    server: FakeServer, session: Session, tmp_path: Any
) -> None:
    """D1, D12: the body goes out whole again behind the challenge."""
    path = tmp_path / "body"
    path.write_bytes(b"0123456789")
    server.plan = FaultPlan.script(CHALLENGE)
    with path.open("rb") as body:
        body.seek(4)
        session.post(f"{server.url}/echo", data=body, auth=HTTPDigestAuth("user", "password"))
    assert [entry.body for entry in server.ledger.requests()] == [b"456789"] * 2


def test_digest_on_a_plain_session(server: FakeServer, clock: Clock) -> None:
    """D1, D2: with the adapter on a plain session it works too, as two calls."""
    server.plan = FaultPlan.script(CHALLENGE)
    with requests.Session() as plain:
        plain.mount("http://", Adapter(runtime=clock))
        answer = plain.get(f"{server.url}/echo", auth=HTTPDigestAuth("user", "password"))
    assert statuses(answer) == [200]


def test_401_without_a_token_of_ours_is_an_answer(server: FakeServer, session: Session) -> None:
    """C8: without a token source there is nothing to refresh: the 401 is returned."""
    server.plan = FaultPlan.script(faults.answer(401))
    answer = session.get(f"{server.url}/echo")
    assert (statuses(answer), reason(answer)) == ([401], None)


class Header(AuthBase):
    """An authentication that sets a header of its own."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Api-Key"] = "mine"
        return request


WINNING: dict[str, dict[str, Any]] = {
    "a pair": {"auth": ("user", "password")},
    "Basic": {"auth": HTTPBasicAuth("user", "password")},
    "a header of its own": {"auth": Header()},
    "digest": {"auth": HTTPDigestAuth("user", "password")},
    "Authorization": {"headers": {"Authorization": "Bearer mine"}},
}


@pytest.mark.parametrize("given", WINNING.values(), ids=WINNING.keys())
def test_caller_s_own_authentication_wins(
    server: FakeServer, clock: Clock, given: dict[str, Any]
) -> None:
    """T11: with ``auth=`` or an Authorization header our token is neither fetched nor sent."""
    server.plan = FaultPlan.script(faults.answer(503), faults.answer(401))
    with Session(runtime=clock, tokens=token_source(server)) as session:
        answer = session.get(f"{server.url}/echo", **given)
        assert statuses(answer) == [503, 401]
        assert {a.token_generation for a in weatherglass.report(answer).attempts} == {None}
        assert len(server.ledger.token_calls()) == 0
        assert session.get(f"{server.url}/echo").ok
    sent = [entry.header("Authorization") or "" for entry in server.ledger.requests(path="/echo")]
    assert not any("access-" in header for header in sent[:-1])
    assert sent[-1].startswith("Bearer access-")


def test_session_s_own_authentication_wins(server: FakeServer, clock: Clock) -> None:
    """T11: so does ``session.auth``, and credentials in the URL."""
    with Session(runtime=clock, tokens=token_source(server)) as session:
        session.get(server.url.replace("://", "://user:password@") + "/echo")
        session.auth = Header()
        session.get(f"{server.url}/echo")
    assert authorizations(server) == ["Basic", None]


def test_own_authentication_does_not_wait_behind_another_s_limit(
    server: FakeServer, clock: Clock
) -> None:
    """A8, T11: a rate limit of our token holds back nobody who comes with their own."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=60), path="/echo")
    with Session(runtime=clock, tokens=token_source(server)) as session:
        session.request("GET", f"{server.url}/echo", max_retries=0)
        session.get(f"{server.url}/echo", headers={"Authorization": "Bearer mine"})
        assert clock.waits == []
        session.get(f"{server.url}/echo")
        assert len(clock.waits) == 1


def test_hook_may_call_other_sessions(server: FakeServer, clock: Clock) -> None:
    """D1: calls that a response hook makes are calls of their own, on whatever session."""
    others: list[requests.Response] = []
    server.plan = FaultPlan.script(faults.answer(503), path="/bytes/1")
    with Session(runtime=clock) as session, Session(runtime=clock) as other:
        plain = requests.Session()

        def hook(answer: requests.Response, **_: Any) -> requests.Response:
            others.extend(asked.get(f"{server.url}/bytes/1") for asked in (other, session, plain))
            return answer

        answer = session.get(f"{server.url}/redirect?to=/echo", hooks={"response": hook})
        plain.close()
    assert statuses(answer) == [302, 200]
    assert [statuses(found) for found in (*others[:2], *others[3:5])] == [
        [503, 200],
        *[[200]] * 3,
    ]
    assert len(others) == 6
    with pytest.raises(LookupError):
        weatherglass.report(others[2])


def test_hook_sees_what_the_caller_would(server: FakeServer, clock: Clock) -> None:
    """D1, D5: hooks get the final answer of the call, failures that are raised included."""
    seen: list[int] = []

    def hook(answer: requests.Response, **_: Any) -> None:
        seen.append(answer.status_code)

    server.plan = FaultPlan.script(faults.answer(503), None, faults.answer(404))
    with Session(runtime=clock, policy=Policy(raise_failures=True)) as session:
        session.hooks["response"] = [hook]
        session.get(f"{server.url}/echo")
        with pytest.raises(CallFailed):
            session.get(f"{server.url}/echo")
    assert seen == [200, 404]


def test_hook_may_replace_the_answer(server: FakeServer, clock: Clock) -> None:
    """D1, D5: what a hook puts in the place of a failure is returned, and nothing is raised."""
    mine = requests.Response()
    mine.status_code = 299
    server.plan = FaultPlan.script(faults.answer(404))
    with Session(runtime=clock, policy=Policy(raise_failures=True)) as session:
        hooks = {"response": lambda _answer, **_: mine}
        assert session.get(f"{server.url}/echo", hooks=hooks) is mine


def test_hook_that_raises_is_the_caller_s(server: FakeServer, session: Session) -> None:
    """D1: an exception of a hook reaches the caller as it is, and the session goes on."""

    def hook(_answer: requests.Response, **_: Any) -> None:
        raise KeyError("the hook's own")

    with pytest.raises(KeyError, match="the hook's own"):
        session.get(f"{server.url}/echo", hooks={"response": hook})
    assert session.get(f"{server.url}/echo").ok
    assert len(server.ledger) == 2


def test_body_may_be_made_by_calls_of_the_same_session(
    server: FakeServer, session: Session
) -> None:
    """D1: a body that is itself read from a call of this session is sent, each with its report."""
    inner: list[requests.Response] = []

    def body() -> Any:
        inner.append(session.get(f"{server.url}/bytes/100"))
        yield inner[0].content

    server.plan = FaultPlan.script(faults.answer(503), path="/bytes/100")
    answer = session.post(f"{server.url}/echo", data=body())
    assert (statuses(answer), statuses(inner[0])) == ([200], [503, 200])


def test_cookies_are_kept_over_retries(server: FakeServer, session: Session) -> None:
    """D1: cookies of a redirect and of the final answer are in the session's jar afterwards."""
    cookie = {"Set-Cookie": "seen=1; Path=/"}
    server.plan = FaultPlan.script(
        faults.answer(503),
        faults.answer(302, headers={"Location": "/echo", **cookie}),
        path="/start",
    )
    answer = session.get(f"{server.url}/start")
    assert answer.json()["headers"]["Cookie"] == "seen=1"
    assert session.cookies.get_dict() == {"seen": "1"}


def test_threads_keep_their_calls_apart(clock: Clock) -> None:
    """D13: twenty threads on one session with tokens each get their own answer and report."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(*[faults.answer(408)] * 10, path=QUEUES)
        policy = Policy(retry=RetryPolicy(max_retries=20))
        with Session(runtime=clock, policy=policy, tokens=token_source(server)) as session:
            session.get(f"{server.url}/echo")
            names = [f"queue-{number}" for number in range(20)]
            answers = Background(
                [partial(session.get, server.url + QUEUES, params={"name": name}) for name in names]
            ).results()
    for name, answer in zip(names, answers, strict=True):
        report = weatherglass.report(answer)
        assert f"name={name}" in answer.request.url
        assert all(a.url.startswith(f"{server.url}{QUEUES}") for a in report.attempts)
        assert report.succeeded
    total = sum(len(weatherglass.report(answer).attempts) for answer in answers)
    assert total == len(server.ledger.requests(path=QUEUES)) == 30
