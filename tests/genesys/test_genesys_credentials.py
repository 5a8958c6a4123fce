"""Credentials: where they come from, what is said when they are missing, and who sees them."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from typing import Any

import pytest
from genesys_scenes import QUEUES, session_on, unpickled

import weatherglass
from weatherglass import InvalidPolicy, RefreshToken
from weatherglass.genesys import Session, credentials
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, FakeServer, FaultPlan, Spelling, faults

ID, SECRET = "GENESYS_CLOUD_CLIENT_ID", "GENESYS_CLOUD_CLIENT_SECRET"


def revealed(given: Any) -> str:
    secret = credentials("me", given).client_secret if given else credentials().client_secret
    return secret() if callable(secret) else secret


def test_arguments_come_before_the_environment(bare_environment: pytest.MonkeyPatch) -> None:
    """G1: each of id and secret is the argument, or else the environment's."""
    bare_environment.setenv(ID, "theirs")
    bare_environment.setenv(SECRET, "hidden")

    assert credentials().client_id == "theirs"
    assert revealed(None) == "hidden"
    assert credentials("me").client_id == "me"
    assert revealed("mine") == "mine"
    assert revealed(lambda: "asked") == "asked"
    assert credentials(environ={ID: "a", SECRET: "b"}).client_id == "a"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "client_id= or .* GENESYS_CLOUD_CLIENT_ID, and client_secret= or .* GENESYS_CLOUD_CL"),
        ({"client_id": "me"}, "missing: give client_secret= or .* GENESYS_CLOUD_CLIENT_SECRET;"),
        ({"client_secret": "x"}, "missing: give client_id= or .* GENESYS_CLOUD_CLIENT_ID;"),
        ({"client_id": ""}, "client_id is empty"),
        ({"client_id": 5}, "client_id is a int"),
        ({"client_id": "me", "client_secret": ""}, "client_secret is empty"),
        ({"client_id": "me", "client_secret": b"x"}, "client_secret is a bytes"),
        ({"client_id": "me ", "client_secret": "x"}, "client_id begins or ends with white space"),
        ({"client_id": "me", "client_secret": "xyz\n"}, "client_secret begins or ends with white"),
    ],
)
def test_missing_credentials_say_where_they_can_come_from(
    arguments: dict[str, Any], complaint: str
) -> None:
    """G1: what is missing or unusable is named, with the ways to give it, and without its value."""
    with pytest.raises(InvalidPolicy, match=complaint) as caught:
        Session(region="mypurecloud.ie", **arguments)

    assert "xyz" not in str(caught.value)


def test_empty_variable_counts_as_missing(bare_environment: pytest.MonkeyPatch) -> None:
    """G1: a variable that is set to nothing says nothing."""
    bare_environment.setenv(ID, "")
    bare_environment.setenv(SECRET, "")

    with pytest.raises(InvalidPolicy, match="credentials are missing"):
        credentials()


def test_session_lives_on_the_environment_alone(
    server: FakeServer, bare_environment: pytest.MonkeyPatch
) -> None:
    """G1: with the three variables set, a session needs no arguments but where the server is."""
    bare_environment.setenv(ID, CLIENT_ID)
    bare_environment.setenv(SECRET, CLIENT_SECRET)
    bare_environment.setenv("GENESYS_CLOUD_REGION", "mypurecloud.ie")

    with session_on(server, region=None, client_id=None, client_secret=None) as session:
        assert session.get(QUEUES).status_code == 200


def test_pickle_of_a_session_on_the_environment_needs_nothing_else(
    server: FakeServer, bare_environment: pytest.MonkeyPatch
) -> None:
    """D13: a session whose secret is in the environment works in another process that has it."""
    bare_environment.setenv(ID, CLIENT_ID)
    bare_environment.setenv(SECRET, CLIENT_SECRET)

    with session_on(server, client_id=None, client_secret=None) as session:
        data = pickle.dumps(session)
    with unpickled(data) as restored:
        assert restored.get(QUEUES).status_code == 200

    assert CLIENT_SECRET.encode() not in data

    bare_environment.delenv(SECRET)
    with (
        unpickled(data) as restored,
        pytest.raises(weatherglass.TokenRefreshFailed, match=f"variable {SECRET}, from which"),
    ):
        restored.get(QUEUES)


def test_pickle_of_a_session_leaves_a_plain_secret_behind(server: FakeServer) -> None:
    """T9: a secret that was given as a text is not in the pickle, and its lack is named."""
    with session_on(server) as session:
        session.get(QUEUES)
        data = pickle.dumps(session)
    assert CLIENT_SECRET.encode() not in data
    assert b"access-" not in data

    with unpickled(data) as restored:
        assert (restored.api_url, restored.region) == (session.api_url, session.region)
        assert restored.policy == session.policy
        with pytest.raises(weatherglass.ReauthenticationRequired, match="client_secret was not"):
            restored.get(QUEUES)
        restored.adapter.replace_tokens(session.adapter.token_source)
        assert restored.get(QUEUES).status_code == 200


def test_credentials_refuse_to_travel() -> None:
    """T9: the record that holds the secret has it in no repr, and does not pickle."""
    held = credentials("me", "hunter2")

    assert "hunter2" not in f"{held!r} {held}"
    with pytest.raises(TypeError, match="holds secrets"):
        pickle.dumps(held)


