"""The registry: every name that weatherglass emits, with unit, attributes, values and bounds.

This is the only file that spells them; instruments, spans, events, ``docs/telemetry.md``, the
Prometheus names, dashboards and alert rules are derived from it or checked against it. It holds
data only: what is emitted when is the recorder's business. Adding a name makes a minor version,
renaming one a major version.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from weatherglass.telemetry.definitions import (
    Attribute,
    Event,
    Instrument,
    Metric,
    Span,
    known_methods,
    words,
)
from weatherglass.vocabulary import (
    BreakerCause,
    BreakerState,
    Disposition,
    GiveUpReason,
    KeySource,
    Kind,
    ObservedDecision,
    Outcome,
    Replay,
    ResendReason,
    RetryAfterSource,
    RetryAfterVariant,
    TokenReason,
    WaitReason,
)

SCOPE_NAME: Final = "weatherglass"
"""The instrumentation scope, and the name of the logger."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that the standard names below are taken from."""

OTHER: Final = "_OTHER"
"""The conventions' word for a value beyond a closed set or a bound."""

NO_FAILURE: Final = "none"
"""The failure kind of a successful attempt, on the counter of all attempts only."""

REDACTED: Final = "REDACTED"
"""The conventions' word for what must not be told."""

KNOWN_METHODS: Final = known_methods(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
)
"""The methods that the conventions know, or those that the environment names in their place."""

UNKNOWN_METHOD_SPAN: Final = "HTTP"
"""The name of a span whose method is not known."""

# Bounds: how many distinct values a label may take in one process.
ORIGINS: Final = 100
CODES: Final = 100
EXCEPTIONS: Final = 100
"""Classes of exceptions in ``error.type``, beside statuses and kinds, which are closed sets."""
NAMES: Final = 100
"""Breakers, token sources, credentials and maintenance windows, each."""
STATUSES: Final = 900
"""What three digits can say: 100 to 999."""

ATTRIBUTES: Final[dict[str, Attribute]] = {}
METRICS: Final[dict[str, Metric]] = {}
EVENTS: Final[dict[str, Event]] = {}
SPANS: Final[dict[str, Span]] = {}


def _attribute(
    name: str,
    meaning: str,
    *,
    kind: type = str,
    values: type[Enum] | tuple[str, ...] = (),
    limit: int | None = None,
) -> str:
    """Register an attribute and return its name, which is all that the hot paths need."""
    ATTRIBUTES[name] = Attribute(name, meaning, kind, words(values), limit)
    return name


def _metric(
    name: str,
    instrument: Instrument,
    unit: str,
    meaning: str,
    labels: tuple[str, ...],
    *,
    optional: tuple[str, ...] = (),
    buckets: tuple[float, ...] = (),
) -> Metric:
    attributes = tuple(ATTRIBUTES[label] for label in labels)
    METRICS[name] = Metric(name, instrument, unit, meaning, attributes, optional, buckets)
    return METRICS[name]


def _event(name: str, text: str, meaning: str, attributes: tuple[str, ...]) -> Event:
    EVENTS[name] = Event(name, text, meaning, tuple(ATTRIBUTES[each] for each in attributes))
    return EVENTS[name]


def _span(
    name: str, kind: str, meaning: str, start: tuple[str, ...], end: tuple[str, ...] = ()
) -> str:
    SPANS[name] = Span(
        name,
        kind,
        meaning,
        tuple(ATTRIBUTES[each] for each in start),
        tuple(ATTRIBUTES[each] for each in end),
    )
    return name


# Attributes of the conventions -------------------------------------------------------------

SERVER_ADDRESS = _attribute("server.address", "The host that the request is for.", limit=ORIGINS)
SERVER_PORT = _attribute("server.port", "Its port.", kind=int, limit=ORIGINS)
HTTP_REQUEST_METHOD = _attribute(
    "http.request.method", "The method, if it is a known one.", values=(*KNOWN_METHODS, OTHER)
)
HTTP_REQUEST_METHOD_ORIGINAL = _attribute(
    "http.request.method_original", "The method as sent, where it is not a known one."
)
HTTP_REQUEST_RESEND_COUNT = _attribute(
    "http.request.resend_count",
    "Which resend this is, from 1: retries, redirects and re-authentication counted together.",
    kind=int,
)
HTTP_RESPONSE_STATUS_CODE = _attribute(
    "http.response.status_code", "The status, if there was an answer.", kind=int, limit=STATUSES
)
URL_FULL = _attribute("url.full", "The URL without credentials and secret parameters.")
URL_TEMPLATE = _attribute("url.template", "The route, if the caller gave one; never guessed.")
NETWORK_PROTOCOL_VERSION = _attribute("network.protocol.version", "The HTTP version used.")
ERROR_TYPE = _attribute(
    "error.type",
    "The status, the exception's class (one of the first 100) or the kind; absent on success.",
    limit=STATUSES + len(Kind) + EXCEPTIONS + 1,
)
EXCEPTION_TYPE = _attribute("exception.type", "The exception's class.")
EXCEPTION_MESSAGE = _attribute(
    "exception.message", "Its message without queries and credentials; network failures only."
)
CODE_FILE = _attribute("code.file.path", "The file that raised.")
CODE_LINE = _attribute("code.line.number", "The line that raised.", kind=int)

