"""Classification as a caller sees it: what is reported of a failure, and what is done about it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from scenes import QUEUES, Clock, kinds, outcome_of, reason, statuses, token_source

import weatherglass
from weatherglass import Failure, Policy, Rule, Session, load_policy
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults
from weatherglass.vocabulary import Execution, Kind

ANSWERS: list[tuple[Fault, str, bool]] = [
    (faults.answer(400), "invalid_request", False),
    (faults.answer(401), "unauthorized", False),
    (faults.answer(403), "forbidden", False),
    (faults.answer(404), "not_found", False),
    (faults.answer(408), "request_timeout", True),
    (faults.answer(409), "conflict", False),
    (faults.answer(418), "client_error", False),
    (faults.answer(422), "invalid_request", False),
    (faults.answer(429), "rate_limited", True),
    (faults.answer(500), "server_error", False),
    (faults.answer(501), "server_error", False),
    (faults.answer(502), "bad_gateway", True),
    (faults.answer(503), "unavailable", True),
    (faults.answer(504), "gateway_timeout", True),
    (faults.answer(599), "server_error", False),
]


def failure_of(outcome: Any) -> Failure:
    found = weatherglass.report(outcome).attempts[0].failure
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("fault", "kind", "transient"), ANSWERS, ids=[str(case[0].status) for case in ANSWERS]
)
def test_status_has_its_kind_and_treatment(
    server: FakeServer, session: Session, fault: Fault, kind: str, transient: bool
) -> None:
    """C1, C4: each status has its kind; 408, 429, 502, 503 and 504 are tried again, no other is."""
    server.plan = FaultPlan.script(fault)
    answer = session.get(f"{server.url}/echo")
    assert failure_of(answer).kind in set(Kind)
    assert (str(failure_of(answer).kind), failure_of(answer).transient) == (kind, transient)
    assert statuses(answer) == ([fault.status, 200] if transient else [fault.status])


def test_failure_answers_each_question_by_itself(server: FakeServer, session: Session) -> None:
    """C2, C3: kind, transience, execution, token, delay, code, id and message are all there."""
    server.plan = FaultPlan.script(
        faults.answer(429, code="too.many.requests", message="Slowly.", retry_after=3)
    )
    found = failure_of(session.get(f"{server.url}/echo"))
    assert (found.kind, found.transient, found.execution) == (
        Kind.RATE_LIMITED,
        True,
        Execution.REJECTED,
    )
    assert (found.status, found.code, found.message) == (429, "too.many.requests", "Slowly.")
    assert (found.needs_token, found.retryable, found.retry_after_seconds) == (False, True, 3)
    assert found.correlation_id == "00000000-0000-0000-0000-000000000001"
    assert found.raw["message"] == "Slowly."


def test_network_failure_has_no_invented_status(server: FakeServer, session: Session) -> None:
    """C3, N2: where there was no answer there is no status, no code and no payload."""
    server.plan = FaultPlan.script(*[faults.reset()] * 9)
    found = failure_of(outcome_of(lambda: session.get(f"{server.url}/echo")))
    assert (found.status, found.code, found.raw) == (None, "GENERIC", None)
    assert (found.retry_after, found.correlation_id) == (None, None)


def test_missing_code_and_unknown_shape(server: FakeServer, session: Session) -> None:
    """C3: an error without a code is GENERIC, one of no known shape is UNKNOWN."""
    server.plan = FaultPlan.script(
        faults.answer(400, code=""),
        faults.answer(400, form="html"),
        faults.answer(400, form="empty"),
    )
    codes = [failure_of(session.get(f"{server.url}/echo")).code for _ in range(3)]
    assert codes == ["GENERIC", "UNKNOWN", "GENERIC"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("code", ["INVALID_REQUEST", "missing_required_field", "Validation_Failed"])
def test_permanent_code_wins_over_a_transient_status(
    server: FakeServer, session: Session, status: int, code: str
) -> None:
    """C5, C6: a 5xx that blames the request is not sent again, however its code is spelled."""
    server.plan = FaultPlan.script(*[faults.answer(status, code=code)] * 9)
    answer = session.get(f"{server.url}/echo")
    assert (kinds(answer), reason(answer)) == (["invalid_request"], None)


def test_transient_code_wins_over_a_permanent_status(server: FakeServer, clock: Clock) -> None:
    """C5, C6: a code that the table calls transient is tried again, whatever its status."""
    rule = Rule(name="busy", statuses=(400, 5), codes=("client.failed.*",), transient=True)
    server.plan = FaultPlan.script(
        faults.answer(400, code="client.failed.request"),
        faults.answer(500, code="CLIENT.FAILED.REQUEST"),
        faults.answer(400, code="bad.request"),
    )
    with Session(runtime=clock, policy=Policy(rules=(rule,))) as session:
        answer = session.get(f"{server.url}/echo")
    assert statuses(answer) == [400, 500, 400]
    assert failure_of(answer).rule == "busy"


BODIES: dict[str, Any] = {
    "code": {"code": "x.y"},
    "errorCode": {"errorCode": "X.Y"},
    "error text": {"error": "x.y"},
    "error object": {"error": {"code": "x.y"}},
    "errors": {"errors": [{"code": "x.y"}]},
    "list": [{"errorCode": "x.y"}],
    "type": {"type": "x.y", "title": "What"},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_code_is_read_from_wherever_it_stands(
    server: FakeServer, clock: Clock, body: Any, stream: bool
) -> None:
    """C6: a rule of three lines of TOML matches a code in each of the usual places."""
    policy = Policy(rules=(Rule(name="mine", codes=("x.y",), transient=True),))
    server.plan = FaultPlan.script(faults.answer(400, json=body))
    with Session(runtime=clock, policy=policy) as session:
        answer = session.get(f"{server.url}/echo", stream=stream)
    assert statuses(answer) == [400, 200]
    assert failure_of(answer).code.lower() == "x.y"


def test_rule_from_toml(server: FakeServer, clock: Clock, tmp_path: Any) -> None:
    """C6: the table is extended in a few lines of TOML as in Python."""
    file = tmp_path / "policy.toml"
    file.write_text('[[rules]]\nname = "mine"\ncodes = ["x.y"]\ntransient = true\n')
    server.plan = FaultPlan.script(faults.answer(400, json={"code": "X.Y"}))
    with Session(runtime=clock, policy=load_policy(file, {}).policy) as session:
        assert statuses(session.get(f"{server.url}/echo")) == [400, 200]


MONSTERS: dict[str, tuple[bytes, str]] = {
    "html": (b"<html><body>down</body></html>", "text/html"),
    "html as json": (b"<html><body>down</body></html>", "application/json"),
    "nothing": (b"", "application/json"),
    "truncated": (b'{"code": "x.y", "mess', "application/json"),
    "a megabyte of brackets": (b"[" * (1 << 20), "application/json"),
    "nested objects": (b'{"a":' * 200_000, "application/json"),
    "a long number": (b'{"code": ' + b"9" * 60_000 + b"}", "application/json"),
    "no charset": ("{'grüße'}".encode("latin-1"), "application/json"),
    "wrong charset": (b'{"code": "x.y"}', "application/json; charset=utf-16"),
    "unknown charset": (b'\xff\xfe{"code"', "application/json; charset=klingon"),
    "zeros": (bytes(100_000), "application/json"),
    "a list of nothing": (b"[]", "application/json"),
    "a number": (b"42", "application/json"),
    "json as a picture": (b'{"code": "INVALID_REQUEST"}', "image/png"),
}


@pytest.mark.parametrize(("body", "content_type"), MONSTERS.values(), ids=MONSTERS.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_monstrous_body_has_no_code_and_hurts_nobody(
    server: FakeServer, session: Session, body: bytes, content_type: str, stream: bool
) -> None:
    """C7: whatever the body of a failure is, the call goes on by the status alone."""
    fault = faults.answer(503, body=body, headers={"Content-Type": content_type})
    server.plan = FaultPlan.script(fault)
    answer = session.get(f"{server.url}/echo", stream=stream)
    assert statuses(answer) == [503, 200]
    assert failure_of(answer).code in ("GENERIC", "UNKNOWN")


REFRESHED: list[tuple[Fault, bool]] = [
    (faults.answer(401), True),
    (faults.answer(401, code="credentials.expired"), True),
    (faults.answer(401, code="invalid_grant"), False),
    (faults.answer(401, code="INVALID_GRANT"), False),
    (faults.answer(401, code="unauthorized_client"), False),
    (faults.answer(403, code="not.authorized"), False),
    (faults.answer(403, json=[{"errorCode": "INVALID_SESSION_ID", "message": "x"}]), True),
]


@pytest.mark.parametrize(("fault", "helps"), REFRESHED)
def test_401_means_that_a_token_can_help_unless_the_code_says_otherwise(
    clock: Clock, fault: Fault, helps: bool
) -> None:
    """C8: a new token is fetched where it can help, and nowhere else."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(fault, path=QUEUES)
        with Session(runtime=clock, tokens=token_source(server)) as session:
            answer = session.get(server.url + QUEUES)
        assert failure_of(answer).needs_token is helps
        assert statuses(answer) == ([fault.status, 200] if helps else [fault.status])
        assert len(server.ledger.token_calls()) == (2 if helps else 1)


