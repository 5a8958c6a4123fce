"""What now? The decision after a failed attempt (R2, R3, A5–A7, A9, T4, M3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.decide.retry import Situation, Step, decide
from weatherglass.policy import MaintenancePolicy, Policy, RetryAfterPolicy, RetryPolicy
from weatherglass.report import Failure, RetryAfter
from weatherglass.vocabulary import (
    Disposition,
    Execution,
    GiveUpReason,
    Kind,
    RetryAfterSource,
    RetryAfterVariant,
    WaitReason,
)

POLICY = Policy()


def failure(
    kind: Kind = Kind.UNAVAILABLE,
    *,
    transient: bool = True,
    execution: Execution = Execution.POSSIBLE,
    seconds: float | None = None,
    said: bool = False,
    needs_token: bool = False,
) -> Failure:
    asked = None
    if seconds is not None or said:
        asked = RetryAfter(
            RetryAfterVariant.DELTA_SECONDS
            if seconds is not None
            else RetryAfterVariant.UNPARSEABLE,
            RetryAfterSource.RETRY_AFTER,
            seconds,
            raw=str(seconds),
        )
    return Failure(
        kind, transient, execution, status=503, retry_after=asked, needs_token=needs_token
    )


def test_a_transient_failure_of_an_idempotent_method_is_retried_after_full_jitter() -> None:
    """R1, R3: GET is replayed, after random × the base delay."""
    decision = decide(Situation(failure(), "GET"), POLICY, 0.5)
    assert decision.step is Step.RETRY
    assert decision.delay == pytest.approx(0.5)
    assert decision.wait_reason is WaitReason.BACKOFF


@pytest.mark.parametrize("execution", [Execution.NOT_SENT, Execution.REJECTED])
def test_post_is_replayed_when_the_server_cannot_have_executed_it(execution: Execution) -> None:
    """R3, N4: not sent or rejected before execution makes any method replayable."""
    decision = decide(Situation(failure(execution=execution), "POST"), POLICY, 0.5)
    assert decision.step is Step.RETRY


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_post_is_not_replayed_when_it_may_have_been_executed(method: str) -> None:
    """R3, R2: the reason is that the method is not replayable."""
    decision = decide(Situation(failure(), method), POLICY, 0.5)
    assert decision.step is Step.GIVE_UP
    assert decision.give_up is GiveUpReason.METHOD_NOT_REPLAYABLE


def test_a_declared_route_or_an_honoured_key_makes_post_replayable() -> None:
    """R3, I4: the caller's declaration or an honoured key is enough; a key alone is not."""
    declared = decide(Situation(failure(), "POST", declared_idempotent=True), POLICY, 0.5)
    honoured = decide(Situation(failure(), "POST", key_honoured=True), POLICY, 0.5)
    assert declared.step is Step.RETRY
    assert honoured.step is Step.RETRY


def test_a_one_shot_body_is_never_replayed() -> None:
    """D12: for a retry and for a new token alike, with its own reason."""
    again = decide(Situation(failure(), "PUT", body_replayable=False), POLICY, 0.5)
    unauthorized = failure(Kind.UNAUTHORIZED, transient=False, needs_token=True)
    reauth = decide(
        Situation(unauthorized, "PUT", body_replayable=False, token_ours=True), POLICY, 0.5
    )
    assert again.give_up is GiveUpReason.BODY_NOT_REPLAYABLE
    assert reauth.give_up is GiveUpReason.BODY_NOT_REPLAYABLE


def test_retries_are_counted_and_network_retries_separately() -> None:
    """R1, N3, R2: each limit has its own reason."""
    used_up = decide(Situation(failure(), "GET", retries=5), POLICY, 0.5)
    network = failure(Kind.CONNECTION_RESET)
    network_used_up = decide(Situation(network, "GET", retries=3, network_retries=3), POLICY, 0.5)
    status_goes_on = decide(Situation(failure(), "GET", retries=3, network_retries=3), POLICY, 0.5)
    assert used_up.give_up is GiveUpReason.RETRIES_EXHAUSTED
    assert network_used_up.give_up is GiveUpReason.NETWORK_RETRIES_EXHAUSTED
    assert status_goes_on.step is Step.RETRY


def test_a_permanent_failure_is_returned_with_its_delay_ignored() -> None:
    """C4: what cannot succeed later is not tried again, whatever Retry-After says."""
    decision = decide(Situation(failure(transient=False, seconds=3), "GET"), POLICY, 0.5)
    assert decision.step is Step.RETURN
    assert decision.disposition is Disposition.IGNORED


def test_a_server_delay_is_honoured_and_never_cut_short() -> None:
    """A5: at least what the server said, whatever the draw."""
    for random in (0.0, 0.5, 0.999):
        decision = decide(Situation(failure(seconds=7), "GET"), POLICY, random)
        assert decision.delay >= 7
        assert decision.wait_reason is WaitReason.RETRY_AFTER
        assert decision.disposition is Disposition.HONOURED


