"""The exceptions of weatherglass: each is also the ``requests`` exception that fits it (rule D6).

All of them carry the request, the last response if there was one, the failure and the report of
the whole call; all pickle, without any credential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from weatherglass.report import CallReport, Failure


class InvalidPolicy(ValueError):
    """A setting that makes no sense: the message names field, value and allowed range (D16)."""


class CallFailed(requests.exceptions.RequestException):
    """A call ended without success.

    ``report`` is the :class:`~weatherglass.report.CallReport` of the call and ``failure`` the
    classification that it ended with.
    """

    report: CallReport
    failure: Failure | None
    # A call that was refused before its request was prepared has an unprepared one.
    request: requests.PreparedRequest | requests.Request | None
    response: requests.Response | None

    def __init__(
        self,
        message: str,
        *,
        report: CallReport,
        request: requests.PreparedRequest | requests.Request | None = None,
        response: requests.Response | None = None,
    ) -> None:
        super().__init__(message, request=request, response=response)
        self.report = report
        self.failure = report.failure

    def __reduce__(self) -> tuple[Any, ...]:
        # The request may hold credentials or a file and does not travel; the report does.
        response = _without_requests(self.response)
        return _rebuild, (type(self), self.args, self.report, response, self._extra())

    def _extra(self) -> dict[str, Any]:
        """What a subclass carries besides, for pickling."""
        return {}


def _rebuild(
    cls: type[CallFailed],
    args: tuple[Any, ...],
    report: CallReport,
    response: requests.Response | None,
    extra: dict[str, Any],
) -> CallFailed:
    return cls(*args, report=report, response=response, **extra)


def _without_requests(response: requests.Response | None) -> requests.Response | None:
    """A twin that can travel: without the requests that led to it, and with what was read of it.

    ``Response`` itself pickles the request with its Authorization header, and reads a streamed
    body from the network first.
    """
    if response is None:
        return None
    return _twin(response, [_twin(earlier, []) for earlier in response.history])


def _twin(response: requests.Response, history: list[requests.Response]) -> requests.Response:
    state = {name: getattr(response, name, None) for name in requests.Response.__attrs__}
    content = state["_content"]
    read = content if isinstance(content, bytes) else b""
    twin = requests.Response()
    vars(twin).update(state, request=None, history=history, _content=read, _content_consumed=True)
    return twin


class StatusFailed(CallFailed, requests.exceptions.HTTPError):
    """The server's final answer was an error (only with ``raise_failures=True``)."""


class NetworkFailed(CallFailed, requests.exceptions.ConnectionError):
    """The network failed for good (only with ``raise_failures=True``)."""


class AttemptTimedOut(CallFailed, requests.exceptions.Timeout):
    """The last attempt timed out (only with ``raise_failures=True``)."""


class CircuitOpen(CallFailed, requests.exceptions.ConnectionError):
    """The breaker is open: nothing was sent (rule B6)."""

    def __init__(self, message: str, *, next_probe_in: float | None = None, **carried: Any) -> None:
        super().__init__(message, **carried)
        self.next_probe_in = next_probe_in
        """Seconds until the next probe is due; ``None`` while one is under way or by force."""

    def _extra(self) -> dict[str, Any]:
        return {"next_probe_in": self.next_probe_in}


class MaintenanceInProgress(CircuitOpen):
    """A maintenance window is in force and the origin was seen to be down in it (rule M3)."""


class RateLimited(CallFailed, requests.exceptions.RetryError):
    """A rate limit that the origin announced forbids the call for longer than the ceiling."""

    def __init__(self, message: str, *, retry_after: float | None = None, **carried: Any) -> None:
        super().__init__(message, **carried)
        self.retry_after = retry_after
        """Seconds until the limit is over, as far as is known."""

    def _extra(self) -> dict[str, Any]:
        return {"retry_after": self.retry_after}


class DeadlineExceeded(CallFailed, requests.exceptions.Timeout):
    """The call's deadline left no time to send anything, or passed while a body was read (D9)."""


class SessionClosed(CallFailed, requests.exceptions.ConnectionError):
    """The session was closed while the call waited (rule D14)."""


class TokenRefreshFailed(CallFailed, requests.exceptions.ConnectionError):
    """No token could be had; the token endpoint's error is the cause (rule T6)."""


class ReauthenticationRequired(CallFailed, requests.exceptions.ConnectionError):
    """The credentials themselves were refused: new ones must be given (rule T7)."""
