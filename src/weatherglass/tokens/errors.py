"""Why there is no token: what a source says, and what a call is told.

Both are internal to weatherglass: callers meet them as the cause of ``TokenRefreshFailed`` and
``ReauthenticationRequired``. Neither ever holds a secret, nor anything that a token endpoint
wrote in prose: some of them quote the refresh token in their error descriptions (rule T9).
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class TokenEndpointError(Exception):
    """A token source gave no token.

    A function given to :class:`~weatherglass.tokens.CallableTokens` may raise it to say more
    than that it failed.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool,
        terminal: bool = False,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.transient = transient
        """Whether the same request can succeed later."""
        self.terminal = terminal
        """Whether only new credentials can help (rule T7)."""
        self.status = status
        """The HTTP status; ``None`` when there was no answer."""
        self.code = code
        """The OAuth error code (RFC 6749, section 5.2), in lower case; ``None`` if none."""
        self.retry_after = retry_after
        """Seconds that the token endpoint asked to wait; ``None`` if it did not."""

    def _fields(self) -> dict[str, Any]:
        return {
            "transient": self.transient,
            "terminal": self.terminal,
            "status": self.status,
            "code": self.code,
            "retry_after": self.retry_after,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self._fields())

    def detached(self) -> TokenEndpointError:
        """The same error without cause and traceback, which would keep whole stacks alive."""
        return TokenEndpointError(*self.args, **self._fields())


class Unavailability(Enum):
    """Why a call gets no token."""

    FAILED = "failed"
    """The refresh failed, or an earlier one did and is cooling down (rule T6)."""
    TERMINAL = "terminal"
    """The credentials were refused: new ones must be given (rule T7)."""
    TIMED_OUT = "timed_out"
    """The call's own limit passed first (rule T8)."""
    CLOSED = "closed"
    """The session was closed while the call waited (rule D14)."""


class TokenUnavailable(Exception):
    """No token can be had for this call; the source's error, if there is one, is the cause."""

    def __init__(
        self,
        message: str,
        *,
        why: Unavailability,
        error: TokenEndpointError | None = None,
        retry_in: float | None = None,
    ) -> None:
        super().__init__(message)
        self.why = why
        self.error = error
        """What the source said, shared by all calls that it concerns; ``None`` if nothing."""
        self.retry_in = retry_in
        """Seconds until a refresh may be begun again; ``None`` when waiting does not help."""

    @property
    def terminal(self) -> bool:
        return self.why is Unavailability.TERMINAL

    @property
    def timed_out(self) -> bool:
        return self.why is Unavailability.TIMED_OUT

    @property
    def closed(self) -> bool:
        return self.why is Unavailability.CLOSED

    @property
    def transient(self) -> bool:
        """Whether the same call can get a token later without anybody's help."""
        if self.why is Unavailability.FAILED:
            return self.error is None or self.error.transient
        return self.why is Unavailability.TIMED_OUT

    def __reduce__(self) -> tuple[Any, ...]:
        carried = {"why": self.why, "error": self.error, "retry_in": self.retry_in}
        return _rebuild, (type(self), self.args, carried)


def _rebuild(cls: type[Exception], args: tuple[Any, ...], carried: dict[str, Any]) -> Exception:
    return cls(*args, **carried)
