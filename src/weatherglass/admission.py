"""May I? Whether an attempt may be made now: gate, pacing, breaker and its windows, token.

The cheapest refusal comes first, and a refused call costs neither a token nor a wire attempt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from weatherglass.call import Call
from weatherglass.conclusion import Refusal, breaker_refusal
from weatherglass.decide.backoff import after_window, spread
from weatherglass.decide.breaker import Ignored, Permit
from weatherglass.decide.breaker import Refusal as BreakerRefusal
from weatherglass.decide.pacing import Paces, Ticket
from weatherglass.errors import (
    DeadlineExceeded,
    RateLimited,
    ReauthenticationRequired,
    SessionClosed,
    TokenRefreshFailed,
)
from weatherglass.policy import MaintenanceWindow
from weatherglass.report import Wait
from weatherglass.tokens import Token, TokenUnavailable
from weatherglass.vocabulary import (
    BreakerState,
    GiveUpReason,
    Kind,
    ObservedDecision,
    WaitReason,
)

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter
    from weatherglass.live import Target

_PROBE_POLL = 0.5
"""Seconds after which a call that waits for a window's end asks again, while another one probes."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that can be sent in vain without harm (RFC 9110, section 9.2.1)."""


class Admission:
    """Asks before each attempt of one send; holds the permit and the token of the current one."""

    __slots__ = (
        "_adapter",
        "_call",
        "_live",
        "_target",
        "_tokens",
        "permit",
        "ticket",
        "token",
        "wake",
    )

    def __init__(self, adapter: Adapter, call: Call, target: Target) -> None:
        self._adapter = adapter
        self._live = adapter.live
        self._call = call
        self._target = target
        self._tokens = self._live.tokens if target.bound else None
        self.wake = self._live.wake
        self.permit: Permit | None = None
        self.ticket: Ticket | None = None
        """The place under the rate limit, where calls are paced."""
        self.token: Token | None = None

    def ask(self, rejected: int | None = None) -> Refusal | None:
        """Ask for everything that an attempt needs, waiting where that is the rule.

        ``rejected`` is the generation of a token that the server has just refused.
        """
        if self._call.attempts and self.wake.is_set():
            return self._closed()
        if self._live.feeds is not None:
            self._live.feeds.nudge()
        if not self._live.calendar.empty:
            self._live.tell_windows(self._adapter.recorder, self._target.host)
        refusal = self._pass_gate()
        if refusal is None and self._live.paces is not None:
            refusal = self._pass_pace(self._live.paces)
        refusal = refusal or self._pass_breaker()
        if refusal is None and self._tokens is not None:
            refusal = self._take_token(rejected)
        if refusal is None and self._call.bounded and self._call.remaining() <= 0:
            refusal = self._late("no time is left to send anything")
        if refusal is not None:
            self.give_back()
        return refusal

    def give_back(self) -> None:
        """Return permit and place of an attempt that was not made, or broken off."""
        if self.ticket is not None:
            self.paced(0.0, None)
        if self.permit is not None:
            self._live.breakers.settle(self.permit, Ignored())
            self.permit = None

    def discard_token(self) -> None:
        """Let the next call get another token than the one that was refused to this one."""
        if self._tokens is not None and self.token is not None:
            self._tokens.discard(self.token.generation)

    def wait(self, reason: WaitReason, seconds: float) -> Refusal | None:
        """Wait, and note it; refused when the session is closed meanwhile (rule D14)."""
        with self._noted(reason, seconds):
            if reason is WaitReason.MAINTENANCE:
                woken = self._wait_for_end(seconds)
            else:
                woken = self._adapter.runtime.wait(self.wake, seconds)
        return self._closed() if woken else None

    def _wait_for_end(self, seconds: float) -> bool:
        """Wait for a window's end, but not on when it is known to have come early (rule M5).

        Nor when it falls to this call to find out: then it has the probe's permit.
        """
        runtime, policy, window = self._adapter.runtime, self._call.policy, self.window()
        until = runtime.monotonic() + seconds
        step = max(policy.maintenance.probe_interval, _PROBE_POLL)
        while (left := until - runtime.monotonic()) > 0:
            if runtime.wait(self.wake, min(left, step)):
                return True
            if self._over_early(window):
                # Others hear of it now as well: they come back spread out, as at any end.
                step = math.inf
                apart = runtime.random() * spread(left, policy.retry_after)
                until = min(until, runtime.monotonic() + apart)
            elif self._is_probe():
                break
        return False

    def _is_probe(self) -> bool:
        """Whether the probe that is due is this call's to make, once and if it does no harm (M5).

        Where all wait for the end, nobody else would notice that the server is back.
        """
        if self._call.attempts or self._call.method.upper() not in _SAFE:
            return False
        answer = self._live.breakers.acquire(self._target.breaker)
        if isinstance(answer, Permit):
            self.permit = answer
        return self.permit is not None

    def _over_early(self, window: MaintenanceWindow | None) -> bool:
        """Whether a window that is waited for is over before its time."""
        if self._live.feeds is not None:
            self._live.feeds.nudge()
        if self._live.breakers.state(self._target.breaker) is BreakerState.CLOSED:
            return True  # somebody's probe has succeeded
        if window is None or self._adapter.runtime.time() >= window.end.timestamp():
            return False
        return self.window() is None

    def waiting(self, handle: Any, planned: float) -> AbstractContextManager[None]:
        """Note a wait for another thread's token refresh; called by the token manager."""
        return self._noted(WaitReason.TOKEN, planned, getattr(handle, "link", None))

    @contextmanager
    def _noted(self, reason: WaitReason, planned: float, link: Any = None) -> Iterator[None]:
        """Tell of a wait, and write it into the report."""
        call, now = self._call, self._adapter.runtime.monotonic
        started = now()
        address = self._target.host
        with self._adapter.recorder.waiting(
            call.telemetry, reason, planned, address=address, link=link
        ):
            try:
                yield
            finally:
                actual = now() - started
                call.waits.append(Wait(reason, planned, actual, len(call.attempts) + 1))

    def _pass_gate(self) -> Refusal | None:
        """Wait until the origin's rate limit is over for this credential (rule A8)."""
        key = self._target.gate_key
        policy = self._call.policy
        entry = self._live.gates.entry(key)
        while entry.seconds > 0:
            seconds = entry.seconds
            if policy.observing:
                self._call.observe(ObservedDecision.GATE_WAIT)
                return None
            refusal = self.refused_by_breaker()
            if refusal is not None:
                return refusal
            if seconds >= self._call.remaining():
                return self._late(f"the rate limit of {self._target.origin} ends after it")
            if seconds > self._longest_limit():
                return self._limited("has limited its rate", seconds)
            refusal = self.wait(WaitReason.GATE, seconds)
            if refusal is not None:
                return refusal
            entry = self._live.gates.entry(key, entry)
        return None

    def _pass_pace(self, paces: Paces) -> Refusal | None:
        """Wait for a place under the origin's rate limit for this credential (rule G4)."""
        key, call = self._target.gate_key, self._call
        ticket: Ticket | None = None
        while True:
            # Before a place is taken that would not be used (B6).
            refusal = None if call.policy.observing else self.refused_by_breaker()
            if refusal is not None:
                return refusal
            left = call.remaining()
            ticket = paces.take(key, ticket, left)
            if ticket.seconds <= 0:
                self.ticket = ticket
                return None
            if call.policy.observing:
                call.observe(ObservedDecision.PACING_WAIT)
                self.ticket = paces.pass_by(key)
                return None
            if ticket.seconds >= left:
                return self._late(f"the rate limit of {self._target.origin} is nearly used up")
            if ticket.exhausted and ticket.seconds > self._longest_limit():
                return self._limited("says that its rate limit is used up", ticket.seconds)
            refusal = self.wait(WaitReason.PACING, ticket.seconds) or self._pass_gate()
            if refusal is not None:
                return refusal

    def paced(self, duration: float, headers: Mapping[str, str] | None) -> None:
        """Give the place back, with what the answer said of the limit."""
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            self._live.paced(ticket, self._target, duration, headers)

    def refused_by_breaker(self) -> Refusal | None:
        """The breaker's refusal, so that nobody waits for something to be refused after it (B6)."""
        answer = self._live.breakers.refusal(self._target.breaker)
        if answer is None:
            return None
        answer = self._live.laid_to_window(answer, self._target.host)
        return None if self._to_wait_out(answer) is not None else self._refused_by_breaker(answer)

    def _pass_breaker(self) -> Refusal | None:
        while True:
            answer = self._live.breakers.acquire(self._target.breaker)
            if isinstance(answer, Permit):
                self.permit = answer
                return None
            self.permit = None
            answer = self._live.laid_to_window(answer, self._target.host)
            if self._call.policy.observing:
                in_window = answer.maintenance is not None
                self._call.observe(
                    ObservedDecision.MAINTENANCE_REFUSAL
                    if in_window
                    else ObservedDecision.BREAKER_REFUSAL
                )
                return None
            seconds = self._to_wait_out(answer)
            if seconds is None:
                return self._refused_by_breaker(answer)
            self._call.maintenance = answer.maintenance or self._call.maintenance
            if seconds >= self._call.remaining():
                return self._late("the maintenance window ends after it")
            refusal = self.wait(WaitReason.MAINTENANCE, seconds)
            if refusal is not None or self.permit is not None:
                return refusal

    def _to_wait_out(self, answer: BreakerRefusal) -> float | None:
        """Seconds to wait for a window's end if the policy says so; ``None`` to be refused (M3).

        The wait goes on after the end until a probe has shown how the origin is: by then it is
        up, or the ordinary rules hold again (rule M5).
        """
        policy = self._call.policy
        if policy.maintenance.mode != "wait" or answer.state is BreakerState.FORCED_OPEN:
            return None
        runtime = self._adapter.runtime
        window = self.window()
        if window is not None:
            ends_in = window.end.timestamp() - runtime.time()
            return after_window(ends_in, policy.retry_after, runtime.random())
        if not answer.opened_in_maintenance:
            return None
        if answer.next_probe_in is None:
            return _PROBE_POLL * (1 + runtime.random())
        # The first to come is the probe, and the others do not come with it.
        return answer.next_probe_in + policy.retry_after.max_jitter * runtime.random()

    def window(self) -> MaintenanceWindow | None:
        """The maintenance window in force for this origin."""
        calendar = self._live.calendar
        if calendar.empty or self._call.policy.maintenance.mode == "ignore":
            return None
        return calendar.current(self._target.host, self._adapter.runtime.time())

    def _refused_by_breaker(self, answer: BreakerRefusal) -> Refusal:
        self._adapter.recorder.breaker_refused(answer.name)
        if answer.maintenance is not None:
            self._call.maintenance = answer.maintenance
        return breaker_refusal(answer)

    def _take_token(self, rejected: int | None) -> Refusal | None:
        tokens = self._tokens
        assert tokens is not None  # noqa: S101 - asked for only with a token manager
        if self._call.policy.observing and tokens.current is not None:
            self.token = tokens.current
            if tokens.ttl() == 0:
                self._call.observe(ObservedDecision.REFRESH)
            return None
        limit = self._call.remaining()
        try:
            if rejected is None:
                self.token = tokens.obtain(limit, self.wake, self)
            else:
                self.token = tokens.rejected(rejected, limit, self.wake, self)
        except TokenUnavailable as unavailable:
            return self._without_token(unavailable)
        return None

    def _without_token(self, unavailable: TokenUnavailable) -> Refusal:
        if unavailable.closed:
            return self._closed()
        if unavailable.timed_out:
            return self._late("no token could be had before it")
        if unavailable.terminal:
            return Refusal(
                Kind.REAUTHENTICATION,
                GiveUpReason.REAUTHENTICATION_REQUIRED,
                str(unavailable),
                ReauthenticationRequired,
                cause=unavailable,
            )
        return Refusal(
            Kind.TOKEN_REFRESH,
            GiveUpReason.TOKEN_REFRESH_FAILED,
            str(unavailable),
            TokenRefreshFailed,
            cause=unavailable,
        )

    def _longest_limit(self) -> float:
        """Seconds for which a rate limit is waited out (rule A6)."""
        retry_after = self._call.policy.retry_after
        return retry_after.ceiling + retry_after.max_jitter

    def _limited(self, how: str, seconds: float) -> Refusal:
        return Refusal(
            Kind.RATE_LIMITED,
            GiveUpReason.RETRY_AFTER_ABOVE_CEILING,
            f"{self._target.origin} {how} for another {seconds:.1f} s",
            RateLimited,
            seconds,
        )

    def _late(self, why: str) -> Refusal:
        deadline = self._call.policy.deadline
        return Refusal(
            Kind.DEADLINE,
            GiveUpReason.DEADLINE,
            f"the deadline of {deadline:g} s cannot be met: {why}",
            DeadlineExceeded,
        )

    def _closed(self) -> Refusal:
        return Refusal(
            Kind.CLOSED,
            GiveUpReason.CLOSED,
            "the session was closed while the call waited",
            SessionClosed,
        )
