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
from weatherglass.policy.knobs import check, knob
from weatherglass.policy.rule import Rule
from weatherglass.policy.window import MaintenanceWindow

_Group = TypeVar("_Group")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutPolicy:
    """How long one attempt may take where the caller sets no timeout (rule D8)."""

    connect: float | None = knob(
        5.0, "Seconds to connect; none waits for ever.", type=float, above=0, optional=True
    )
    read: float | None = knob(
        30.0, "Seconds between two reads; none waits for ever.", type=float, above=0, optional=True
    )

    def __post_init__(self) -> None:
        check(self, "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how fast a failed call is tried again (section R)."""

    max_retries: int = knob(
        5, "Retries after the first attempt.", type=int, minimum=0, maximum=1000
    )
    max_network_retries: int = knob(
        3, "Of these, retries after network failures (N3).", type=int, minimum=0, maximum=1000
    )
    base_delay: float = knob(
        1.0, "Seconds: the first backoff's upper bound.", type=float, above=0, maximum=3600
    )
    max_delay: float = knob(
        30.0, "Seconds: the upper bound of every backoff.", type=float, above=0, maximum=86400
    )
    idempotent_methods: tuple[str, ...] = knob(
        ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"),
        "Methods that are replayed after any transient failure (R3).",
        type=tuple,
    )
    idempotent_routes: tuple[str, ...] = knob(
        (),
        "Routes declared idempotent, as 'METHOD /path' with * for any run of characters (R3).",
        type=tuple,
    )

    def __post_init__(self) -> None:
        check(self, "retry")
        if self.base_delay > self.max_delay:
            raise InvalidPolicy(
                f"retry.base_delay is {self.base_delay:g}, but must be at most"
                f" retry.max_delay, which is {self.max_delay:g}"
            )
        _upper(self, "idempotent_methods")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """A token bucket that bounds the extra load which retries put on one origin (R4 and N3)."""

    capacity: float = knob(
        100.0,
        "Retries that may be made in a burst, each costing one token.",
        type=float,
        minimum=1,
        maximum=1e6,
    )
    per_success: float = knob(
        0.1, "Tokens paid back by each success.", type=float, minimum=0, maximum=1
    )
    per_second: float = knob(
        0.1,
        "Tokens paid back by time alone, so that low traffic is not starved.",
        type=float,
        minimum=0,
        maximum=1000,
    )

    def __post_init__(self) -> None:
        check(self, "retry_budget")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfterPolicy:
    """What is done with the delay that a server asks for (section A)."""

    floor: float = knob(
        1.0, "Seconds: shorter delays are raised to this.", type=float, minimum=0, maximum=3600
    )
    ceiling: float = knob(
        180.0, "Seconds: the call gives up at once above it.", type=float, minimum=0, maximum=86400
    )
    jitter: float = knob(
        0.1,
        "Share of the delay that is added at random above it.",
        type=float,
        minimum=0,
        maximum=1,
    )
    max_jitter: float = knob(
        5.0, "Seconds: the upper bound of that addition.", type=float, minimum=0, maximum=3600
    )
    gate: bool = knob(
        True, "Hold back all calls of the same origin and credential meanwhile (A8).", type=bool
    )

    def __post_init__(self) -> None:
        check(self, "retry_after")
        if self.floor > self.ceiling:
            raise InvalidPolicy(
                f"retry_after.floor is {self.floor:g}, but must be at most"
                f" retry_after.ceiling, which is {self.ceiling:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When an origin is taken to be down, and how it is tried again (section B)."""

    enabled: bool = knob(True, "Whether there is a breaker at all.", type=bool)
    consecutive_failures: int = knob(
        5, "Failures in a row that open it.", type=int, minimum=1, maximum=1_000_000
    )
    failure_rate: float | None = knob(
        0.5,
        "Share of failures in the window that opens it; none: never.",
        type=float,
        above=0,
        maximum=1,
        optional=True,
    )
    slow_call: float | None = knob(
        None, "Seconds from which a call is slow; none: never.", type=float, above=0, optional=True
    )
    slow_call_rate: float = knob(
        0.8, "Share of slow calls in the window that opens it.", type=float, above=0, maximum=1
    )
    window: float = knob(60.0, "Seconds of the sliding window.", type=float, above=0, maximum=3600)
    minimum_calls: int = knob(
        20, "Calls in the window below which no rate is judged.", type=int, minimum=1
    )
    cooldown: float = knob(
        60.0, "Seconds from opening to the first probe.", type=float, above=0, maximum=86400
    )
    cooldown_factor: float = knob(
        2.0, "Growth of the cool-down when a probe fails.", type=float, minimum=1, maximum=100
    )
    max_cooldown: float = knob(
        600.0, "Seconds: the longest cool-down.", type=float, above=0, maximum=86400
    )
    jitter: float = knob(
        0.1, "Share of the cool-down that is added at random.", type=float, minimum=0, maximum=1
    )
    probe_lease: float = knob(
        60.0,
        "Seconds after which a silent probe is given up (B3).",
        type=float,
        above=0,
        maximum=3600,
    )

    def __post_init__(self) -> None:
        check(self, "breaker")
        if self.cooldown > self.max_cooldown:
            raise InvalidPolicy(
                f"breaker.cooldown is {self.cooldown:g}, but must be at most"
                f" breaker.max_cooldown, which is {self.max_cooldown:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """When a token is fetched anew, and how a failing token endpoint is treated (section T)."""

    advisory_window: float = knob(
        300.0, "Seconds before expiry from which one thread refreshes.", type=float, minimum=0
    )
    mandatory_window: float = knob(
        30.0, "Seconds before expiry from which all calls wait for it.", type=float, minimum=0
    )
    refresh_timeout: float = knob(
        30.0,
        "Seconds that one refresh may take, retries included.",
        type=float,
        above=0,
        maximum=600,
    )
    refresh_retries: int = knob(
        2, "Retries within one refresh, transient failures only.", type=int, minimum=0, maximum=100
    )
    cooldown: float = knob(
        5.0,
        "Seconds after a failed refresh in which none is begun.",
        type=float,
        minimum=0,
        maximum=3600,
    )
    escalation_run: int = knob(
        3, "429s in a row after which a 403 is reported as escalated (C9).", type=int, minimum=1
    )

    def __post_init__(self) -> None:
        check(self, "tokens")
        if self.mandatory_window > self.advisory_window:
            raise InvalidPolicy(
                f"tokens.mandatory_window is {self.mandatory_window:g}, but must be at most"
                f" tokens.advisory_window, which is {self.advisory_window:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyPolicy:
    """Whether requests carry an idempotency key, and what that is worth (section I)."""

    key: str | None = knob(
        None,
        "The key maker; none sends no key.",
        type=str,
        choices=("deterministic", "per_call"),
        optional=True,
    )
    key_format: str = knob(
        "hex", "The shape of a deterministic key.", type=str, choices=("hex", "uuid")
    )
    header: str = knob("Idempotency-Key", "The header that carries it.", type=str)
    methods: tuple[str, ...] = knob(("POST", "PUT"), "Methods that carry a key.", type=tuple)
    client_id: str | None = knob(
        None,
        "Told apart in deterministic keys, so that two clients never share one.",
        type=str,
        optional=True,
    )
    honours_keys: bool = knob(
        False, "Whether the server honours keys on every route (I4).", type=bool
    )
    honouring_routes: tuple[str, ...] = knob(
        (), "Routes on which it does, as 'METHOD /path' with *.", type=tuple
    )

    def __post_init__(self) -> None:
        check(self, "idempotency")
        _upper(self, "methods")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenancePolicy:
    """Which maintenance windows are known, and what is done in them (section M)."""

    mode: str = knob(
        "fail",
        "In a window, once the origin is seen down: fail fast, wait for the end, or ignore it.",
        type=str,
        choices=("fail", "wait", "ignore"),
    )
    probe_interval: float = knob(
        30.0, "Seconds between probes inside a window.", type=float, above=0, maximum=86400
    )
    windows: tuple[MaintenanceWindow, ...] = ()

    def __post_init__(self) -> None:
        check(self, "maintenance")
        windows = tuple(self.windows)
        for window in windows:
            if not isinstance(window, MaintenanceWindow):
                raise InvalidPolicy(
                    f"maintenance.windows has {window!r}, but must have MaintenanceWindow objects"
                )
        object.__setattr__(self, "windows", windows)


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
        optional=True,
    )
    raise_failures: bool = knob(
        False, "Raise CallFailed instead of returning the last response (D5).", type=bool
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
    rules: tuple[Rule, ...] = ()
    """Classification rules that are asked before weatherglass' own (rule C6)."""
    breaker_key: BreakerKey | None = None
    """A module-level function, so that the policy pickles; by default one breaker per origin."""

    def __post_init__(self) -> None:
        check(self, "")
        for name, group in GROUPS.items():
            value = getattr(self, name)
            if not isinstance(value, group):
                raise InvalidPolicy(f"{name} is {value!r}, but must be a {group.__name__}")
        rules = tuple(self.rules)
        for rule in rules:
            if not isinstance(rule, Rule):
                raise InvalidPolicy(f"rules has {rule!r}, but must have Rule objects")
        object.__setattr__(self, "rules", rules)
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
}
"""The groups of a policy by field name."""


def _changed(record: _Group, changes: Mapping[str, Any], section: str) -> _Group:
    known = [f.name for f in dataclasses.fields(record)]  # type: ignore[arg-type]
    for name in changes:
        if name not in known:
            full = f"{section}.{name}" if section else name
            raise InvalidPolicy(f"{full} is not a setting; there are {', '.join(known)}")
    return dataclasses.replace(record, **changes)  # type: ignore[type-var]


def _upper(record: Any, name: str) -> None:
    object.__setattr__(record, name, tuple(method.upper() for method in getattr(record, name)))
