"""What happened: from an answer or an exception to one :class:`~weatherglass.report.Failure`.

Pure: values in, values out. What is then done about a failure is decided in
:mod:`weatherglass.decide`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import requests

from weatherglass.diagnose.bodies import ErrorBody, read_error, read_payload
from weatherglass.diagnose.delay_sources import read
from weatherglass.diagnose.foreign import correlation_id, identifier, lowered
from weatherglass.diagnose.matching import Subject, compiled
from weatherglass.diagnose.network import classify_exception
from weatherglass.diagnose.rules import CODE_HEADERS, GENERIC_MATCHER, meaning_of
from weatherglass.errors import CallFailed
from weatherglass.policy import LimitHeaders, Rule
from weatherglass.policy.codes import comparable
from weatherglass.report import GENERIC, UNKNOWN, Failure
from weatherglass.vocabulary import Kind


def classify_response(
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
    received_at: float | None,
    rules: Sequence[Rule] = (),
    correlation_headers: Sequence[str] = (),
    limit_headers: Sequence[LimitHeaders] = (),
) -> Failure | None:
    """The failure that an answer stands for, or ``None`` below status 400 (rules C1 to C8).

    Args:
        status: The HTTP status.
        headers: The response's headers, with names in any case.
        body: What was read of the body, decoded from its content encoding; at most 64 KiB of it
            are looked at.
        received_at: The wall clock at the receipt, in seconds since the epoch; ``None`` if
            unknown, and then times in Retry-After are measured against ``Date`` alone.
        rules: Rules that are asked before the generic table; the first that matches decides.
        correlation_headers: Headers, in lower case, that are asked for the server's name of the
            exchange before the usual ones.
        limit_headers: Families of rate limit headers that are asked before the usual ones.
    """
    if status < 400:
        return None
    plain = lowered(headers)
    error = read_error(body, plain.get("content-type"), status)
    return _classified(status, plain, error, received_at, rules, correlation_headers, limit_headers)


def _classified(
    status: int | None,
    headers: dict[str, str],
    error: ErrorBody,
    received_at: float | None,
    rules: Sequence[Rule],
    correlation_headers: Sequence[str] = (),
    limit_headers: Sequence[LimitHeaders] = (),
) -> Failure:
    codes = error.codes + _header_codes(headers)
    subject = Subject(status, tuple(map(comparable, codes)), headers, error.words.lower())
    rule = (compiled(rules).find(subject) if rules else None) or GENERIC_MATCHER.find(subject)
    meaning = meaning_of(status)
    kind, transient, execution, needs_token = meaning
    if rule is not None:
        kind = meaning.kind if rule.kind is None else rule.kind
        transient = meaning.transient if rule.transient is None else rule.transient
        execution = meaning.execution if rule.execution is None else rule.execution
        needs_token = meaning.needs_token if rule.needs_token is None else rule.needs_token
    limited = 429 if kind is Kind.RATE_LIMITED else status
    return Failure(
        kind=kind,
        transient=transient,
        execution=execution,
        status=status,
        code=codes[0] if codes else (GENERIC if error.known_shape else UNKNOWN),
        message=error.message or _phrase(status),
        needs_token=needs_token,
        retry_after=read(headers, limited or 0, error.words, received_at, limit_headers),
        correlation_id=correlation_id(headers, correlation_headers) or error.correlation_id,
        rule=_status_rule(status) if rule is None else rule.name,
        error_type=str(kind) if status is None else str(status),
        raw=error.payload,
    )


def _header_codes(headers: Mapping[str, str]) -> tuple[str, ...]:
    found = (identifier(headers.get(name)) for name in CODE_HEADERS)
    return tuple(code for code in found if code is not None)


def _status_rule(status: int | None) -> str:
    return "no status" if status is None else f"status {status}"


def _phrase(status: int | None) -> str:
    try:
        return HTTPStatus(status or 0).phrase
    except ValueError:
        return _status_rule(status)


def escalated(failure: Failure) -> Failure:
    """A 403 as the escalation of the rate limits before it (rule C9); others are unchanged."""
    if failure.kind is not Kind.FORBIDDEN:
        return failure
    return dataclasses.replace(failure, kind=Kind.ESCALATED, transient=False)


def normalise(
    thing: Failure | requests.Response | BaseException | Mapping[str, Any],
    rules: Sequence[Rule] = (),
    *,
    received_at: float | None = None,
) -> Failure:
    """Anything that tells of a failure, in the one normal form (rule C3).

    A failure is returned unchanged, and so is the one inside a :class:`CallFailed`. A response is
    classified by what was already read of it: a streamed body is left alone. A mapping is taken
    for the parsed body of an error, and its ``status`` (or ``statusCode``) for the HTTP status.

    Raises:
        ValueError: for an answer that is no failure.
        TypeError: for anything else.
    """
    if isinstance(thing, Failure):
        return thing
    if isinstance(thing, requests.Response):
        return _of_response(thing, rules, received_at)
    if isinstance(thing, BaseException):
        return _of_exception(thing, rules, received_at)
    if isinstance(thing, Mapping):
        return _of_payload(thing, rules)
    raise TypeError(
        f"a {type(thing).__name__} cannot be normalised; give a Failure, a Response,"
        " an exception or the mapping of an error body"
    )


def _of_response(
    response: requests.Response, rules: Sequence[Rule], received_at: float | None
) -> Failure:
    # ``content`` would read the stream; what was read stands in ``_content``, else False.
    body = vars(response).get("_content")
    failure = classify_response(
        status=response.status_code,
        headers=response.headers,
        body=body if isinstance(body, bytes) else None,
        received_at=received_at,
        rules=rules,
    )
    if failure is None:
        raise ValueError(f"status {response.status_code} is not a failure")
    return failure


def _of_exception(
    error: BaseException, rules: Sequence[Rule], received_at: float | None
) -> Failure:
    if isinstance(error, CallFailed) and error.failure is not None:
        return error.failure
    response = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and isinstance(response, requests.Response):
        return _of_response(response, rules, received_at)
    return classify_exception(error)


def _of_payload(payload: Mapping[str, Any], rules: Sequence[Rule]) -> Failure:
    status = next(
        (
            number
            for number in map(_status_in, map(payload.get, _STATUS_KEYS))
            if number is not None
        ),
        None,
    )
    if status is not None and status < 400:
        raise ValueError(f"status {status} is not a failure")
    return _classified(status, {}, read_payload(payload, status), None, rules)


_STATUS_KEYS = ("status", "statusCode", "status_code", "httpStatus")


def _status_in(value: Any) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 100 <= value <= 599 else None
