"""What goes to an OAuth token endpoint and what comes back (RFC 6749, sections 2.3, 4.4, 5, 6).

Only the few shapes that such an endpoint answers with are read here; answers of the API are
the business of :mod:`weatherglass.diagnose`. Retries are the transport's.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import quote_plus

import requests
from urllib3.exceptions import HTTPError as Urllib3Error

from weatherglass.errors import RateLimited
from weatherglass.tokens.errors import TokenEndpointError
from weatherglass.tokens.secret import refuse_to_pickle

TERMINAL_CODES = frozenset({"invalid_grant", "invalid_client", "unauthorized_client"})
"""OAuth errors after which only new credentials can help (rule T7)."""

_TRANSIENT_CODES = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
_RATE_LIMIT_PHRASES = ("rate limit", "too many requests")

_BODY_LIMIT = 262_144
"""Bytes of an answer that are read; a token is sent in a header and so is far shorter."""

_LONGEST_LIFETIME = 10 * 365 * 86_400.0
"""Seconds; what is longer is a date or a mistake, not a lifetime."""

_LONGEST_RETRY_AFTER = 3600.0
"""Seconds; a longer pause would shut out a client for the sake of one header."""

_CODE = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_SECONDS_IN_TEXT = re.compile(r"\bin \[?(\d{1,9})\]? ?s(?:econds?)?\b", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as its source gave it.

    Raises:
        InvalidToken: when the value or the type cannot stand in a header.
    """

    value: str = field(repr=False)
    expires_in: float | None = None
    """Seconds of life that are left; ``None`` when nothing sensible is known: such a token is
    used until the server refuses it (rule T5)."""
    refresh_token: str | None = field(default=None, repr=False)
    """The refresh token that takes the place of the one used, if the server rotates them."""
    token_type: str = "Bearer"  # noqa: S105 - a scheme, not a secret
    """The authentication scheme that is sent before the value."""

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or not _HEADER_SAFE.fullmatch(self.value):
            raise InvalidToken("a token must be a text of visible ASCII characters")
        if not isinstance(self.token_type, str) or not _SCHEME.fullmatch(self.token_type):
            raise InvalidToken("a token's type must be the name of an authentication scheme")
        object.__setattr__(self, "expires_in", lifetime(self.expires_in))

    def __reduce__(self) -> tuple[Any, ...]:
        raise refuse_to_pickle(self)


class InvalidToken(ValueError):
    """What a source gave cannot be sent; the message does not quote it."""


class Form(dict[str, str]):
    """Form fields, of which only the names can be seen."""

    def __repr__(self) -> str:
        return f"Form({', '.join(self)})"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One POST to a token endpoint, for the transport to send as it is.

    The transport follows no redirect: the request holds secrets.
    """

    url: str
    form: Form
    timeout: float
    """Seconds that the whole exchange may take, the transport's retries included (rule T8)."""
    basic: tuple[str, str] | None = None
    """Client id and secret for HTTP Basic, encoded as RFC 6749, section 2.3.1 demands."""
    verify: bool | str = True
    """As in ``requests``: whether TLS is verified, or the CA bundle to do it with."""

    def prepare(self) -> requests.PreparedRequest:
        """The request as ``requests`` sends it; no session's headers or netrc are mixed in."""
        return requests.Request(
            "POST",
            self.url,
            headers={"Accept": "application/json"},
            data=dict(self.form),
            auth=self.basic,
        ).prepare()

    def __repr__(self) -> str:
        return f"TokenRequest({shown_url(self.url)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise refuse_to_pickle(self)


Transport: TypeAlias = Callable[[TokenRequest], requests.Response]
"""Sends a request, with retries of its own, and returns the last answer with its body read."""


def shown_url(url: str) -> str:
    """The URL without its query, in which some endpoints take a key."""
    return url.partition("?")[0]


def basic_credentials(client_id: str, client_secret: str) -> tuple[str, str]:
    """Both parts form-encoded before they are put into Basic (RFC 6749, section 2.3.1)."""
    return quote_plus(client_id), quote_plus(client_secret)


def lifetime(given: object) -> float | None:
    """``expires_in`` as seconds; ``None`` for what is no positive number below ten years."""
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        seconds = float(given)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= _LONGEST_LIFETIME else None


