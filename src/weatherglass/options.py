"""What a caller may say of one call, beside what ``requests`` lets them say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """Overrides for one call; whatever is ``None`` is the policy's business."""

    policy: Policy | None = None
    """Another policy for everything that concerns this call alone: retries, delays, timeouts,
    deadline, keys, rules. Breakers, gates and budgets are shared and stay as they are."""
    deadline: float | None = None
    """Seconds that the whole call may take (rule D9)."""
    max_retries: int | None = None
    raise_failures: bool | None = None
    idempotent: bool | None = None
    """Whether this request may be executed more than once without harm (rule R3)."""
    idempotency_key: str | None = None
    """The key to send; the policy's header carries it."""
    honours_key: bool | None = None
    """Whether the server honours the key on this route (rule I4)."""
    url_template: str | None = None
    """The route, such as ``/users/{id}``, for the names of spans; never guessed (O6)."""
    own_auth: bool = False
    """Whether the call brings its own authentication, so that our token stays out of it (T11);
    the session sets it when ``auth=`` is given."""

    def __post_init__(self) -> None:
        for name in ("idempotent", "honours_key", "raise_failures"):
            self._demand(name, bool, "true or false, or none")
        for name in ("idempotency_key", "url_template"):
            self._demand(name, str, "a text, or none")
        self._demand("policy", Policy, "a weatherglass.Policy, or none")
        self._demand("deadline", (int, float), "a finite number above 0, or none")

    def _demand(self, name: str, wanted: type | tuple[type, ...], allowed: str) -> None:
        given = getattr(self, name)
        if given is not None and not isinstance(given, wanted):
            raise InvalidPolicy(f"{name} is {given!r}, but must be {allowed}")

    def policy_for(self, policy: Policy) -> Policy:
        """The policy of this call, given the adapter's.

        Raises:
            InvalidPolicy: when an override makes no sense.
        """
        base = self.policy if self.policy is not None else policy
        changes: dict[str, Any] = {}
        if self.deadline is not None:
            changes["deadline"] = self.deadline
        if self.raise_failures is not None:
            changes["raise_failures"] = self.raise_failures
        if self.max_retries is not None:
            changes["retry"] = {"max_retries": self.max_retries}
        return base.new(**changes) if changes else base


NO_OPTIONS = CallOptions()

OPTION_NAMES = frozenset(field.name for field in fields(CallOptions))
"""What a call can be told."""

_current: ContextVar[CallOptions] = ContextVar("weatherglass.options", default=NO_OPTIONS)


def without_options() -> AbstractContextManager[None]:
    """For calls made in the course of another one: its options are not theirs."""
    return _in_force(NO_OPTIONS)


def current_options() -> CallOptions:
    """The options in force here."""
    return _current.get()


def options(**overrides: Any) -> AbstractContextManager[None]:
    """Set :class:`CallOptions` for the calls made inside, on any session with our adapter.

    ``with weatherglass.options(deadline=20): plain_session.get(url)``

    Raises:
        TypeError: for an option that does not exist.
        InvalidPolicy: for a value that makes no sense.
    """
    return _in_force(merged(_current.get(), overrides))


@contextmanager
def _in_force(chosen: CallOptions) -> Iterator[None]:
    token = _current.set(chosen)
    try:
        yield
    finally:
        _current.reset(token)


def merged(base: CallOptions, overrides: dict[str, Any]) -> CallOptions:
    """The options with some replaced.

    Raises:
        TypeError: for an option that does not exist.
    """
    for name in overrides:
        if name not in OPTION_NAMES:
            known = ", ".join(sorted(OPTION_NAMES))
            # A TypeError, as any function gives for an argument that it does not have.
            raise TypeError(f"{name} is not an argument of a call; beside requests' own: {known}")
    return replace(base, **overrides)
