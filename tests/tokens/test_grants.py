"""The OAuth grants: what they send, what they refuse to be made with, how they rotate."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from token_fakes import Endpoint, answer, token

from weatherglass.errors import InvalidPolicy
from weatherglass.tokens import ClientCredentials, RefreshToken, TokenEndpointError

URL = "https://login.example.com/oauth/token"


def ignore(name: str, error: BaseException) -> None:
    raise AssertionError(f"{name} raised {error!r}")


def credentials(**changes: Any) -> ClientCredentials:
    settings: dict[str, Any] = {"token_url": URL, "client_id": "app", "client_secret": "hunter2"}
    return ClientCredentials(**settings | changes)


def refresh_token(**changes: Any) -> RefreshToken:
    settings: dict[str, Any] = {"token_url": URL, "client_id": "app", "refresh_token": "first"}
    return RefreshToken(**settings | changes)


def test_client_secret_basic() -> None:
    """T1: by default the secret goes into Basic, form-encoded first (RFC 6749, 2.3.1)."""
    endpoint = Endpoint(token())
    credentials(client_id="a:b", client_secret="p q%").fetch(endpoint, 30, ignore)
    prepared = endpoint.requests[0].prepare()
    scheme, _, encoded = prepared.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded)) == ("Basic", b"a%3Ab:p+q%25")
    assert prepared.body == "grant_type=client_credentials"
    assert prepared.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (prepared.method, prepared.url) == ("POST", URL)


def test_client_secret_post() -> None:
    """T1: with ``post`` the secret goes into the form, and no Authorization header is sent."""
    endpoint = Endpoint(token())
    source = credentials(auth_method="post", scope="read write", extra={"audience": "api"})
    source.fetch(endpoint, 30, ignore)
    assert endpoint.forms == [
        {
            "grant_type": "client_credentials",
            "scope": "read write",
            "audience": "api",
            "client_id": "app",
            "client_secret": "hunter2",
        }
    ]
    assert "Authorization" not in endpoint.requests[0].prepare().headers


def test_request_carries_timeout_and_verification() -> None:
    """T8, S1: the transport is told how long the exchange may take and how TLS is verified."""
    endpoint = Endpoint(token())
    credentials(verify="/etc/ca.pem").fetch(endpoint, 12.5, ignore)
    assert (endpoint.requests[0].timeout, endpoint.requests[0].verify) == (12.5, "/etc/ca.pem")


def test_secrets_from_functions_are_asked_for_each_time() -> None:
    """T1: a secret given as a function may change between two refreshes."""
    secrets = iter(["one", "two"])
    endpoint = Endpoint(token())
    source = credentials(client_secret=lambda: next(secrets), auth_method="post")
    source.fetch(endpoint, 30, ignore)
    source.fetch(endpoint, 30, ignore)
    assert [form["client_secret"] for form in endpoint.forms] == ["one", "two"]


@pytest.mark.parametrize(
    ("error", "transient"), [(KeyError("SECRET"), False), (TimeoutError("SECRET"), True)]
)
def test_function_that_fails_is_an_error_of_the_source(
    error: Exception, *, transient: bool
) -> None:
    """T6, T9: a secret's function that raises is named, its message is not repeated."""

    def fail() -> str:
        raise error

    with pytest.raises(TokenEndpointError, match="client_secret raised") as caught:
        credentials(client_secret=fail).fetch(Endpoint(token()), 30, ignore)
    assert caught.value.transient is transient
    assert caught.value.__cause__ is error
    assert "SECRET" not in str(caught.value)


def test_function_may_say_that_the_secret_is_gone() -> None:
    """T7: a secret's function decides by its own TokenEndpointError whether it is all over."""
    own = TokenEndpointError("revoked", transient=False, terminal=True)

    def fail() -> str:
        raise own

    with pytest.raises(TokenEndpointError) as caught:
        credentials(client_secret=fail).fetch(Endpoint(token()), 30, ignore)
    assert caught.value is own


@pytest.mark.parametrize("value", [None, "", b"hunter2", 7])
def test_function_that_returns_nonsense_is_an_error_of_the_source(value: Any) -> None:
    """T6, T9: what is no text is named by its type alone."""
    with pytest.raises(TokenEndpointError, match="client_secret returned") as caught:
        credentials(client_secret=lambda: value).fetch(Endpoint(token()), 30, ignore)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"token_url": "http://login.example.com/token"}, "token_url is http://login.example.com"),
        ({"token_url": "https://u:hunter2@login.example.com/"}, "credentials in the URL"),
        ({"token_url": "https://login.example.com/#x"}, "fragment"),
        ({"token_url": "login.example.com/token"}, "token_url is no URL"),
        ({"token_url": None}, "token_url is a NoneType"),
        ({"client_id": ""}, "client_id is ''"),
        ({"client_secret": ""}, "client_secret is empty"),
        ({"client_secret": b"hunter2"}, "client_secret is a bytes"),
        ({"client_secret": None}, "client_secret is none"),
        ({"origins": ["http://api.example.com"]}, "origins is http://api.example.com"),
        ({"origins": []}, "origins is empty"),
        ({"scope": ""}, "scope is ''"),
        ({"auth_method": "jwt"}, "one of basic, post"),
        ({"verify": False}, "verify is False"),
        ({"name": ""}, "name is ''"),
        ({"name": "n" * 65}, "at most 64"),
        ({"name": "a\nb"}, "printable"),
        ({"extra": {"grant_type": "password"}}, "argument of its own"),
        ({"extra": {"password": "hunter2"}}, "must be a function"),
        ({"extra": {"audience": 7}}, "audience"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], complaint: str) -> None:
    """T9, S1, D16: what is unsafe or makes no sense is refused when the source is made."""
    with pytest.raises(InvalidPolicy, match=complaint) as caught:
        credentials(**changes)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"token_url": "http://127.0.0.1:9/token", "verify": False},
        {"token_url": "http://localhost/token", "origins": "http://[::1]:8080"},
        {"token_url": "http://login.example.com/token", "allow_insecure": True},
        {"verify": False, "allow_insecure": True},
    ],
)
def test_loopback_and_permission_lift_the_demand_for_https(changes: dict[str, Any]) -> None:
    """T9: plain HTTP is allowed on loopback, and elsewhere when it is explicitly allowed."""
    assert credentials(**changes).fetch(Endpoint(token("abc")), 30, ignore).value == "abc"


