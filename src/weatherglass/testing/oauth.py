"""The authorisation server: grants tokens, rotates refresh tokens, and knows which are valid."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from weatherglass.runtime import Runtime
from weatherglass.testing.bodies import error_answer
from weatherglass.testing.faults import Spelling
from weatherglass.testing.wire import Answer, Request

CLIENT_ID = "fake-client"
CLIENT_SECRET = "fake-secret"  # noqa: S105 - of a server that guards nothing
LIFETIME = 86400.0


@dataclass(slots=True)
class _Issued:
    """An access token that was issued."""

    client_id: str
    generation: int
    expires_at: float
    of_user: bool
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a request says it comes from."""

    token: str = field(repr=False)
    fingerprint: str
    generation: int | None = None
    """The how-manieth token of its client; ``None`` for a token that was not issued here."""
    client_id: str = ""
    of_user: bool = False


class Authority:
    """All clients and tokens of one server. Times are seconds since the epoch on its clock."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        clients: Mapping[str, str],
        lifetime: float,
        rotate: bool,
    ) -> None:
        self.lifetime = lifetime
        self._runtime = runtime
        self._clients = dict(clients)
        self._rotate = rotate
        self._lock = threading.Lock()
        self._issued: dict[str, _Issued] = {}
        self._generations: Counter[str] = Counter()
        self._refresh_tokens: dict[str, str] = {}

    def issue(self, client_id: str, *, of_user: bool = False, lifetime: float | None = None) -> str:
        """A new access token of this client."""
        lifetime = self.lifetime if lifetime is None else lifetime
        token = f"access-{secrets.token_urlsafe(24)}"
        with self._lock:
            self._generations[client_id] += 1
            self._issued[token] = _Issued(
                client_id, self._generations[client_id], self._runtime.time() + lifetime, of_user
            )
        return token

    def issue_refresh_token(self, client_id: str) -> str:
        """A new refresh token of this client, good for one grant if they rotate."""
        token = f"refresh-{secrets.token_urlsafe(24)}"
        with self._lock:
            self._refresh_tokens[token] = client_id
        return token

    def revoke(self) -> None:
        """Make every access token issued so far invalid."""
        with self._lock:
            for issued in self._issued.values():
                issued.revoked = True

    def revoke_refresh_tokens(self) -> None:
        """Make every refresh token issued so far invalid."""
        with self._lock:
            self._refresh_tokens.clear()

    def expire(self) -> None:
        """Let every access token issued so far expire now."""
        with self._lock:
            for issued in self._issued.values():
                issued.expires_at = self._runtime.time()

    def bearer(self, request: Request) -> Bearer | None:
        """Who the request says it comes from; ``None`` without a bearer token."""
        header = request.header("Authorization")
        if header is None or header[:7].lower() != "bearer ":
            return None
        token = header[7:].strip()
        fingerprint = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()[:12]
        issued = self._issued.get(token)
        if issued is None:
            return Bearer(token, fingerprint)
        return Bearer(token, fingerprint, issued.generation, issued.client_id, issued.of_user)

    def is_valid(self, bearer: Bearer) -> bool:
        """Whether the token is good at this moment."""
        issued = self._issued.get(bearer.token)
        return (
            issued is not None and not issued.revoked and self._runtime.time() < issued.expires_at
        )

    def grant(self, request: Request) -> Answer:
        """The answer to a request to the token endpoint (RFC 6749)."""
        form = request.form()
        basic = _basic(request)
        client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
        known = self._clients.get(client_id)
        # A refresh token may be used by a public client, which has no secret to send.
        public = secret is None and form.get("grant_type") == "refresh_token"
        if known is None or (secret != known and not public):
            answer = _error("invalid_client", "client not found", 400 if basic is None else 401)
            if basic is not None:
                answer.headers.append(("WWW-Authenticate", 'Basic realm="oauth"'))
            return answer
        grant_type = form.get("grant_type", "")
        if grant_type == "client_credentials":
            return self._granted(client_id, of_user=False, refresh_token=None)
        if grant_type == "refresh_token":
            return self._refreshed(client_id, form.get("refresh_token", ""))
        return _error("unsupported_grant_type", f"grant type {grant_type[:40]!r} is not known")

    def _refreshed(self, client_id: str, refresh_token: str) -> Answer:
        with self._lock:
            owner = self._refresh_tokens.get(refresh_token)
            if owner == client_id and self._rotate:
                del self._refresh_tokens[refresh_token]
        if owner != client_id:
            return _error("invalid_grant", "refresh token not found")
        successor = self.issue_refresh_token(client_id) if self._rotate else refresh_token
        return self._granted(client_id, of_user=True, refresh_token=successor)

    def _granted(self, client_id: str, *, of_user: bool, refresh_token: str | None) -> Answer:
        token = self.issue(client_id, of_user=of_user)
        lifetime = int(self.lifetime) if self.lifetime.is_integer() else self.lifetime
        payload = {"access_token": token, "token_type": "bearer", "expires_in": lifetime}
        if refresh_token is not None:
            payload["refresh_token"] = refresh_token
        return Answer.of_json(200, payload, [("Cache-Control", "no-store")])


def _basic(request: Request) -> tuple[str, str] | None:
    header = request.header("Authorization")
    if header is None or header[:6].lower() != "basic ":
        return None
    try:
        decoded = base64.b64decode(header[6:], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    client_id, _, secret = decoded.partition(":")
    return client_id, secret


def _error(code: str, description: str, status: int = 400) -> Answer:
    return error_answer(status, code, description, spelling=Spelling.OAUTH)
