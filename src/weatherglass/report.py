"""The decision record: what happened to a call, attempt by attempt, and what was decided.

Telemetry, exceptions and callbacks are all made from these records, so they cannot tell
different stories. Records are frozen, pickle, and hold no credential: bodies and header values
are kept out of ``repr``, of JSON and of everything that is emitted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, NamedTuple

from weatherglass.vocabulary import (
    NETWORK_KINDS,
    BreakerState,
    Disposition,
    Execution,
    GiveUpReason,
    KeySource,
    Kind,
    ObservedDecision,
    Outcome,
    Replay,
    ResendReason,
    RetryAfterSource,
    RetryAfterVariant,
    WaitReason,
)

GENERIC = "GENERIC"
"""The code of a failure whose body names none (rule C3)."""

UNKNOWN = "UNKNOWN"
"""The code of a failure whose shape is not known at all (rule C3)."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """What a server said about when to come back, as it was understood (section A)."""

    variant: RetryAfterVariant
    source: RetryAfterSource
    seconds: float | None
    """Seconds to wait from the receipt of the answer, not yet clamped; ``None`` if unusable."""
    raw: str | None = None
    """The value as received, printable and at most 64 characters long."""
    skew: float | None = None
    """For dates: the wall clock minus the server's ``Date``, in seconds (rule A4)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The classification of an attempt that did not succeed (rules C2 and C3)."""

    kind: Kind
    transient: bool
    execution: Execution
    status: int | None = None
    """The HTTP status; ``None`` when there was no answer, never an invented one."""
    code: str = GENERIC
    """The server's error code; ``GENERIC`` when it named none, ``UNKNOWN`` for unknown shapes."""
    message: str = ""
    needs_token: bool = False
    """Whether a new token can help."""
    retry_after: RetryAfter | None = None
    correlation_id: str | None = None
    rule: str = ""
    """The name of the classification rule that decided."""
    error_type: str = ""
    """The convention's ``error.type``: the status, the exception's class, or the kind."""
    raw: Any = field(default=None, repr=False, compare=False)
    """The payload as received (bounded); never emitted."""

    @property
    def retryable(self) -> bool:
        """Whether the same request can succeed later: another name for :attr:`transient`."""
        return self.transient

    @property
    def retry_after_seconds(self) -> float | None:
        """The delay that the server asked for, in seconds; ``None`` if none was usable."""
        return None if self.retry_after is None else self.retry_after.seconds

    @property
    def is_network(self) -> bool:
        """Whether the failure came from the network rather than from an answer."""
        return self.kind in NETWORK_KINDS

    def to_dict(self) -> dict[str, Any]:
        """The failure as plain JSON types; the payload is left out."""
        plain: dict[str, Any] = _plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait of a call."""

    reason: WaitReason
    planned: float
    """Seconds that were meant to be waited; for a token, the longest that was acceptable."""
    actual: float
    """Seconds that were waited."""
    before_attempt: int
    """The number of the attempt that the wait stood before."""


class Attempt(NamedTuple):
    """One exchange on the wire and what was decided after it (rule D7).

    A named tuple, as every success makes one: a frozen dataclass takes ten times as long.
    """

    number: int
    method: str
    url: str
    """The URL, redacted (rule O7)."""
    started_at: float
    """Seconds since the epoch."""
    duration: float
    """Seconds, the body included when it was read inside the attempt."""
    status: int | None = None
    failure: Failure | None = None
    resend_reason: ResendReason | None = None
    """Why this attempt was a resend; ``None`` for the first."""
    delay: float | None = None
    """Seconds to wait that were decided after this attempt; ``None`` if none was."""
    delay_source: WaitReason | None = None
    disposition: Disposition | None = None
    """What was done with the server's Retry-After, if there was one."""
    breaker_state: BreakerState | None = None
    """The breaker's state when the attempt was admitted."""
    token_generation: int | None = None
    """The generation of the token that was sent; ``None`` if none of ours was."""
    maintenance: str | None = None
    """The maintenance window in force when the attempt ended."""


