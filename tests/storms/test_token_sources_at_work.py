"""Every kind of token source in whole calls, alone and shared between sessions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from storm_crew import API, CROWD, PATIENCE, Crew, credentials, reach

import weatherglass
from weatherglass import CallableTokens, IssuedToken, RefreshToken, Session
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    TOKEN_PATH,
    FakeServer,
    FaultPlan,
    FaultRule,
    VirtualClock,
    faults,
)

MakeSession = Callable[..., Session]


def refresh_token(server: FakeServer, **options: Any) -> RefreshToken:
    settings: dict[str, Any] = {
        "token_url": server.token_url,
        "client_id": CLIENT_ID,
        "refresh_token": server.issue_refresh_token(),
        "origins": [server.url],
    }
    return RefreshToken(**(settings | options))


@pytest.mark.parametrize("auth_method", ["basic", "post"])
def test_client_credentials(
    server: FakeServer, make_session: MakeSession, auth_method: str
) -> None:
    """T1: the secret is sent in the header or in the form, as asked, and a token comes back."""
    session = make_session(tokens=credentials(server, auth_method=auth_method))
    assert reach(session, server.url + API).statuses == [200]
    [asked] = server.ledger.token_calls()
    basic = (asked.header("Authorization") or "").startswith("Basic ")
    assert basic is (auth_method == "basic")
    assert (CLIENT_SECRET.encode() in asked.body) is (auth_method == "post")


def test_rotating_refresh_token_is_handed_over_at_each_refresh(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T1, T10: a crowd spends each refresh token once, and the application is given the next."""
    stored: list[str] = []
    session = make_session(tokens=refresh_token(server, on_rotated=stored.append))
    for generation in range(1, 5):
        ends = clock.run_together([lambda: reach(session, server.url + API)] * CROWD)
        assert {end.generations[-1] for end in ends} == {generation}
        assert len(stored) == generation
        server.revoke_tokens()
    grants = [parse_qs(entry.body.decode()) for entry in server.ledger.token_calls()]
    spent = [grant["refresh_token"][0] for grant in grants]
    assert spent[1:] == stored[:-1]
    assert len(set(spent)) == 4


