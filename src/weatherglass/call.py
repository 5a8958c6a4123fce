"""One call in progress: the record that grows with it, from ``session.get`` to its end.

A call belongs to whoever began it: to :class:`~weatherglass.Session`, around every hop of a
redirect, or to the :class:`~weatherglass.Adapter` on a plain session. The adapter's attempt
loop joins the call that is current, so that all hops stand in one report.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import requests
from requests import PreparedRequest, Request, Response

from weatherglass.decide.deadline import NEVER, Deadline
from weatherglass.diagnose import classify_exception
from weatherglass.errors import CallFailed, StatusFailed
from weatherglass.options import NO_OPTIONS, CallOptions, current_options, without_options
from weatherglass.origins import Origin, origin_of
from weatherglass.report import Attempt, CallReport, Failure, Wait
from weatherglass.telemetry.redact import redact_url
from weatherglass.vocabulary import (
    GiveUpReason,
    KeySource,
    ObservedDecision,
    Outcome,
    Replay,
    WaitReason,
)

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter

_REPORT = "weatherglass_report"

_current: ContextVar[Call | None] = ContextVar("weatherglass.call", default=None)


def current_call() -> Call | None:
    """The call that is under way here, if any."""
    return _current.get()


class Call:
    """The mutable side of a :class:`~weatherglass.report.CallReport`; used by one thread."""

    __slots__ = (
        "adapter",
        "attempts",
        "backoffs",
        "busy",
        "deadline",
        "failure",
        "give_up",
        "key",
        "key_source",
        "latest",
        "maintenance",
        "method",
        "network_retries",
        "observed",
        "options",
        "origin",
        "own_auth",
        "policy",
        "reauthenticated",
        "redirecting",
        "replay",
        "retries",
        "started",
        "telemetry",
        "timeout_settled",
        "url",
        "waits",
    )

    def __init__(
        self, adapter: Adapter, request: PreparedRequest | Request, *, by_session: bool
    ) -> None:
        self.adapter = adapter
        self.options: CallOptions = current_options()
        self.policy = self.options.policy_for(adapter.policy)
        self.method: str = request.method or ""
        # An unprepared request's URL may be anything that has a text.
        self.url: str = str(request.url or "")
        self.origin = _origin(self.url)
        self.timeout_settled = by_session
        """Whether the timeout is what the caller or the session chose, ``None`` included (D8)."""
        self.own_auth = self.options.own_auth
        """Whether the caller gave an authentication of their own, which wins (T11)."""
        self.started = adapter.runtime.monotonic()
        # In observe mode nothing is cut short (rule D18).
        bound = None if self.policy.observing else self.policy.deadline
        self.deadline = Deadline.after(bound, self.started)
        self.attempts: list[Attempt] = []
        self.waits: list[Wait] = []
        self.observed: list[ObservedDecision] = []
        self.retries = 0
        self.network_retries = 0
        self.backoffs = 0
        self.reauthenticated = False
        self.redirecting = False
        self.busy = False
        """Whether an attempt loop runs: calls made meanwhile, by a token source say, are others."""
        self.key: str | None = None
        self.key_source: KeySource | None = None
        self.replay: Replay | None = None
        self.failure: Failure | None = None
        self.give_up: GiveUpReason | None = None
        self.maintenance: str | None = None
        self.telemetry: Any = None
        self.latest: CallReport | None = None

    @property
    def bounded(self) -> bool:
        """Whether the call has a deadline that is held."""
        return self.deadline is not NEVER

    def remaining(self) -> float:
        """Seconds until the deadline; infinite without one, 0 when it has passed."""
        return self.deadline.remaining(self.adapter.runtime.monotonic())

    def joins(self, adapter: Adapter) -> bool:
        """Whether a send on this adapter belongs to this call."""
        return not self.busy and (self.redirecting or self.adapter is adapter)

    def observe(self, decision: ObservedDecision) -> None:
        """Note what would have been done (rule D18)."""
        self.observed.append(decision)

    def count_retry(self, failure: Failure | None, waited_for: WaitReason | None) -> None:
        """Count a retry against the limits of the call (R1, N3), and its backoff (A9)."""
        self.retries += 1
        if failure is not None and failure.is_network:
            self.network_retries += 1
        self.backoffs = self.backoffs + 1 if waited_for is WaitReason.BACKOFF else 0

    def conclude(self, failure: Failure | None, give_up: GiveUpReason | None) -> CallReport:
        """The report of the call as it stands now."""
        self.failure = failure
        self.give_up = give_up
        self.latest = CallReport(
            method=self.method,
            url=redact_url(self.url),
            policy=self.policy.name,
            outcome=self._outcome(),
            attempts=tuple(self.attempts),
            duration=self.adapter.runtime.monotonic() - self.started,
            waits=tuple(self.waits),
            failure=failure,
            give_up_reason=give_up,
            idempotency_key=self.key,
            idempotency_key_source=self.key_source,
            replay=self.replay,
            observed=tuple(self.observed),
            maintenance=self.maintenance,
        )
        return self.latest

    def _outcome(self) -> Outcome:
        if self.failure is None:
            return Outcome.SUCCESS
        if not self.attempts:
            return Outcome.REFUSED
        return Outcome.FAILED if self.give_up is None else Outcome.GAVE_UP


def run_call(
    adapter: Adapter,
    request: PreparedRequest | Request,
    send: Callable[[Call], Response],
    *,
    by_session: bool,
    own_auth: bool = False,
) -> Response:
    """Run ``send`` as one call: with its telemetry around it and its report at the end."""
    call = Call(adapter, request, by_session=by_session)
    call.own_auth = call.own_auth or own_auth
    recorder = adapter.recorder
    error: BaseException | None = None
    token = _current.set(call)
    try:
        call.telemetry = recorder.enter_call(
            call.origin.host,
            call.origin.port,
            call.policy.name,
            observing=call.policy.observing,
            guarded=by_session,
        )
        if call.options is NO_OPTIONS:
            response = send(call)
        else:
            with without_options():
                response = send(call)
        # Not before: response hooks, those of a digest authentication too, come first.
        if call.failure is not None and call.policy.raise_failures:
            _raise_failed(call, response)
        return response  # noqa: TRY300 - what else raises above belongs to the call as well
    except BaseException as caught:
        error = caught
        raise
    finally:
        _current.reset(token)
        report = _final_report(call, error)
        if call.telemetry is not None:
            recorder.end_call(call.telemetry, report, error)
        adapter.notify_end(report)


_NOWHERE = Origin("", "", "", 0)


def _origin(url: str) -> Origin:
    """The URL's origin; ``requests`` is left to say what is wrong with a URL that has none."""
    try:
        return origin_of(url)
    except requests.exceptions.InvalidURL:
        return _NOWHERE


