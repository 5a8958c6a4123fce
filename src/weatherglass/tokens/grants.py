"""Tokens from an OAuth token endpoint: client credentials and refresh tokens (rule T1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.origins import checked_url, declared_origins
from weatherglass.tokens.endpoint import (
    Form,
    IssuedToken,
    TokenRequest,
    Transport,
    basic_credentials,
    exchange,
    shown_url,
)
from weatherglass.tokens.secret import Secret, SecretValue, lost, travels
from weatherglass.tokens.sources import CallbackError, checked_name, checked_text

_AUTH_METHODS = ("basic", "post")

_SECRET_FIELDS = frozenset(
    {
        "actor_token",
        "assertion",
        "client_assertion",
        "code",
        "code_verifier",
        "device_code",
        "password",
        "subject_token",
    }
)
"""OAuth parameters that are secrets; as a plain text they would end up in pickles."""


class _Grant:
    """What the OAuth grants have in common: the endpoint and how the client proves itself."""

    def __init__(
        self,
        *,
        token_url: str,
        client_id: str,
        client_secret: SecretValue | None,
        origins: str | Iterable[str] | None,
        scope: str | None,
        auth_method: str,
        extra: Mapping[str, SecretValue] | None,
        allow_insecure: bool,
        verify: bool | str,
        name: str,
    ) -> None:
        what = type(self).__name__
        endpoint = checked_url(token_url, f"{what}.token_url", allow_insecure=allow_insecure)
        if auth_method not in _AUTH_METHODS:
            raise InvalidPolicy(
                f"{what}.auth_method is {auth_method!r}, but must be one of"
                f" {', '.join(_AUTH_METHODS)}"
            )
        if verify is False and not (allow_insecure or endpoint.loopback):
            raise InvalidPolicy(
                f"{what}.verify is False, but must be true or the path of a CA bundle, unless"
                " the token endpoint is loopback or allow_insecure=True"
            )
        self.token_url = token_url
        self.client_id = checked_text(client_id, f"{what}.client_id")
        self.origins = declared_origins(origins, f"{what}.origins", allow_insecure=allow_insecure)
        self.scope = None if scope is None else checked_text(scope, f"{what}.scope")
        self.auth_method = auth_method
        self.verify = verify
        self.name = checked_name(name, what)
        self._client_secret = (
            None if client_secret is None else Secret(f"{what}.client_secret", client_secret)
        )
        self._extra = _extra(extra or {}, f"{what}.extra")

    def _request(self, form: Form, timeout: float) -> TokenRequest:
        """The grant's own fields, with the client's proof of itself (RFC 6749, section 2.3)."""
        if self.scope is not None:
            form["scope"] = self.scope
        for field, value in self._extra.items():
            form[field] = value.reveal() if isinstance(value, Secret) else value
        basic = None
        if self._client_secret is None:
            form["client_id"] = self.client_id
        elif self.auth_method == "basic":
            basic = basic_credentials(self.client_id, self._client_secret.reveal())
        else:
            form["client_id"] = self.client_id
            form["client_secret"] = self._client_secret.reveal()
        return TokenRequest(self.token_url, form, timeout, basic, self.verify)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name={self.name!r}, token_url={shown_url(self.token_url)!r},"
            f" client_id={self.client_id!r})"
        )


class ClientCredentials(_Grant):
    """A token for the application itself (RFC 6749, section 4.4; rule T1).

    There is no refresh token in this grant: each refresh is a new grant.

    ``client_secret`` and the values of ``extra`` (further form fields, such as ``audience``) are
    texts, or functions without arguments that are asked for each refresh. ``auth_method`` is
    how the secret is sent: ``basic`` in a header, form-encoded as the standard demands, or
    ``post`` in the form, for servers that do not decode the former. ``origins`` are the only
    ones that receive the token (rule T11); without them it is bound to what the session or
    adapter is bound to.

    Raises:
        InvalidPolicy: for a token endpoint or an origin that is neither HTTPS nor loopback
            without ``allow_insecure`` (rule T9), and for values that make no sense.
    """

    def __init__(
        self,
        *,
        token_url: str,
        client_id: str,
        client_secret: SecretValue,
        origins: str | Iterable[str] | None = None,
        scope: str | None = None,
        auth_method: str = "basic",
        extra: Mapping[str, SecretValue] | None = None,
        allow_insecure: bool = False,
        verify: bool | str = True,
        name: str = "client_credentials",
    ) -> None:
        super().__init__(
            token_url=token_url,
            client_id=client_id,
            client_secret=_required(client_secret, "ClientCredentials.client_secret"),
            origins=origins,
            scope=scope,
            auth_method=auth_method,
            extra=extra,
            allow_insecure=allow_insecure,
            verify=verify,
            name=name,
        )

    def fetch(
        self,
        transport: Transport,
        timeout: float,
        callback_error: CallbackError,  # noqa: ARG002 - this grant has no callback
    ) -> IssuedToken:
        """Ask for a new grant; see :meth:`TokenSource.fetch`."""
        form = Form(grant_type="client_credentials")
        return exchange(transport, self._request(form, timeout))


@dataclass(frozen=True, slots=True, repr=False)
class _Spent:
    """A refresh token: as the application gave it, and the one that is now sent in its place."""

    given: str
    current: str


class RefreshToken(_Grant):
    """A token for a user who has consented before (RFC 6749, section 6; rules T1 and T10).

    A server that rotates refresh tokens gives a new one with each answer. It is handed to
    ``on_rotated`` before it or the new access token is used, so that the application can store
    it; should that raise, the refresh succeeds all the same and the new one is remembered here.

    Given as a function, ``refresh_token`` is asked for each refresh; what it returns is used
    unless it still returns what was rotated away meanwhile. With a store that ``on_rotated``
    writes and the function reads, several processes can share one rotating token. Without a
    ``client_secret`` this is a public client. For the rest see :class:`ClientCredentials`.

    Raises:
        InvalidPolicy: as :class:`ClientCredentials` does.
    """

    def __init__(
        self,
        *,
        token_url: str,
        client_id: str,
        refresh_token: SecretValue,
        client_secret: SecretValue | None = None,
        on_rotated: Callable[[str], object] | None = None,
        origins: str | Iterable[str] | None = None,
        scope: str | None = None,
        auth_method: str = "basic",
        extra: Mapping[str, SecretValue] | None = None,
        allow_insecure: bool = False,
        verify: bool | str = True,
        name: str = "refresh_token",
    ) -> None:
        super().__init__(
            token_url=token_url,
            client_id=client_id,
            client_secret=client_secret,
            origins=origins,
            scope=scope,
            auth_method=auth_method,
            extra=extra,
            allow_insecure=allow_insecure,
            verify=verify,
            name=name,
        )
        if on_rotated is not None and not callable(on_rotated):
            raise InvalidPolicy(
                f"RefreshToken.on_rotated is a {type(on_rotated).__name__}, but must be a function"
            )
        self._refresh_token = Secret(
            "RefreshToken.refresh_token", _required(refresh_token, "RefreshToken.refresh_token")
        )
        self._on_rotated = on_rotated
        self._lost_hook = False
        self._rotated: _Spent | None = None

    def fetch(
        self, transport: Transport, timeout: float, callback_error: CallbackError
    ) -> IssuedToken:
        """Spend the refresh token; see :meth:`TokenSource.fetch`."""
        if self._lost_hook:
            # Rotating on without the hook would leave the application with a dead token.
            raise lost("RefreshToken.on_rotated")
        spent = self._spend()
        form = Form(grant_type="refresh_token", refresh_token=spent.current)
        issued = exchange(transport, self._request(form, timeout))
        new = issued.refresh_token
        if new is not None and new != spent.current:
            try:
                self._hand_over(new, callback_error)
            finally:
                self._rotated = _Spent(spent.given, new)
        return issued

    def _spend(self) -> _Spent:
        given = self._refresh_token.reveal()
        rotated = self._rotated
        if rotated is not None and rotated.given == given:
            return rotated
        return _Spent(given, given)

    def _hand_over(self, new: str, callback_error: CallbackError) -> None:
        if self._on_rotated is None:
            return
        try:
            self._on_rotated(new)
        except Exception as error:  # noqa: BLE001 - whatever a callback raises changes no result
            callback_error("on_rotated", error)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_rotated": None}
        if self._on_rotated is not None and not travels(self._on_rotated):
            state |= {"_on_rotated": None, "_lost_hook": True}
        return state


def _required(value: SecretValue | None, where: str) -> SecretValue:
    if value is None:
        raise InvalidPolicy(f"{where} is none, but must be a text or a function that returns one")
    return value


def _extra(extra: Mapping[str, SecretValue], where: str) -> dict[str, str | Secret]:
    """Form fields of the application's choice; those that the grant sends itself are not."""
    fields: dict[str, str | Secret] = {}
    for field, value in extra.items():
        if field in ("grant_type", "client_id", "client_secret", "refresh_token", "scope"):
            raise InvalidPolicy(f"{where} has {field!r}, which has an argument of its own")
        if callable(value):
            fields[field] = Secret(f"{where}[{field!r}]", value)
        elif field in _SECRET_FIELDS:
            raise InvalidPolicy(
                f"{where}[{field!r}] is a secret, and must be a function without arguments that"
                " returns it: texts are carried by pickles"
            )
        else:
            fields[field] = checked_text(value, f"{where}[{field!r}]")
    return fields