def test_rotated_token_is_stored_before_anything_is_sent_with_it(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T10: when the hook is called, the API has not yet seen the new access token."""
    seen: list[int] = []
    source = refresh_token(
        server, on_rotated=lambda _: seen.append(len(server.ledger.requests(path=API)))
    )
    session = make_session(tokens=source)
    reach(session, server.url + API)
    server.revoke_tokens()
    reach(session, server.url + API)
    assert seen == [0, 2]


def test_hook_that_raises_changes_no_result(server: FakeServer, make_session: MakeSession) -> None:
    """T10, R6: when the application cannot store the token, calls and rotation go on."""

    def fail(_: str) -> None:
        raise OSError("the disk is full")

    session = make_session(tokens=refresh_token(server, on_rotated=fail))
    for _ in range(3):
        assert reach(session, server.url + API).status == 200
        server.revoke_tokens()
    assert len(server.ledger.token_calls()) == 3


@pytest.mark.parametrize("shape", ["text", "pair", "issued"])
def test_any_callable(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, shape: str
) -> None:
    """T1: whatever a function returns its token as, a crowd calls it once per generation."""
    calls: list[int] = []

    def fetch() -> str | tuple[str, float] | IssuedToken:
        calls.append(1)
        token = server.issue_token()
        shapes: dict[str, str | tuple[str, float] | IssuedToken] = {
            "text": token,
            "pair": (token, 3600.0),
            "issued": IssuedToken(token, 3600),
        }
        return shapes[shape]

    session = make_session(tokens=CallableTokens(fetch, origins=[server.url]))
    for generation in (1, 2, 3):
        ends = clock.run_together([lambda: reach(session, server.url + API)] * CROWD)
        assert {end.generations[-1] for end in ends} == {generation}
        assert len(calls) == generation
        server.revoke_tokens()
    assert server.ledger.token_calls() == ()


def test_callable_may_call_the_api_through_the_same_session(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T1, T8: a source that needs a call of its own through the session is not in its own way."""

    def fetch() -> str:
        assert session.get(server.url + "/echo", auth=_nobody).status_code == 200
        return server.issue_token()

    session = make_session(tokens=CallableTokens(fetch, origins=[server.url]))
    assert reach(session, server.url + API).statuses == [200]


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that adds nothing."""
    return request


def test_callable_that_needs_its_own_token_is_refused(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T8: a source that waits for itself ends in an error, not in a deadlock."""

    def fetch() -> str:
        session.get(server.url + API)
        raise AssertionError("the call must not succeed")

    session = make_session(tokens=CallableTokens(fetch, origins=[server.url]))
    end = reach(session, server.url + API)
    assert isinstance(end.error, weatherglass.TokenRefreshFailed)


@pytest.mark.parametrize("kind", ["client_credentials", "refresh_token"])
def test_sessions_that_share_a_source_share_its_token(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, kind: str
) -> None:
    """T2: twenty sessions with one source make one token call per generation."""
    make = credentials if kind == "client_credentials" else refresh_token
    source = make(server)
    sessions = [make_session(tokens=source) for _ in range(CROWD)]
    for generation in (1, 2, 3):
        ends = clock.run_together(
            [partial(reach, session, server.url + API) for session in sessions]
        )
        assert [end.status for end in ends] == [200] * CROWD
        assert {end.generations[-1] for end in ends} == {generation}
        assert len(server.ledger.token_calls()) == generation
        server.revoke_tokens()


def test_closing_one_session_does_not_disturb_another(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """T2, D14: when the fetching session of two is closed, the other takes over."""
    server = real_server
    server.plan = FaultPlan(
        rules=(
            FaultRule(
                fault=faults.hold("first", of=faults.answer(503, retry_after=25)),
                path=TOKEN_PATH,
                nth=(1,),
            ),
        )
    )
    source = credentials(server)
    time = weatherglass.runtime.SYSTEM
    one, other = (
        make_session(tokens=source, runtime=time),
        make_session(tokens=source, runtime=time),
    )
    leader = Crew([lambda: reach(one, server.url + API)])
    server.wait_held("first", 1, PATIENCE)
    follower = Crew([lambda: reach(other, server.url + API)])
    server.release("first")
    # The first answer is 503 with a long Retry-After, so the leader waits until it is closed.
    one.close()
    assert follower.join()[0].status == 200
    assert isinstance(leader.join()[0].error, weatherglass.SessionClosed)
    assert len(server.ledger.token_calls()) == 2


def test_new_credentials_of_one_session_are_not_those_of_another(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T7: of two sessions with a refused source, new credentials heal the one that got them."""
    source = credentials(server, client_secret="wrong")
    one, other = make_session(tokens=source), make_session(tokens=source)
    for session in (one, other):
        assert isinstance(
            reach(session, server.url + API).error, weatherglass.ReauthenticationRequired
        )
    assert len(server.ledger.token_calls()) == 1
    one.adapter.replace_tokens(credentials(server))
    assert reach(one, server.url + API).status == 200
    end = reach(other, server.url + API)
    assert isinstance(end.error, weatherglass.ReauthenticationRequired)


def test_same_source_with_a_new_secret_heals_all_its_sessions(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T7: a secret that is a function has changed; giving the same source again is enough."""
    secret = ["wrong"]
    source = credentials(server, client_secret=lambda: secret[0])
    one, other = make_session(tokens=source), make_session(tokens=source)
    for session in (one, other):
        assert reach(session, server.url + API).status is None
    secret[0] = CLIENT_SECRET
    one.adapter.replace_tokens(source)
    assert reach(one, server.url + API).status == 200
    assert reach(other, server.url + API).status == 200
    assert len(server.ledger.token_calls()) == 2
