"""What each code of the Genesys Cloud API means, from the answer on the wire to the report.

The table is written down here once more, independently of the rules that it is held against.
"""

from __future__ import annotations

import json
import random

import pytest
from genesys_scenes import NO_RETRIES, QUEUES, api_script, session_on

import weatherglass
from weatherglass.diagnose import classify_response
from weatherglass.genesys.codes import RULES
from weatherglass.report import Failure
from weatherglass.testing import KNOWN_ERRORS, FakeServer, Spelling, faults
from weatherglass.vocabulary import Kind

MEANINGS: dict[tuple[int, str], str] = {
    # (status, code): kind, transient or permanent, execution, and "token" if one can help
    (400, "bad.request"): "invalid_request permanent rejected",
    (400, "client.failed.request"): "request_timeout transient rejected",
    (400, "wem.learning.server.too.busy"): "unavailable transient rejected",
    (400, "duplicate.name"): "conflict permanent rejected",
    (400, "not.a.user"): "invalid_request permanent rejected",
    (401, "bad.credentials"): "unauthorized permanent rejected token",
    (401, "authentication.required"): "unauthorized permanent rejected token",
    (401, "credentials.expired"): "unauthorized permanent rejected token",
    (401, "ip.not.authorized"): "unauthorized permanent rejected",
    (403, "not.authorized"): "forbidden permanent rejected",
    (404, "not.found"): "not_found permanent rejected",
    (408, "client.timeout"): "request_timeout transient rejected",
    (409, "wfm.transaction.conflict"): "conflict transient rejected",
    (409, "transaction.conflict"): "conflict transient rejected",
    (409, "architect.operation.already.in.progress"): "conflict transient rejected",
    (409, "voicemailservice.toomanyrequests"): "rate_limited transient rejected",
    (409, "duplicate.name"): "conflict permanent rejected",
    (429, "too.many.requests.retry.after"): "rate_limited transient rejected",
    (429, "too.many.requests"): "rate_limited transient rejected",
    (500, "internal.server.error"): "server_error permanent possible",
    (500, "architect.database.throughput.exceeded"): "server_error transient possible",
    (500, "internal.dependency.error"): "server_error transient possible",
    (500, "architect.external.call.failure"): "server_error transient possible",
    (500, "resource.unavailable"): "server_error transient possible",
    (500, "jid.not.found"): "not_found permanent possible",
    (500, "flows.datatables.table.not.found"): "not_found permanent possible",
    (500, "max.response.size.reached"): "invalid_request permanent possible",
    (500, "quality.evaluation.form.doesnt.exist"): "not_found permanent possible",
    (500, "invalid.substitution"): "invalid_request permanent possible",
    (500, "architect.flow.data.invalid.format"): "invalid_request permanent possible",
    (503, "service.unavailable"): "unavailable transient possible",
    (503, "wem.learning.server.too.busy"): "unavailable transient possible",
    (503, "postino.error.temporarily.unavailable"): "unavailable transient possible",
    (503, "forbidden"): "forbidden permanent possible",
    (503, "providerapi.error.phone.no.active.edge"): "invalid_request permanent possible",
    (504, "request.timeout"): "gateway_timeout transient possible",
    (504, "authentication.request.timeout"): "gateway_timeout transient rejected",
    (504, "division.authorization.timeout"): "gateway_timeout transient rejected",
}


def meaning(failure: Failure) -> str:
    words = [
        str(failure.kind),
        "transient" if failure.transient else "permanent",
        str(failure.execution),
    ]
    return " ".join(words + ["token"] * failure.needs_token)


def failure_of(server: FakeServer, status: int, code: str, spelling: Spelling) -> Failure:
    """What a session says of such an answer."""
    server.plan = api_script(faults.answer(status, code=code, spelling=spelling))
    with session_on(server, policy=NO_RETRIES) as session:
        report = weatherglass.report(session.get(QUEUES))
    failure = report.attempts[0].failure
    assert failure is not None
    return failure


def test_table_has_every_known_error() -> None:
    """G1: every error that the fake server knows of this API has its meaning in this table."""
    assert set(MEANINGS) == set(KNOWN_ERRORS)


@pytest.mark.parametrize(("status", "code"), KNOWN_ERRORS)
@pytest.mark.parametrize("spelling", [Spelling.GENESYS, Spelling.UPPER], ids=str)
def test_code_has_its_meaning(
    server: FakeServer, status: int, code: str, spelling: Spelling
) -> None:
    """C5, C6: each code means the same as ``code`` with dots and as ``errorCode`` in capitals."""
    failure = failure_of(server, status, code, spelling)

    assert meaning(failure) == MEANINGS[status, code]


