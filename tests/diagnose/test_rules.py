"""What codes, headers and phrases mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weatherglass.diagnose import GENERIC, classify_response
from weatherglass.diagnose.matching import Matcher, Subject, compiled
from weatherglass.policy import Rule
from weatherglass.policy.codes import comparable
from weatherglass.report import Failure
from weatherglass.vocabulary import Execution, Kind, RetryAfterVariant


def _classify(
    status: int,
    payload: Any = None,
    headers: dict[str, str] | None = None,
    rules: tuple[Rule, ...] = (),
) -> Failure:
    body = b"" if payload is None else json.dumps(payload).encode()
    failure = classify_response(
        status=status, headers=headers or {}, body=body, received_at=0.0, rules=rules
    )
    assert failure is not None
    return failure


def _spellings(code: str) -> list[str]:
    return [code, code.lower(), code.lower().replace("_", "."), code.title()]


# --- C5 ---


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 599])
@pytest.mark.parametrize("code", ["INVALID_REQUEST", "MISSING_REQUIRED_FIELD", "VALIDATION_FAILED"])
def test_request_at_fault(status: int, code: str) -> None:
    """C5: a code that blames the request makes any 5xx permanent, in every spelling."""
    for spelling in _spellings(code):
        failure = _classify(status, {"errorCode": spelling})
        assert (failure.transient, failure.kind) == (False, Kind.INVALID_REQUEST)
        assert failure.rule == "request at fault"


@pytest.mark.parametrize(
    "payload",
    [
        {"code": "VALIDATION_FAILED"},
        {"error": "VALIDATION_FAILED"},
        {"error": {"code": "VALIDATION_FAILED"}},
        {"errors": [{"code": "VALIDATION_FAILED"}]},
        [{"errorCode": "VALIDATION_FAILED"}],
        {"title": "Validation failed"},
        {"code": "general.error", "details": [{"errorCode": "validation.failed"}]},
    ],
)
def test_every_place_is_asked(payload: Any) -> None:
    """C5, C6: a permanent code is heeded wherever the body has it."""
    assert not _classify(503, payload).transient


def test_unknown_code_leaves_the_status() -> None:
    """C5: a code that no rule knows changes nothing."""
    failure = _classify(503, {"code": "postino.error.temporarily.unavailable"})
    assert (failure.transient, failure.rule) == (True, "status 503")


# --- C8: tokens ---


@pytest.mark.parametrize("code", ["bad.credentials", "authentication.required", "whatever"])
def test_unauthorized(code: str) -> None:
    """C8: on a 401 a new token can help unless the code says otherwise."""
    failure = _classify(401, {"code": code})
    assert (failure.needs_token, failure.transient) == (True, False)


@pytest.mark.parametrize(
    "code", ["invalid_grant", "invalid_client", "unauthorized_client", "insufficient_scope"]
)
def test_credentials_refused(code: str) -> None:
    """C8: no new token helps against these codes, in any spelling."""
    for spelling in [*_spellings(code), code.upper()]:
        failure = _classify(401, {"error": spelling})
        assert (failure.needs_token, failure.transient) == (False, False)
        assert failure.kind is Kind.UNAUTHORIZED


@pytest.mark.parametrize("status", [401, 403])
def test_salesforce_session(status: int) -> None:
    """C8: an expired Salesforce session wants a new token under either status."""
    failure = _classify(status, [{"errorCode": "INVALID_SESSION_ID", "message": "expired"}])
    assert (failure.kind, failure.needs_token) == (Kind.UNAUTHORIZED, True)


# --- C8: rate limits in disguise ---


@pytest.mark.parametrize(
    ("status", "payload", "headers"),
    [
        (403, None, {"X-RateLimit-Remaining": "0"}),
        (403, None, {"Retry-After": "60"}),
        (403, {"message": "You have exceeded a secondary rate limit."}, {}),
        (403, {"message": "API rate limit exceeded for user ID 5."}, {}),
        (403, {"message": "You have triggered an abuse detection mechanism."}, {}),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "…"}], {}),
        (403, {"error": {"code": 403, "errors": [{"reason": "userRateLimitExceeded"}]}}, {}),
        (400, {"error": "invalid_request", "description": "rate limit exceeded; wait"}, {}),
        (400, {"error": "INVALID_REQUEST", "error_description": "Rate Limit Exceeded"}, {}),
        (400, {"error": "slow_down"}, {}),
        (409, {"code": "voicemailservice.toomanyrequests"}, {}),
        (409, {"code": "VOICEMAILSERVICE_TOOMANYREQUESTS"}, {}),
        (409, {"code": "TooManyRequests"}, {}),
        (503, {"code": "quotaExceeded"}, {"Retry-After": "5"}),
        (503, {"code": "too.many.requests.retry.after"}, {"Retry-After": "5"}),
        (503, {"error": {"code": "ThrottlingException"}}, {}),
        (503, {"error": {"type": "rate_limit_error"}}, {}),
    ],
)
def test_rate_limits_in_disguise(status: int, payload: Any, headers: dict[str, str]) -> None:
    """C8: a rate limit is one under whatever status, and was refused before execution."""
    failure = _classify(status, payload, headers)
    assert (failure.kind, failure.transient) == (Kind.RATE_LIMITED, True)
    assert failure.execution is Execution.REJECTED
    assert (failure.needs_token, failure.status) == (False, status)


@pytest.mark.parametrize(
    ("status", "payload", "headers", "kind"),
    [
        (403, None, {"X-RateLimit-Remaining": "1"}, Kind.FORBIDDEN),
        (403, {"message": "Must have admin rights"}, {}, Kind.FORBIDDEN),
        (403, {"error": {"errors": [{"reason": "storageQuotaExceeded"}]}}, {}, Kind.FORBIDDEN),
        (400, {"error": "invalid_request", "description": "no scope"}, {}, Kind.INVALID_REQUEST),
        (400, {"message": "rate limit exceeded"}, {}, Kind.INVALID_REQUEST),
        (409, {"code": "duplicate.name"}, {}, Kind.CONFLICT),
        (503, {"code": "service.unavailable"}, {"Retry-After": "5"}, Kind.UNAVAILABLE),
        (401, {"code": "too.many.requests"}, {}, Kind.UNAUTHORIZED),
    ],
)
def test_no_rate_limits(status: int, payload: Any, headers: dict[str, str], kind: Kind) -> None:
    """C8: what merely looks a little like a rate limit is none."""
    assert _classify(status, payload, headers).kind is kind


def test_disguised_rate_limit_is_read_like_a_429() -> None:
    """A3: a reset header counts on a rate limit under another status; silence is recorded."""
    payload = [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    told = _classify(403, payload, {"X-RateLimit-Reset": "30"}).retry_after
    silent = _classify(403, payload).retry_after
    assert told is not None
    assert told.seconds == 30
    assert silent is not None
    assert silent.variant is RetryAfterVariant.MISSING


# --- other vendors ---


@pytest.mark.parametrize("status", [400, 409, 500])
def test_salesforce_row_lock(status: int) -> None:
    """C5, C8: a row that is locked is free later, and nothing was executed."""
    failure = _classify(status, [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "…"}])
    assert (failure.kind, failure.transient) == (Kind.CONFLICT, True)
    assert failure.execution is Execution.REJECTED


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "lock_timeout"), (400, "lock_timeout"), (409, "idempotency_key_in_use")],
)
def test_stripe_locks(status: int, code: str) -> None:
    """C5: a lock of Stripe's is a conflict about one object, not a rate limit."""
    failure = _classify(status, {"error": {"code": code, "type": "invalid_request_error"}})
    assert (failure.kind, failure.transient) == (Kind.CONFLICT, True)


