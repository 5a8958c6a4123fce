"""The weather as data: phases, each with its faults and the calls that are made in it.

Faults that strike single calls are bound to the call's own path, and those of a whole phase to
its time, so that every contestant meets the same weather however its threads are timed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from weatherglass.testing import FaultPlan, FaultRule, IdempotencyMode, Maintenance, faults
from weatherglass.testing.faults import Fault
from weatherglass.vocabulary import RetryAfterVariant

_QUEUES = "/api/v2/routing/queues"
_RETRY_AFTER = 4.0
"""Seconds that the storm's answers ask for, in the forms that can say them."""
_NOWHERE = "/nowhere"
_OUTAGE = (faults.answer(502, form="html"), faults.answer(503), faults.answer(504))

API_HOST = "127.0.0.1"
"""Where the API and its token endpoint are."""
REGION = "us-east-1"
"""The region that the server stands for."""
WINDOW = "demo"
"""The name of its maintenance window."""
COMPONENT = "Americas (US East)"
"""What the status page calls it."""
ELSEWHERE = "EMEA (Dublin)"
"""Another region on the same page."""


def _plan(*rules: FaultRule, maintenance: tuple[Maintenance, ...] = ()) -> FaultPlan:
    # The server honours idempotency keys at all times; whoever sends none has nothing of it.
    return FaultPlan(rules=rules, maintenance=maintenance, idempotency=IdempotencyMode.IETF)


_CLEAR = _plan()


@dataclass(frozen=True, slots=True)
class Call:
    """One piece of work: a list to be read, or an evaluation to be written exactly once."""

    name: str
    method: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of weather, and the calls to be made in it."""

    name: str
    title: str
    calls: tuple[Call, ...]
    plan: FaultPlan = _CLEAR
    """Its times are seconds from the beginning of the phase."""
    notice: float = 0.0
    """Seconds from then on until the calls are made: the plan is known, and nothing happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is done in each phase, and how long its weather lasts."""

    calm: int
    """Calls, as in all fields that do not say otherwise."""
    rounds: int
    """How many calls meet each form of Retry-After."""
    revocation: int
    revoked_at: tuple[int, ...]
    """The requests of the phase, counted from 1, with which all tokens become invalid."""
    resets: int
    outage: int
    outage_seconds: float
    maintenance: int
    notice_seconds: float
    """How long the window stands on the status page before it begins."""
    maintenance_seconds: float
    recovery: int


FULL = Size(
    calm=64,
    rounds=3,
    revocation=160,
    revoked_at=(24, 128),
    resets=60,
    outage=64,
    outage_seconds=165.0,
    maintenance=64,
    notice_seconds=60.0,
    maintenance_seconds=135.0,
    recovery=64,
)
QUICK = Size(
    calm=24,
    rounds=1,
    revocation=48,
    revoked_at=(16,),
    resets=30,
    outage=24,
    outage_seconds=50.0,
    maintenance=24,
    notice_seconds=60.0,
    maintenance_seconds=70.0,
    recovery=24,
)


def weather(size: Size) -> tuple[Phase, ...]:
    """The phases in their order."""
    return (
        Phase(name="calm", title="calm", calls=_mixed("calm", size.calm)),
        _storm(size),
        Phase(
            name="revocation",
            title="tokens revoked under load",
            calls=_reads("revocation", size.revocation),
            plan=_plan(FaultRule(fault=faults.revoke(), path=_QUEUES, nth=size.revoked_at)),
        ),
        _resets(size),
        Phase(
            name="outage",
            title=f"5xx outage, {size.outage_seconds:g} s",
            calls=_reads("outage", size.outage),
            plan=_plan(*_outage(size.outage_seconds)),
        ),
        _maintenance(size),
        Phase(name="recovery", title="recovery", calls=_mixed("recovery", size.recovery)),
    )


def shifted(plan: FaultPlan, by: float) -> FaultPlan:
    """The plan with all its times moved: a server counts them from its own start."""

    def moved(moment: float | None) -> float | None:
        return None if moment is None else moment + by

    return replace(
        plan,
        rules=tuple(
            replace(rule, since=moved(rule.since), until=moved(rule.until)) for rule in plan.rules
        ),
        maintenance=tuple(
            replace(
                window,
                start=window.start + by,
                end=window.end + by,
                down_from=moved(window.down_from),
                down_until=moved(window.down_until),
            )
            for window in plan.maintenance
        ),
    )


def _storm(size: Size) -> Phase:
    """Each form of Retry-After answers the first request of as many calls."""
    variants = tuple(RetryAfterVariant) * size.rounds
    calls = _writes("storm", len(variants))
    limited = (
        faults.answer(429, retry_after=variant, retry_after_seconds=_RETRY_AFTER)
        for variant in variants
    )
    return Phase(
        name="storm",
        title="429 storm, every form of Retry-After",
        calls=calls,
        plan=_plan(*map(_first_request, calls, limited)),
    )


def _resets(size: Size) -> Phase:
    """Every third POST loses its connection: by turns before and after it was executed."""
    calls = _writes("resets", size.resets)
    struck = calls[::3]
    by_turns = (faults.reset(after_execution=bool(n % 2)) for n in range(len(struck)))
    return Phase(
        name="resets",
        title="connection resets on POST",
        calls=calls,
        plan=_plan(*map(_first_request, struck, by_turns)),
    )


def _maintenance(size: Size) -> Phase:
    """The status page has a window, which begins when the calls do; and another region's."""
    begins = size.notice_seconds
    ends = begins + size.maintenance_seconds
    windows = (
        Maintenance(name=WINDOW, start=begins, end=ends, components=(COMPONENT,)),
        Maintenance(name="elsewhere", start=0, end=ends, components=(ELSEWHERE,), path=_NOWHERE),
    )
    return Phase(
        name="maintenance",
        title=f"announced maintenance, {size.maintenance_seconds:g} s",
        calls=_reads("maintenance", size.maintenance),
        plan=_plan(maintenance=windows),
        notice=begins,
    )


def _first_request(call: Call, fault: Fault) -> FaultRule:
    return FaultRule(fault=fault, method=call.method, path=call.path, nth=(1,))


def _outage(seconds: float) -> Iterator[FaultRule]:
    for position, fault in enumerate(_OUTAGE):
        # A later rule is asked only where no earlier one has struck: together it is always one.
        share = 1 / (len(_OUTAGE) - position)
        yield FaultRule(fault=fault, path=_QUEUES, probability=share, until=seconds)


def _reads(phase: str, count: int) -> tuple[Call, ...]:
    return tuple(Call(f"{phase}-{n}", "GET", _QUEUES) for n in range(1, count + 1))


def _writes(phase: str, count: int) -> tuple[Call, ...]:
    # Evaluations have no natural key: whoever writes one twice has two of them.
    return tuple(
        Call(f"{phase}-{n}", "POST", f"/api/v2/quality/conversations/{phase}-{n}/evaluations")
        for n in range(1, count + 1)
    )


def _mixed(phase: str, count: int) -> tuple[Call, ...]:
    reads, writes = _reads(phase, count), _writes(phase, count)
    return tuple(writes[n] if n % 2 else reads[n] for n in range(count))