# Attributes of our own ---------------------------------------------------------------------

POLICY = _attribute("weatherglass.policy", "The policy's name.")
MODE = _attribute(
    "weatherglass.mode", "Only where decisions are told and not carried out.", values=("observe",)
)
OUTCOME = _attribute("weatherglass.outcome", "How the call ended.", values=Outcome)
ATTEMPTS = _attribute("weatherglass.attempts", "How many requests were sent.", kind=int)
WAITED = _attribute("weatherglass.waited", "Seconds spent waiting, in all.", kind=float)
GIVE_UP_REASON = _attribute(
    "weatherglass.give_up.reason",
    "Why the call ended although its failure was transient.",
    values=GiveUpReason,
)
FAILURE_KIND = _attribute(
    "weatherglass.failure.kind", "What went wrong.", values=(*words(Kind), NO_FAILURE)
)
FAILURE_TRANSIENT = _attribute(
    "weatherglass.failure.transient", "Whether trying again can help.", kind=bool
)
FAILURE_CODE = _attribute(
    "weatherglass.failure.code",
    "The server's error code; GENERIC where it gave none, _OTHER where it is no plain code.",
    limit=CODES,
)
CORRELATION_ID = _attribute("weatherglass.correlation_id", "The server's name for the exchange.")
RESEND_REASON = _attribute(
    "weatherglass.resend.reason", "Why the request was sent again.", values=ResendReason
)
RETRY_AFTER_VARIANT = _attribute(
    "weatherglass.retry_after.variant",
    "The form in which the server said when to come back.",
    values=RetryAfterVariant,
)
RETRY_AFTER_SOURCE = _attribute(
    "weatherglass.retry_after.source", "Where it said so.", values=RetryAfterSource
)
RETRY_AFTER_SECONDS = _attribute(
    "weatherglass.retry_after.seconds", "What it said, before any clamping.", kind=float
)
RETRY_AFTER_DISPOSITION = _attribute(
    "weatherglass.retry_after.disposition", "What was done with it.", values=Disposition
)
RETRY_AFTER_RAW = _attribute(
    "weatherglass.retry_after.raw", "The value as received, at most 64 characters; spans only."
)
WAIT_REASON = _attribute("weatherglass.wait.reason", "What was waited for.", values=WaitReason)
WAIT_PLANNED = _attribute(
    "weatherglass.wait.planned", "Seconds that were meant to be waited.", kind=float
)
KEY_SOURCE = _attribute(
    "weatherglass.idempotency.key_source", "Where the idempotency key came from.", values=KeySource
)
KEY_REUSED = _attribute(
    "weatherglass.idempotency.key_reused",
    "Whether the key was sent more than once in its call.",
    kind=bool,
)
REPLAY = _attribute(
    "weatherglass.replay", "What the answer says of an earlier delivery.", values=Replay
)
DECISION = _attribute(
    "weatherglass.decision", "What would have been done.", values=ObservedDecision
)
OBSERVED = _attribute(
    "weatherglass.observed", "In observe mode: all that would have been done.", kind=tuple
)
MAINTENANCE = _attribute(
    "weatherglass.maintenance", "Whether a maintenance window was in force.", kind=bool
)
MAINTENANCE_WINDOW = _attribute(
    "weatherglass.maintenance.window", "The window's name.", limit=NAMES
)
MAINTENANCE_FEED = _attribute("weatherglass.maintenance.feed", "The feed's name.", limit=NAMES)
BREAKER_NAME = _attribute("weatherglass.breaker.name", "The breaker's name.", limit=NAMES)
BREAKER_STATE = _attribute("weatherglass.breaker.state", "Its state.", values=BreakerState)
BREAKER_PREVIOUS_STATE = _attribute(
    "weatherglass.breaker.previous_state", "Its state before.", values=BreakerState
)
BREAKER_CAUSE = _attribute(
    "weatherglass.breaker.cause", "Why its state changed.", values=BreakerCause
)
TOKEN_SOURCE = _attribute("weatherglass.token.source", "The token source's name.", limit=NAMES)
TOKEN_REASON = _attribute(
    "weatherglass.token.reason", "Why a token was fetched.", values=TokenReason
)
CREDENTIAL = _attribute("weatherglass.credential", "The credential's name.", limit=NAMES)
BUDGET = _attribute("weatherglass.budget", "Which retry budget.", values=("retry", "network"))
CALLBACK = _attribute("weatherglass.callback", "The callback that raised.", limit=NAMES)
ATTEMPT_NUMBER = _attribute("weatherglass.attempt.number", "Which attempt, from 1.", kind=int)
EVENT_NAME = _attribute("weatherglass.event", "In log records: the event's name.")

