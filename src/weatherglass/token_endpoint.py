"""How a token source reaches its endpoint, and who is told of its refreshes.

The endpoint is called through an adapter like any other, with a small policy of its own: its
attempts have their spans and their retries (rule T6), but no token, no breaker and no gate, and
what it answers is never taken for an answer of the API.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import requests

from weatherglass.options import options
from weatherglass.policy import (
    BreakerPolicy,
    Policy,
    RetryAfterPolicy,
    RetryPolicy,
    Rule,
    TokenPolicy,
)
from weatherglass.tokens import RefreshReport, TokenRequest
from weatherglass.tokens.endpoint import TERMINAL_CODES
from weatherglass.vocabulary import TokenReason, WaitReason

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter

_REPEATABLE_GRANT = "client_credentials"
"""The grant that may be asked for twice; a rotating refresh token is spent by its first use."""

_RULES = (
    # Final, whatever status it comes with (rule T7).
    Rule(name="token-endpoint-refused", codes=tuple(sorted(TERMINAL_CODES)), transient=False),
    # 500 as well: an endpoint that does one thing fails for reasons that pass (rule T6).
    Rule(name="token-endpoint-5xx", statuses=(5,), transient=True),
)


def endpoint_policy(tokens: TokenPolicy) -> Policy:
    """The policy by which a token endpoint is called, made from that of the tokens."""
    return Policy(
        name="token-endpoint",
        retry=RetryPolicy(
            max_retries=tokens.refresh_retries, max_network_retries=tokens.refresh_retries
        ),
        retry_after=RetryAfterPolicy(
            floor=min(1.0, tokens.refresh_timeout), ceiling=tokens.refresh_timeout, gate=False
        ),
        breaker=BreakerPolicy(enabled=False),
        rules=_RULES,
    )


class TokenTransport:
    """Sends token requests through an adapter of their own; safe for threads."""

    def __init__(self, adapter: Adapter, owner: Adapter) -> None:
        self._adapter = adapter
        self._owner = owner
        # For the environment's proxies and certificates alone.
        self._session = requests.Session()

    def __call__(self, request: TokenRequest) -> requests.Response:
        prepared = request.prepare()
        settings = self._session.merge_environment_settings(
            prepared.url, {}, False, request.verify, None
        )
        # What performs the owner's attempts now performs these as well (rule D3).
        self._adapter.inner = self._owner.inner
        repeatable = request.form.get("grant_type") == _REPEATABLE_GRANT
        with options(deadline=request.timeout, idempotent=repeatable):
            # Not through a session, which would keep cookies, and in which an instrumentation
            # of requests would see one request where there may be several attempts (rule O5).
            return self._adapter.send(prepared, **settings)

    def close(self) -> None:
        """Close the endpoint's connections, and wake refreshes that sleep (rule D14)."""
        self._adapter.close()


class RefreshWatch:
    """Tells telemetry and the application of an adapter's token refreshes."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def refresh_started(self, source: str, reason: TokenReason) -> Any:
        return self._adapter.recorder.refresh_started(source, reason)

    def refresh_ended(self, handle: Any, report: RefreshReport) -> None:
        self._adapter.recorder.refresh_ended(handle, report.duration, report.error)
        self._adapter.notify("on_refresh", report)

    def waiting(self, handle: Any, planned: float) -> AbstractContextManager[Any]:
        link = getattr(handle, "link", None)
        return self._adapter.recorder.waiting(None, WaitReason.TOKEN, planned, link=link)

    def callback_error(self, name: str, error: BaseException) -> None:
        self._adapter.recorder.callback_failed(name, error)