@pytest.mark.parametrize("header", ["Stripe-Should-Retry", "X-Should-Retry"])
def test_server_says_whether_to_retry(header: str) -> None:
    """C5: a server that says outright whether to retry is believed; execution is not changed."""
    yes = _classify(500, None, {header: "true"})
    no = _classify(503, None, {header: "FALSE"})
    assert (yes.transient, yes.kind, yes.execution) == (
        True,
        Kind.SERVER_ERROR,
        Execution.POSSIBLE,
    )
    assert (no.transient, no.kind) == (False, Kind.UNAVAILABLE)


def test_codes_come_before_the_retry_header() -> None:
    """C5: a permanent code is not overruled by a header."""
    headers = {"X-Should-Retry": "true"}
    assert not _classify(503, {"code": "VALIDATION_FAILED"}, headers).transient
    assert not _classify(401, {"error": "invalid_grant"}, headers).needs_token


def test_token_endpoint_unavailable() -> None:
    """C5: RFC 6749's temporarily_unavailable is transient under a 400."""
    failure = _classify(400, {"error": "temporarily_unavailable"})
    assert (failure.kind, failure.transient) == (Kind.UNAVAILABLE, True)


# --- C6: a table that a user extends ---

VENDOR = (
    Rule(
        name="vendor permanent",
        statuses=(500, 503),
        codes=("jid.not.found", "providerapi.error.phone.no.active.edge"),
        transient=False,
    ),
    Rule(
        name="vendor not received",
        statuses=(400,),
        codes=("client.failed.request",),
        transient=True,
        execution=Execution.REJECTED,
    ),
    Rule(
        name="vendor transient",
        statuses=(409, 500),
        codes=("*transaction.conflict", "internal.dependency.error"),
        transient=True,
    ),
)


