"""The decision record: JSON-able, readable, frozen, and silent about payloads."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest

from weatherglass.report import (
    Attempt,
    CallReport,
    Failure,
    RetryAfter,
    Wait,
    render,
)
from weatherglass.vocabulary import (
    NETWORK_KINDS,
    BreakerState,
    Disposition,
    Execution,
    GiveUpReason,
    KeySource,
    Kind,
    ObservedDecision,
    Outcome,
    Replay,
    ResendReason,
    RetryAfterSource,
    RetryAfterVariant,
    WaitReason,
)

PAYLOAD = {"code": "too.many.requests", "owner": "jane@example.com"}

ASKED = RetryAfter(
    RetryAfterVariant.IMF_FIXDATE,
    RetryAfterSource.RETRY_AFTER,
    seconds=42.0,
    raw="Fri, 01 May 2026 22:00:42 GMT",
    skew=0.5,
)

LIMITED = Failure(
    Kind.RATE_LIMITED,
    transient=True,
    execution=Execution.REJECTED,
    status=429,
    code="too.many.requests",
    message="Slow down",
    retry_after=ASKED,
    correlation_id="c-1",
    rule="429",
    error_type="429",
    raw=PAYLOAD,
)

RESET = Failure(
    Kind.CONNECTION_RESET,
    transient=True,
    execution=Execution.POSSIBLE,
    rule="reset",
    error_type="ConnectionResetError",
)


def attempt(number: int, failure: Failure | None, **more: Any) -> Attempt:
    return Attempt(
        number=number,
        method="POST",
        url="https://api.example.com/orders",
        started_at=1_777_672_800.25 + number,
        duration=0.125,
        status=None if failure is None else failure.status,
        failure=failure,
        **more,
    )


FIRST = attempt(
    1,
    LIMITED,
    delay=42.5,
    delay_source=WaitReason.RETRY_AFTER,
    disposition=Disposition.HONOURED,
    breaker_state=BreakerState.CLOSED,
    token_generation=3,
)
SECOND = attempt(2, RESET, resend_reason=ResendReason.RETRY, maintenance="night")

REPORT = CallReport(
    method="POST",
    url="https://api.example.com/orders",
    policy="orders",
    outcome=Outcome.GAVE_UP,
    attempts=(FIRST, SECOND),
    duration=43.0,
    waits=(
        Wait(WaitReason.RETRY_AFTER, planned=42.5, actual=42.5, before_attempt=2),
        Wait(WaitReason.BACKOFF, planned=9.0, actual=0.25, before_attempt=3),
    ),
    failure=RESET,
    give_up_reason=GiveUpReason.CLOSED,
    idempotency_key="k-1",
    idempotency_key_source=KeySource.CALLER,
    replay=Replay.AMBIGUOUS,
    observed=(ObservedDecision.RETRY, ObservedDecision.GIVE_UP),
)


def test_a_report_is_plain_json() -> None:
    """D7: a report goes through JSON as it is, words spelled as in telemetry."""
    plain = REPORT.to_dict()

    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["outcome"] == "gave_up"
    assert plain["give_up_reason"] == "closed"
    assert plain["attempts"][0]["failure"]["kind"] == "rate_limited"
    assert plain["attempts"][0]["breaker_state"] == "closed"
    assert plain["observed"] == ["retry", "give_up"]


def test_a_report_tells_every_field() -> None:
    """D7: JSON leaves out nothing but payloads, and adds the time waited in all."""
    plain = REPORT.to_dict()

    assert set(plain) == set(CallReport._fields) | {"waited"}
    assert set(plain["attempts"][0]) == set(Attempt._fields)
    assert set(plain["failure"]) == {f.name for f in dataclasses.fields(Failure)} - {"raw"}
    assert plain["attempts"][0]["failure"]["retry_after"]["raw"] == ASKED.raw
    assert plain["waited"] == 42.75
    assert LIMITED.to_dict() == plain["attempts"][0]["failure"]


def test_payloads_are_never_told() -> None:
    """D7, C10: what the server sent appears neither in JSON, nor in `repr`, nor in the text."""
    told = [repr(REPORT), str(REPORT), json.dumps(REPORT.to_dict()), repr(LIMITED)]

    assert LIMITED.raw == PAYLOAD
    assert not any("jane@example.com" in text for text in told)


def test_a_report_reads_as_a_story() -> None:
    """D7: a person sees head, attempts, and each wait where it stood."""
    lines = str(REPORT).splitlines()

    assert lines[0] == (
        "POST https://api.example.com/orders: gave_up after 2 attempts in 43.000 s,"
        " 42.750 s of it waiting (gave up: closed)"
    )
    assert " ".join(lines[1].split()) == (
        "1. 22:00:01.250 429 rate_limited too.many.requests Retry-After"
        " 'Fri, 01 May 2026 22:00:42 GMT' (imf_fixdate, honoured) 0.125 s"
    )
    assert lines[2] == "     waited 42.500 s (retry_after)"
    assert "no answer  connection_reset  0.125 s  resent for retry" in lines[3]
    assert lines[3].endswith("in maintenance 'night'")
    assert lines[4:] == [
        "     waited 0.250 s (backoff)",
        "  idempotency key: caller",
        "  replay: ambiguous_replay",
        "  would have: retry, give_up",
    ]


def test_a_success_is_told_briefly() -> None:
    """D7: a call that went well is two lines."""
    report = CallReport(
        method="GET",
        url="https://api.example.com/",
        policy="default",
        outcome=Outcome.SUCCESS,
        attempts=(attempt(1, None)._replace(status=200),),
        duration=0.125,
    )

    assert report.succeeded
    assert report.waited == 0
    assert render(report).splitlines() == [
        "GET https://api.example.com/: success after 1 attempt in 0.125 s",
        "  1. 22:00:01.250  200  ok  0.125 s",
    ]


def test_a_refusal_says_that_nothing_was_sent() -> None:
    """D7, B6: a call without attempts names what stood before it."""
    refused = Failure(
        Kind.CIRCUIT_OPEN,
        transient=True,
        execution=Execution.NOT_SENT,
        message="the breaker is open",
    )
    report = CallReport(
        method="GET",
        url="https://api.example.com/",
        policy="default",
        outcome=Outcome.REFUSED,
        attempts=(),
        duration=0.0,
        failure=refused,
        give_up_reason=GiveUpReason.CIRCUIT_OPEN,
    )

    assert not report.succeeded
    assert str(report).splitlines()[1] == "  nothing sent: the breaker is open"


def is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value)


@pytest.mark.parametrize(
    "record", [REPORT, FIRST, LIMITED, ASKED, REPORT.waits[0]], ids=lambda r: type(r).__name__
)
def test_records_never_change_and_travel(record: Any) -> None:
    """D7: every record is frozen, hashable or not, and pickles to an equal one."""
    names = [f.name for f in dataclasses.fields(record)] if is_record(record) else record._fields
    for name in names:
        with pytest.raises(AttributeError):
            setattr(record, name, None)
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - our own bytes


def test_a_failure_has_all_that_a_normalised_one_must() -> None:
    """C3: status, code, message, retryable, delay, token and payload; no status is invented."""
    assert (LIMITED.status, LIMITED.code, LIMITED.message) == (
        429,
        "too.many.requests",
        "Slow down",
    )
    assert LIMITED.retryable
    assert LIMITED.retry_after_seconds == 42.0
    assert not LIMITED.needs_token
    assert (RESET.status, RESET.code, RESET.retry_after_seconds) == (None, "GENERIC", None)


@pytest.mark.parametrize("kind", Kind)
def test_network_failures_are_told_apart(kind: Kind) -> None:
    """N1: a failure knows whether it came from the network."""
    failure = Failure(kind, transient=True, execution=Execution.POSSIBLE)

    assert failure.is_network is (kind in NETWORK_KINDS)


def test_only_a_possible_execution_makes_a_replay_harmful() -> None:
    """C2: a request that was not sent, or was rejected, cannot have been executed."""
    assert [word for word in Execution if not word.excluded] == [Execution.POSSIBLE]


def test_words_are_their_own_spelling() -> None:
    """C1: a word prints, compares and serialises as what it says in telemetry."""
    plain: str = Kind.DNS

    assert str(Kind.DNS) == f"{Kind.DNS}" == plain == "dns"
    assert json.dumps({"kind": Kind.DNS}) == '{"kind": "dns"}'
