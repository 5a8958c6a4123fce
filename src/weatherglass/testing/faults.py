"""Faults: what a server can do to a request instead of simply answering it.

A fault is data: frozen, comparable, and JSON both ways. It is made with one of the functions
below and put into a plan (:mod:`weatherglass.testing.plan`), which says when it strikes.

Faults that stand for a failure *before* execution leave the server's state untouched; with
``after_execution=True`` the request takes effect first, and the caller cannot know.
"""

from __future__ import annotations

import dataclasses
import json as _json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.testing.data import from_plain, to_bytes, to_plain, to_record, to_word
from weatherglass.testing.latches import HUNG
from weatherglass.vocabulary import RetryAfterVariant, Word

Headers = Mapping[str, "str | None"] | Iterable[tuple[str, "str | None"]]


class Action(Word):
    """What a fault does."""

    SERVE = "serve"
    ANSWER = "answer"
    RAW = "raw"
    RESET = "reset"
    DISCONNECT = "disconnect"
    CUT = "cut"
    DRIP = "drip"
    DELAY = "delay"
    HANG = "hang"
    HOLD = "hold"
    IDLE_CLOSE = "idle_close"
    REVOKE = "revoke"


ON_DELIVERY = frozenset(
    {Action.CUT, Action.DRIP, Action.DELAY, Action.HOLD, Action.IDLE_CLOSE, Action.REVOKE}
)
"""Actions that concern how an answer travels; which answer is the route's affair, or ``of``'s."""


class Spelling(Word):
    """How an error code is written in a body."""

    GENESYS = "genesys"
    """``{"code": "bad.request", …}``: lower-case and dotted, at the top level."""
    UPPER = "upper"
    """``{"errorCode": "BAD_REQUEST", …}``."""
    OAUTH = "oauth"
    """``{"error": "invalid_request", "description": …, "error_description": …}``."""


class BodyForm(Word):
    """The form of an error's body."""

    JSON = "json"
    HTML = "html"
    LATIN1 = "latin1"
    """HTML with letters that are not UTF-8, and no charset declared."""
    EMPTY = "empty"
    TRUNCATED = "truncated"
    """JSON that ends in the middle, though all the bytes that were announced arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault; make it with the functions of this module."""

    action: Action
    status: int = 503
    """Of an ``answer``."""
    headers: tuple[tuple[str, str | None], ...] = ()
    """Added to the answer; ``None`` takes a header away that the server would add."""
    body: bytes | None = None
    """As given; by default the server writes one that fits status, code, spelling and form."""
    code: str | None = None
    """The error code, in Genesys' spelling; by default the usual one of the status."""
    message: str | None = None
    spelling: Spelling = Spelling.GENESYS
    form: BodyForm = BodyForm.JSON
    retry_after: RetryAfterVariant | None = None
    retry_after_seconds: float = 2.0
    seconds: float = 0.0
    """Of a ``delay``; of a ``drip`` the pause between two pieces."""
    size: int | None = None
    """Bytes of the body that a ``cut`` lets through, or of one piece of a ``drip``."""
    latch: str = ""
    """Where a ``hold`` or a ``hang`` waits to be released."""
    abrupt: bool = False
    """Whether a ``cut`` ends in a reset (RST) and not in an orderly close (FIN)."""
    after_execution: bool = False
    """Whether the request takes effect before the fault does."""
    of: Fault | None = None
    """For faults of delivery: the ``answer`` to deliver in place of the route's."""

    def __post_init__(self) -> None:
        _set(self, "action", to_word(Action, "action", self.action))
        _set(self, "spelling", to_word(Spelling, "spelling", self.spelling))
        _set(self, "form", to_word(BodyForm, "form", self.form))
        if self.retry_after is not None:
            _set(self, "retry_after", to_word(RetryAfterVariant, "retry_after", self.retry_after))
        _set(self, "headers", _pairs(self.headers))
        _set(self, "body", to_bytes(self.body))
        if self.of is not None:
            _set(self, "of", to_record(Fault, "of", self.of))
        self._check()

    def _check(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"status is {self.status}, but must be from 200 to 599")
        if self.seconds < 0:
            raise ValueError(f"seconds is {self.seconds:g}, but must not be negative")
        if self.size is not None and self.size < (1 if self.action is Action.DRIP else 0):
            raise ValueError(f"size is {self.size}, which is too small for a {self.action}")
        if self.action in (Action.HOLD, Action.HANG) and not self.latch:
            raise ValueError(f"a {self.action} needs the name of a latch")
        if self.of is not None:
            if self.action not in ON_DELIVERY:
                allowed = ", ".join(sorted(ON_DELIVERY))
                raise ValueError(f"a {self.action} takes no 'of'; these do: {allowed}")
            if self.of.action is not Action.ANSWER:
                raise ValueError(f"of is a {self.of.action}, but must be an answer")

    @property
    def label(self) -> str:
        """How the ledger names the fault when its rule has no name."""
        if self.action is Action.ANSWER:
            return f"answer {self.status}" + (f" {self.code}" if self.code else "")
        return str(self.action)

    def to_dict(self) -> dict[str, Any]:
        """The fault as plain JSON types."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Fault:
        """The fault that :meth:`to_dict` was asked of.

        Raises:
            ValueError: for an unknown field or a value that is not allowed; the message says so.
        """
        return from_plain(cls, plain)

    def new(self, **changes: Any) -> Fault:
        """The fault with some fields changed."""
        return dataclasses.replace(self, **changes)


def serve() -> Fault:
    """No fault: the route answers, and later rules are not asked."""
    return Fault(action=Action.SERVE)


def answer(
    status: int,
    *,
    code: str | None = None,
    message: str | None = None,
    spelling: Spelling | str = Spelling.GENESYS,
    form: BodyForm | str = BodyForm.JSON,
    headers: Headers = (),
    body: bytes | str | None = None,
    json: Any = None,
    retry_after: RetryAfterVariant | str | float | None = None,
    retry_after_seconds: float = 2.0,
    after_execution: bool = False,
) -> Fault:
    """This answer in place of the route's.

    ``retry_after`` is a number of seconds, or the variant in which ``retry_after_seconds`` are
    to be said. ``code=""`` leaves the code out of the body. ``json`` and ``body`` give the body
    itself. A status below 300 counts as executed.
    """
    if json is not None:
        body = _json.dumps(json)
        headers = (("Content-Type", "application/json"), *_pairs(headers))
    if isinstance(retry_after, (int, float)):
        retry_after, retry_after_seconds = RetryAfterVariant.DELTA_SECONDS, float(retry_after)
    return Fault(
        action=Action.ANSWER,
        status=status,
        code=code,
        message=message,
        spelling=to_word(Spelling, "spelling", spelling),
        form=to_word(BodyForm, "form", form),
        headers=_pairs(headers),
        body=to_bytes(body),
        retry_after=None
        if retry_after is None
        else to_word(RetryAfterVariant, "retry_after", retry_after),
        retry_after_seconds=retry_after_seconds,
        after_execution=after_execution,
    )


def daily_limit(hours: float = 5.0) -> Fault:
    """429 for a daily quota: come back in hours, not seconds."""
    return answer(429, code="too.many.requests.retry.after", retry_after=hours * 3600)


def token_rate_limited() -> Fault:
    """A token endpoint's rate limit in disguise: 400 ``invalid_request``."""
    return answer(
        400,
        code="invalid_request",
        message="rate limit exceeded; try again later",
        spelling=Spelling.OAUTH,
    )


