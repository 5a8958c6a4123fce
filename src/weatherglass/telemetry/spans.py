"""The attributes of spans, as the registry names them.

Mappings that repeat are built once and shared with the SDK, which copies them. Nothing is
started or ended here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weatherglass.report import Attempt, CallReport, Failure
from weatherglass.telemetry import redact, registry
from weatherglass.telemetry.bounds import Memo
from weatherglass.vocabulary import Outcome

Attributes = Mapping[str, Any]


_known_methods: Final = frozenset(registry.KNOWN_METHODS)


def canonical_method(method: str) -> str:
    """The known method that this is, in whatever case it was written, or ``_OTHER``."""
    if method in _known_methods:
        return method
    upper = method.upper()
    return upper if upper in _known_methods else registry.OTHER


def error_type(failure: Failure) -> str:
    """The convention's ``error.type``: the status, the exception's class or the kind."""
    if failure.error_type:
        return failure.error_type
    return str(failure.kind) if failure.status is None else str(failure.status)


def exception_name(error: BaseException) -> str:
    """An exception's class as the conventions want it: with its module, unless built in."""
    cls = type(error)
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


class SpanAttributes:
    """Attribute mappings by what they depend on."""

    def __init__(self) -> None:
        self.call_start: Memo[tuple[str, int | None, str, bool], Attributes] = Memo(_call_start)
        """By address, port, policy and whether the policy only observes."""
        self.attempt_start: Memo[tuple[str, str, int | None], tuple[str, dict[str, Any]]] = Memo(
            _attempt_start
        )
        """By method, address and port: the span's name and what it starts with."""
        self.attempt_success: Memo[tuple[int | None, str | None], Attributes] = Memo(_success)
        """By status and protocol version."""


def _attempt_start(key: tuple[str, str, int | None]) -> tuple[str, dict[str, Any]]:
    method, address, port = key
    canonical = canonical_method(method)
    start: dict[str, Any] = {
        registry.HTTP_REQUEST_METHOD: canonical,
        registry.SERVER_ADDRESS: address,
    }
    if port is not None:
        start[registry.SERVER_PORT] = port
    if canonical != method:
        start[registry.HTTP_REQUEST_METHOD_ORIGINAL] = method
    known = canonical != registry.OTHER
    return canonical if known else registry.UNKNOWN_METHOD_SPAN, start


def _call_start(key: tuple[str, int | None, str, bool]) -> Attributes:
    address, port, policy, observing = key
    start: dict[str, Any] = {registry.SERVER_ADDRESS: address, registry.POLICY: policy}
    if port is not None:
        start[registry.SERVER_PORT] = port
    if observing:
        start |= observing_mode(observing=True)
    return start


def observing_mode(*, observing: bool) -> dict[str, Any]:
    """The attribute of calls whose decisions are only told."""
    return {registry.MODE: registry.ATTRIBUTES[registry.MODE].values[0]} if observing else {}


def _success(key: tuple[int | None, str | None]) -> Attributes:
    status, version = key
    end: dict[str, Any] = {}
    if status is not None:
        end[registry.HTTP_RESPONSE_STATUS_CODE] = status
    if version is not None:
        end[registry.NETWORK_PROTOCOL_VERSION] = version
    return end


SUCCESS_AT_ONCE: Final[Attributes] = {
    registry.OUTCOME: Outcome.SUCCESS.value,
    registry.ATTEMPTS: 1,
    registry.WAITED: 0.0,
}
"""How a call ends that had one successful attempt and nothing else to tell."""


def is_plain_success(report: CallReport) -> bool:
    """Whether :data:`SUCCESS_AT_ONCE` is all that there is to tell."""
    return (
        report.outcome is Outcome.SUCCESS
        and len(report.attempts) == 1
        and not report.waits
        and report.idempotency_key_source is None
        and report.replay is None
        and report.maintenance is None
        and not report.observed
    )


def call_findings(report: CallReport) -> dict[str, Any]:
    """What is told of a call when it ended, as far as it is our own."""
    end: dict[str, Any] = {
        registry.OUTCOME: report.outcome.value,
        registry.ATTEMPTS: len(report.attempts),
        registry.WAITED: report.waited,
    }
    if report.give_up_reason is not None:
        end[registry.GIVE_UP_REASON] = report.give_up_reason.value
    if report.failure is not None and not report.succeeded:
        end[registry.FAILURE_KIND] = report.failure.kind.value
    if report.idempotency_key_source is not None:
        end[registry.KEY_SOURCE] = report.idempotency_key_source.value
    if report.replay is not None:
        end[registry.REPLAY] = report.replay.value
    if report.maintenance is not None:
        end[registry.MAINTENANCE_WINDOW] = report.maintenance
    if report.observed:
        end[registry.OBSERVED] = [decision.value for decision in report.observed]
    return end


def call_description(report: CallReport) -> str | None:
    """The description of a failed call's status: a word of a closed set."""
    if report.give_up_reason is not None:
        return str(report.give_up_reason)
    return None if report.failure is None else str(report.failure.kind)


def attempt_end(attempt: Attempt, version: str | None, failed: str | None) -> dict[str, Any]:
    """What is told of an attempt when it ended, as far as it is the conventions'."""
    end: dict[str, Any] = {}
    if attempt.status is not None:
        end[registry.HTTP_RESPONSE_STATUS_CODE] = attempt.status
    if version is not None:
        end[registry.NETWORK_PROTOCOL_VERSION] = version
    if failed is not None:
        end[registry.ERROR_TYPE] = failed
    return end


def attempt_findings(attempt: Attempt) -> dict[str, Any]:
    """What was found out about an attempt, as far as it is our own."""
    findings: dict[str, Any] = {}
    if attempt.maintenance is not None:
        findings[registry.MAINTENANCE_WINDOW] = attempt.maintenance
    failure = attempt.failure
    if failure is None:
        return findings
    findings[registry.FAILURE_KIND] = failure.kind.value
    findings[registry.FAILURE_TRANSIENT] = failure.transient
    findings[registry.FAILURE_CODE] = redact.safe_code(failure.code)
    correlation_id = failure.correlation_id and redact.safe_identifier(failure.correlation_id)
    if correlation_id:
        findings[registry.CORRELATION_ID] = correlation_id
    asked = failure.retry_after
    if asked is not None:
        findings[registry.RETRY_AFTER_VARIANT] = asked.variant.value
        findings[registry.RETRY_AFTER_SOURCE] = asked.source.value
        if asked.seconds is not None:
            findings[registry.RETRY_AFTER_SECONDS] = asked.seconds
    return findings
