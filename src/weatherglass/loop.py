"""The attempt loop: may I, do it, what happened, what now.

The only part of weatherglass with side effects on the wire; one instance per send. What it goes
by lives elsewhere: :mod:`weatherglass.admission` asks whether an attempt may be made,
:mod:`weatherglass.exchange` makes it and sees what came, :mod:`weatherglass.decide` decides, and
:mod:`weatherglass.conclusion` hands the end to the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from requests import PreparedRequest, Response
from tenacity import RetryCallState, Retrying

from weatherglass.admission import Admission
from weatherglass.call import Call
from weatherglass.conclusion import Refusal, Result, conclude
from weatherglass.decide.idempotency import honours, replay_mark
from weatherglass.decide.maintenance import maintenance_failure
from weatherglass.decide.retry import SUCCEEDED, Decision, Situation, Step, decide
from weatherglass.decide.routes import matches
from weatherglass.diagnose import classify_exception, escalated
from weatherglass.errors import ReauthenticationRequired, TokenRefreshFailed
from weatherglass.exchange import Seen, Transfer, exchange
from weatherglass.layers import warn_of_second_layer
from weatherglass.live import OWN_CREDENTIAL, hold_of
from weatherglass.report import Attempt, Failure
from weatherglass.telemetry.redact import redact_url
from weatherglass.vocabulary import (
    Disposition,
    GiveUpReason,
    ObservedDecision,
    Replay,
    ResendReason,
    WaitReason,
)
from weatherglass.wire import Body, copy_request, http_version, release

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter

_FAIR_SHARE = 0.5
"""The share of its call's time after which an attempt without an answer is the server's failure."""

_OBSERVED = {
    Step.RETRY: ObservedDecision.RETRY,
    Step.REAUTHENTICATE: ObservedDecision.REFRESH,
    Step.GIVE_UP: ObservedDecision.GIVE_UP,
}


class AttemptLoop:
    """Sends one request, again where that is right, until there is something to return."""

    __slots__ = (
        "_adapter",
        "_admission",
        "_body",
        "_call",
        "_last",
        "_live",
        "_pending",
        "_policy",
        "_rejected",
        "_request",
        "_resend_reason",
        "_target",
        "_transfer",
        "_url",
    )

    def __init__(
        self, adapter: Adapter, call: Call, request: PreparedRequest, transfer: Transfer
    ) -> None:
        self._adapter = adapter
        self._live = adapter.live
        self._call = call
        self._policy = call.policy
        self._request = request
        self._transfer = transfer
        self._body = Body(request)
        self._target = self._live.target(request, own_auth=call.own_auth)
        self._admission = Admission(adapter, call, self._target)
        self._url = redact_url(request.url or "")
        self._last: Result | None = None
        self._pending: Result | None = None
        self._rejected: int | None = None
        self._resend_reason: ResendReason | None = None
        if call.attempts:
            # Joined in mid-call: a redirect's next hop, or an auth hook's second try.
            self._resend_reason = ResendReason.REDIRECT if call.redirecting else ResendReason.REAUTH
            # From here on, sends by response hooks are calls of their own again.
            call.redirecting = False
        elif self._target.credential is OWN_CREDENTIAL:
            # It stays so on every hop, though a redirect may drop the header (rule T11).
            call.own_auth = True

    def run(self) -> Response:
        """The final response.

        Raises:
            requests.exceptions.RequestException: the last error, or one of ours (rule D5).
        """
        call = self._call
        call.busy = True
        try:
            self._live.make_key(call, self._request)
            result = self._attempt()
            if result.decision.resends:
                result = self._resend(result)
            return conclude(call, self._request, result)
        finally:
            call.busy = False

    def _resend(self, first: Result) -> Result:
        """Let tenacity drive the attempts after the first, by our stop, wait and sleep (R5)."""
        warn_of_second_layer(self._adapter)
        self._pending = first
        retrying = Retrying(
            retry=lambda state: _result(state).decision.step is not Step.RETURN,
            stop=lambda state: _result(state).decision.step is Step.GIVE_UP,
            wait=lambda state: _result(state).decision.delay,
            before_sleep=lambda state: self._prepare_resend(_result(state)),
            sleep=self._sleep,
            retry_error_callback=_result,
        )
        result: Result = retrying(self._advance)
        return result

    def _advance(self) -> Result:
        """The pending first result, then one new attempt at a time."""
        pending, self._pending = self._pending, None
        return self._attempt() if pending is None else pending

    def _prepare_resend(self, result: Result) -> None:
        """Let go of the failed answer and put the body back before the wait (D11, D12)."""
        if result.response is not None:
            release(result.response)
        self._body.rewind()
        self._last = result
        if result.decision.step is Step.REAUTHENTICATE:
            self._call.reauthenticated = True
            self._resend_reason = ResendReason.REAUTH
            self._rejected = self._call.attempts[-1].token_generation
            return
        self._resend_reason = ResendReason.RETRY
        self._call.count_retry(result.failure, result.decision.wait_reason)

    def _sleep(self, seconds: float) -> None:
        last = self._last
        if seconds > 0 and last is not None and last.decision.wait_reason is not None:
            # When the session is closed meanwhile, the next attempt is refused for it.
            self._admission.wait(last.decision.wait_reason, seconds)

    def _attempt(self) -> Result:
        rejected, self._rejected = self._rejected, None
        try:
            refusal = self._admission.ask(rejected)
            return self._send() if refusal is None else self._refused(refusal)
        except BaseException:
            # An interrupt: a probe must not keep its place. What was settled already is so.
            self._admission.give_back()
            raise

    def _send(self) -> Result:
        """One attempt that was admitted."""
        adapter, call = self._adapter, self._call
        recorder, runtime = adapter.recorder, adapter.runtime
        wire = copy_request(self._request)
        self._live.dress(wire, call, self._admission.token)
        span = recorder.start_attempt(
            call.telemetry,
            self._request.method or "",
            self._url,
            self._target.host,
            self._target.port,
            headers=wire.headers,
            resend_count=len(call.attempts),
            resend_reason=self._resend_reason,
            url_template=call.options.url_template,
        )
        at, started = runtime.time(), runtime.monotonic()
        seen: Seen | None = None
        try:
            seen = exchange(adapter, call, wire, self._transfer)
            duration = runtime.monotonic() - started
            if self._admission.ticket is not None:
                answered = None if seen.response is None else seen.response.headers
                self._admission.paced(duration, answered)
            if seen.failure is None:
                decision = SUCCEEDED
                headers = {} if seen.response is None else seen.response.headers
                self._live.succeeded(self._admission.permit, self._target, duration, headers)
            else:
                if self._live.is_escalation(self._target, seen.failure):
                    seen = seen._replace(failure=escalated(seen.failure))
                decision = self._judge(seen, duration)
        except BaseException as interrupt:
            # It was sent, or may have been: the report and the telemetry must not hide it.
            seen = seen or Seen(None, None, classify_exception(interrupt))
            duration = runtime.monotonic() - started
            recorder.end_attempt(span, self._record(at, duration, seen, Decision(Step.RETURN)))
            raise
        attempt = self._record(at, duration, seen, decision)
        recorder.end_attempt(span, attempt, http_version(seen.response))
        if seen.failure is not None:
            adapter.notify("on_failure", attempt)
            if decision.resends:
                adapter.notify("on_retry", attempt)
        return Result(seen.response, seen.error, seen.failure, decision)

    def _judge(self, seen: Seen, duration: float) -> Decision:
        """What now, after telling breaker and gate what happened."""
        failure, runtime = seen.failure, self._adapter.runtime
        assert failure is not None  # noqa: S101 - called for failures only
        window = self._admission.window()
        down = maintenance_failure(
            failure, window, self._policy.maintenance, runtime.time(), hold_of(failure)
        )
        if window is not None:
            self._call.maintenance = window.name
        self._live.failed(
            self._admission.permit,
            self._target,
            failure,
            duration,
            down=down,
            response=seen.response,
            cut_short=failure.is_network and self._cut_short(seen, duration),
        )
        ends_in = None if down is None else down.ends_in
        decision = decide(self._situation(failure, ends_in), self._policy, runtime.random())
        if self._policy.observing:
            return self._only_observe(decision)
        if failure.needs_token and decision.give_up is GiveUpReason.BODY_NOT_REPLAYABLE:
            self._admission.discard_token()
        return self._afford(decision, failure) if decision.step is Step.RETRY else decision

    def _cut_short(self, seen: Seen, duration: float) -> bool:
        """Whether the deadline ended an attempt that was answered, or had little time (rule B4).

        That says nothing about the server. That most of a call's time passed without an answer
        does, or an outage in which a server hangs would never be seen to be one (rule N3).
        """
        deadline = self._policy.deadline
        if deadline is None or self._call.remaining() > 0:
            return False
        return seen.response is not None or duration < _FAIR_SHARE * deadline

    def _situation(self, failure: Failure, window_ends_in: float | None) -> Situation:
        call, request, policy = self._call, self._request, self._policy
        method, path = request.method or "", request.path_url.partition("?")[0]
        declared, honoured = call.options.idempotent, call.options.honours_key
        if declared is None:
            declared = matches(policy.retry.idempotent_routes, method, path)
        if honoured is None:
            honoured = honours(policy.idempotency, method, request.url or "")
        return Situation(
            failure,
            method,
            retries=call.retries,
            network_retries=call.network_retries,
            backoffs=call.backoffs,
            body_replayable=self._body.can_rewind(),
            declared_idempotent=declared,
            key_honoured=call.key is not None and honoured,
            remaining=call.remaining() if call.bounded else None,
            token_ours=self._admission.token is not None,
            reauthenticated=call.reauthenticated,
            window_ends_in=window_ends_in,
        )

    def _afford(self, decision: Decision, failure: Failure) -> Decision:
        """Ask breaker and budgets whether the retry that was decided may be made (B6, R4, N3)."""
        live, target = self._live, self._target
        waits_for_window = decision.wait_reason is WaitReason.MAINTENANCE
        refusal = None if waits_for_window else self._admission.refused_by_breaker()
        if refusal is not None:
            reason = refusal.reason
        elif failure.is_network and not live.network_budget.withdraw(target.origin):
            reason = GiveUpReason.NETWORK_BUDGET_EMPTY
        elif not live.retry_budget.withdraw(target.origin):
            reason = GiveUpReason.RETRY_BUDGET_EMPTY
            if failure.is_network:
                live.network_budget.refund(target.origin)
        else:
            return decision
        return Decision(Step.GIVE_UP, disposition=_ignored(decision), give_up=reason)

    def _only_observe(self, decision: Decision) -> Decision:
        """In observe mode: tell what would have been done, and return what came (rule D18)."""
        told = _OBSERVED.get(decision.step)
        if told is not None:
            self._call.observe(told)
        return Decision(Step.RETURN, disposition=_ignored(decision))

    def _record(self, at: float, duration: float, seen: Seen, decision: Decision) -> Attempt:
        call, permit, token = self._call, self._admission.permit, self._admission.token
        window = None if self._live.calendar.empty else self._admission.window()
        attempt = Attempt(
            len(call.attempts) + 1,
            self._request.method or "",
            self._url,
            at,
            duration,
            None if seen.response is None else seen.response.status_code,
            seen.failure,
            self._resend_reason,
            decision.delay if decision.resends else None,
            decision.wait_reason,
            decision.disposition,
            None if permit is None else permit.state,
            None if token is None else token.generation,
            None if window is None else window.name,
        )
        call.attempts.append(attempt)
        if seen.response is not None and (call.key is not None or attempt.number > 1):
            done = self._policy.idempotency.done_codes
            call.replay = _replay(seen, resent=attempt.number > 1, done_codes=done)
        return attempt

    def _refused(self, refusal: Refusal) -> Result:
        """No further attempt: the last real answer stands, if there was one (rule B6)."""
        last = self._last
        decision = Decision(Step.GIVE_UP, give_up=refusal.reason)
        if last is None:
            return Result(None, None, refusal.failure, decision, refusal)
        if refusal.error in (TokenRefreshFailed, ReauthenticationRequired):
            # The 401 must not pass for the API's own answer (rule T6).
            return Result(last.response, None, refusal.failure, decision, refusal)
        return last._replace(decision=decision)


def _replay(seen: Seen, *, resent: bool, done_codes: tuple[str, ...]) -> Replay | None:
    """Whether the answer tells of an earlier delivery of the same request (rule I5)."""
    response, failure = seen.response, seen.failure
    if response is None or (failure is not None and failure.transient):
        return None
    code = None if failure is None else failure.code
    return replay_mark(
        response.status_code, code, response.headers, resent=resent, done_codes=done_codes
    )


def _ignored(decision: Decision) -> Disposition | None:
    return None if decision.disposition is None else Disposition.IGNORED


def _result(state: RetryCallState) -> Result:
    """What the last attempt came to, out of tenacity's state."""
    assert state.outcome is not None  # noqa: S101 - tenacity asks after an attempt only
    result: Result = state.outcome.result()
    return result