def redirect(to: str, status: int = 302) -> Fault:
    """Send the client to another URL, perhaps on another host."""
    return answer(status, headers={"Location": to}, body=b"")


def raw(data: bytes) -> Fault:
    """These very bytes, HTTP or not, and then an orderly close."""
    return Fault(action=Action.RAW, body=data)


def reset(*, after_execution: bool = False) -> Fault:
    """Reset the connection (RST) before any answer."""
    return Fault(action=Action.RESET, after_execution=after_execution)


def disconnect(*, after_execution: bool = False) -> Fault:
    """Close the connection (FIN) before any answer."""
    return Fault(action=Action.DISCONNECT, after_execution=after_execution)


def lose() -> Fault:
    """Execute the request and lose the answer: the connection is reset."""
    return reset(after_execution=True)


def cut(size: int | None = None, *, abrupt: bool = False, of: Fault | None = None) -> Fault:
    """Break off in mid-body, after ``size`` bytes of it (by default half)."""
    return Fault(action=Action.CUT, size=size, abrupt=abrupt, of=of)


def drip(seconds: float, size: int = 1, *, of: Fault | None = None) -> Fault:
    """Send the body in pieces of ``size`` bytes, with a pause before each."""
    return Fault(action=Action.DRIP, seconds=seconds, size=size, of=of)


def delay(seconds: float, *, after_execution: bool = False, of: Fault | None = None) -> Fault:
    """Answer late."""
    return Fault(action=Action.DELAY, seconds=seconds, after_execution=after_execution, of=of)


def hold(latch: str, *, after_execution: bool = False, of: Fault | None = None) -> Fault:
    """Answer only when ``server.release(latch)`` is called."""
    return Fault(action=Action.HOLD, latch=latch, after_execution=after_execution, of=of)


def hang(latch: str = HUNG, *, after_execution: bool = False) -> Fault:
    """Never answer; ends when the client leaves, on ``server.release(latch)``, or on ``stop()``."""
    return Fault(action=Action.HANG, latch=latch, after_execution=after_execution)


def idle_close(*, of: Fault | None = None) -> Fault:
    """Answer and promise to keep the connection, but close it as its next request comes in.

    This is the race that a client with a connection pool loses now and then, made certain.
    """
    return Fault(action=Action.IDLE_CLOSE, of=of)


def revoke(*, of: Fault | None = None) -> Fault:
    """Revoke every token issued so far, and then let the route answer."""
    return Fault(action=Action.REVOKE, of=of)


def _set(record: Any, name: str, value: Any) -> None:
    object.__setattr__(record, name, value)


def _pairs(headers: Headers) -> tuple[tuple[str, str | None], ...]:
    items = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name, value) for name, value in items)
