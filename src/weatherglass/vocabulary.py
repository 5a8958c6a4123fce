"""The closed sets of words in which weatherglass speaks of a call.

Every member is also a value of a report field, a span attribute or a metric label, so each set
is small, documented and never extended at run time. This module holds words only: what they
lead to is decided in :mod:`weatherglass.diagnose` and :mod:`weatherglass.decide`.
"""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """A member of a closed set; it is its own spelling in reports, JSON and telemetry."""

    def __str__(self) -> str:
        return str(self.value)


class Kind(Word):
    """What went wrong with an attempt or a call (rule C1).

    The first group is read off an HTTP answer, the second off an exception, the third are
    refusals of our own, for which nothing was sent.
    """

    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    BAD_GATEWAY = "bad_gateway"
    GATEWAY_TIMEOUT = "gateway_timeout"
    REQUEST_TIMEOUT = "request_timeout"
    SERVER_ERROR = "server_error"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    ESCALATED = "escalated"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    CLIENT_ERROR = "client_error"

    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_HANDSHAKE = "tls_handshake"
    TLS_CERTIFICATE = "tls_certificate"
    PROXY = "proxy"
    CONNECTION_RESET = "connection_reset"
    READ_TIMEOUT = "read_timeout"
    TRUNCATED_BODY = "truncated_body"
    MALFORMED_RESPONSE = "malformed_response"
    NETWORK_OTHER = "network_other"
    INVALID_CALL = "invalid_call"

    CIRCUIT_OPEN = "circuit_open"
    MAINTENANCE = "maintenance"
    DEADLINE = "deadline"
    CLOSED = "closed"
    TOKEN_REFRESH = "token_refresh"  # noqa: S105 - a kind of failure, not a secret
    REAUTHENTICATION = "reauthentication"


NETWORK_KINDS = frozenset(
    {
        Kind.DNS,
        Kind.CONNECT_REFUSED,
        Kind.CONNECT_TIMEOUT,
        Kind.TLS_HANDSHAKE,
        Kind.TLS_CERTIFICATE,
        Kind.PROXY,
        Kind.CONNECTION_RESET,
        Kind.READ_TIMEOUT,
        Kind.TRUNCATED_BODY,
        Kind.MALFORMED_RESPONSE,
        Kind.NETWORK_OTHER,
    }
)
"""Kinds that come from the network rather than from an answer (rule N1)."""


class Execution(Word):
    """Whether the server can have executed the request (rule C2)."""

    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    POSSIBLE = "possible"

    @property
    def excluded(self) -> bool:
        """Whether the server cannot have executed the request, so that a replay is harmless."""
        return self is not Execution.POSSIBLE


class Outcome(Word):
    """How a call ended."""

    SUCCESS = "success"
    FAILED = "failed"
    """A permanent failure: trying again would not have helped."""
    GAVE_UP = "gave_up"
    """A transient failure that was not, or no longer, retried; the report names the reason."""
    REFUSED = "refused"
    """Nothing was sent: breaker, gate, window, deadline or token stood before it."""


class GiveUpReason(Word):
    """Why a call ended without success although its failure was transient (rule R2)."""

    RETRIES_EXHAUSTED = "retries_exhausted"
    NETWORK_RETRIES_EXHAUSTED = "network_retries_exhausted"
    DEADLINE = "deadline"
    RETRY_BUDGET_EMPTY = "retry_budget_empty"
    NETWORK_BUDGET_EMPTY = "network_budget_empty"
    CIRCUIT_OPEN = "circuit_open"
    MAINTENANCE = "maintenance"
    BODY_NOT_REPLAYABLE = "body_not_replayable"
    METHOD_NOT_REPLAYABLE = "method_not_replayable"
    RETRY_AFTER_ABOVE_CEILING = "retry_after_above_ceiling"
    CLOSED = "closed"
    UNAUTHORIZED_AFTER_REFRESH = "unauthorized_after_refresh"
    TOKEN_REFRESH_FAILED = "token_refresh_failed"  # noqa: S105 - a reason, not a secret
    REAUTHENTICATION_REQUIRED = "reauthentication_required"


