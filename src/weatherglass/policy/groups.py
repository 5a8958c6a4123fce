"""The groups of a policy: what each number and switch means, and what it may be (rule D16).

All durations are seconds. How the groups come together stands in
:mod:`weatherglass.policy.model`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.feed import StatusFeed
from weatherglass.policy.knobs import TOKEN, check, knob, records, shown
from weatherglass.policy.window import MaintenanceWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutPolicy:
    """How long one attempt may take where the caller sets no timeout (rule D8)."""

    connect: float | None = knob(
        5.0,
        "Seconds to connect; none waits for ever.",
        type=float,
        above=0,
        maximum=86400,
        optional=True,
    )
    read: float | None = knob(
        30.0,
        "Seconds between two reads; none waits for ever.",
        type=float,
        above=0,
        maximum=86400,
        optional=True,
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
        _take_methods(self, "retry", "idempotent_methods")
        _check_routes(self, "retry", "idempotent_routes")


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
        # Which of a policy's two budgets this is, only the policy knows: see Policy.new.
        check(self, "budget")


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
        None,
        "Seconds from which a call is slow; none: never.",
        type=float,
        above=0,
        maximum=86400,
        optional=True,
    )
    slow_call_rate: float = knob(
        0.8, "Share of slow calls in the window that opens it.", type=float, above=0, maximum=1
    )
    window: float = knob(60.0, "Seconds of the sliding window.", type=float, above=0, maximum=3600)
    minimum_calls: int = knob(
        20,
        "Calls in the window below which no rate is judged.",
        type=int,
        minimum=1,
        maximum=1_000_000,
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
        300.0,
        "Seconds before expiry from which one thread refreshes.",
        type=float,
        minimum=0,
        maximum=604800,
    )
    mandatory_window: float = knob(
        30.0,
        "Seconds before expiry from which all calls wait for it.",
        type=float,
        minimum=0,
        maximum=604800,
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
        3,
        "429s in a row after which a 403 is reported as escalated (C9).",
        type=int,
        minimum=1,
        maximum=1_000_000,
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
    done_codes: tuple[str, ...] = knob(
        (),
        "Error codes that say 'already done', as 409 does; after a replay, perhaps by us (I5).",
        type=tuple,
    )

    def __post_init__(self) -> None:
        check(self, "idempotency")
        _take_methods(self, "idempotency", "methods")
        _check_routes(self, "idempotency", "honouring_routes")
        if not TOKEN.fullmatch(self.header):
            raise InvalidPolicy(
                f"idempotency.header is {self.header!r}, but must be the name of a header"
            )


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
    file: str | None = knob(
        None,
        "A TOML file with [[windows]], which is read again when it changes; none: no file.",
        type=str,
        optional=True,
    )
    windows: tuple[MaintenanceWindow, ...] = ()
    feeds: tuple[StatusFeed, ...] = ()
    """Status pages that windows are read from."""

    def __post_init__(self) -> None:
        check(self, "maintenance")
        windows = records(self.windows, MaintenanceWindow, "maintenance.windows")
        object.__setattr__(self, "windows", windows)
        feeds = records(self.feeds, StatusFeed, "maintenance.feeds")
        object.__setattr__(self, "feeds", feeds)
        names = [feed.name for feed in feeds]
        if self.file is not None:
            names.append(FILE_FEED)
        for name in names:
            if names.count(name) > 1:
                raise InvalidPolicy(
                    f"maintenance.feeds has the name {shown(name)} twice, but must have names that"
                    f" differ; {FILE_FEED!r} is that of maintenance.file"
                )


FILE_FEED = "file"
"""What ``maintenance.file`` is called where feeds are named."""

_ROUTE = re.compile(TOKEN.pattern + r" [/*][^\s]*")


def _take_methods(record: Any, section: str, name: str) -> None:
    methods = tuple(method.upper() for method in getattr(record, name))
    for method in methods:
        if not TOKEN.fullmatch(method):
            raise InvalidPolicy(f"{section}.{name} has {method!r}, but must have HTTP methods")
    object.__setattr__(record, name, methods)


def take_headers(record: Any, section: str, name: str) -> None:
    """Hold the names of headers against what HTTP allows, and take them in lower case.

    Raises:
        InvalidPolicy: for what cannot be the name of a header.
    """
    headers = tuple(header.lower() for header in getattr(record, name))
    for header in headers:
        if not TOKEN.fullmatch(header):
            full = f"{section}.{name}" if section else name
            raise InvalidPolicy(f"{full} has {header!r}, but must have names of headers")
    object.__setattr__(record, name, headers)


def _check_routes(record: Any, section: str, name: str) -> None:
    for route in getattr(record, name):
        if not _ROUTE.fullmatch(route):
            raise InvalidPolicy(
                f"{section}.{name} has {route!r}, but must have routes such as 'POST /orders/*'"
            )
