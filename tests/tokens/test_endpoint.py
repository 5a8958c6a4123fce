"""Requests to a token endpoint, and everything that one may answer."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from token_fakes import Endpoint, answer, pickled, token

from weatherglass.tokens import ClientCredentials, IssuedToken, TokenEndpointError
from weatherglass.tokens.endpoint import lifetime


def fetch(*replies: Any) -> IssuedToken:
    source = ClientCredentials(
        token_url="https://login.example.com/token", client_id="id", client_secret="hunter2"
    )
    return source.fetch(Endpoint(*replies), 30, lambda *_: None)


def error_of(*replies: Any) -> TokenEndpointError:
    with pytest.raises(TokenEndpointError) as caught:
        fetch(*replies)
    return caught.value


def test_a_token_is_read() -> None:
    """T1: token and lifetime are taken from the answer (RFC 6749, section 5.1)."""
    issued = fetch(token("abc", 300, refresh_token="r"))
    assert issued == IssuedToken("abc", 300.0, "r")
    assert issued.token_type == "Bearer"


@pytest.mark.parametrize(
    ("given_value", "seconds"),
    [
        (300, 300.0),
        ("300", 300.0),
        ("172800.5", 172800.5),
        (0.5, 0.5),
        (0, None),
        (-1, None),
        ("-300", None),
        (None, None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        (1e300, None),
        (1_790_000_000, None),
        (10**400, None),
        (True, None),
        ([300], None),
        ({"seconds": 300}, None),
    ],
)
def test_lifetimes(given_value: Any, seconds: float | None) -> None:
    """T5: what is no positive, believable number of seconds is no lifetime, and no error."""
    assert fetch(token("abc", given_value)).expires_in == seconds


def test_a_token_without_lifetime_has_none() -> None:
    """T5: a missing ``expires_in`` is no lifetime."""
    assert fetch(answer({"access_token": "abc"})).expires_in is None


@given(st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.booleans()))
def test_any_lifetime_is_positive_or_none(value: Any) -> None:
    """T5, S1: no value of ``expires_in`` raises, and none gives a lifetime that makes no sense."""
    seconds = lifetime(value)
    assert seconds is None or 0 < seconds <= 315_360_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Welcome to the hotel</body></html>",
        b'{"access_token": "abc", "expires_in": 36',
        b'["access_token"]',
        b'"abc"',
        b"null",
        "{'access_token': 'ü'}".encode("latin-1"),
        b"[" * 200_000,
        b'{"a":' * 40_000,
        b'{"access_token": "' + b"a" * 300_000 + b'"}',
        b'{"expires_in": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_success_without_an_object_is_transient(body: bytes) -> None:
    """T6, S1: HTML, broken, hostile or oversized bodies under 200 are a gateway's, and pass."""
    error = error_of(answer(body=body))
    assert error.transient
    assert not error.terminal
    assert error.status == 200


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": 7},
        {"access_token": ["abc"]},
        {"access_token": "a b"},
        {"access_token": "abc\r\nX-Evil: 1"},
        {"access_token": "töken"},
    ],
)
def test_an_object_without_a_token_is_permanent(payload: Any) -> None:
    """T6, S1: an answer without a token that fits into a header is an error, and not quoted."""
    error = error_of(answer(payload))
    assert not error.transient
    assert "usable access_token" in str(error)
    assert "Evil" not in str(error)


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client", "unauthorized_client"])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 503])
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_terminal_codes(code: str, status: int, spell: Any) -> None:
    """T7: the three codes are terminal in any case and under any status."""
    error = error_of(answer({"error": spell(code)}, status))
    assert error.terminal
    assert not error.transient
    assert error.code == code
    assert error.status == status


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"error": {"code": "invalid_grant"}}, "invalid_grant"),
        ({"code": "INVALID_GRANT"}, "invalid_grant"),
        ({"errorCode": "invalid_client"}, "invalid_client"),
    ],
)
def test_codes_in_other_places(payload: Any, code: str) -> None:
    """T7, C6: the code is also found in an error object and under its other names."""
    error = error_of(answer(payload, 400))
    assert (error.code, error.terminal) == (code, True)


@pytest.mark.parametrize("where", ["error_description", "description", "message"])
def test_rate_limit_in_disguise(where: str) -> None:
    """T6, C8: 400 invalid_request "rate limit exceeded" is transient, with its Retry-After."""
    payload = {"error": "invalid_request", where: "Rate limit exceeded; slow down"}
    error = error_of(answer(payload, 400, headers={"Retry-After": "42"}))
    assert error.transient
    assert not error.terminal
    assert error.retry_after == 42.0


