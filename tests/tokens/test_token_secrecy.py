"""Secrets are looked for wherever they could get out: text, tracebacks, logs, pickles."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import requests
from token_fakes import Endpoint, Listener, answer, pickled, token

from weatherglass.policy import TokenPolicy
from weatherglass.tokens import (
    CallableTokens,
    ClientCredentials,
    IssuedToken,
    RefreshToken,
    Token,
    TokenEndpointError,
    TokenManager,
    TokenRequest,
    TokenUnavailable,
)
from weatherglass.tokens.secret import Secret

URL = "https://login.example.com/oauth/token?key=SECRET-query"
SECRETS = ("SECRET-client", "SECRET-refresh", "SECRET-rotated", "SECRET-access", "SECRET-query")


def known_client_secret() -> str:
    return "SECRET-client"


def known_refresh_token() -> str:
    return "SECRET-refresh"


def known_token() -> str:
    return "SECRET-access"


class Vault:
    """An application's object that holds a secret in the open."""

    def __init__(self) -> None:
        self.content = "SECRET-client"

    def read(self) -> str:
        return self.content


def grant(**changes: Any) -> ClientCredentials:
    settings: dict[str, Any] = {
        "token_url": URL,
        "client_id": "app",
        "client_secret": "SECRET-client",
    }
    return ClientCredentials(**settings | changes)


def refreshing(**changes: Any) -> RefreshToken:
    settings: dict[str, Any] = {
        "token_url": URL,
        "client_id": "app",
        "client_secret": "SECRET-client",
        "refresh_token": "SECRET-refresh",
    }
    return RefreshToken(**settings | changes)


def captured(source: Any = None) -> TokenRequest:
    endpoint = Endpoint(token())
    (source or refreshing(auth_method="post")).fetch(endpoint, 30, lambda *_: None)
    return endpoint.requests[0]


def assert_secret_free(*texts: object) -> None:
    for text in texts:
        shown = text.decode("latin-1") if isinstance(text, bytes) else str(text)
        assert not [secret for secret in SECRETS if secret in shown], shown


@pytest.mark.parametrize(
    "make",
    [
        grant,
        refreshing,
        lambda: grant(client_secret=Vault().read),
        lambda: CallableTokens(Vault().read),
        lambda: Secret("label", "SECRET-client"),
        lambda: IssuedToken("SECRET-access", 60, "SECRET-rotated"),
        lambda: Token("SECRET-access", 1),
        captured,
        lambda: captured(grant()),
        lambda: captured().form,
        lambda: TokenManager(grant(), TokenPolicy(), transport=Endpoint(token())),
    ],
)
def test_nothing_shows_in_text(make: Callable[[], Any]) -> None:
    """T9: no repr, str or format of anything that holds a secret shows it."""
    thing = make()
    assert_secret_free(repr(thing), str(thing), f"{thing}", repr([thing]), repr({"x": thing}))


def rotated_source() -> RefreshToken:
    source = refreshing()
    source.fetch(Endpoint(token(refresh_token="SECRET-rotated")), 30, lambda *_: None)
    return source


