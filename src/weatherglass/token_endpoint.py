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
from weatherglass.policy import BreakerPolicy, Policy, RetryAfterPolicy, RetryPolicy, TokenPolicy
from weatherglass.tokens import RefreshReport, TokenRequest
from weatherglass.vocabulary import TokenReason, WaitReason

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter

_REPEATABLE_GRANT = "client_credentials"
"""The grant that may be asked for twice; a rotating refresh token is spent by its first use."""


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
    )


class TokenTransport:
    """Sends token requests through an adapter; safe for threads."""

    def __init__(self, adapter: Adapter) -> None:
        self._session = requests.Session()
        # Nothing is kept between token requests, cookies least of all.
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def __call__(self, request: TokenRequest) -> requests.Response:
        prepared = request.prepare()
        settings = self._session.merge_environment_settings(
            prepared.url, {}, False, request.verify, None
        )
        repeatable = request.form.get("grant_type") == _REPEATABLE_GRANT
        with options(deadline=request.timeout, idempotent=repeatable):
            return self._session.send(prepared, allow_redirects=False, **settings)

    def close(self) -> None:
        """Close the endpoint's connections, and wake refreshes that sleep (rule D14)."""
        self._session.close()


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
