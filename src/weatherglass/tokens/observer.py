"""How the token manager tells of its refreshes, without knowing who listens (rule O1)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from weatherglass.vocabulary import TokenReason


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """How one refresh ended."""

    source: str
    """The token source's name."""
    reason: TokenReason
    duration: float
    """Seconds."""
    generation: int | None = None
    """The new token's generation; ``None`` when it failed, or came too late to count."""
    expires_in: float | None = None
    """Seconds that the new token lives, if that is known."""
    error: BaseException | None = None
    """What it failed with: a ``TokenEndpointError``, or what interrupted the thread."""

    @property
    def succeeded(self) -> bool:
        return self.error is None


class Waiter(Protocol):
    """A call that may have to wait for another thread's refresh."""

    def waiting(self, handle: Any, planned: float) -> AbstractContextManager[Any]:
        """Entered around a wait of at most ``planned`` seconds.

        ``handle`` is what :meth:`Observer.refresh_started` returned for the awaited refresh, so
        that the wait can be linked to it; ``None`` if its thread was lost before it said so.
        """
        ...


class Observer(Waiter, Protocol):
    """Told of every refresh; nothing is called with a lock held."""

    def refresh_started(self, source: str, reason: TokenReason) -> Any:
        """A thread begins a refresh; what is returned is handed back at its end, and to waiters.

        Start and end are told by the same thread.
        """
        ...

    def refresh_ended(self, handle: Any, report: RefreshReport) -> None:
        """The refresh ended, however it did."""
        ...

    def callback_error(self, name: str, error: BaseException) -> None:
        """A callback of the application raised (rule R6).

        The error's message is the application's and may quote a refresh token: do not log it.
        """
        ...


class SilentObserver:
    """Listens to nothing."""

    def refresh_started(self, source: str, reason: TokenReason) -> None:
        pass

    def refresh_ended(self, handle: Any, report: RefreshReport) -> None:
        pass

    def waiting(
        self,
        handle: Any,  # noqa: ARG002 - nothing is linked
        planned: float,  # noqa: ARG002 - nothing is told
    ) -> AbstractContextManager[Any]:
        return nullcontext()

    def callback_error(self, name: str, error: BaseException) -> None:
        pass
