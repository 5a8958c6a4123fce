"""Error answers as servers give them: in several spellings and several states of repair."""

from __future__ import annotations

import json
import math
from typing import Any

from weatherglass.testing.faults import BodyForm, Fault, Spelling
from weatherglass.testing.retry_after import retry_after_example
from weatherglass.testing.wire import Answer
from weatherglass.vocabulary import RetryAfterVariant

USUAL_CODES = {
    400: "bad.request",
    401: "bad.credentials",
    403: "not.authorized",
    404: "not.found",
    405: "method.not.allowed",
    408: "client.timeout",
    409: "conflict",
    413: "request.entity.too.large",
    415: "unsupported.media.type",
    422: "unprocessable.entity",
    429: "too.many.requests",
    500: "internal.server.error",
    502: "bad.gateway",
    503: "service.unavailable",
    504: "request.timeout",
}
"""The code that an error of this status usually has."""

KNOWN_ERRORS: tuple[tuple[int, str], ...] = (
    (400, "bad.request"),
    (400, "client.failed.request"),
    (400, "wem.learning.server.too.busy"),
    (400, "duplicate.name"),
    (400, "not.a.user"),
    (401, "bad.credentials"),
    (401, "authentication.required"),
    (401, "credentials.expired"),
    (401, "ip.not.authorized"),
    (403, "not.authorized"),
    (404, "not.found"),
    (408, "client.timeout"),
    (409, "wfm.transaction.conflict"),
    (409, "transaction.conflict"),
    (409, "architect.operation.already.in.progress"),
    (409, "voicemailservice.toomanyrequests"),
    (409, "duplicate.name"),
    (429, "too.many.requests.retry.after"),
    (429, "too.many.requests"),
    (500, "internal.server.error"),
    (500, "architect.database.throughput.exceeded"),
    (500, "internal.dependency.error"),
    (500, "architect.external.call.failure"),
    (500, "resource.unavailable"),
    (500, "jid.not.found"),
    (500, "flows.datatables.table.not.found"),
    (500, "max.response.size.reached"),
    (500, "quality.evaluation.form.doesnt.exist"),
    (500, "invalid.substitution"),
    (500, "architect.flow.data.invalid.format"),
    (503, "service.unavailable"),
    (503, "wem.learning.server.too.busy"),
    (503, "postino.error.temporarily.unavailable"),
    (503, "forbidden"),
    (503, "providerapi.error.phone.no.active.edge"),
    (504, "request.timeout"),
    (504, "authentication.request.timeout"),
    (504, "division.authorization.timeout"),
)
"""Statuses and codes of the Genesys Cloud API, for tests that walk through them all."""


class Refused(Exception):
    """A request that is answered with an error and takes no effect."""

    def __init__(
        self,
        status: int,
        code: str | None = None,
        message: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def answer(self, correlation_id: str) -> Answer:
        """The error as an answer."""
        answer = error_answer(self.status, self.code, self.message, correlation_id=correlation_id)
        answer.headers += self.headers
        return answer


def error_answer(
    status: int,
    code: str | None = None,
    message: str | None = None,
    *,
    correlation_id: str = "",
    spelling: Spelling = Spelling.GENESYS,
) -> Answer:
    """A well-formed error; ``code=""`` leaves the code out."""
    if code is None:
        code = USUAL_CODES.get(status, f"error.{status}")
    payload = _payload(status, code, message or f"The request failed: {status}.", spelling)
    if spelling is Spelling.GENESYS:
        payload["contextId"] = correlation_id
    answer = Answer.of_json(status, payload)
    if spelling is not Spelling.OAUTH:
        answer.headers.append(("ININ-Correlation-Id", correlation_id))
    return answer


def fault_answer(fault: Fault, *, now: float, correlation_id: str) -> Answer:
    """The answer that an ``answer`` fault describes."""
    if fault.body is not None:
        answer = Answer(fault.status, fault.body)
    elif fault.status < 400:
        answer = Answer(fault.status)
    else:
        answer = error_answer(
            fault.status,
            fault.code,
            _message(fault),
            correlation_id=correlation_id,
            spelling=fault.spelling,
        )
        _disfigure(answer, fault)
    if fault.retry_after is not None:
        answer.headers += retry_after_example(fault.retry_after, fault.retry_after_seconds, now)
    for name, _ in fault.headers:
        lowered = name.lower()
        answer.headers = [pair for pair in answer.headers if pair[0].lower() != lowered]
    answer.headers += [(name, value) for name, value in fault.headers if value is not None]
    return answer


def rate_limit_message(seconds: float) -> str:
    """Genesys' words for a rate limit, which hold the delay as well."""
    return f"Rate limit exceeded the maximum. Retry the request in [{math.ceil(seconds)}] seconds"


def _payload(status: int, code: str, message: str, spelling: Spelling) -> dict[str, Any]:
    if spelling is Spelling.OAUTH:
        named = {"error": code} if code else {}
        return {**named, "description": message, "error_description": message}
    if spelling is Spelling.UPPER:
        named = {"errorCode": code.upper().replace(".", "_")} if code else {}
        return {**named, "message": message, "status": status}
    named = {"code": code} if code else {}
    extra: dict[str, Any] = {"messageParams": {}, "details": [], "errors": []}
    return {"message": message, **named, "status": status, **extra}


def _message(fault: Fault) -> str | None:
    if fault.message is not None:
        return fault.message
    says_seconds = (
        fault.code == "too.many.requests.retry.after"
        and fault.retry_after is RetryAfterVariant.DELTA_SECONDS
    )
    return rate_limit_message(fault.retry_after_seconds) if says_seconds else None


def _disfigure(answer: Answer, fault: Fault) -> None:
    """Turn a good body into the one that the fault wants."""
    if fault.form is BodyForm.TRUNCATED:
        answer.body = answer.body[: len(answer.body) // 2]
    elif fault.form is BodyForm.EMPTY:
        answer.body = b""
    elif fault.form is not BodyForm.JSON:
        answer.headers = [("Content-Type", "text/html")]
        answer.body = _page(fault)


def _page(fault: Fault) -> bytes:
    if fault.form is BodyForm.LATIN1:
        text = f"<html><body><h1>{fault.status} Dienst gest\u00f6rt</h1></body></html>"
        return text.encode("latin-1")
    text = (
        f"<html><head><title>{fault.status} Error</title></head>"
        f"<body><center><h1>{fault.status} Error</h1></center></body></html>"
    )
    return text.encode()


def parsed_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that a request's body is; ``None`` if it is none."""
    try:
        payload = json.loads(body)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None
