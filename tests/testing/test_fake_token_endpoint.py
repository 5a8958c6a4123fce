"""The token endpoint and the check of bearer tokens."""

from __future__ import annotations

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
BASIC = (CLIENT_ID, CLIENT_SECRET)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    with FakeServer(clock=clock, require_tokens=True, token_lifetime=600) as running:
        yield running


def grant(
    server: FakeServer, auth: tuple[str, str] | None = BASIC, **form: str
) -> requests.Response:
    form.setdefault("grant_type", "client_credentials")
    return requests.post(server.token_url, data=form, auth=auth, timeout=TIMEOUT)


def call(server: FakeServer, token: str | None) -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return requests.get(f"{server.url}/api/v2/routing/queues", headers=headers, timeout=TIMEOUT)


def test_client_credentials_give_a_token(server: FakeServer) -> None:
    """T1: Basic and post authentication both give a token with its lifetime, and it works."""
    for answer in (
        grant(server),
        grant(server, None, client_id=CLIENT_ID, client_secret=CLIENT_SECRET),
    ):
        payload = answer.json()
        assert (payload["token_type"], payload["expires_in"]) == ("bearer", 600)
        assert "refresh_token" not in payload
        assert call(server, payload["access_token"]).status_code == 200
    assert len(server.ledger.token_calls()) == 2


@pytest.mark.parametrize(
    ("auth", "form", "status", "error"),
    [
        ((CLIENT_ID, "wrong"), {}, 401, "invalid_client"),
        (("nobody", CLIENT_SECRET), {}, 401, "invalid_client"),
        (None, {"client_id": CLIENT_ID, "client_secret": "wrong"}, 400, "invalid_client"),
        (None, {}, 400, "invalid_client"),
        (None, {"client_id": CLIENT_ID}, 400, "invalid_client"),
        (BASIC, {"grant_type": "magic"}, 400, "unsupported_grant_type"),
        (BASIC, {"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
    ],
)
def test_bad_grants_are_refused(
    server: FakeServer,
    auth: tuple[str, str] | None,
    form: dict[str, str],
    status: int,
    error: str,
) -> None:
    """T7: a wrong client or grant is refused in the words of RFC 6749."""
    answer = grant(server, auth, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert not server.ledger.executions()


def test_unreadable_basic_credentials_are_refused(server: FakeServer) -> None:
    """An Authorization header that is not base64 is a wrong client."""
    answer = requests.post(
        server.token_url, headers={"Authorization": "Basic %%%"}, timeout=TIMEOUT
    )
    assert answer.status_code == 401


def test_refresh_tokens_rotate(server: FakeServer) -> None:
    """T10: each refresh token is good once; the old one is invalid_grant, the new one works."""
    first = server.issue_refresh_token()
    answer = grant(server, grant_type="refresh_token", refresh_token=first).json()
    again = grant(server, grant_type="refresh_token", refresh_token=first)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    # A public client has no secret to send.
    following = grant(
        server,
        None,
        grant_type="refresh_token",
        refresh_token=answer["refresh_token"],
        client_id=CLIENT_ID,
    )
    assert following.json()["refresh_token"] != answer["refresh_token"]
    assert call(server, following.json()["access_token"]).ok


def test_refresh_tokens_can_stay(clock: VirtualClock) -> None:
    """Without rotation a refresh token stays good, until it is revoked."""
    with FakeServer(clock=clock, rotate_refresh_tokens=False) as server:
        token = server.issue_refresh_token()
        for _ in range(2):
            answer = grant(server, grant_type="refresh_token", refresh_token=token)
            assert answer.json()["refresh_token"] == token
        server.revoke_refresh_tokens()
        answer = grant(server, grant_type="refresh_token", refresh_token=token)
        assert answer.json()["error"] == "invalid_grant"


def test_clients_are_those_given() -> None:
    """A server knows the clients that it was given, and no others."""
    with FakeServer(clients={"mine": "s3cret"}) as server:
        assert grant(server, ("mine", "s3cret")).ok
        assert not grant(server).ok


def test_token_is_demanded_where_the_server_says_so(server: FakeServer) -> None:
    """Without a token the API answers 401 authentication.required; other routes do not care."""
    answer = call(server, None)
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication.required")
    assert call(server, "made up").json()["code"] == "bad.credentials"
    assert requests.get(f"{server.url}/echo", timeout=TIMEOUT).ok
    assert requests.get(f"{server.url}/api/v2/summary.json", timeout=TIMEOUT).ok


def test_routes_that_demand_tokens_can_be_chosen() -> None:
    """Globs say which paths demand a token."""
    with FakeServer(require_tokens=("/echo",)) as server:
        assert requests.get(f"{server.url}/echo", timeout=TIMEOUT).status_code == 401
        assert call(server, None).ok


def test_token_expires_on_the_clock(server: FakeServer, clock: VirtualClock) -> None:
    """A token is good until its lifetime has passed on the server's clock."""
    token = grant(server).json()["access_token"]
    clock.advance(599)
    assert call(server, token).ok
    clock.advance(1)
    answer = call(server, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad.credentials")


@pytest.mark.parametrize("end", ["expire_tokens", "revoke_tokens"])
def test_tokens_can_be_ended(server: FakeServer, end: str) -> None:
    """Expired and revoked tokens are refused; one issued afterwards is good."""
    old = server.issue_token()
    getattr(server, end)()
    assert call(server, old).json()["code"] == "bad.credentials"
    assert call(server, server.issue_token()).ok


def test_revocation_can_be_part_of_a_plan(server: FakeServer) -> None:
    """A revoke fault ends all tokens at the request that it strikes."""
    server.plan = FaultPlan.script(None, faults.revoke(), path="/api/*")
    token = server.issue_token()
    assert [call(server, token).status_code for _ in range(3)] == [200, 401, 401]
    assert [entry.fault for entry in server.ledger.requests()] == [None, "revoke", None]


def test_ledger_tells_generations_and_no_tokens(server: FakeServer) -> None:
    """The ledger knows the how-manieth token of its client came, and holds its fingerprint."""
    tokens = [server.issue_token(), server.issue_token(), "foreign"]
    for token in tokens:
        call(server, token)
    entries = server.ledger.requests()
    assert [entry.token_generation for entry in entries] == [1, 2, None]
    assert len({entry.token for entry in entries}) == 3
    assert not any(token in repr(entry) for token in tokens for entry in entries)
    assert entries[0].header("authorization") == f"Bearer {tokens[0]}"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (faults.answer(429, retry_after=7), 429),
        (faults.answer(503), 503),
        (faults.answer(502, form="html"), 502),
        (faults.token_rate_limited(), 400),
    ],
)
def test_token_endpoint_can_fail(server: FakeServer, fault: faults.Fault, status: int) -> None:
    """T6: faults strike the token endpoint like any route, and no token is issued."""
    server.plan = FaultPlan.script(fault, path="/oauth/token")
    answer = grant(server)
    assert answer.status_code == status
    assert not server.ledger.executions()
    assert grant(server).ok


def test_token_rate_limit_in_disguise(server: FakeServer) -> None:
    """C8: the disguised rate limit is 400 invalid_request, named only in its description."""
    server.plan = FaultPlan.script(faults.token_rate_limited())
    payload = grant(server).json()
    assert payload["error"] == "invalid_request"
    assert payload["description"].startswith("rate limit exceeded;")
