"""The application's own watchers (rule R6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from weatherglass.decide.breaker import Transition
from weatherglass.errors import InvalidPolicy
from weatherglass.report import Attempt, CallReport
from weatherglass.tokens import RefreshReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Functions that are told what happens; one that raises is logged and counted, no more.

    They run in the calling thread, with no lock held. Module-level functions pickle with the
    session, lambdas do not.
    """

    on_failure: Callable[[Attempt], Any] | None = None
    """After each failed attempt."""
    on_retry: Callable[[Attempt], Any] | None = None
    """When a resend was decided: with the attempt that failed, and the delay decided upon."""
    on_give_up: Callable[[CallReport], Any] | None = None
    """When a call ends without success although its failure was transient."""
    on_call: Callable[[CallReport], Any] | None = None
    """When a call ends, however it does."""
    on_transition: Callable[[Transition], Any] | None = None
    """When a breaker changes its state (rule B8)."""
    on_refresh: Callable[[RefreshReport], Any] | None = None
    """After each token refresh."""

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if given is not None and not callable(given):
                raise InvalidPolicy(
                    f"callbacks.{field.name} is {given!r}, but must be a function, or none"
                )