@pytest.mark.parametrize(
    ("status", "code", "transient", "rule"),
    [
        (400, "client.failed.request", True, "vendor not received"),
        (400, "CLIENT_FAILED_REQUEST", True, "vendor not received"),
        (409, "wfm.transaction.conflict", True, "vendor transient"),
        (500, "internal.dependency.error", True, "vendor transient"),
        (500, "jid.not.found", False, "vendor permanent"),
        (503, "providerapi.error.phone.no.active.edge", False, "vendor permanent"),
        (503, "service.unavailable", True, "status 503"),
        (500, "internal.server.error", False, "status 500"),
    ],
)
def test_extension_in_a_few_lines(status: int, code: str, transient: bool, rule: str) -> None:
    """C5, C6: a profile's few lines decide on its codes, and the status on all others."""
    failure = _classify(status, {"code": code}, rules=VENDOR)
    assert (failure.transient, failure.rule) == (transient, rule)


def test_own_rules_are_asked_first() -> None:
    """C6: a user's rule wins over the generic table, and the first of several decides."""
    rules = (
        Rule(name="first", codes=("invalid_grant",), transient=True),
        Rule(name="second", codes=("invalid_grant",), transient=False),
    )
    failure = _classify(401, {"error": "invalid_grant"}, rules=rules)
    assert (failure.rule, failure.transient) == ("first", True)


def test_effects_left_out_are_those_of_the_status() -> None:
    """C6: a rule changes what it names and nothing else."""
    rule = Rule(name="mine", codes=("x",), transient=True)
    failure = _classify(401, {"code": "x"}, rules=(rule,))
    assert (failure.kind, failure.execution) == (Kind.UNAUTHORIZED, Execution.REJECTED)
    assert failure.needs_token


def test_rules_in_a_list_are_never_stale() -> None:
    """C6: a list of rules that is changed later is asked as it is."""
    rules: list[Rule] = []
    assert _classify(500, {"code": "x"}, rules=rules).rule == "status 500"  # type: ignore[arg-type] # any sequence will do
    rules.append(Rule(name="mine", codes=("x",), transient=True))
    assert _classify(500, {"code": "x"}, rules=rules).rule == "mine"  # type: ignore[arg-type] # likewise


# --- how conditions match ---


def _finds(rule: Rule, subject: Subject) -> bool:
    return Matcher([rule]).find(subject) is rule


