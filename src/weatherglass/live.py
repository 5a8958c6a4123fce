"""The state that the calls of one adapter share: breakers, gates, budgets, tokens, windows.

It lives in memory, belongs to one process, and neither pickles nor forks: a child begins with
its own. Each part is a pure state machine in :mod:`weatherglass.decide` or
:mod:`weatherglass.tokens` behind a store; this module only puts them together.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from requests import PreparedRequest, Response

from weatherglass.call import Call
from weatherglass.decide.breaker import (
    Alive,
    BreakerResult,
    Failed,
    Ignored,
    MaintenanceFailure,
    Permit,
    Refusal,
)
from weatherglass.decide.breakers import Breakers
from weatherglass.decide.budget import Budget
from weatherglass.decide.gate import Gates
from weatherglass.decide.idempotency import make_key
from weatherglass.decide.limits import Allowance
from weatherglass.decide.maintenance import Calendar, Edge
from weatherglass.decide.pacing import Paces, Ticket
from weatherglass.diagnose.headroom import COMMON, read_headroom, remaining_requests
from weatherglass.origins import Origin, origin_of
from weatherglass.report import Failure
from weatherglass.telemetry import Recorder
from weatherglass.tokens import Token
from weatherglass.vocabulary import BreakerState, KeySource, Kind

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter

NO_CREDENTIAL = "none"
"""The credential's name where weatherglass sends no token."""

OWN_CREDENTIAL = "caller"
"""Its name where the caller brings an Authorization header."""

_MOST_TARGETS = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes and as whom: the keys under which shared state is kept."""

    origin: str
    host: str
    port: int
    breaker: str
    """The breaker's name."""
    credential: str
    """The credential's name, fit to be a label."""
    gate_key: str
    """Origin and credential; where the caller brings their own, told apart without naming it."""
    bound: bool
    """Whether our token goes to this origin (rule T11)."""


