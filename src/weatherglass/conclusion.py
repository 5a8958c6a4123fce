"""How a call ends for its caller: the response that is returned, or the error that is raised."""

from __future__ import annotations

from typing import NamedTuple

import requests
from requests import PreparedRequest, Request, Response

from weatherglass.admission import Refusal
from weatherglass.call import Call, attach
from weatherglass.decide.retry import Decision
from weatherglass.errors import (
    AttemptTimedOut,
    CallFailed,
    DeadlineExceeded,
    NetworkFailed,
    StatusFailed,
)
from weatherglass.report import CallReport, Failure
from weatherglass.wire import DeadlinePassed


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
        response.request = request
        attach(response, report)
    if result.refusal is not None:
        raise _refused(result.refusal, request, response, report) from result.refusal.cause
    if result.error is not None:
        _raise_last(call, request, result, report)
    if result.failure is not None and call.policy.raise_failures:
        raise _failed(StatusFailed, request, result, report)
    assert response is not None  # noqa: S101 - without one there is an error or a refusal
    return response


def _raise_last(
    call: Call, request: PreparedRequest, result: Result, report: CallReport
) -> None:
    error = result.error
    assert error is not None  # noqa: S101 - called when there is one
    if isinstance(error, DeadlinePassed):
        raise _failed(DeadlineExceeded, request, result, report) from error
    if isinstance(error, requests.RequestException):
        if call.policy.raise_failures:
            timed_out = isinstance(error, requests.Timeout)
            kind = AttemptTimedOut if timed_out else NetworkFailed
            raise _failed(kind, request, result, report) from error
        error.request = request
    attach(error, report)
    raise error


def _failed(
    kind: type[CallFailed], request: PreparedRequest, result: Result, report: CallReport
) -> CallFailed:
    failure, reason = result.failure, result.decision.give_up
    what = "failed" if failure is None else f"{failure.kind} ({failure.error_type})"
    gave_up = "" if reason is None else f"; gave up: {reason}"
    message = (
        f"{report.method} {report.url}: {what} after {len(report.attempts)} attempt(s){gave_up}"
    )
    return kind(message, report=report, request=request, response=result.response)


def _refused(
    refusal: Refusal, request: PreparedRequest | Request, response: Response | None, report: CallReport
) -> CallFailed:
    return refusal.error(
        refusal.message, report=report, request=request, response=response, **refusal.extra()
    )