def test_origins_are_normalised() -> None:
    """T11: the origins of a source are compared in their normal form; none are given by default."""
    declared = credentials(origins=["HTTPS://api.example.com:443"]).origins
    assert declared == frozenset({"https://api.example.com"})
    assert credentials().origins is None


def test_refresh_token_is_spent() -> None:
    """T1: a public client sends its id and the refresh token (RFC 6749, section 6)."""
    endpoint = Endpoint(token("abc"))
    assert refresh_token().fetch(endpoint, 30, ignore).value == "abc"
    assert endpoint.forms == [
        {"grant_type": "refresh_token", "refresh_token": "first", "client_id": "app"}
    ]


def test_rotated_refresh_token_is_handed_over_before_it_is_used() -> None:
    """T10: the hook gets the new token before the access token is returned, and it is sent next."""
    story: list[str] = []

    def reply(request: Any) -> Any:
        story.append(f"sent {request.form['refresh_token']}")
        return token("abc", refresh_token=f"after {request.form['refresh_token']}")

    source = refresh_token(on_rotated=lambda new: story.append(f"stored {new}"))
    endpoint = Endpoint(reply)
    source.fetch(endpoint, 30, ignore)
    source.fetch(endpoint, 30, ignore)
    assert story == [
        "sent first",
        "stored after first",
        "sent after first",
        "stored after after first",
    ]


@pytest.mark.parametrize("returned", [{}, {"refresh_token": "first"}, {"refresh_token": None}])
def test_unrotated_refresh_token_is_kept(returned: dict[str, Any]) -> None:
    """T10: no new refresh token, or the same again, is no rotation."""
    endpoint = Endpoint(token("abc", **returned))
    source = refresh_token(on_rotated=lambda new: pytest.fail(f"rotated to {new}"))
    source.fetch(endpoint, 30, ignore)
    source.fetch(endpoint, 30, ignore)
    assert [form["refresh_token"] for form in endpoint.forms] == ["first", "first"]


def test_hook_that_raises_changes_nothing() -> None:
    """T10, R6: a failing hook is reported; the refresh succeeds and the new token is kept."""
    broken = OSError("disk full")

    def fail(_: str) -> None:
        raise broken

    told: list[tuple[str, BaseException]] = []
    endpoint = Endpoint(token("abc", refresh_token="second"))
    source = refresh_token(on_rotated=fail)
    assert source.fetch(endpoint, 30, lambda *what: told.append(what)).value == "abc"
    assert told == [("on_rotated", broken)]
    source.fetch(endpoint, 30, ignore)
    assert endpoint.forms[1]["refresh_token"] == "second"


def test_interrupted_hook_does_not_lose_the_rotated_token() -> None:
    """T10: even when the hook is interrupted, the server's newest token is the one sent next."""

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    endpoint = Endpoint(token("abc", refresh_token="second"))
    source = refresh_token(on_rotated=interrupt)
    with pytest.raises(KeyboardInterrupt):
        source.fetch(endpoint, 30, ignore)
    source.fetch(endpoint, 30, ignore)
    assert endpoint.forms[1]["refresh_token"] == "second"


def test_store_shared_by_processes() -> None:
    """T10: a function that reads what the hook, or another process, wrote has the last word."""
    store = ["first"]
    endpoint = Endpoint(
        token("a", refresh_token="second"),
        token("b", refresh_token="fourth"),
        token("c", refresh_token="fifth"),
    )
    source = refresh_token(refresh_token=lambda: store[-1], on_rotated=store.append)
    source.fetch(endpoint, 30, ignore)
    store.append("third")
    source.fetch(endpoint, 30, ignore)
    source.fetch(endpoint, 30, ignore)
    assert [form["refresh_token"] for form in endpoint.forms] == ["first", "third", "fourth"]


def test_store_that_is_behind() -> None:
    """T10: while the function still returns what was rotated away, the newer one is sent."""
    endpoint = Endpoint(
        token("a", refresh_token="second"), token("b", refresh_token="third"), token("c")
    )
    source = refresh_token(refresh_token=lambda: "first")
    for _ in range(3):
        source.fetch(endpoint, 30, ignore)
    assert [form["refresh_token"] for form in endpoint.forms] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"refresh_token": None}, "refresh_token is none"),
        ({"refresh_token": ""}, "refresh_token is empty"),
        ({"on_rotated": "store"}, "on_rotated is a str"),
        ({"token_url": "http://login.example.com"}, "must be https"),
        ({"extra": {"refresh_token": "x"}}, "argument of its own"),
    ],
)
def test_refresh_token_refuses_nonsense(changes: dict[str, Any], complaint: str) -> None:
    """T9, D16: the refresh token grant is as strict as the other."""
    with pytest.raises(InvalidPolicy, match=complaint):
        refresh_token(**changes)


def test_revoked_refresh_token_is_terminal() -> None:
    """T7: ``invalid_grant`` for a refresh token says that the user must sign in again."""
    with pytest.raises(TokenEndpointError) as caught:
        refresh_token().fetch(Endpoint(answer({"error": "invalid_grant"}, 400)), 30, ignore)
    assert caught.value.terminal
