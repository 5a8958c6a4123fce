"""What a call's report means for its row. Pure: reports in, words out."""

from __future__ import annotations

from enum import Enum

from weatherglass import CallReport
from weatherglass.vocabulary import Kind, Outcome, Replay

DUPLICATE = "duplicate.name"
"""The code of Genesys Cloud for a name that is taken."""

_HOPELESS = frozenset(
    {
        Kind.UNAUTHORIZED,
        Kind.FORBIDDEN,
        Kind.ESCALATED,
        Kind.NOT_FOUND,
        Kind.TLS_CERTIFICATE,
        Kind.INVALID_CALL,
        Kind.REAUTHENTICATION,
    }
)
"""Permanent failures that no row is to blame for: the next one would meet the same."""


class Verdict(Enum):
    """What follows from the answer to a POST."""

    CREATED = "created"
    IN_DOUBT = "in doubt"
    """It was sent and perhaps executed: look before it is sent again."""
    TAKEN = "taken"
    """The name exists already, and not by us as far as we know: look at what it is."""
    REJECTED = "rejected"
    PUT_BACK = "put back"
    """It was not executed, and can succeed later."""
    STOP = "stop"
    """No row can succeed until somebody has done something."""


def after_post(report: CallReport, *, sent_before: bool = False) -> Verdict:
    """What follows from the answer to a POST; ``sent_before``: by an earlier call for its row."""
    failure = report.failure
    if failure is None:
        return Verdict.CREATED
    if report.replay is Replay.AMBIGUOUS or perhaps_executed(report):
        return Verdict.IN_DOUBT
    if is_duplicate(failure.code):
        return Verdict.IN_DOUBT if sent_before else Verdict.TAKEN
    verdict = without_effect(report)
    if verdict is Verdict.REJECTED and (sent_before or len(report.attempts) > 1):
        # What is said of this delivery may not be true of an earlier one. A look costs little.
        return Verdict.IN_DOUBT
    return verdict


def without_effect(report: CallReport) -> Verdict:
    """What follows from a failure that has changed nothing on the server."""
    failure = report.failure
    if failure is not None and failure.kind in _HOPELESS:
        return Verdict.STOP
    return Verdict.REJECTED if report.outcome is Outcome.FAILED else Verdict.PUT_BACK


def perhaps_executed(report: CallReport) -> bool:
    """Whether any delivery of the request may have taken effect, although the call failed."""
    failures = (attempt.failure for attempt in report.attempts)
    return any(failure is not None and not failure.execution.excluded for failure in failures)


def is_duplicate(code: str | None) -> bool:
    """Whether the server says that there is such a queue already; codes have two spellings."""
    return code is not None and code.lower().replace("_", ".") == DUPLICATE
