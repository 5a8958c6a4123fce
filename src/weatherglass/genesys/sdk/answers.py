"""What the SDK gets back: answers, and its own ``ApiException`` with our report on it."""

from __future__ import annotations

import codecs
from email.message import Message
from typing import Any

import requests
from PureCloudPlatformClientV2.rest import ApiException
from requests import Response
from urllib3 import HTTPHeaderDict

from weatherglass.call import report as report_of
from weatherglass.errors import CallFailed
from weatherglass.report import CallReport, Failure
from weatherglass.telemetry.redact import redact_text, redact_url

SUCCESSES = range(200, 206)
"""The statuses that the SDK takes for a success."""

NO_STATUS = 0
"""The status of a failure that has none, as the SDK itself has it; never an invented 500."""

_NO_TEXT = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Python's codecs that no page is written in, some of which are slow or warn."""

_SECRET_HEADERS = frozenset({"authorization", "cookie", "set-cookie", "set-cookie2"})


class Answer:
    """A response as the SDK reads it; ``content`` and ``report`` come on top."""

    def __init__(self, response: Response) -> None:
        self.status: int = response.status_code
        self.reason: str | None = response.reason
        self.content: bytes = response.content or b""
        """The body, as it came."""
        self.report = found_report(response)
        """The call's report."""
        received = getattr(response.raw, "headers", None)
        if not isinstance(received, HTTPHeaderDict):
            received = HTTPHeaderDict(response.headers)
        self._headers = received
        self._data: str | None = None

    @property
    def data(self) -> str:
        """The body as text. Only made when it is asked for: a download may be large."""
        if self._data is None:
            self._data = text_of(self.content, self.getheader("Content-Type"))
        return self._data

    @data.setter
    def data(self, text: str) -> None:
        # Post hooks change it.
        self._data = text

    def getheaders(self) -> HTTPHeaderDict:
        """The headers; names are looked up without regard to case."""
        return self._headers

    def getheader(self, name: str, default: Any = None) -> Any:
        """One header, or the default."""
        return self._headers.get(name, default)


class ApiCallFailed(ApiException):  # type: ignore[misc]  # the SDK has no types
    """The SDK's exception, of a call that went through weatherglass.

    ``status`` is 0, and ``body`` and ``headers`` are ``None``, where no answer was had. What
    weatherglass raised is the ``__cause__``.
    """

    status: int
    reason: str | None
    body: str | None
    headers: HTTPHeaderDict | None

    def __init__(
        self,
        status: int | None = None,
        reason: str | None = None,
        http_resp: Answer | None = None,
        *,
        report: CallReport | None = None,
    ) -> None:
        super().__init__(status=status, reason=reason, http_resp=http_resp)
        self.report = report if http_resp is None else http_resp.report
        """The report of the whole call."""
        self.content = None if http_resp is None else http_resp.content
        """The body as it came; ``None`` where no answer was had."""

    @property
    def failure(self) -> Failure | None:
        """What the call ended with."""
        return None if self.report is None else self.report.failure

    def __str__(self) -> str:
        # As the SDK has it; but what is printed ends in logs, where cookies must not.
        text = f"({self.status})\nReason: {self.reason}\n"
        if self.headers:
            shown = {name: _shown(name, value) for name, value in self.headers.items()}
            text += f"HTTP response headers: {shown}\n"
        if self.body:
            text += f"HTTP response body: {self.body}\n"
        if self.report is not None:
            text += f"Call: {str(self.report).splitlines()[0]}\n"
        return text


def failed_answer(answer: Answer) -> ApiCallFailed:
    """The exception for an answer that is no success."""
    return ApiCallFailed(http_resp=answer)


def failed_call(error: BaseException) -> ApiCallFailed:
    """The exception for a call that raised."""
    response = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and isinstance(response, Response):
        return failed_answer(Answer(response))
    report = found_report(error)
    return ApiCallFailed(NO_STATUS, _reason(error, report), report=report)


def found_report(subject: Response | BaseException) -> CallReport | None:
    """The report, if there is one: an application may have put another adapter in our place."""
    try:
        return report_of(subject)
    except LookupError:
        return None


def text_of(body: bytes, content_type: str | None) -> str:
    """A body as text, without loss: UTF-8, else the declared charset, else Latin-1."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    header = Message()
    header["Content-Type"] = content_type or ""
    try:
        codec = codecs.lookup(header.get_content_charset() or "latin-1").name
        if codec not in _NO_TEXT:
            return body.decode(codec)
    except (LookupError, ValueError):
        pass
    return body.decode("latin-1")


def _reason(error: BaseException, report: CallReport | None) -> str:
    """What became of the call; a URL in it has no credentials."""
    name = type(error).__name__
    if isinstance(error, CallFailed):
        return f"{name}: {error}"
    failure = None if report is None else report.failure
    if report is None or failure is None:
        return f"{name}: {redact_text(str(error))}"
    gave_up = "" if report.give_up_reason is None else f"; gave up: {report.give_up_reason}"
    return (
        f"{name}: {failure.kind} ({failure.error_type}) after {len(report.attempts)}"
        f" attempt(s){gave_up}"
    )


def _shown(name: str, value: str) -> str:
    if name.lower() in _SECRET_HEADERS:
        return "[redacted]"
    return redact_url(value) if name.lower() == "location" else value
