"""Fault plans: which fault strikes which request, as data.

All times of a plan are seconds on the server's clock since the server was started, so the same
plan means the same in every run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weatherglass.testing import faults
from weatherglass.testing.data import from_plain, to_plain, to_record, to_word
from weatherglass.testing.faults import Fault
from weatherglass.vocabulary import Word

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path, not a secret

STATUS_PAGE_PATHS = (
    "/api/v2/scheduled-maintenances.json",
    "/api/v2/scheduled-maintenances/upcoming.json",
    "/api/v2/scheduled-maintenances/active.json",
    "/api/v2/summary.json",
)


_DOWN = faults.answer(
    503, code="service.unavailable", message="The service is down for maintenance."
)


class IdempotencyMode(Word):
    """What the server does with an ``Idempotency-Key``."""

    IGNORE = "ignore"
    IETF = "ietf"
    """As draft-ietf-httpapi-idempotency-key-header has it: 409 while the first is under way, 422
    for another request with the same key, else the first one's answer again."""
    STRIPE = "stripe"
    """Likewise, with 400 for another request, and ``Idempotent-Replayed: true`` on a replay."""
    UUID_ONLY = "uuid_only"
    """As ``ietf``, but a key that is no UUID is refused with 400."""


class Limiting(Word):
    """How requests are counted against a rate limit."""

    BUCKET = "bucket"
    """A token bucket of ``limit`` tokens, refilled evenly within ``window`` seconds."""
    WINDOW = "window"
    """``limit`` requests in each fixed window, which begins with the first of them."""


class Telling(Word):
    """How clients are told of a rate limit, on every answer and when it is used up."""

    GENESYS = "genesys"
    """``inin-ratelimit-count``, ``-allowed`` and ``-reset`` in seconds from now; 429 with
    ``Retry-After``."""
    GITHUB = "github"
    """``x-ratelimit-limit``, ``-remaining``, ``-used`` and ``-reset`` in seconds since the epoch;
    403 without ``Retry-After``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """So many requests per token and time; more are refused."""

    limit: int = 300
    window: float = 60.0
    """Seconds."""
    path: str = "*"
    """A glob; the token endpoint and the status page are never limited."""
    algorithm: Limiting = Limiting.BUCKET
    telling: Telling = Telling.GENESYS

    def __post_init__(self) -> None:
        object.__setattr__(self, "algorithm", to_word(Limiting, "algorithm", self.algorithm))
        object.__setattr__(self, "telling", to_word(Telling, "telling", self.telling))
        if self.limit < 1 or self.window <= 0:
            raise ValueError(
                f"the rate limit is {self.limit} in {self.window:g} s, but both must be above 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """A maintenance window: announced on the status page, and the server down meanwhile."""

    name: str
    start: float
    end: float
    down_from: float | None = None
    """When the server really goes down; by default at ``start``."""
    down_until: float | None = None
    """When it is really back; by default at ``end``."""
    path: str = "*"
    """A glob; the token endpoint and the status page stay up."""
    components: Sequence[str] = ("Americas (US East)",)
    announced: bool = True
    fault: Fault = _DOWN
    """What happens to requests meanwhile."""

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(
                f"maintenance {self.name!r} ends at {self.end:g}, but must end after its start,"
                f" {self.start:g}"
            )
        object.__setattr__(self, "components", tuple(self.components))
        object.__setattr__(self, "fault", to_record(Fault, "fault", self.fault))

    def is_down(self, at: float) -> bool:
        """Whether the server is really down at this time."""
        down_from = self.start if self.down_from is None else self.down_from
        down_until = self.end if self.down_until is None else self.down_until
        return down_from <= at < down_until


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """When a fault strikes: all conditions must hold."""

    fault: Fault
    method: str = "*"
    path: str = "*"
    """A glob over the path without its query; ``*`` matches slashes as well."""
    nth: Sequence[int] = ()
    """Which of the requests that match method and path, counted from 1; all when empty."""
    probability: float = 1.0
    """Drawn for the n-th match from the server's seed, whatever the timing of threads."""
    since: float | None = None
    """Seconds since the server's start."""
    until: float | None = None
    name: str = ""
    """How the ledger names it; by default the fault's own label."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fault", to_record(Fault, "fault", self.fault))
        nth = tuple(self.nth)
        if not all(isinstance(n, int) and n >= 1 for n in nth):
            raise ValueError(f"nth is {self.nth!r}, but must be whole numbers from 1")
        object.__setattr__(self, "nth", nth)
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability:g}, but must be from 0 to 1")

    @property
    def label(self) -> str:
        """How the ledger names the fault."""
        return self.name or self.fault.label


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """All that is to go wrong, and the manners of the server.

    Rules are asked in order, and the first that strikes decides. A request that no rule strikes
    meets the maintenance windows, then the check of its token, then the rate limit, then the
    idempotency keys, and then its route.
    """

    rules: Sequence[FaultRule] = ()
    maintenance: Sequence[Maintenance] = ()
    rate_limit: RateLimit | None = None
    idempotency: IdempotencyMode = IdempotencyMode.IGNORE

    def __post_init__(self) -> None:
        for name, cls in (("rules", FaultRule), ("maintenance", Maintenance)):
            object.__setattr__(self, name, _records(cls, name, getattr(self, name)))
        mode = to_word(IdempotencyMode, "idempotency", self.idempotency)
        object.__setattr__(self, "idempotency", mode)
        if self.rate_limit is not None:
            limit = to_record(RateLimit, "rate_limit", self.rate_limit)
            object.__setattr__(self, "rate_limit", limit)

    @classmethod
    def script(
        cls, *script: Fault | None, path: str = "*", method: str = "*", **others: Any
    ) -> FaultPlan:
        """The i-th matching request meets the i-th fault, ``None`` being none; then all is well.

        ``others`` are further fields of the plan.
        """
        return cls(rules=rules_of(*script, path=path, method=method), **others)

    @classmethod
    def chaos(
        cls,
        candidates: Sequence[Fault],
        probability: float,
        *,
        path: str = "*",
        method: str = "*",
        **others: Any,
    ) -> FaultPlan:
        """Each matching request meets one of these faults with this probability in all."""
        share = probability / len(candidates)
        rules = []
        for index, fault in enumerate(candidates):
            # A later rule is only asked when no earlier one struck, which makes up for it.
            left = 1 - share * index
            rules.append(
                FaultRule(fault=fault, path=path, method=method, probability=min(1.0, share / left))
            )
        return cls(rules=tuple(rules), **others)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON types."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> FaultPlan:
        """The plan that :meth:`to_dict` was asked of.

        Raises:
            ValueError: for an unknown field or a value that is not allowed; the message says so.
        """
        return from_plain(cls, plain)

    def to_json(self) -> str:
        """The plan as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> FaultPlan:
        """The plan from JSON text; raises as :meth:`from_dict` does."""
        return cls.from_dict(json.loads(text))


def rules_of(*script: Fault | None, path: str = "*", method: str = "*") -> tuple[FaultRule, ...]:
    """A rule for each step of a script, to be put together with others."""
    return tuple(
        FaultRule(fault=fault, path=path, method=method, nth=(number,))
        for number, fault in enumerate(script, start=1)
        if fault is not None
    )


def _records(cls: type[Any], name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    records = tuple(from_plain(cls, v) if isinstance(v, Mapping) else v for v in values)
    for record in records:
        if not isinstance(record, cls):
            raise ValueError(f"{name} has {record!r}, but must have {cls.__name__} objects")  # noqa: TRY004 - bad data, whatever its type
    return records