def _final_report(call: Call, error: BaseException | None) -> CallReport:
    report = call.latest
    if isinstance(error, CallFailed) and error.report is report:
        return error.report
    if report is None or _is_outdated(report, call, error):
        failure = None if error is None else classify_exception(error)
        report = call.conclude(failure, None)
    if isinstance(error, requests.RequestException):
        attach(error, report)
    return report


def _is_outdated(report: CallReport, call: Call, error: BaseException | None) -> bool:
    """Whether the call went on after its report was made.

    It ended outside of the attempt loop, by too many redirects, say, or in a later hop.
    """
    interrupted = len(report.attempts) < len(call.attempts)
    return interrupted or (report.succeeded and isinstance(error, requests.RequestException))


def _raise_failed(call: Call, response: Response) -> None:
    """Raise what the call ended with, unless a hook put another response in its place (D5)."""
    report = call.latest
    attached: object = getattr(response, _REPORT, None)
    if report is not None and attached is report:
        raise failed(StatusFailed, report, response.request, response)


def failed(
    kind: type[CallFailed],
    report: CallReport,
    request: PreparedRequest,
    response: Response | None,
) -> CallFailed:
    """The error of a call that ended as its report says."""
    failure, reason = report.failure, report.give_up_reason
    what = "failed" if failure is None else f"{failure.kind} ({failure.error_type})"
    gave_up = "" if reason is None else f"; gave up: {reason}"
    message = (
        f"{report.method} {report.url}: {what} after {len(report.attempts)} attempt(s){gave_up}"
    )
    return kind(message, report=report, request=request, response=response)


def attach(subject: Response | BaseException, report: CallReport) -> None:
    """Make the report findable from a response or an exception."""
    setattr(subject, _REPORT, report)


def report(subject: Response | BaseException) -> CallReport:
    """The report of the call that ended in this response or exception (rule D7).

    Raises:
        LookupError: when it did not come from a weatherglass session or adapter.
    """
    seen: set[int] = set()
    cursor: Any = subject
    while cursor is not None and id(cursor) not in seen:
        seen.add(id(cursor))
        for name in (_REPORT, "report"):
            found = getattr(cursor, name, None)
            if isinstance(found, CallReport):
                return found
        # An application may have raised its own exception from ours. (A failed response is
        # falsy, hence no "or".)
        response = getattr(cursor, "response", None)
        cursor = getattr(cursor, "__cause__", None) if response is None else response
    raise LookupError(
        f"{subject!r} has no call report: it did not come from a weatherglass session or adapter"
    )