DISGUISED: dict[str, Fault] = {
    "GitHub": faults.answer(403, headers={"x-ratelimit-remaining": "0", "retry-after": "3"}),
    "GitHub's words": faults.answer(403, json={"message": "You exceeded a secondary rate limit."}),
    "Salesforce": faults.answer(403, json=[{"errorCode": "REQUEST_LIMIT_EXCEEDED"}]),
    "409": faults.answer(409, code="voicemailservice.toomanyrequests"),
    "503 quota": faults.answer(503, code="quota.exceeded", retry_after=3),
    "400": faults.answer(400, code="invalid_request", message="rate limit exceeded"),
}


@pytest.mark.parametrize("fault", DISGUISED.values(), ids=DISGUISED.keys())
def test_rate_limit_in_disguise_is_one(server: FakeServer, session: Session, fault: Fault) -> None:
    """C8: what is a rate limit under another status is waited for, even with a POST."""
    server.plan = FaultPlan.script(fault)
    answer = session.post(f"{server.url}/echo", data=b"x")
    assert (kinds(answer), statuses(answer)) == (["rate_limited", None], [fault.status, 200])


def test_403_after_a_run_of_429s_is_an_escalation(server: FakeServer, session: Session) -> None:
    """C9: a 403 that ends a run of 429s is reported as escalated, and not retried."""
    server.plan = FaultPlan.script(*[faults.answer(429, retry_after=1)] * 3, faults.answer(403))
    answer = session.get(f"{server.url}/echo")
    assert kinds(answer) == [*["rate_limited"] * 3, "escalated"]
    assert (answer.status_code, reason(answer)) == (403, None)