@pytest.mark.parametrize(
    "make",
    [
        lambda: grant(token_url="https://login.example.com/t"),
        lambda: grant(token_url="https://login.example.com/t", client_secret=Vault().read),
        lambda: grant(token_url="https://login.example.com/t", client_secret=lambda: "SECRET-x"),
        lambda: grant(
            token_url="https://login.example.com/t", extra={"password": lambda: "SECRET-x"}
        ),
        lambda: refreshing(token_url="https://login.example.com/t", on_rotated=Vault().read),
        lambda: CallableTokens(Vault().read),
        lambda: Secret("label", "SECRET-client"),
    ],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_shows_in_pickles(make: Callable[[], Any], protocol: int) -> None:
    """T9, D13: every source pickles under every protocol, and no secret goes with it."""
    assert_secret_free(pickle.dumps(make(), protocol))


def test_live_state_does_not_travel() -> None:
    """D13: a rotated refresh token stays in the process that got it."""
    assert b"SECRET-r" not in pickle.dumps(rotated_source())


@pytest.mark.parametrize(
    "make",
    [
        lambda: IssuedToken("SECRET-access"),
        lambda: Token("SECRET-access", 1),
        captured,
        lambda: TokenManager(grant(), TokenPolicy(), transport=Endpoint(token())),
    ],
)
def test_what_is_live_refuses_to_pickle(make: Callable[[], Any]) -> None:
    """T9, D13: tokens, requests and managers do not pickle, and say so."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(make())


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        (grant(), "client_secret"),
        (grant(client_secret=Vault().read), "client_secret"),
        (grant(client_secret=known_client_secret, extra={"code": lambda: "x"}), "code"),
        (refreshing(client_secret=None), "refresh_token"),
        (
            refreshing(
                client_secret=known_client_secret,
                refresh_token=known_refresh_token,
                on_rotated=Vault().__setattr__,
            ),
            "on_rotated",
        ),
        (CallableTokens(lambda: "SECRET-access"), "fetch"),
    ],
)
def test_a_source_whose_secret_stayed_behind_says_so(source: Any, lost: str) -> None:
    """D13, T7: using what a pickle dropped is terminal, names it, and says what to do."""
    again = pickled(source)
    with pytest.raises(TokenEndpointError, match=lost) as caught:
        again.fetch(Endpoint(token()), 30, lambda *_: None)
    assert caught.value.terminal
    assert "replace_tokens" in str(caught.value)
    assert_secret_free(repr(again))


@pytest.mark.parametrize(
    "source",
    [
        grant(client_secret=known_client_secret, origins="https://a.example", scope="read"),
        grant(client_secret=known_client_secret, extra={"audience": "api"}, auth_method="post"),
        refreshing(client_secret=known_client_secret, refresh_token=known_refresh_token),
        refreshing(
            client_secret=known_client_secret,
            refresh_token=known_refresh_token,
            on_rotated=known_refresh_token,
        ),
        CallableTokens(known_token, origins="https://a.example", name="known"),
    ],
)
def test_a_source_with_module_level_functions_survives(source: Any) -> None:
    """D13: functions that pickle by name survive, and the copy sends the same."""
    again = pickled(source)
    first, second = Endpoint(token()), Endpoint(token())
    assert source.fetch(first, 30, pytest.fail) == again.fetch(second, 30, pytest.fail)
    assert first.requests == second.requests
    assert (again.name, again.origins, repr(again)) == (source.name, source.origins, repr(source))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copies_in_the_same_process_keep_their_secrets(duplicate: Callable[[Any], Any]) -> None:
    """D13: only pickling drops secrets; a copied source works."""
    endpoint = Endpoint(token())
    duplicate(grant(auth_method="post")).fetch(endpoint, 30, pytest.fail)
    assert endpoint.forms[0]["client_secret"] == "SECRET-client"


def _refuse_connection(request: TokenRequest) -> requests.Response:
    raise requests.ConnectionError(ConnectionRefusedError("refused"), request=request.prepare())


FAILURES: list[Any] = [
    answer(
        {
            "error": "invalid_grant",
            "error_description": "Invalid refresh token: SECRET-refresh",
            "refresh_token": "SECRET-rotated",
        },
        400,
    ),
    answer({"access_token": "SECRET-access\n", "refresh_token": "SECRET-rotated"}),
    answer(body=b"<html>SECRET-access</html>"),
    answer(body=b'{"access_token": "SECRET-access", '),
    answer(body=b"SECRET-access", status=503),
    _refuse_connection,
]


@pytest.mark.parametrize("reply", FAILURES)
@pytest.mark.parametrize("make", [grant, refreshing, lambda: refreshing(auth_method="post")])
def test_nothing_shows_when_a_refresh_fails(
    reply: Any, make: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """T9: not in the error, its causes, a traceback with local variables, a log or a report."""
    caplog.set_level(logging.DEBUG)
    listener = Listener()
    manager = TokenManager(make(), TokenPolicy(), transport=Endpoint(reply), observer=listener)
    for _ in range(2):
        with pytest.raises(TokenUnavailable) as caught:
            manager.obtain()
        error = caught.value
        logging.getLogger("application").error("no token", exc_info=error)
        assert_secret_free(
            repr(error),
            "".join(traceback.format_exception(error)),
            pickle.dumps(error),
            pickle.dumps(error.__cause__),
        )
        assert_secret_free(_with_locals_of_ours(error))
    report = listener.ended[0][1]
    assert_secret_free(repr(report), pickle.dumps(report), listener.started, caplog.text)


def _with_locals_of_ours(error: BaseException) -> str:
    """The traceback with local variables, without this file's own frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames: list[str] = []
    seen: traceback.TracebackException | None = shown
    while seen is not None:
        frames += [str(f.locals) for f in seen.stack if f.filename != __file__]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(frames)


def test_nothing_shows_when_a_hook_raises(caplog: pytest.LogCaptureFixture) -> None:
    """T9, T10: a hook's failure is told by name; nothing of ours writes the token down."""
    caplog.set_level(logging.DEBUG)

    def fail(new: str) -> None:
        raise ValueError(new)

    listener = Listener()
    endpoint = Endpoint(token("SECRET-access", refresh_token="SECRET-rotated"))
    manager = TokenManager(
        refreshing(on_rotated=fail), TokenPolicy(), transport=endpoint, observer=listener
    )
    assert manager.obtain().value == "SECRET-access"
    assert [name for name, _ in listener.callback_errors] == ["on_rotated"]
    assert_secret_free(repr(listener.ended), caplog.text, repr(manager.current))
