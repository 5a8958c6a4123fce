"""How a call ends for its caller: the response that is returned, or the error that is raised.

Also what a call is told for which nothing may be sent; whether it may is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import requests
from requests import PreparedRequest, Request, Response

from weatherglass.call import Call, attach, failed
from weatherglass.decide.breaker import Refusal as BreakerRefusal
from weatherglass.decide.retry import Decision
from weatherglass.errors import (
    AttemptTimedOut,
    CallFailed,
    CircuitOpen,
    DeadlineExceeded,
    MaintenanceInProgress,
    NetworkFailed,
    RateLimited,
    StatusFailed,
)
from weatherglass.report import CallReport, Failure
from weatherglass.vocabulary import BreakerState, Execution, GiveUpReason, Kind
from weatherglass.wire import FIELDS, DeadlinePassed, carry_notes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no attempt may be made, and the error for a call that made none."""

    kind: Kind
    reason: GiveUpReason
    message: str
    error: type[CallFailed]
    seconds: float | None = None
    """Until the next probe, or until the rate limit is over."""
    cause: BaseException | None = None

    @property
    def failure(self) -> Failure:
        return Failure(
            kind=self.kind,
            transient=self.reason is not GiveUpReason.REAUTHENTICATION_REQUIRED,
            execution=Execution.NOT_SENT,
            message=self.message,
            rule="refused",
            error_type=str(self.kind),
        )

    def extra(self) -> dict[str, float | None]:
        """What the error carries besides."""
        if issubclass(self.error, CircuitOpen):
            return {"next_probe_in": self.seconds}
        if issubclass(self.error, RateLimited):
            return {"retry_after": self.seconds}
        return {}


def breaker_refusal(answer: BreakerRefusal) -> Refusal:
    """What a call is told that a breaker refuses (rules B6 and M3)."""
    due = answer.next_probe_in
    when = "while a probe is under way" if due is None else f"for another {due:.1f} s"
    if answer.state is BreakerState.FORCED_OPEN:
        when = "by force"
    if answer.maintenance is None:
        return Refusal(
            Kind.CIRCUIT_OPEN,
            GiveUpReason.CIRCUIT_OPEN,
            f"the breaker {answer.name!r} is open {when}: nothing was sent",
            CircuitOpen,
            due,
        )
    return Refusal(
        Kind.MAINTENANCE,
        GiveUpReason.MAINTENANCE,
        f"{answer.name} is down in the maintenance window {answer.maintenance!r}; refused {when}",
        MaintenanceInProgress,
        due,
    )


class Result(NamedTuple):
    """What the last attempt came to, and what was decided."""

    response: Response | None
    error: Exception | None
    failure: Failure | None
    decision: Decision
    refusal: Refusal | None = None
    """Set when no attempt was allowed and there is no earlier answer to return."""


def refuse(call: Call, request: PreparedRequest | Request, refusal: Refusal) -> Response:
    """End a call for which nothing is sent.

    Raises:
        CallFailed: the refusal's error.
    """
    report = call.conclude(refusal.failure, refusal.reason)
    raise _refused(refusal, request, None, report) from refusal.cause


def conclude(call: Call, request: PreparedRequest, result: Result) -> Response:
    """The response of the call.

    Raises:
        requests.exceptions.RequestException: the last error as ``requests`` raised it, or one
            of ours where nothing could be sent or the policy says so (rule D5).
    """
    report = call.conclude(result.failure, result.decision.give_up)
    response = result.response
    if response is not None:
        # The caller's own request, not our copy of it with token and key (rules T9 and T11).
        sent = response.request
        response.request = request
        if type(sent) is type(request) and len(vars(sent)) > len(FIELDS):
            carry_notes(sent, request)
        attach(response, report)
    if result.refusal is not None:
        raise _refused(result.refusal, request, response, report) from result.refusal.cause
    if result.error is not None:
        _raise_last(call, request, result, report)
    assert response is not None  # noqa: S101 - without one there is an error or a refusal
    return response


def _raise_last(call: Call, request: PreparedRequest, result: Result, report: CallReport) -> None:
    error = result.error
    assert error is not None  # noqa: S101 - called when there is one
    if isinstance(error, requests.RequestException):
        # Also as the cause of ours: never our copy with token and key (rule T9).
        error.request = request
    kind = _kind_of(error, result.failure, raising=call.policy.raise_failures)
    if kind is not None:
        raise failed(kind, report, request, result.response) from error
    attach(error, report)
    raise error


def _kind_of(
    error: Exception, failure: Failure | None, *, raising: bool
) -> type[CallFailed] | None:
    """The class of ours that is raised in the place of an error, if any is."""
    if isinstance(error, DeadlinePassed):
        return DeadlineExceeded
    if not raising or failure is None or failure.kind is Kind.INVALID_CALL:
        return None
    if failure.status is not None:
        return StatusFailed
    return AttemptTimedOut if isinstance(error, requests.Timeout) else NetworkFailed


def _refused(
    refusal: Refusal,
    request: PreparedRequest | Request,
    response: Response | None,
    report: CallReport,
) -> CallFailed:
    return refusal.error(
        refusal.message, report=report, request=request, response=response, **refusal.extra()
    )