def test_a_delay_below_the_floor_is_raised_to_it() -> None:
    """A5: Retry-After: 0 waits for a second."""
    decision = decide(Situation(failure(seconds=0), "GET"), POLICY, 0.0)
    assert decision.delay >= 1
    assert decision.disposition is Disposition.FLOORED


def test_a_delay_above_the_ceiling_gives_up_at_once() -> None:
    """A6: four hours are not slept away."""
    decision = decide(Situation(failure(seconds=4 * 3600), "GET"), POLICY, 0.0)
    assert decision.give_up is GiveUpReason.RETRY_AFTER_ABOVE_CEILING
    assert decision.disposition is Disposition.REFUSED
    assert decision.delay == 0


def test_a_delay_that_crosses_the_deadline_is_not_begun() -> None:
    """D9, A6: neither a server's delay nor a computed one."""
    server = decide(Situation(failure(seconds=20), "GET", remaining=10), POLICY, 0.0)
    computed = decide(Situation(failure(), "GET", remaining=0.2), POLICY, 0.9)
    exactly = decide(Situation(failure(), "GET", remaining=0.5), POLICY, 0.5)
    assert server.give_up is GiveUpReason.DEADLINE
    assert server.disposition is Disposition.REFUSED
    assert computed.give_up is GiveUpReason.DEADLINE
    assert exactly.give_up is GiveUpReason.DEADLINE


def test_an_unusable_delay_falls_back_to_backoff() -> None:
    """A7: garbage is neither honoured nor taken for zero."""
    decision = decide(Situation(failure(said=True), "GET"), POLICY, 0.5)
    assert decision.wait_reason is WaitReason.BACKOFF
    assert decision.delay == pytest.approx(0.5)
    assert decision.disposition is Disposition.IGNORED


def test_a_401_that_carried_our_token_is_replayed_once() -> None:
    """T4: with a new token, then never again, and the second one is named."""
    unauthorized = failure(
        Kind.UNAUTHORIZED, transient=False, execution=Execution.REJECTED, needs_token=True
    )
    first = decide(Situation(unauthorized, "POST", token_ours=True), POLICY, 0.5)
    second = decide(
        Situation(unauthorized, "POST", token_ours=True, reauthenticated=True), POLICY, 0.5
    )
    not_ours = decide(Situation(unauthorized, "GET"), POLICY, 0.5)
    assert first.step is Step.REAUTHENTICATE
    assert first.delay == 0
    assert second.give_up is GiveUpReason.UNAUTHORIZED_AFTER_REFRESH
    assert not_ours.step is Step.RETURN


def test_inside_a_window_a_503_fails_fast_waits_or_is_ordinary_by_mode() -> None:
    """M3: fail, wait (and come back a little after the end, each at another moment), ignore."""
    inside = Situation(failure(), "GET", window_ends_in=90.0)
    fail = decide(inside, POLICY, 0.5)
    wait = decide(inside, POLICY.new(maintenance={"mode": "wait"}), 0.5)
    ignore = decide(inside, POLICY.new(maintenance={"mode": "ignore"}), 0.5)
    assert fail.give_up is GiveUpReason.MAINTENANCE
    assert wait.delay == 90.0 + 0.5 * 5.0
    assert wait.wait_reason is WaitReason.MAINTENANCE
    assert ignore.wait_reason is WaitReason.BACKOFF


@given(
    st.sampled_from(Kind),
    st.booleans(),
    st.sampled_from(Execution),
    st.none() | st.floats(0, 1e6),
    st.sampled_from(["GET", "POST", "PUT", "PATCH"]),
    st.integers(0, 2000),
    st.booleans(),
    st.none() | st.floats(-5, 1e4),
    st.floats(0, 1, exclude_max=True),
)
def test_every_decision_keeps_the_promises(
    kind: Kind,
    transient: bool,
    execution: Execution,
    seconds: float | None,
    method: str,
    backoffs: int,
    replayable: bool,
    remaining: float | None,
    random: float,
) -> None:
    """S2, D9, A5: no delay crosses the deadline, none is below the server's, no unsafe replay."""
    happened = failure(kind, transient=transient, execution=execution, seconds=seconds)
    decision = decide(
        Situation(
            happened,
            method,
            backoffs=backoffs,
            body_replayable=replayable,
            remaining=remaining,
        ),
        Policy(
            retry=RetryPolicy(), retry_after=RetryAfterPolicy(), maintenance=MaintenancePolicy()
        ),
        random,
    )
    assert (decision.give_up is not None) == (decision.step is Step.GIVE_UP)
    if decision.step is Step.RETRY:
        assert replayable
        assert method in POLICY.retry.idempotent_methods or execution.excluded
        assert remaining is None or decision.delay < remaining
        assert decision.delay >= (seconds or 0)