@pytest.mark.parametrize(
    ("header", "prose", "seconds"),
    [
        ("7", "", 7.0),
        ("1.5", "", 1.5),
        (" 7 ", "", 7.0),
        ("-3", "", None),
        ("soon", "", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "", None),
        ("99999999", "", 3600.0),
        ("9" * 100_000, "", None),
        (None, "Retry the request in [42] seconds", 42.0),
        (None, "10 requests per 60 seconds are allowed", None),
        (None, "", None),
    ],
)
def test_retry_after_of_the_token_endpoint(
    header: str | None, prose: str, seconds: float | None
) -> None:
    """T6: plain seconds are read from header or text, and bounded; the rest is left to us."""
    headers = {} if header is None else {"Retry-After": header}
    error = error_of(answer({"error_description": prose}, 429, headers=headers))
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "payload", "transient"),
    [
        (429, {}, True),
        (500, {}, True),
        (502, None, True),
        (503, {"error": "whatever"}, True),
        (408, {}, True),
        (400, {"error": "temporarily_unavailable"}, True),
        (400, {"error": "slow_down"}, True),
        (400, {"error": "too_many_requests"}, True),
        (200, {"error": "server_error"}, True),
        (400, {"error": "invalid_request"}, False),
        (400, {"error": "invalid_scope"}, False),
        (401, {}, False),
        (403, [], False),
        (404, None, False),
        (302, {}, False),
        (200, {"error": "bad_verification_code"}, False),
    ],
)
def test_which_refusals_are_transient(status: int, payload: Any, *, transient: bool) -> None:
    """T6: 408, 429, 5xx and the transient OAuth codes pass, everything else does not."""
    error = error_of(answer(payload, status))
    assert (error.transient, error.terminal, error.status) == (transient, False, status)


def test_prose_is_not_passed_on() -> None:
    """T9: a description that quotes the refresh token gets into no message, nor a long code."""
    payload = {
        "error": "invalid_grant",
        "error_description": "Invalid refresh token: SECRET",
        "code": "SECRET" * 20,
    }
    for error in (error_of(answer(payload, 400)), error_of(answer(payload | {"error": 1}, 400))):
        assert "SECRET" not in repr(error) + str(vars(error))


def _certificate_error() -> requests.exceptions.SSLError:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    inner = urllib3.exceptions.SSLError(refused)
    pool = urllib3.HTTPSConnectionPool("login.example.com")
    return requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(pool, "/token", inner))


@pytest.mark.parametrize(
    ("raised", "transient"),
    [
        (requests.ConnectionError("reset"), True),
        (requests.ReadTimeout("slow"), True),
        (requests.exceptions.ChunkedEncodingError("cut"), True),
        (requests.exceptions.SSLError("handshake timed out"), True),
        (urllib3.exceptions.ProtocolError("cut"), True),
        (ConnectionResetError("reset"), True),
        (_certificate_error(), False),
        (requests.exceptions.InvalidURL("bad"), False),
        (requests.exceptions.InvalidSchema("bad"), False),
    ],
)
def test_network_failures(raised: Exception, *, transient: bool) -> None:
    """T6, N1: the network's failures pass, but for refused certificates and impossible URLs."""
    error = error_of(raised)
    assert (error.transient, error.terminal, error.status) == (transient, False, None)
    assert error.__cause__ is raised


def test_a_body_that_breaks_off_is_a_network_failure() -> None:
    """T6: a connection lost while the answer is read is transient."""
    response = requests.Response()
    response.status_code = 200
    body: Any = _Breaking()
    response.raw = urllib3.HTTPResponse(body=body, preload_content=False)
    assert error_of(response).transient


class _Breaking:
    closed = False

    def read(self, *_: Any, **__: Any) -> bytes:
        raise ConnectionResetError("cut")

    def close(self) -> None:
        pass


def test_the_exception_forgets_the_request_that_it_carried() -> None:
    """T9: the network's exception keeps neither the request with its form nor any frame."""
    request = requests.Request("POST", "https://x.example", data={"client_secret": "s"}).prepare()
    raised = requests.ConnectionError(ConnectionResetError("x"), request=request)
    error = error_of(raised)
    assert raised.request is None
    assert raised.__traceback__ is None
    assert error.__cause__ is raised


def test_errors_pickle() -> None:
    """D6: an error travels with all that it says."""
    error = error_of(answer({"error": "slow_down"}, 429, headers={"Retry-After": "9"}))
    again = pickled(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


@given(st.binary(max_size=200), st.sampled_from([200, 201, 204, 302, 400, 401, 429, 500, 503]))
def test_any_answer_is_a_token_or_an_error(body: bytes, status: int) -> None:
    """T6, S1: no body under any status raises anything but a TokenEndpointError."""
    try:
        issued = fetch(answer(body=body, status=status))
    except TokenEndpointError:
        return
    assert json.loads(body)["access_token"] == issued.value
