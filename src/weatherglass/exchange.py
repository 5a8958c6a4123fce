"""One exchange on the wire, and what it was seen to be: an answer, an error, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from requests import PreparedRequest, Response

from weatherglass.call import Call
from weatherglass.diagnose import classify_exception, classify_response
from weatherglass.report import Failure
from weatherglass.wire import capped_timeout, needs_no_body, peek_body, read_body

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter


class Transfer(NamedTuple):
    """How ``requests`` was asked to send."""

    stream: bool
    timeout: Any
    verify: Any
    cert: Any
    proxies: Any


class Seen(NamedTuple):
    """What came of an exchange."""

    response: Response | None
    error: Exception | None
    """Beside a response, this is what broke off the reading of its body."""
    failure: Failure | None
    """``None`` is a success."""


def exchange(adapter: Adapter, call: Call, wire: PreparedRequest, transfer: Transfer) -> Seen:
    """Send once, read the body unless it is streamed (rule D10), and classify what came."""
    response = None
    try:
        response = adapter.send_once(
            wire,
            transfer.stream,
            _timeout(adapter, call, transfer.timeout),
            transfer.verify,
            transfer.cert,
            transfer.proxies,
        )
        if not transfer.stream:
            read_body(response, call.remaining if call.bounded else None)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this attempt's failure
        if response is not None and response.status_code >= 400:
            # A broken-off error page is still the error that its status line says.
            return Seen(response, error, _classify(adapter, call, response, None))
        if response is not None and needs_no_body(response, error):
            return Seen(response, None, None)
        return Seen(response, error, classify_exception(error))
    if response.status_code < 400:
        return Seen(response, None, None)
    remaining = call.remaining if call.bounded else None
    body = peek_body(response, remaining) if transfer.stream else response.content
    return Seen(response, None, _classify(adapter, call, response, body))


def _timeout(adapter: Adapter, call: Call, timeout: Any) -> Any:
    """The attempt's timeout: the caller's, else the policy's, within the deadline (D8, D9)."""
    if timeout is None and not call.timeout_settled:
        timeout = (call.policy.timeout.connect, call.policy.timeout.read)
    if call.bounded:
        now = adapter.runtime.monotonic()
        return capped_timeout(timeout, lambda seconds: call.deadline.clamp(seconds, now))
    return timeout


def _classify(
    adapter: Adapter, call: Call, response: Response, body: bytes | None
) -> Failure | None:
    return classify_response(
        status=response.status_code,
        headers=response.headers,
        body=body,
        received_at=adapter.runtime.time(),
        rules=call.policy.rules,
        correlation_headers=call.policy.correlation_headers,
        limit_headers=call.policy.limit_headers,
    )