# Metrics -----------------------------------------------------------------------------------

_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900)
_ATTEMPT_BUCKETS = (1, 2, 3, 4, 5, 8)
_WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 180, 600, 1800, 3600)
_REFRESH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUEST_DURATION = _metric(
    "http.client.request.duration",
    Instrument.HISTOGRAM,
    "s",
    "Duration of HTTP client requests.",
    (
        HTTP_REQUEST_METHOD,
        SERVER_ADDRESS,
        SERVER_PORT,
        HTTP_RESPONSE_STATUS_CODE,
        ERROR_TYPE,
    ),
    optional=(SERVER_PORT, HTTP_RESPONSE_STATUS_CODE, ERROR_TYPE),
    buckets=_HTTP_BUCKETS,
)
CALL_DURATION = _metric(
    "weatherglass.call.duration",
    Instrument.HISTOGRAM,
    "s",
    "Duration of calls, with all their attempts and waits.",
    (SERVER_ADDRESS, OUTCOME, ERROR_TYPE),
    optional=(ERROR_TYPE,),
    buckets=_CALL_BUCKETS,
)
CALL_ATTEMPTS = _metric(
    "weatherglass.call.attempts",
    Instrument.HISTOGRAM,
    "{attempt}",
    "Requests sent per call, of calls that sent any.",
    (SERVER_ADDRESS, OUTCOME),
    buckets=_ATTEMPT_BUCKETS,
)
ATTEMPT_COUNT = _metric(
    "weatherglass.attempts",
    Instrument.COUNTER,
    "{attempt}",
    "Attempts by what went wrong with them: the failure distribution.",
    (SERVER_ADDRESS, FAILURE_KIND, MAINTENANCE),
)
FAILURES = _metric(
    "weatherglass.failures",
    Instrument.COUNTER,
    "{failure}",
    "Failed attempts in detail.",
    (SERVER_ADDRESS, FAILURE_KIND, FAILURE_CODE, HTTP_RESPONSE_STATUS_CODE),
    optional=(HTTP_RESPONSE_STATUS_CODE,),
)
RETRIES = _metric(
    "weatherglass.retries",
    Instrument.COUNTER,
    "{retry}",
    "Retries that were decided upon.",
    (SERVER_ADDRESS, FAILURE_KIND, WAIT_REASON),
)
GIVE_UPS = _metric(
    "weatherglass.give_ups",
    Instrument.COUNTER,
    "{call}",
    "Calls that ended without success although their failure was transient.",
    (SERVER_ADDRESS, GIVE_UP_REASON),
)
WAIT_DURATION = _metric(
    "weatherglass.wait.duration",
    Instrument.HISTOGRAM,
    "s",
    "Duration of waits.",
    (SERVER_ADDRESS, WAIT_REASON),
    buckets=_WAIT_BUCKETS,
)
RETRY_AFTER_HEADERS = _metric(
    "weatherglass.retry_after.headers",
    Instrument.COUNTER,
    "{header}",
    "What servers said on when to come back, and what was done with it.",
    (SERVER_ADDRESS, RETRY_AFTER_VARIANT, RETRY_AFTER_SOURCE, RETRY_AFTER_DISPOSITION),
)
BREAKER_STATUS = _metric(
    "weatherglass.breaker.status",
    Instrument.OBSERVABLE_UP_DOWN_COUNTER,
    "1",
    "Breakers by state: 1 for the state that a breaker is in, 0 for the others.",
    (BREAKER_NAME, BREAKER_STATE),
)
BREAKER_TRANSITIONS = _metric(
    "weatherglass.breaker.transitions",
    Instrument.COUNTER,
    "{transition}",
    "Changes of breaker states.",
    (BREAKER_NAME, BREAKER_PREVIOUS_STATE, BREAKER_STATE, BREAKER_CAUSE),
)
BREAKER_REFUSALS = _metric(
    "weatherglass.breaker.refusals",
    Instrument.COUNTER,
    "{call}",
    "Calls and retries that a breaker refused.",
    (BREAKER_NAME,),
)
TOKEN_REFRESH_DURATION = _metric(
    "weatherglass.token.refresh.duration",
    Instrument.HISTOGRAM,
    "s",
    "Duration of token refreshes.",
    (TOKEN_SOURCE, TOKEN_REASON, ERROR_TYPE),
    optional=(ERROR_TYPE,),
    buckets=_REFRESH_BUCKETS,
)
TOKEN_TTL = _metric(
    "weatherglass.token.ttl",
    Instrument.OBSERVABLE_GAUGE,
    "s",
    "Time until the token expires.",
    (TOKEN_SOURCE,),
)
BUDGET_LEVEL = _metric(
    "weatherglass.budget.level",
    Instrument.OBSERVABLE_GAUGE,
    "{token}",
    "What is left of the retry budgets.",
    (SERVER_ADDRESS, BUDGET),
)
RATELIMIT_REMAINING = _metric(
    "weatherglass.ratelimit.remaining",
    Instrument.OBSERVABLE_GAUGE,
    "{request}",
    "Requests left before the rate limit, as the server last said.",
    (SERVER_ADDRESS, CREDENTIAL),
)
IDEMPOTENCY_KEYS = _metric(
    "weatherglass.idempotency.keys",
    Instrument.COUNTER,
    "{key}",
    "Idempotency keys that were sent, each counted once.",
    (SERVER_ADDRESS, KEY_SOURCE, KEY_REUSED),
)
OBSERVED_DECISIONS = _metric(
    "weatherglass.observed_decisions",
    Instrument.COUNTER,
    "{decision}",
    "What would have been done, had the mode not been observe.",
    (SERVER_ADDRESS, DECISION),
)
MAINTENANCE_ACTIVE = _metric(
    "weatherglass.maintenance.active",
    Instrument.OBSERVABLE_UP_DOWN_COUNTER,
    "{window}",
    "Known maintenance windows: 1 while in force, 0 before and after.",
    (MAINTENANCE_WINDOW, SERVER_ADDRESS),
)
MAINTENANCE_TIME_TO_START = _metric(
    "weatherglass.maintenance.time_to_start",
    Instrument.OBSERVABLE_GAUGE,
    "s",
    "Time until a known maintenance window begins; negative once it has begun.",
    (MAINTENANCE_WINDOW, SERVER_ADDRESS),
)
MAINTENANCE_TIME_TO_END = _metric(
    "weatherglass.maintenance.time_to_end",
    Instrument.OBSERVABLE_GAUGE,
    "s",
    "Time until a known maintenance window ends; negative once it is over.",
    (MAINTENANCE_WINDOW, SERVER_ADDRESS),
)
MAINTENANCE_FEED_AGE = _metric(
    "weatherglass.maintenance.feed.age",
    Instrument.OBSERVABLE_GAUGE,
    "s",
    "Time since a feed of maintenance windows was last read well, or first tried.",
    (MAINTENANCE_FEED,),
)
CALLBACK_ERRORS = _metric(
    "weatherglass.callback.errors",
    Instrument.COUNTER,
    "{error}",
    "Callbacks of the application that raised.",
    (CALLBACK,),
)