@pytest.mark.parametrize(("status", "code"), KNOWN_ERRORS)
def test_code_has_its_meaning_in_any_case(server: FakeServer, status: int, code: str) -> None:
    """C6: the case of a code's letters does not matter."""
    chance = random.Random(f"{status} {code}")
    mixed = "".join(chance.choice((char.lower(), char.upper())) for char in code)

    failure = failure_of(server, status, mixed, Spelling.GENESYS)

    assert meaning(failure) == MEANINGS[status, code]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "any.other.server.too.busy", "unavailable transient possible"),
        (503, "VALIDATION_FAILED", "invalid_request permanent rejected"),
        (500, "MISSING_REQUIRED_FIELD", "invalid_request permanent rejected"),
        (502, "INVALID_REQUEST", "invalid_request permanent rejected"),
        (503, "too.many.requests", "rate_limited transient rejected"),
        (400, "some.thing.new", "invalid_request permanent rejected"),
        (500, "some.thing.new", "server_error permanent possible"),
        (503, "some.thing.new", "unavailable transient possible"),
        (503, "authentication.request.timeout", "unavailable transient possible"),
        (502, "division.authorization.timeout", "bad_gateway transient possible"),
        (400, "authentication.request.timeout", "invalid_request permanent rejected"),
        (403, "ip.not.authorized", "forbidden permanent rejected"),
        (500, "client.failed.request", "server_error permanent possible"),
        (409, "internal.dependency.error", "conflict permanent rejected"),
    ],
)
def test_code_of_a_family_or_of_no_table(
    server: FakeServer, status: int, code: str, expected: str
) -> None:
    """C5: families of codes and older codes count; what is not known means what its status does."""
    assert meaning(failure_of(server, status, code, Spelling.GENESYS)) == expected


def test_answer_of_a_gateway_in_between_has_no_code(server: FakeServer) -> None:
    """C7: a 502 with the page of a gateway is transient, and may have been executed."""
    server.plan = api_script(faults.answer(502, form="html"))
    with session_on(server, policy=NO_RETRIES) as session:
        failure = weatherglass.report(session.get(QUEUES)).attempts[0].failure

    assert failure is not None
    assert meaning(failure) == "bad_gateway transient possible"


def test_transient_codes_are_retried(server: FakeServer) -> None:
    """C5: a 500 whose code will pass is tried again, where a plain 500 fails fast."""
    server.plan = api_script(
        faults.answer(500, code="INTERNAL_DEPENDENCY_ERROR", spelling=Spelling.UPPER)
    )
    with session_on(server) as session:
        assert len(weatherglass.report(session.get(QUEUES)).attempts) == 2
        server.plan = api_script(faults.answer(500, code="internal.server.error"))
        assert session.get(QUEUES).status_code == 500


@pytest.mark.parametrize(
    ("status", "code", "times"),
    [
        (400, "client.failed.request", 2),
        (504, "authentication.request.timeout", 2),
        (504, "division.authorization.timeout", 2),
        (409, "transaction.conflict", 2),
        (504, "request.timeout", 1),
        (503, "service.unavailable", 1),
        (500, "internal.dependency.error", 1),
    ],
)
def test_post_is_sent_again_only_after_what_was_not_executed(
    server: FakeServer, status: int, code: str, times: int
) -> None:
    """R3: a POST is repeated after codes that say it was not executed, and after no other."""
    server.plan = api_script(faults.answer(status, code=code))
    with session_on(server) as session:
        session.post(QUEUES, json={"name": "Support"})

    assert len(server.ledger.requests(path=QUEUES, method="POST")) == times


def test_names_of_rules_are_told_apart_and_say_whose_they_are() -> None:
    """C2: reports name the rule, so each rule has a name of its own that says where it is from."""
    names = [rule.name for rule in RULES]

    assert len(set(names)) == len(names)
    assert all(name.startswith("Genesys: ") for name in names)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_rule_stands_in_the_shadow_of_another(rule: weatherglass.Rule) -> None:
    """C6: each code, under each status of its rule, is judged by that rule and by no other."""
    for status in [s if s > 5 else s * 100 for s in rule.statuses] or [400, 429, 503]:
        for code in rule.codes:
            failure = classify_response(
                status=status,
                headers={},
                body=json.dumps({"code": code.replace("*", "any")}).encode(),
                received_at=None,
                rules=RULES,
            )
            assert failure is not None
            assert failure.rule == rule.name


def test_rules_are_asked_after_those_of_the_application(server: FakeServer) -> None:
    """C6: a rule of one's own comes before the profile's."""
    own = weatherglass.Rule(name="mine", codes=("duplicate.name",), kind=Kind.NOT_FOUND)
    server.plan = api_script(faults.answer(400, code="duplicate.name"))
    with session_on(server, policy=NO_RETRIES.new(rules=(own,))) as session:
        failure = weatherglass.report(session.get(QUEUES)).attempts[0].failure

    assert failure is not None
    assert (failure.rule, str(failure.kind)) == ("mine", "not_found")
