"""How a call ends for its caller: the response that is returned, or the error that is raised."""

from __future__ import annotations

from typing import NamedTuple

import requests
from requests import PreparedRequest, Request, Response

from weatherglass.admission import Refusal
from weatherglass.call import Call, attach, failed
from weatherglass.decide.retry import Decision
from weatherglass.errors import (
    AttemptTimedOut,
    CallFailed,
    DeadlineExceeded,
    NetworkFailed,
    StatusFailed,
)
from weatherglass.report import CallReport, Failure
from weatherglass.vocabulary import Kind
from weatherglass.wire import FIELDS, DeadlinePassed, carry_notes


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