class CallReport(NamedTuple):
    """The whole story of one call (rule D7)."""

    method: str
    url: str
    policy: str
    """The policy's name."""
    outcome: Outcome
    attempts: tuple[Attempt, ...]
    duration: float
    """Seconds, waits included."""
    waits: tuple[Wait, ...] = ()
    failure: Failure | None = None
    """The failure that the call ended with; ``None`` on success."""
    give_up_reason: GiveUpReason | None = None
    idempotency_key: str | None = None
    idempotency_key_source: KeySource | None = None
    replay: Replay | None = None
    observed: tuple[ObservedDecision, ...] = ()
    """In observe mode: what would have been done (rule D18)."""
    maintenance: str | None = None
    """The maintenance window that the call ran into."""

    @property
    def waited(self) -> float:
        """Seconds spent waiting, in all."""
        return sum((wait.actual for wait in self.waits), 0.0)

    @property
    def succeeded(self) -> bool:
        """Whether the call ended in a success."""
        return self.outcome is Outcome.SUCCESS

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; payloads are left out."""
        plain: dict[str, Any] = _plain(self)
        plain["waited"] = self.waited
        return plain

    def __str__(self) -> str:
        return render(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (Attempt, CallReport)):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name != "raw"
        } | (
            # A Retry-After value is the server's word on time, not a payload.
            {"raw": value.raw} if isinstance(value, RetryAfter) else {}
        )
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def render(report: CallReport) -> str:
    """The report as lines for a person."""
    plural = "" if len(report.attempts) == 1 else "s"
    head = (
        f"{report.method} {report.url}: {report.outcome}"
        f" after {len(report.attempts)} attempt{plural} in {report.duration:.3f} s"
    )
    if report.waits:
        head += f", {report.waited:.3f} s of it waiting"
    if report.give_up_reason is not None:
        head += f" (gave up: {report.give_up_reason})"
    lines = [head]
    for attempt in report.attempts:
        lines.extend(_wait_line(w) for w in report.waits if w.before_attempt == attempt.number)
        lines.append(_attempt_line(attempt))
    last = len(report.attempts)
    lines.extend(_wait_line(w) for w in report.waits if w.before_attempt > last)
    if report.failure is not None and not report.attempts:
        lines.append(f"  nothing sent: {report.failure.message or report.failure.kind}")
    if report.idempotency_key_source is not None:
        lines.append(f"  idempotency key: {report.idempotency_key_source}")
    if report.replay is not None:
        lines.append(f"  replay: {report.replay}")
    if report.observed:
        lines.append("  would have: " + ", ".join(str(word) for word in report.observed))
    return "\n".join(lines)


def _wait_line(wait: Wait) -> str:
    return f"     waited {wait.actual:.3f} s ({wait.reason})"


def _attempt_line(attempt: Attempt) -> str:
    at = datetime.fromtimestamp(attempt.started_at, tz=timezone.utc)
    status = "no answer" if attempt.status is None else str(attempt.status)
    parts = [f"  {attempt.number}. {at:%H:%M:%S}.{at.microsecond // 1000:03d}  {status}"]
    if attempt.failure is None:
        parts.append("ok")
    else:
        parts.append(str(attempt.failure.kind))
        if attempt.failure.code not in (GENERIC, UNKNOWN):
            parts.append(attempt.failure.code)
        asked = attempt.failure.retry_after
        if asked is not None and asked.raw is not None:
            parts.append(f"Retry-After {asked.raw!r} ({asked.variant}, {attempt.disposition})")
    parts.append(f"{attempt.duration:.3f} s")
    if attempt.resend_reason is not None:
        parts.append(f"resent for {attempt.resend_reason}")
    if attempt.maintenance is not None:
        parts.append(f"in maintenance {attempt.maintenance!r}")
    return "  ".join(parts)