def exchange(transport: Transport, request: TokenRequest) -> IssuedToken:
    """Send the request and understand the answer.

    Raises:
        TokenEndpointError: for everything but a token.
    """
    try:
        response = transport(request)
        response.content  # noqa: B018 - the property reads the body
    except (requests.RequestException, Urllib3Error, OSError) as error:
        # The frames below hold the form that was sent, and the exception the request itself.
        _forget_secrets(error)
        raise failure_of("the token endpoint", error) from error
    # An answer is understood in frames that do not raise: one that does shows what it holds to
    # tools that print local variables.
    answer = _understood(response)
    if isinstance(answer, TokenEndpointError):
        raise answer
    return answer


def failure_of(who: str, error: BaseException) -> TokenEndpointError:
    """What an exception says about whoever was asked for a token.

    Network errors are transient, but for refused certificates and for those that are also
    ``ValueError`` (an invalid URL, an unknown scheme), which stay as they are (rule N1).
    """
    network = isinstance(error, (requests.RequestException, Urllib3Error, OSError))
    certificate = any(isinstance(e, ssl.SSLCertVerificationError) for e in _chain(error))
    return TokenEndpointError(
        f"{who} failed with {type(error).__name__}",
        transient=network and not certificate and not isinstance(error, ValueError),
        retry_after=error.retry_after if isinstance(error, RateLimited) else None,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that it was made from, wherever requests and urllib3 put them."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None)]
        waiting += current.args


def _forget_secrets(error: BaseException) -> None:
    for each in _chain(error):
        each.__traceback__ = None
        if isinstance(each, requests.RequestException):
            each.request = each.response = None


def _understood(response: requests.Response) -> IssuedToken | TokenEndpointError:
    status = response.status_code
    payload = _object(response.content)
    if payload is None and 200 <= status < 300:
        return TokenEndpointError(
            f"the token endpoint answered {status} without a JSON object; gateways and captive"
            " portals do so in its place",
            transient=True,
            status=status,
        )
    payload = payload or {}
    if not 200 <= status < 300 or payload.get("error"):
        return _refusal(status, payload, response.headers)
    try:
        return IssuedToken(
            payload.get("access_token", ""),
            payload.get("expires_in"),
            _text(payload.get("refresh_token")) or None,
        )
    except InvalidToken:
        return TokenEndpointError(
            f"the token endpoint answered {status} without a usable access_token",
            transient=False,
            status=status,
        )


def _refusal(
    status: int, payload: Mapping[str, Any], headers: Mapping[str, str]
) -> TokenEndpointError:
    code = _error_code(payload)
    prose = _prose(payload)
    terminal = code in TERMINAL_CODES
    said = f"{code} {prose}".lower().replace("_", " ").replace(".", " ")
    limited = any(phrase in said for phrase in _RATE_LIMIT_PHRASES)
    transient = not terminal and (
        limited or status >= 500 or status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES
    )
    what = f"the token endpoint answered {status}" + (f" {code}" if code else "")
    if 300 <= status < 400:
        what += ", a redirect, which is not followed with secrets"
    elif limited:
        what += ", a rate limit"
    return TokenEndpointError(
        what,
        transient=transient,
        terminal=terminal,
        status=status,
        code=code,
        retry_after=_retry_after(headers.get("Retry-After"), prose) if transient else None,
    )


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, or ``None`` (rules C7 and S1)."""
    if len(body) > _BODY_LIMIT:
        return None
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _error_code(payload: Mapping[str, Any]) -> str | None:
    """The error code in lower case, if it looks like one."""
    error = payload.get("error")
    nested = error.get("code") if isinstance(error, dict) else error
    for found in (nested, payload.get("code"), payload.get("errorCode")):
        code = _text(found).lower()
        if _CODE.fullmatch(code):
            return code
    return None


def _prose(payload: Mapping[str, Any]) -> str:
    """What the endpoint says to people: read for its rate limit, and never passed on."""
    words = (payload.get(name) for name in ("error_description", "description", "message"))
    return " ".join(_text(word)[:500] for word in words)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _retry_after(header: str | None, prose: str) -> float | None:
    """Seconds to wait, as plain seconds in the header or else "in [42] seconds" in the text.

    A date would need the server's clock; for a token endpoint the cool-down has to do.
    """
    if header is not None and _NUMBER.fullmatch(header.strip()):
        return min(float(header), _LONGEST_RETRY_AFTER)
    found = _SECONDS_IN_TEXT.search(prose)
    return min(float(found[1]), _LONGEST_RETRY_AFTER) if found else None