def _subject(
    status: int | None = 500,
    codes: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
    words: str = "",
) -> Subject:
    return Subject(status, tuple(map(comparable, codes)), headers or {}, words.lower())


@pytest.mark.parametrize(
    ("pattern", "code", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "A_B", True),
        ("A-B", "a b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b.c", True),
        ("a.*", "b.a.c", False),
        ("*.c", "a.b.C", True),
        ("*.c", "c", False),
        ("*b*", "a.b.c", True),
        ("*x*", "a.b.c", False),
        ("*", "anything", True),
    ],
)
def test_code_patterns(pattern: str, code: str, matches: bool) -> None:
    """C6: codes match without regard to case and separators, with * at either end."""
    assert _finds(Rule(name="r", codes=(pattern,)), _subject(codes=(code,))) is matches


def test_any_code_needs_a_code() -> None:
    """C6: the pattern * does not match an error without a code."""
    assert not _finds(Rule(name="r", codes=("*",)), _subject())


@pytest.mark.parametrize(
    ("statuses", "status", "matches"),
    [
        ((500,), 500, True),
        ((500,), 503, False),
        ((5,), 503, True),
        ((4, 503), 503, True),
        ((4,), 503, False),
        ((5,), None, False),
    ],
)
def test_statuses_of_rules(statuses: tuple[int, ...], status: int | None, matches: bool) -> None:
    """C6: a status matches exactly or by its class, and no status matches none."""
    assert _finds(Rule(name="r", statuses=statuses), _subject(status)) is matches


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ("X-Thing", True),
        ("x-thing: some value", True),
        ("X-Thing:SOME VALUE", True),
        ("x-thing: some*", True),
        ("x-thing: *value", True),
        ("x-thing: other", False),
        ("x-other", False),
        ("x-other: *", False),
    ],
)
def test_headers_of_rules(header: str, matches: bool) -> None:
    """C6: a header matches by its presence or by its value."""
    subject = _subject(headers={"x-thing": " Some Value "})
    assert _finds(Rule(name="r", headers=(header,)), subject) is matches


def test_phrases_of_rules() -> None:
    """C6: a phrase matches anywhere in the message, without regard to case."""
    rule = Rule(name="r", message=("Rate Limit", "quota"))
    assert _finds(rule, _subject(words="Your rate limit is over"))
    assert not _finds(rule, _subject(words="rate the limit"))


def test_all_conditions_must_hold() -> None:
    """C6: of several conditions all must hold, of the values of one any."""
    rule = Rule(name="r", statuses=(500,), codes=("a", "b"), headers=("h",), message=("m",))
    full = _subject(500, ("b",), {"h": ""}, "m")
    assert _finds(rule, full)
    assert not _finds(rule, _subject(503, ("b",), {"h": ""}, "m"))
    assert not _finds(rule, _subject(500, ("c",), {"h": ""}, "m"))
    assert not _finds(rule, _subject(500, ("b",), {}, "m"))
    assert not _finds(rule, _subject(500, ("b",), {"h": ""}, "n"))


def test_policies_are_compiled_once() -> None:
    """C6: the rules of a policy are compiled once, and many policies do not pile up."""
    rules = (Rule(name="r", codes=("x",)),)
    assert compiled(rules) is compiled(rules)
    for number in range(200):
        other = (Rule(name=f"r{number}", codes=("x",)),)
        found = compiled(other).find(_subject(codes=("x",)))
        assert found is other[0]


def test_generic_rules_have_distinct_names() -> None:
    """C1: the name of a rule in a report points to one rule."""
    names = [rule.name for rule in GENERIC]
    assert len(set(names)) == len(names)


def test_generic_table_has_no_vendor_code_tables() -> None:
    """C6: the codes of one vendor's API come with its profile, not with the generic table."""
    codes = {code for rule in GENERIC for code in rule.codes}
    assert "client.failed.request" not in codes
    assert not _classify(400, {"code": "client.failed.request"}).transient