class LiveState:
    """What the calls of one adapter share; every part is safe to use from many threads."""

    def __init__(self, adapter: Adapter) -> None:
        policy, runtime = adapter.policy, adapter.runtime
        self.policy = policy
        self.runtime = runtime
        self.wake = threading.Event()
        """Set when the session is closed: whoever waits on it gives up (rule D14)."""
        self.breakers = Breakers(policy.breaker, runtime, on_transition=adapter.notify_transition)
        self.gates = Gates(policy.retry_after, runtime)
        self.paces = Paces(policy.pacing, runtime) if policy.pacing.enabled else None
        self.retry_budget = Budget(policy.retry_budget, runtime)
        self.network_budget = Budget(policy.network_budget, runtime)
        self.calendar = Calendar(policy.maintenance.windows)
        self.tokens = adapter.make_token_manager()
        self.feeds = adapter.make_feeds(self)
        """What reads status pages and a file of windows; ``None`` where there are none."""
        self.headroom: dict[tuple[str, str], int] = {}
        """Requests left in the rate limit's window, by host and credential (rule G4)."""
        self._limit_headers = (*policy.limit_headers, *COMMON)
        self._limited_runs: dict[str, int] = {}
        self._targets: dict[tuple[str, str], Target] = {}

    def interrupt(self) -> None:
        """Wake whoever waits; calls that come later find a fresh event."""
        woken, self.wake = self.wake, threading.Event()
        woken.set()
        if self.tokens is not None:
            self.tokens.interrupt()
        if self.feeds is not None:
            self.feeds.close()

    def reset_after_fork(self) -> None:
        """Drop inherited locks, for the call that the child itself was forked from (rule D13)."""
        self.wake = threading.Event()
        for part in (
            self.breakers, self.gates, self.retry_budget, self.network_budget, self.calendar,
        ):  # fmt: skip
            part.reset_after_fork()
        for optional in (self.paces, self.tokens):
            if optional is not None:
                optional.reset_after_fork()
        if self.feeds is not None:
            self.feeds.reset_after_fork()

    def forget_targets(self) -> None:
        """Ask anew where the token goes, after that has changed."""
        # Replaced, not cleared: an answer that is under way must not be kept beyond it.
        self._targets = {}

    def target(self, request: PreparedRequest, *, own_auth: bool = False) -> Target:
        """The keys for this request; ``own_auth`` says that the caller authenticates it."""
        target = self.target_of(origin_of(request.url or ""), request.method or "")
        authorization = request.headers.get("Authorization")
        if authorization is None and not own_auth:
            return target
        return Target(
            target.origin,
            target.host,
            target.port,
            target.breaker,
            OWN_CREDENTIAL,
            f"{target.origin}|caller {hash(authorization):x}",
            bound=False,
        )

    def target_of(self, origin: Origin, method: str) -> Target:
        """The keys for a request without an authentication of the caller's."""
        targets = self._targets
        target = targets.get((origin.name, method))
        if target is None:
            target = self._new_target(origin, method)
            if len(targets) >= _MOST_TARGETS:
                targets.clear()
            targets[origin.name, method] = target
        return target

    def _new_target(self, origin: Origin, method: str) -> Target:
        key = self.policy.breaker_key
        bound = self.tokens is not None and self.tokens.serves(origin.name)
        credential = self.tokens.name if self.tokens is not None and bound else NO_CREDENTIAL
        return Target(
            origin.name,
            origin.host,
            origin.port,
            origin.name if key is None else str(key(origin.name, method)),
            credential,
            f"{origin.name}|{credential}",
            bound,
        )

    def laid_to_window(self, answer: Refusal, host: str) -> Refusal:
        """The breaker's refusal, with the window that is in force for its host (rules M3 and M4).

        Also when it was opened before the window began; but not when an operator opened it.
        """
        if self.calendar.empty or self.policy.maintenance.mode == "ignore":
            return answer
        if answer.maintenance is not None or answer.state is BreakerState.FORCED_OPEN:
            return answer
        window = self.calendar.current(host, self.runtime.time())
        return answer if window is None else replace(answer, maintenance=window.name)

    def maintenance_windows(self) -> list[tuple[str, str, float, float]]:
        """Window, host, and seconds to its start and its end, for every host that was called."""
        now = self.runtime.time()
        hosts = sorted({target.host for target in self._targets.copy().values()})
        return [
            (window.name, host, window.start.timestamp() - now, window.end.timestamp() - now)
            for window in self.calendar.windows
            for host in window.hosts or hosts
        ]

    def windows_changed(self) -> None:
        """After a feed has changed windows: what is over early need not be waited out (M5)."""
        now = self.runtime.time()
        for target in list(self._targets.copy().values()):
            window = self.calendar.current(target.host, now)
            ends_in = 0.0 if window is None else window.end.timestamp() - now
            self.breakers.maintenance_ends(target.breaker, ends_in)

    def tell_windows(self, recorder: Recorder, host: str) -> None:
        """Tell of windows that have begun or ended since somebody last looked."""
        for window, edge in self.calendar.poll(self.runtime.time()):
            started = edge is Edge.STARTED
            tell = recorder.maintenance_started if started else recorder.maintenance_ended
            for address in window.hosts or (host,):
                tell(window.name, address)

    def make_key(self, call: Call, request: PreparedRequest) -> None:
        """Settle the call's idempotency key, once, before its first attempt (rules I1–I3)."""
        if call.key is not None:
            return
        if call.options.idempotency_key is not None:
            call.key, call.key_source = call.options.idempotency_key, KeySource.CALLER
            return
        if request.method == "GET" and "GET" not in call.policy.idempotency.methods:
            return
        call.key, call.key_source = make_key(
            call.policy.idempotency,
            method=request.method or "",
            url=request.url or "",
            body=request.body,
            content_type=request.headers.get("Content-Type"),
            random_uuid=lambda: str(uuid.uuid4()),
            headers=request.headers,
        )

    def dress(self, wire: PreparedRequest, call: Call, token: Token | None) -> None:
        """Put token and key on the copy that goes over the wire."""
        if token is not None:
            wire.headers["Authorization"] = token.authorization
        if call.key is not None and wire.method == call.method:
            # A redirect that turned POST into GET is another request, without the key.
            wire.headers[call.policy.idempotency.header] = call.key

    def succeeded(
        self, permit: Permit | None, target: Target, duration: float, headers: Mapping[str, str]
    ) -> None:
        """Tell breaker, budgets and headroom of a success; on the hot path."""
        if permit is not None:
            self.breakers.succeeded(permit, duration)
        self.retry_budget.deposit(target.origin)
        self.network_budget.deposit(target.origin)
        if self._limited_runs:
            self._limited_runs.pop(target.gate_key, None)
        self._note_headroom(target, headers)

    def failed(
        self,
        permit: Permit | None,
        target: Target,
        failure: Failure,
        duration: float,
        *,
        down: MaintenanceFailure | None,
        response: Response | None,
        cut_short: bool,
    ) -> None:
        """Tell breaker, gate and headroom of a failure.

        ``down`` says that it shows the origin down in a maintenance window; ``cut_short`` that
        the call's own deadline left it little time, which says nothing about the server.
        """
        if permit is not None:
            judged = down or breaker_result(failure, duration)
            self.breakers.settle(permit, Ignored() if cut_short else judged)
        if failure.kind in (Kind.RATE_LIMITED, Kind.UNAVAILABLE):
            asked = failure.retry_after_seconds
            if asked is not None and self.policy.retry_after.gate:
                self.gates.hold(target.gate_key, asked)
        if failure.status is not None:
            self._count_limited_run(target, failure)
        if response is not None:
            self._note_headroom(target, response.headers)

    def paced(
        self, ticket: Ticket, target: Target, duration: float, headers: Mapping[str, str] | None
    ) -> None:
        """Tell pacing that an attempt is over, and what its answer says of the limit (rule G4)."""
        if self.paces is None:
            return
        said = None
        if headers is not None:
            said = read_headroom(headers, self._limit_headers, self.runtime.time())
        allowance = None
        if said is not None and said.reset_in is not None:
            allowance = Allowance(said.remaining, said.allowed, said.reset_in, duration)
        self.paces.settle(target.gate_key, ticket, allowance)

    def _count_limited_run(self, target: Target, failure: Failure) -> None:
        if failure.status == 429:
            if len(self._limited_runs) >= _MOST_TARGETS:
                self._limited_runs.clear()
            self._limited_runs[target.gate_key] = self._limited_runs.get(target.gate_key, 0) + 1
        elif failure.status != 403:
            self._limited_runs.pop(target.gate_key, None)

    def is_escalation(self, target: Target, failure: Failure) -> bool:
        """Whether a 403 ends a run of 429s on one credential (rule C9)."""
        run = self._limited_runs.get(target.gate_key, 0)
        return failure.kind is Kind.FORBIDDEN and run >= self.policy.tokens.escalation_run

    def _note_headroom(self, target: Target, headers: Mapping[str, str]) -> None:
        left = remaining_requests(headers, self._limit_headers)
        if left is not None and (
            len(self.headroom) < _MOST_TARGETS or (target.host, target.credential) in self.headroom
        ):
            self.headroom[target.host, target.credential] = left


def hold_of(failure: Failure) -> float | None:
    """Seconds for which a 503 asks to be left alone (rule B7)."""
    return failure.retry_after_seconds if failure.status == 503 else None


def breaker_result(failure: Failure, duration: float) -> BreakerResult:
    """What a failure says about the health of its server (rule B4)."""
    if failure.kind is Kind.INVALID_CALL or failure.kind is Kind.TLS_CERTIFICATE:
        return Ignored()
    if failure.is_network:
        return Failed(duration)
    status = failure.status or 0
    if status >= 500 and failure.kind is not Kind.RATE_LIMITED:
        if not failure.transient:
            return Alive(ends_run=True)
        return Failed(duration, hold_of(failure))
    if failure.kind in (Kind.RATE_LIMITED, Kind.UNAUTHORIZED, Kind.REQUEST_TIMEOUT):
        return Ignored()
    return Alive()
