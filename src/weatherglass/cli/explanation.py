"""How an answer and its consequences are told: in lines for a person, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from weatherglass.cli.next_step import NextStep, Request, resends
from weatherglass.decide.retry import Step
from weatherglass.policy import Policy
from weatherglass.report import Failure, RetryAfter
from weatherglass.vocabulary import Disposition, Execution, GiveUpReason, WaitReason

_EXECUTED = {
    Execution.NOT_SENT: "no: the request was not sent",
    Execution.REJECTED: "no: the server rejected the request before executing it",
    Execution.POSSIBLE: "perhaps: the server may have executed the request",
}

_WHY_NOT = {
    GiveUpReason.RETRIES_EXHAUSTED: "all retries are used up (retry.max_retries)",
    GiveUpReason.NETWORK_RETRIES_EXHAUSTED: (
        "all retries after network failures are used up (retry.max_network_retries)"
    ),
    GiveUpReason.DEADLINE: "the wait would cross the deadline",
    GiveUpReason.METHOD_NOT_REPLAYABLE: (
        "the request may have been executed, and sending it twice may do harm; declare the route"
        " idempotent (retry.idempotent_routes) if it does not"
    ),
    GiveUpReason.RETRY_AFTER_ABOVE_CEILING: (
        "the server asked for a longer wait than retry_after.ceiling allows"
    ),
    GiveUpReason.MAINTENANCE: "a maintenance window is in force (maintenance.mode = 'fail')",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer, how it was understood, and what would follow."""

    status: int
    failure: Failure | None
    """``None`` when the answer is no failure."""
    step: NextStep | None
    policy: Policy
    request: Request

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain JSON types."""
        return {
            "status": self.status,
            "policy": self.policy.name,
            "mode": self.policy.mode,
            "method": self.request.method,
            "failure": None if self.failure is None else self.failure.to_dict(),
            "next": None if self.step is None else _step(self.step),
        }

    def render(self) -> str:
        """The explanation as lines for a person."""
        failure, step = self.failure, self.step
        if failure is None or step is None:
            return f"HTTP {self.status}\n{_row('outcome', 'no failure: it goes to the caller')}"
        lines = [f"HTTP {self.status}"]
        lines += [_row(name, value) for name, value in _understood(failure)]
        lines += [_row(name, value) for name, value in self._consequences(failure, step)]
        return "\n".join(lines)

    def _consequences(self, failure: Failure, step: NextStep) -> Iterator[tuple[str, str]]:
        yield "next", self._next(failure, step)
        if step.window is not None:
            yield "maintenance", f"{step.window.name}, until {step.window.end.isoformat()}"
        if step.decision.step is Step.RETRY:
            yield "provided", "breaker and budgets allow it, and the body can be sent again"
        if self.policy.observing:
            yield "but", "the policy observes: this is told, and not done"
        yield "policy", self.policy.name
        routes = self.policy.retry.idempotent_routes or self.policy.idempotency.honouring_routes
        if self.request.url is None and (routes or self.policy.maintenance.windows):
            yield "note", "without --url, routes and maintenance windows were not judged"

    def _next(self, failure: Failure, step: NextStep) -> str:
        decision = step.decision
        if decision.step is Step.REAUTHENTICATE:
            return (
                "fetch a new token and send the request again, once; without a token source the"
                " answer goes to the caller"
            )
        if decision.step is Step.RETRY:
            number = self.request.retries + 1
            return (
                f"retry {number} of {self.policy.retry.max_retries}"
                f" after {_between(step.at_least, step.at_most)}, {_delay_from(step, failure)}"
            )
        if decision.give_up is not None:
            why = _WHY_NOT.get(decision.give_up, str(decision.give_up))
            return f"give up ({decision.give_up}): {why}"
        return "no retry: the failure is permanent, and the answer goes to the caller"


def _understood(failure: Failure) -> Iterator[tuple[str, str]]:
    lasting = "transient: it may pass" if failure.transient else "permanent: it will not pass"
    yield "failure", f"{failure.kind} ({lasting})"
    yield "executed", _EXECUTED[failure.execution]
    yield "code", failure.code
    if failure.message:
        yield "message", failure.message
    if failure.correlation_id is not None:
        yield "correlation", failure.correlation_id
    yield "rule", failure.rule or "none: the status alone decided"
    yield "token", "a new one can help" if failure.needs_token else "a new one cannot help"
    if failure.retry_after is not None:
        yield "retry-after", _asked(failure.retry_after)


def _asked(asked: RetryAfter) -> str:
    if asked.raw is None and asked.seconds is None:
        return f"{asked.variant}: the server does not say when to come back"
    told = f"{asked.raw!r} ({asked.variant}, from {asked.source})"
    if asked.seconds is None:
        return f"{told}: unusable"
    return f"{told}: {asked.seconds:g} s"


def _delay_from(step: NextStep, failure: Failure) -> str:
    reason = step.decision.wait_reason
    if reason is WaitReason.MAINTENANCE:
        return "when the maintenance window ends"
    if reason is WaitReason.BACKOFF:
        asked = failure.retry_after
        unusable = asked is not None and asked.raw is not None
        return "computed, as the server's word is unusable" if unusable else "computed backoff"
    if step.decision.disposition is Disposition.FLOORED:
        return "the server's delay, raised to retry_after.floor"
    return "the server's delay"


def _between(least: float, most: float) -> str:
    return f"{least:g} s" if most == least else f"{least:g} to {most:g} s"


def _step(step: NextStep) -> dict[str, Any]:
    decision = step.decision
    return {
        "step": decision.step.value,
        "delay": [step.at_least, step.at_most] if resends(step) else None,
        "wait_reason": None if decision.wait_reason is None else decision.wait_reason.value,
        "retry_after_disposition": (
            None if decision.disposition is None else decision.disposition.value
        ),
        "give_up_reason": None if decision.give_up is None else decision.give_up.value,
        "maintenance": None if step.window is None else step.window.name,
    }


def _row(name: str, value: str) -> str:
    return f"  {name:<12} {value}"
