"""One refresh under way, and how long one call may take over its token."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Any

from weatherglass.runtime import Runtime
from weatherglass.tokens.endpoint import IssuedToken, Transport, failure_of
from weatherglass.tokens.errors import TokenEndpointError
from weatherglass.tokens.generations import Lease
from weatherglass.tokens.secret import refuse_to_pickle
from weatherglass.tokens.sources import CallbackError, TokenSource


@dataclass(frozen=True, slots=True)
class Token:
    """A token to be sent, and its place in the order of tokens."""

    value: str = field(repr=False)
    generation: int
    """Goes into the report of each attempt, and back to :meth:`TokenManager.rejected`."""
    type: str = "Bearer"
    authorization: str = field(init=False, repr=False)
    """The value of the ``Authorization`` header."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "authorization", f"{self.type} {self.value}")

    def __reduce__(self) -> tuple[Any, ...]:
        raise refuse_to_pickle(self)


class Flight:
    """One refresh: who does it, and what those who wait for it are given."""

    __slots__ = ("announced", "ended", "handle", "lease", "outcome", "owner", "source")

    def __init__(self, lease: Lease, source: TokenSource) -> None:
        self.lease = lease
        self.source = source
        self.owner = threading.get_ident()
        self.handle: Any = None
        self.announced = threading.Event()
        """Set once the observer knows of the refresh, so that waits can be linked to it."""
        self.ended = threading.Event()
        """Replaced, under the manager's lock, by each :meth:`TokenManager.interrupt`."""
        self.outcome: Token | TokenEndpointError | None = None
        """``None`` to the end when it was cut short: whoever waited asks again."""

    def fetch(
        self, transport: Transport, timeout: float, callback_error: CallbackError
    ) -> IssuedToken | TokenEndpointError:
        """What the source gave; only what interrupts the thread itself is raised."""
        try:
            return self.source.fetch(transport, timeout, callback_error)
        except TokenEndpointError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a source of the application may raise anything
            failure = failure_of("the token source", error)
            failure.__cause__ = error
            return failure


class Limit:
    """How long one call may take over its token, in seconds."""

    __slots__ = ("_now", "_own", "_patience")

    def __init__(self, runtime: Runtime, own: float | None, patience: float) -> None:
        self._now = runtime.monotonic
        started = runtime.monotonic()
        self._own = math.inf if own is None else started + own
        self._patience = started + patience

    def left(self) -> float:
        """For a refresh of its own; infinite if the caller set no limit."""
        return self._own - self._now()

    def to_wait(self) -> float:
        """For waiting for others: never infinite (rule T8)."""
        return min(self._own, self._patience) - self._now()
