"""The policy: every number and switch by which weatherglass decides (rules D16 and D17).

Policies are immutable and validated when they are made. They are grouped as the rules are; the
same names stand in Python, in environment variables (``WEATHERGLASS_RETRY_MAX_RETRIES``) and in
TOML (``[retry]`` ``max_retries``). All durations are seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.groups import (
    BreakerPolicy,
    BudgetPolicy,
    IdempotencyPolicy,
    MaintenancePolicy,
    RetryAfterPolicy,
    RetryPolicy,
    TimeoutPolicy,
    TokenPolicy,
    take_headers,
)
from weatherglass.policy.knobs import check, fitted, knob, knob_of, records
from weatherglass.policy.limit_headers import LimitHeaders
from weatherglass.policy.pacing import PacingPolicy
from weatherglass.policy.rule import Rule

__all__ = [
    "GROUPS",
    "BreakerKey",
    "BreakerPolicy",
    "BudgetPolicy",
    "IdempotencyPolicy",
    "MaintenancePolicy",
    "PacingPolicy",
    "Policy",
    "RetryAfterPolicy",
    "RetryPolicy",
    "TimeoutPolicy",
    "TokenPolicy",
]

_Record = TypeVar("_Record")

BreakerKey = Callable[[str, str], str]
"""From an origin and a method to the name of the breaker that guards them (rule B5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All settings of a session or an adapter; see the groups for what each means.

    Raises:
        InvalidPolicy: when a value, or two together, make no sense; the message names the
            field, its value and what is allowed.
    """

    name: str = knob("default", "Named in reports and on spans.", type=str)
    mode: str = knob(
        "active",
        "In observe mode nothing is retried, refused, refreshed or delayed (D18).",
        type=str,
        choices=("active", "observe"),
    )
    deadline: float | None = knob(
        None,
        "Seconds that a whole call may take; none: no bound (D9).",
        type=float,
        above=0,
        maximum=604800,
        optional=True,
    )
    raise_failures: bool = knob(
        False, "Raise CallFailed instead of returning the last response (D5).", type=bool
    )
    correlation_headers: tuple[str, ...] = knob(
        (),
        "Headers that carry the server's name of an exchange, asked before the usual ones (C2).",
        type=tuple,
    )
    timeout: TimeoutPolicy = field(default_factory=TimeoutPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    retry_budget: BudgetPolicy = field(default_factory=BudgetPolicy)
    network_budget: BudgetPolicy = field(default_factory=lambda: BudgetPolicy(capacity=50.0))
    retry_after: RetryAfterPolicy = field(default_factory=RetryAfterPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    tokens: TokenPolicy = field(default_factory=TokenPolicy)
    idempotency: IdempotencyPolicy = field(default_factory=IdempotencyPolicy)
    maintenance: MaintenancePolicy = field(default_factory=MaintenancePolicy)
    pacing: PacingPolicy = field(default_factory=PacingPolicy)
    rules: tuple[Rule, ...] = ()
    """Classification rules that are asked before weatherglass' own (rule C6)."""
    limit_headers: tuple[LimitHeaders, ...] = ()
    """Families of rate limit headers that are asked before weatherglass' own (rule G4)."""
    breaker_key: BreakerKey | None = None
    """A module-level function, so that the policy pickles; by default one breaker per origin."""

    def __post_init__(self) -> None:
        check(self, "")
        take_headers(self, "", "correlation_headers")
        for name, group in GROUPS.items():
            value = getattr(self, name)
            if not isinstance(value, group):
                raise InvalidPolicy(f"{name} is {value!r}, but must be a {group.__name__}")
        object.__setattr__(self, "rules", records(self.rules, Rule, "rules"))
        families = records(self.limit_headers, LimitHeaders, "limit_headers")
        object.__setattr__(self, "limit_headers", families)
        if self.breaker_key is not None and not callable(self.breaker_key):
            raise InvalidPolicy(f"breaker_key is {self.breaker_key!r}, but must be a function")
        self._check_timeouts()

    def _check_timeouts(self) -> None:
        # The default timeouts are cut down by a deadline; those that somebody chose are held
        # against it, since one of the two must be a mistake.
        if self.deadline is None:
            return
        for name in ("connect", "read"):
            value = getattr(self.timeout, name)
            if value in (None, getattr(_DEFAULT_TIMEOUTS, name)):
                continue
            if value > self.deadline:
                raise InvalidPolicy(
                    f"timeout.{name} is {value:g}, but must be at most the deadline,"
                    f" which is {self.deadline:g}"
                )

    @property
    def observing(self) -> bool:
        """Whether decisions are only told and not carried out (rule D18)."""
        return self.mode == "observe"

    def new(self, **changes: Any) -> Policy:
        """A policy with some fields changed; a group takes a mapping of its own changes.

        ``policy.new(deadline=20, retry={"max_retries": 2})``

        Raises:
            InvalidPolicy: for an unknown field or a value that makes no sense.
        """
        for name, value in changes.items():
            if name in GROUPS and isinstance(value, Mapping):
                changes[name] = _changed(getattr(self, name), value, name)
        return _changed(self, changes, "")


_DEFAULT_TIMEOUTS = TimeoutPolicy()

GROUPS: dict[str, type[Any]] = {
    "timeout": TimeoutPolicy,
    "retry": RetryPolicy,
    "retry_budget": BudgetPolicy,
    "network_budget": BudgetPolicy,
    "retry_after": RetryAfterPolicy,
    "breaker": BreakerPolicy,
    "tokens": TokenPolicy,
    "idempotency": IdempotencyPolicy,
    "maintenance": MaintenancePolicy,
    "pacing": PacingPolicy,
}
"""The groups of a policy by field name."""


def _changed(record: _Record, changes: Mapping[str, Any], section: str) -> _Record:
    known = {f.name: f for f in dataclasses.fields(record)}  # type: ignore[arg-type]  # a record
    fitting: dict[str, Any] = {}
    for name, value in changes.items():
        full = f"{section}.{name}" if section else name
        if name not in known:
            raise InvalidPolicy(f"{full} is not a setting; there are {', '.join(known)}")
        # Checked here as well, since a budget does not know which of the two it is.
        described = knob_of(known[name])
        fitting[name] = value if described is None else fitted(described, value, full)
    return dataclasses.replace(record, **fitting)  # type: ignore[type-var]  # likewise