def test_403_is_one_over_several_calls_and_only_after_a_run(
    server: FakeServer, session: Session
) -> None:
    """C9: the run is one of the credential, not of a call, and any success ends it."""
    limited = faults.answer(429, retry_after=1)
    server.plan = FaultPlan.script(limited, limited, None, limited, faults.answer(403))
    assert kinds(session.get(f"{server.url}/echo")) == ["rate_limited", "rate_limited", None]
    assert kinds(session.get(f"{server.url}/echo")) == ["rate_limited", "forbidden"]
    server.plan = FaultPlan.script(*[limited] * 3, faults.answer(403))
    for _ in range(3):
        session.request("GET", f"{server.url}/echo", max_retries=0)
    assert kinds(session.get(f"{server.url}/echo")) == ["escalated"]


def test_payload_stays_out_of_all_that_is_shown(
    server: FakeServer, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """C10: a payload is kept for the caller, and stands in no report, text, log or error."""
    body = {"code": "x.y", "details": {"ssn": "SECRET-123"}}
    headers = {"X-Session": "SECRET-456"}
    server.plan = FaultPlan.script(
        faults.answer(503, json=body, headers=headers), faults.answer(400, json=body)
    )
    with caplog.at_level(logging.DEBUG, logger="weatherglass"):
        error = outcome_of(
            lambda: session.request("GET", f"{server.url}/echo", raise_failures=True)
        )
    report = weatherglass.report(error)
    assert report.failure is not None
    assert report.failure.raw["details"]["ssn"] == "SECRET-123"
    shown = [str(error), repr(error), str(report), repr(report), json.dumps(report.to_dict())]
    shown += [caplog.text, *(str(vars(record)) for record in caplog.records)]
    assert caplog.records
    assert not any("SECRET" in text for text in shown)
