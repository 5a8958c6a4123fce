"""What now? From a failure and the call so far to one decision (sections R and A, T4, M3).

Pure: nothing here waits, counts or emits. Budgets and breakers are asked by the loop after a
retry was decided, because asking them spends something.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from weatherglass.decide.backoff import after_window, full_jitter, server_delay
from weatherglass.policy import Policy
from weatherglass.report import Failure
from weatherglass.vocabulary import (
    Disposition,
    GiveUpReason,
    RetryAfterSource,
    WaitReason,
)


class Step(Enum):
    """What is done after an attempt."""

    RETURN = "return"
    """Hand the answer or the error to the caller: it is a success, or a permanent failure."""
    RETRY = "retry"
    REAUTHENTICATE = "reauthenticate"
    """Send again at once with another token."""
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the decision depends on, beside the policy."""

    failure: Failure
    method: str
    retries: int = 0
    """Retries made so far, for any transient failure."""
    network_retries: int = 0
    backoffs: int = 0
    """Computed backoffs since the last delay that the server gave (rule A9)."""
    body_replayable: bool = True
    declared_idempotent: bool = False
    """By the caller or by a route of the policy (rule R3)."""
    key_honoured: bool = False
    """A key was sent and the server is known to honour it (rule I4)."""
    remaining: float | None = None
    """Seconds until the deadline; ``None`` without one."""
    token_ours: bool = False
    """Whether the request carried a token that can be replaced."""
    reauthenticated: bool = False
    """Whether the call was already sent again with another token (rule T4)."""
    window_ends_in: float | None = None
    """Seconds until the end of the maintenance window in which the failure shows the origin down;
    ``None`` outside of one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why."""

    step: Step
    delay: float = 0.0
    """Seconds to wait before sending again."""
    wait_reason: WaitReason | None = None
    disposition: Disposition | None = None
    """What becomes of the server's Retry-After, if there was one."""
    give_up: GiveUpReason | None = None

    @property
    def resends(self) -> bool:
        """Whether the request is to be sent again."""
        return self.step is Step.RETRY or self.step is Step.REAUTHENTICATE


SUCCEEDED = Decision(Step.RETURN)


def decide(situation: Situation, policy: Policy, random: float) -> Decision:
    """The decision after a failed attempt.

    ``random`` is a number in [0, 1) from which the jitter is made.
    """
    failure = situation.failure
    if failure.needs_token and situation.token_ours:
        return _after_unauthorized(situation)
    if not failure.transient:
        return Decision(Step.RETURN, disposition=_ignored(failure))
    reason = _obstacle(situation, policy)
    if reason is not None:
        return _give_up(reason, failure)
    if _down_for_maintenance(situation, policy):
        return _in_maintenance(situation, policy, random)
    return _scheduled(situation, policy, random)


def may_replay(situation: Situation, policy: Policy) -> bool:
    """Whether sending the request again can do no harm (rule R3)."""
    return (
        situation.failure.execution.excluded
        or situation.method in policy.retry.idempotent_methods
        or situation.declared_idempotent
        or situation.key_honoured
    )


def _after_unauthorized(situation: Situation) -> Decision:
    if situation.reauthenticated:
        return _give_up(GiveUpReason.UNAUTHORIZED_AFTER_REFRESH, situation.failure)
    if not situation.body_replayable:
        return _give_up(GiveUpReason.BODY_NOT_REPLAYABLE, situation.failure)
    return Decision(
        Step.REAUTHENTICATE,
        wait_reason=WaitReason.TOKEN,
        disposition=_ignored(situation.failure),
    )


def _obstacle(situation: Situation, policy: Policy) -> GiveUpReason | None:
    """What forbids any retry, whatever the delay would be."""
    if situation.remaining is not None and situation.remaining <= 0:
        return GiveUpReason.DEADLINE
    if not may_replay(situation, policy):
        return GiveUpReason.METHOD_NOT_REPLAYABLE
    if not situation.body_replayable:
        return GiveUpReason.BODY_NOT_REPLAYABLE
    if situation.retries >= policy.retry.max_retries:
        return GiveUpReason.RETRIES_EXHAUSTED
    if (
        situation.failure.is_network
        and situation.network_retries >= policy.retry.max_network_retries
    ):
        return GiveUpReason.NETWORK_RETRIES_EXHAUSTED
    return None


def _down_for_maintenance(situation: Situation, policy: Policy) -> bool:
    return situation.window_ends_in is not None and policy.maintenance.mode != "ignore"


def _in_maintenance(situation: Situation, policy: Policy, random: float) -> Decision:
    if policy.maintenance.mode == "fail":
        return _give_up(GiveUpReason.MAINTENANCE, situation.failure)
    delay = after_window(situation.window_ends_in or 0.0, policy.retry_after, random)
    if _crosses(situation, delay):
        return _give_up(GiveUpReason.DEADLINE, situation.failure)
    return Decision(
        Step.RETRY, delay, WaitReason.MAINTENANCE, disposition=_ignored(situation.failure)
    )


def _scheduled(situation: Situation, policy: Policy, random: float) -> Decision:
    """A retry after the server's delay, or after a computed one where it gave none."""
    failure = situation.failure
    asked = failure.retry_after_seconds
    if asked is None:
        delay = full_jitter(situation.backoffs, policy.retry, random)
        if _crosses(situation, delay):
            return _give_up(GiveUpReason.DEADLINE, failure)
        return Decision(Step.RETRY, delay, WaitReason.BACKOFF, disposition=_ignored(failure))
    delay, disposition = server_delay(asked, policy.retry_after, random)
    if disposition is Disposition.REFUSED:
        return Decision(
            Step.GIVE_UP,
            disposition=disposition,
            give_up=GiveUpReason.RETRY_AFTER_ABOVE_CEILING,
        )
    if _crosses(situation, delay):
        return Decision(
            Step.GIVE_UP, disposition=Disposition.REFUSED, give_up=GiveUpReason.DEADLINE
        )
    return Decision(Step.RETRY, delay, WaitReason.RETRY_AFTER, disposition)


def _crosses(situation: Situation, delay: float) -> bool:
    return situation.remaining is not None and delay >= situation.remaining


def _give_up(reason: GiveUpReason, failure: Failure) -> Decision:
    return Decision(Step.GIVE_UP, disposition=_ignored(failure), give_up=reason)


def _ignored(failure: Failure) -> Disposition | None:
    """The disposition of a Retry-After that decided nothing; none where nothing was said."""
    asked = failure.retry_after
    if asked is None or (asked.source is RetryAfterSource.NONE and not failure.transient):
        return None
    return Disposition.IGNORED
