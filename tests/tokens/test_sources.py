"""Tokens from any function (rule T1)."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from token_fakes import Endpoint, token

from weatherglass.errors import InvalidPolicy
from weatherglass.tokens import CallableTokens, InvalidToken, IssuedToken, TokenEndpointError


def fetch(source: CallableTokens) -> IssuedToken:
    return source.fetch(Endpoint(token()), 30, lambda *_: None)


@pytest.mark.parametrize(
    ("returned", "issued"),
    [
        ("abc", IssuedToken("abc")),
        (("abc", 300), IssuedToken("abc", 300.0)),
        (("abc", None), IssuedToken("abc")),
        (("abc", -1), IssuedToken("abc")),
        (IssuedToken("abc", 60, token_type="Token"), IssuedToken("abc", 60, None, "Token")),
    ],
)
def test_what_a_function_may_return(returned: Any, issued: IssuedToken) -> None:
    """T1: a token alone, with its lifetime, or as a record."""
    assert fetch(CallableTokens(lambda: returned)) == issued


@pytest.mark.parametrize(
    "returned", [None, "", b"abc", 7, ("abc",), ("abc", 1, 2), (None, 300), "a b", "a\nb", []]
)
def test_what_a_function_may_not_return(returned: Any) -> None:
    """T1, T6: anything else is a permanent error of the source that does not quote it."""
    with pytest.raises(TokenEndpointError, match="something else") as caught:
        fetch(CallableTokens(lambda: returned))
    assert (caught.value.transient, caught.value.terminal) == (False, False)


@pytest.mark.parametrize(
    ("raised", "transient"),
    [
        (requests.ConnectionError("x"), True),
        (TimeoutError("x"), True),
        (ValueError("SECRET"), False),
        (KeyError("SECRET"), False),
    ],
)
def test_function_that_raises(raised: Exception, *, transient: bool) -> None:
    """T6, T9: network errors of a function pass, others do not; none is quoted."""

    def fail() -> str:
        raise raised

    with pytest.raises(TokenEndpointError) as caught:
        fetch(CallableTokens(fail))
    assert (caught.value.transient, caught.value.terminal) == (transient, False)
    assert caught.value.__cause__ is raised
    assert str(caught.value) == f"the token function failed with {type(raised).__name__}"


def test_function_may_say_that_it_is_over() -> None:
    """T7: a function's own TokenEndpointError is taken at its word."""
    own = TokenEndpointError("sign in again", transient=False, terminal=True)

    def fail() -> str:
        raise own

    with pytest.raises(TokenEndpointError) as caught:
        fetch(CallableTokens(fail))
    assert caught.value is own


@pytest.mark.parametrize(
    ("arguments", "changes", "complaint"),
    [
        ("abc", {}, "fetch is a str"),
        (None, {}, "fetch is a NoneType"),
        (str, {"name": ""}, "name"),
        (str, {"origins": ["http://api.example.com"]}, "must be https"),
    ],
)
def test_callable_tokens_refuses_nonsense(
    arguments: Any, changes: dict[str, Any], complaint: str
) -> None:
    """T9, D16: what is no function, name or safe origin is refused at once."""
    with pytest.raises(InvalidPolicy, match=complaint):
        CallableTokens(arguments, **changes)


def test_callable_tokens_are_bound_like_others() -> None:
    """T11: origins are declared and normalised here too."""
    source = CallableTokens(lambda: "abc", origins="https://api.example.com:443", name="msal")
    assert source.origins == frozenset({"https://api.example.com"})
    assert source.name == "msal"


@pytest.mark.parametrize("token_type", ["", "Bearer\r\nX: y", "Be arer", 7])
def test_token_type_must_fit_into_a_header(token_type: Any) -> None:
    """S1: a scheme that would break the header is refused."""
    with pytest.raises(InvalidToken):
        IssuedToken("abc", token_type=token_type)