class WaitReason(Word):
    """What a call waited for."""

    BACKOFF = "backoff"
    RETRY_AFTER = "retry_after"
    GATE = "gate"
    PACING = "pacing"
    MAINTENANCE = "maintenance"
    TOKEN = "token"  # noqa: S105 - a reason, not a secret


class ResendReason(Word):
    """Why a request was sent again."""

    RETRY = "retry"
    REDIRECT = "redirect"
    REAUTH = "reauth"


class RetryAfterVariant(Word):
    """The form in which a server said when to come back: exactly one per value (rule A1)."""

    MISSING = "missing"
    EMPTY = "empty"
    DELTA_SECONDS = "delta_seconds"
    DELTA_ZERO = "delta_zero"
    DELTA_FLOAT = "delta_float"
    NEGATIVE = "negative"
    IMF_FIXDATE = "imf_fixdate"
    RFC850 = "rfc850"
    ASCTIME = "asctime"
    DATE_OTHER_ZONE = "date_other_zone"
    DATE_PAST = "date_past"
    ISO8601 = "iso8601"
    DURATION = "duration"
    EPOCH_SECONDS = "epoch_seconds"
    EPOCH_MILLIS = "epoch_millis"
    MILLISECONDS_HEADER = "milliseconds_header"
    MULTIPLE = "multiple"
    QUOTED = "quoted"
    NON_FINITE = "non_finite"
    OVERFLOW = "overflow"
    NON_ASCII_DIGITS = "non_ascii_digits"
    UNPARSEABLE = "unparseable"


class RetryAfterSource(Word):
    """Where the server said it (rule A3)."""

    NONE = "none"
    RETRY_AFTER_MS = "retry_after_ms"
    RETRY_AFTER = "retry_after"
    RATELIMIT = "ratelimit"
    RATELIMIT_RESET = "ratelimit_reset"
    TEXT = "text"


class Disposition(Word):
    """What was done with the delay that a server asked for."""

    HONOURED = "honoured"
    FLOORED = "floored"
    """Waited for longer than the server said, because it said less than the floor."""
    REFUSED = "refused"
    """Above the ceiling, or across the deadline: the call gave up at once."""
    IGNORED = "ignored"
    """Unusable, or the failure was not to be replayed."""


class BreakerState(Word):
    """The states of a circuit breaker (rule B1), with the two that an operator can force."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class BreakerCause(Word):
    """Why a breaker changed its state."""

    CONSECUTIVE_FAILURES = "consecutive_failures"
    FAILURE_RATE = "failure_rate"
    SLOW_CALL_RATE = "slow_call_rate"
    MAINTENANCE = "maintenance"
    PROBE_DUE = "probe_due"
    PROBE_SUCCEEDED = "probe_succeeded"
    PROBE_FAILED = "probe_failed"
    OPERATOR = "operator"


class TokenReason(Word):
    """Why a token was fetched (rule T5)."""

    MISSING = "missing"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    UNAUTHORIZED = "unauthorized"


class KeySource(Word):
    """Where an idempotency key came from (rules I1, I2 and I6)."""

    CALLER = "caller"
    DETERMINISTIC = "deterministic"
    PER_CALL = "per_call"
    PER_CALL_ONE_SHOT = "per_call_one_shot"
    """A deterministic key was wanted, but the body can be read only once."""


class Replay(Word):
    """What an answer says about an earlier delivery of the same request (rule I5)."""

    REPLAYED = "replayed"
    """The server says that it returns the answer of an earlier delivery."""
    AMBIGUOUS = "ambiguous_replay"
    """It says "already done" to a request that was sent more than once: perhaps by us."""


class ObservedDecision(Word):
    """What would have been done, had the policy's mode not been ``observe`` (rule D18)."""

    RETRY = "retry"
    REFRESH = "refresh"
    GIVE_UP = "give_up"
    GATE_WAIT = "gate_wait"
    PACING_WAIT = "pacing_wait"
    BREAKER_REFUSAL = "breaker_refusal"
    MAINTENANCE_REFUSAL = "maintenance_refusal"