def test_secret_is_seen_nowhere(
    server: FakeServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """T9: secret and tokens are in no log, repr, exception, report or pickle, whatever happens."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    server.plan = FaultPlan.script(
        None,
        faults.answer(400, code="invalid_client", spelling=Spelling.OAUTH),
        path="/oauth/token",
    )
    with session_on(server) as session:
        response = session.get(QUEUES)
        seen += [repr(session), str(session), repr(vars(session)), repr(session.adapter)]
        seen += [repr(session.policy), repr(session.adapter.token_source)]
        seen += [str(weatherglass.report(response)), repr(weatherglass.report(response))]
        seen += [pickle.dumps(session).decode("latin-1"), pickle.dumps(response).decode("latin-1")]
        server.revoke_tokens()
        with pytest.raises(weatherglass.ReauthenticationRequired) as caught:
            session.get(QUEUES)
        seen += [repr(caught.value), "".join(traceback.format_exception(caught.value))]
    seen += [caplog.text, *capfd.readouterr()]

    everything = "\n".join(seen)
    assert CLIENT_ID in everything  # which is no secret
    assert CLIENT_SECRET not in everything
    assert "access-" not in everything


def test_code_grant_takes_the_place_of_client_credentials(server: FakeServer) -> None:
    """T1: a refresh token, bound to nothing, serves the API's origin and rotates."""
    kept: list[str] = []
    tokens = RefreshToken(
        token_url=server.token_url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        refresh_token=server.issue_refresh_token(),
        on_rotated=kept.append,
    )
    with session_on(server, tokens=tokens, login_url=None) as session:
        assert session.get("/api/v2/users/me").status_code == 200
        assert session.policy.idempotency.client_id == CLIENT_ID

    assert len(kept) == 1


def test_function_takes_the_place_of_client_credentials(server: FakeServer) -> None:
    """T1: a function that returns a token is a source, bound to the API's origin."""
    with session_on(server, tokens=server.issue_token) as session:
        assert session.get(QUEUES).status_code == 200
        source: Any = session.adapter.token_source
        assert (source.name, source.origins) == ("genesys", {server.url})


def test_tokens_for_another_origin_are_refused(server: FakeServer) -> None:
    """T11: a source that may not send to this API would leave every call without a token."""
    tokens = weatherglass.CallableTokens(str, origins=["https://api.mypurecloud.de"])

    with pytest.raises(InvalidPolicy, match=f"must have {server.url}, which is where calls go"):
        session_on(server, tokens=tokens)


def test_tokens_and_secret_together_are_refused(server: FakeServer) -> None:
    """T1: a token source has its own credentials, so a second secret is a mistake."""
    with pytest.raises(InvalidPolicy, match="client_secret and tokens are both given"):
        session_on(server, tokens=server.issue_token, client_secret="x")
    with pytest.raises(InvalidPolicy, match="tokens is a str, but must be a token source"):
        session_on(server, tokens="a-token")


def test_token_goes_to_the_api_alone(server: FakeServer) -> None:
    """T11: neither another host nor a redirect to one gets the token."""
    with FakeServer(clock=server.clock) as stranger, session_on(server) as session:
        server.plan = FaultPlan.script(faults.redirect(f"{stranger.url}/echo"), path="/echo")
        session.get("/echo")
        session.get(f"{stranger.url}/echo")

        assert [entry.header("Authorization") for entry in stranger.ledger.requests()] == [None] * 2
        (first,) = server.ledger.requests(path="/echo")
        assert first.header("Authorization")


def test_token_endpoints_rate_limit_in_disguise_is_waited_for(server: FakeServer) -> None:
    """T6, C8: a 400 ``invalid_request`` "rate limit exceeded" is tried again and never terminal."""
    server.plan = FaultPlan.script(
        faults.token_rate_limited(), faults.token_rate_limited(), path="/oauth/token"
    )
    with session_on(server) as session:
        began = server.clock.monotonic()
        response = session.get(QUEUES)

    assert response.status_code == 200
    assert [entry.status for entry in server.ledger.token_calls()] == [400, 400, 200]
    assert server.clock.monotonic() > began
    assert len(server.ledger.requests(path=QUEUES)) == 1


def test_token_endpoints_rate_limit_that_lasts_is_transient(server: FakeServer) -> None:
    """T6: when the disguised rate limit lasts, the call fails, and a later one tries again."""
    script = [faults.token_rate_limited()] * 3
    server.plan = FaultPlan.script(*script, path="/oauth/token")
    with session_on(server) as session:
        with pytest.raises(
            weatherglass.TokenRefreshFailed, match="400 invalid_request, a rate lim"
        ):
            session.get(QUEUES)
        server.clock.advance(60)  # type: ignore[attr-defined]  # a virtual clock
        assert session.get(QUEUES).status_code == 200


def test_environment_is_only_read() -> None:
    """T9: nothing is written to the environment."""
    before = dict(os.environ)
    Session(region="mypurecloud.ie", client_id="me", client_secret="mine").close()

    assert dict(os.environ) == before