# Events ------------------------------------------------------------------------------------

RETRY_SCHEDULED = _event(
    "weatherglass.retry.scheduled",
    "retry scheduled",
    "A failed attempt will be followed by another after a delay; on the call's span.",
    (SERVER_ADDRESS, ATTEMPT_NUMBER, FAILURE_KIND, WAIT_REASON, WAIT_PLANNED),
)
CALL_GIVEN_UP = _event(
    "weatherglass.call.given_up",
    "call given up",
    "A call ended without success although its failure was transient; on the call's span.",
    (
        SERVER_ADDRESS,
        HTTP_REQUEST_METHOD,
        URL_FULL,
        OUTCOME,
        GIVE_UP_REASON,
        FAILURE_KIND,
        ATTEMPTS,
        WAITED,
    ),
)
RETRY_AFTER_RECEIVED = _event(
    "weatherglass.retry_after.received",
    "retry-after received",
    "A server said when to come back, usably or not; on the attempt's span.",
    (
        SERVER_ADDRESS,
        RETRY_AFTER_VARIANT,
        RETRY_AFTER_SOURCE,
        RETRY_AFTER_SECONDS,
        RETRY_AFTER_DISPOSITION,
        RETRY_AFTER_RAW,
    ),
)
BREAKER_TRANSITION = _event(
    "weatherglass.breaker.transition",
    "breaker changed state",
    "A breaker changed its state; on the current span, if there is one.",
    (BREAKER_NAME, BREAKER_PREVIOUS_STATE, BREAKER_STATE, BREAKER_CAUSE),
)
TOKEN_REFRESHED = _event(
    "weatherglass.token.refreshed",
    "token refreshed",
    "A new token was fetched; on the refresh's span.",
    (TOKEN_SOURCE, TOKEN_REASON),
)
TOKEN_REFRESH_FAILED = _event(
    "weatherglass.token.refresh_failed",
    "token refresh failed",
    "No new token could be fetched; on the refresh's span.",
    (TOKEN_SOURCE, TOKEN_REASON, ERROR_TYPE),
)
MAINTENANCE_STARTED = _event(
    "weatherglass.maintenance.started",
    "maintenance started",
    "A maintenance window was found to be in force.",
    (MAINTENANCE_WINDOW, SERVER_ADDRESS),
)
MAINTENANCE_ENDED = _event(
    "weatherglass.maintenance.ended",
    "maintenance ended",
    "A maintenance window is over, or ended early.",
    (MAINTENANCE_WINDOW, SERVER_ADDRESS),
)
FEED_FAILED = _event(
    "weatherglass.maintenance.feed_failed",
    "maintenance feed failed",
    "A feed of maintenance windows cannot be read; told once, until it can be again.",
    (MAINTENANCE_FEED, ERROR_TYPE),
)
AUTH_ESCALATED = _event(
    "weatherglass.auth.escalated",
    "authorisation escalated",
    "A 403 followed a run of 429s on one credential; on the attempt's span.",
    (SERVER_ADDRESS, FAILURE_CODE, CORRELATION_ID),
)
CALLBACK_FAILED = _event(
    "weatherglass.callback.failed",
    "callback raised",
    "A callback of the application raised; the call went on as if it had not.",
    (CALLBACK, ERROR_TYPE, CODE_FILE, CODE_LINE),
)
EXCEPTION = _event(
    "exception",
    "exception",
    "The exception that a call ended with, once, without stack trace; on the call's span.",
    (EXCEPTION_TYPE, EXCEPTION_MESSAGE),
)

