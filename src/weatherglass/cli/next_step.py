"""What a session with the policy in force would do after a failure, and between which bounds.

The decision is that of :mod:`weatherglass.decide.retry`, asked twice: with the least and with
the greatest jitter. What a session knows and a command cannot (breaker, budgets, whether the
body can be sent again, the time that is left of a deadline) is taken to be in its favour.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from weatherglass.decide.idempotency import honours
from weatherglass.decide.maintenance import Calendar, maintenance_failure
from weatherglass.decide.retry import Decision, Situation, Step, decide
from weatherglass.decide.routes import matches, path_of
from weatherglass.policy import MaintenanceWindow, Policy
from weatherglass.report import Failure

_LEAST, _GREATEST = 0.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is known of the request that failed."""

    method: str
    url: str | None
    """``None`` when it was not given: routes and maintenance windows are then not judged."""
    retries: int
    """Retries that were already made."""
    at: float
    """When the answer came, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """The decision, and the bounds of its delay in seconds."""

    decision: Decision
    at_least: float
    at_most: float
    window: MaintenanceWindow | None
    """The maintenance window in force for the request's host."""


def next_step(failure: Failure, policy: Policy, request: Request) -> NextStep:
    """What would be done next."""
    window = _window(policy, request)
    down = maintenance_failure(failure, window, policy.maintenance, request.at)
    situation = Situation(
        failure,
        request.method,
        retries=request.retries,
        network_retries=request.retries,
        backoffs=request.retries,
        declared_idempotent=_declared_idempotent(policy, request),
        key_honoured=_key_honoured(policy, request),
        remaining=policy.deadline,
        token_ours=True,
        window_ends_in=None if down is None else down.ends_in,
    )
    least = decide(situation, policy, _LEAST)
    greatest = decide(situation, policy, _GREATEST)
    if greatest.step is not least.step and policy.deadline is not None:
        # Only the deadline can tell the two apart: above it, the call gives up.
        return NextStep(least, least.delay, policy.deadline, window)
    return NextStep(least, least.delay, greatest.delay, window)


def resends(step: NextStep) -> bool:
    """Whether the request would be sent again."""
    return step.decision.step in (Step.RETRY, Step.REAUTHENTICATE)


def _declared_idempotent(policy: Policy, request: Request) -> bool:
    routes = policy.retry.idempotent_routes
    return request.url is not None and matches(routes, request.method, path_of(request.url))


def _key_honoured(policy: Policy, request: Request) -> bool:
    keys = policy.idempotency
    if keys.key is None or request.method not in keys.methods:
        return False
    if request.url is None:
        return keys.honours_keys
    return honours(keys, request.method, request.url)


def _window(policy: Policy, request: Request) -> MaintenanceWindow | None:
    if request.url is None:
        return None
    host = urlsplit(request.url).hostname or ""
    return Calendar(policy.maintenance.windows).current(host, request.at)