# Spans -------------------------------------------------------------------------------------

CALL_SPAN = _span(
    "weatherglass.call",
    "INTERNAL",
    "One per call, around all its attempts and waits, and with Session around its redirects."
    " Its status is ERROR only if the call failed; the description is the reason or the kind.",
    (SERVER_ADDRESS, SERVER_PORT, POLICY, MODE),
    (
        OUTCOME,
        ATTEMPTS,
        WAITED,
        GIVE_UP_REASON,
        FAILURE_KIND,
        ERROR_TYPE,
        KEY_SOURCE,
        REPLAY,
        OBSERVED,
        MAINTENANCE_WINDOW,
    ),
)
ATTEMPT_SPAN = _span(
    "{method} {url.template}",
    "CLIENT",
    "One per request on the wire, those to token endpoints included; named by its method, and by"
    " its route where the caller gave one.",
    (
        HTTP_REQUEST_METHOD,
        HTTP_REQUEST_METHOD_ORIGINAL,
        SERVER_ADDRESS,
        SERVER_PORT,
        URL_FULL,
        URL_TEMPLATE,
        HTTP_REQUEST_RESEND_COUNT,
        RESEND_REASON,
    ),
    (
        HTTP_RESPONSE_STATUS_CODE,
        NETWORK_PROTOCOL_VERSION,
        ERROR_TYPE,
        FAILURE_KIND,
        FAILURE_TRANSIENT,
        FAILURE_CODE,
        RETRY_AFTER_VARIANT,
        RETRY_AFTER_SOURCE,
        RETRY_AFTER_SECONDS,
        CORRELATION_ID,
        MAINTENANCE_WINDOW,
    ),
)
WAIT_SPAN = _span(
    "weatherglass.wait",
    "INTERNAL",
    "One per wait. The wait for another thread's token refresh has a link to its span.",
    (WAIT_REASON, WAIT_PLANNED),
)
REFRESH_SPAN = _span(
    "weatherglass.token.refresh",
    "INTERNAL",
    "The one refresh of a token generation.",
    (TOKEN_SOURCE, TOKEN_REASON),
    (ERROR_TYPE,),
)
