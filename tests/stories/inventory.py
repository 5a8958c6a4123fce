"""What a story drove, set by set, and what there is to drive.

What there is, is read from the fake server's faults, the closed sets of words and the registry, so
that whatever is added there is missed here until a scene plays it. What was driven, is read from
the plans, the ledgers, the reports and the telemetry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any

from catalogue import CONSTRUCTORS
from narrative import CallStory, Told
from stage import Stage

import weatherglass
from weatherglass import vocabulary
from weatherglass.telemetry import registry
from weatherglass.testing import (
    KNOWN_ERRORS,
    Action,
    BodyForm,
    Fault,
    IdempotencyMode,
    Limiting,
    Spelling,
    Telling,
    faults,
)
from weatherglass.vocabulary import Word

CANNOT_HAPPEN: Mapping[str, Mapping[Any, str]] = {
    "Action": {Action.SERVE: "it is no fault, so the ledger names none; it is played all the same"},
    "attributes": {
        "weatherglass.event": "it is a field of log records, where it names the event",
    },
}
"""What no scene can drive, with the reason; as soon as one does, it must go from here."""


def to_drive() -> dict[str, set[Any]]:
    """All that there is."""
    words = {name: set(each) for name, each in _sets_of_words()}
    return words | {
        "constructors": {
            name
            for name, function in inspect.getmembers(faults, inspect.isfunction)
            if inspect.signature(function).return_annotation == "Fault" and name[0] != "_"
        },
        "known errors": set(KNOWN_ERRORS),
        "callbacks": {field.name for field in fields(weatherglass.Callbacks)} | {"on_rotated"},
        "token sources": {"client_credentials", "refresh_token", "callable"},
        "spans": set(registry.SPANS),
        "events": set(registry.EVENTS),
        "metrics": set(registry.METRICS),
        "attributes": set(registry.ATTRIBUTES),
    }


def _sets_of_words() -> Iterator[tuple[str, type[Word]]]:
    of_server: tuple[type[Word], ...] = (
        Action,
        Spelling,
        BodyForm,
        IdempotencyMode,
        Limiting,
        Telling,
    )
    for words in of_server:
        yield words.__name__, words
    for name, each in inspect.getmembers(vocabulary, inspect.isclass):
        if issubclass(each, Word) and each is not Word:
            yield name, each


def driven(
    stages: Sequence[Stage], told: Told, stories: Sequence[CallStory]
) -> dict[str, set[Any]]:
    """What was, by the same names."""
    played = [fault for stage in stages for fault in stage.played]
    return {
        **_by_server(stages, played),
        **_by_calls(stories),
        **_by_witnesses(stages),
        **_by_telemetry(told),
    }


def _by_server(stages: Sequence[Stage], played: Sequence[Fault]) -> dict[str, set[Any]]:
    struck = {e.fault for stage in stages for e in stage.server.ledger.requests() if e.fault}
    first = {label.split()[0] for label in struck}
    plans = [plan for stage in stages for plan in stage.plans]
    whole = set(played)
    return {
        "Action": {action for action in Action if action in first},
        "constructors": {name for name, made in CONSTRUCTORS.items() if whole.issuperset(made)},
        "Spelling": {fault.spelling for fault in played},
        "BodyForm": {fault.form for fault in played},
        "IdempotencyMode": {plan.idempotency for plan in plans},
        "Limiting": {plan.rate_limit.algorithm for plan in plans if plan.rate_limit is not None},
        "Telling": {plan.rate_limit.telling for plan in plans if plan.rate_limit is not None},
    }


def _by_calls(stories: Sequence[CallStory]) -> dict[str, set[Any]]:
    attempts = [attempt for story in stories for attempt in story.attempts]
    errors = {(attempt.status, attempt.code) for attempt in attempts}
    return {
        "Kind": _seen(_Kind, *(s.kind for s in stories), *(a.kind for a in attempts)),
        "Outcome": _seen(vocabulary.Outcome, *(s.outcome for s in stories)),
        "GiveUpReason": _seen(vocabulary.GiveUpReason, *(s.give_up for s in stories)),
        "WaitReason": _seen(vocabulary.WaitReason, *(w.reason for s in stories for w in s.waits)),
        "ResendReason": _seen(vocabulary.ResendReason, *(a.resend_reason for a in attempts)),
        "RetryAfterVariant": _seen(vocabulary.RetryAfterVariant, *(a.variant for a in attempts)),
        "RetryAfterSource": _seen(vocabulary.RetryAfterSource, *(a.source for a in attempts)),
        "Disposition": _seen(vocabulary.Disposition, *(a.disposition for a in attempts)),
        "KeySource": _seen(vocabulary.KeySource, *(s.key_source for s in stories)),
        "Replay": _seen(vocabulary.Replay, *(s.replay for s in stories)),
        "ObservedDecision": _seen(
            vocabulary.ObservedDecision, *chain.from_iterable(s.observed for s in stories)
        ),
        "known errors": {
            each
            for each in KNOWN_ERRORS
            if errors >= {each, (each[0], each[1].upper().replace(".", "_"))}
        },
    }


_Kind = vocabulary.Kind


def _by_witnesses(stages: Sequence[Stage]) -> dict[str, set[Any]]:
    moves = [move for stage in stages for move in stage.transitions]
    refreshes = [refresh for stage in stages for refresh in stage.refreshes]
    attempts = [a for stage in stages for report in stage.reports for a in report.attempts]
    return {
        "BreakerState": {move.state for move in moves},
        "BreakerCause": {move.cause for move in moves},
        "TokenReason": {refresh.reason for refresh in refreshes},
        "token sources": {refresh.source for refresh in refreshes},
        "Execution": {a.failure.execution for a in attempts if a.failure is not None},
        "callbacks": {raised.callback for stage in stages for raised in stage.raised},
    }


def _by_telemetry(told: Told) -> dict[str, set[Any]]:
    events = [event for span in told.spans for event in span.events]
    labels = (each.attributes for each in chain[Any](told.spans, events, told.points))
    return {
        "spans": {registry.ATTEMPT_SPAN if s.kind == "CLIENT" else s.name for s in told.spans},
        "events": {event.name for event in events} | _logged(told),
        "metrics": {point.name for point in told.points},
        "attributes": set(chain.from_iterable(labels)),
    }


def _logged(told: Told) -> set[str]:
    """Events that log records tell of: some happen where there is no span."""
    named = (vars(record).get(registry.EVENT_NAME) for record in told.logs or ())
    return {str(name) for name in named if name is not None}


def _seen(words: Callable[[str], Word], *told: str | None) -> set[Word]:
    return {words(each) for each in told if each is not None}


def missing(
    stock: Iterable[str], there: Mapping[str, set[Any]], was: Mapping[str, set[Any]]
) -> Any:
    """Per set, what was not driven though it can be, and what was though it cannot."""
    return {
        name: differing
        for name in stock
        if (differing := (there[name] - was.get(name, set())) ^ set(CANNOT_HAPPEN.get(name, ())))
    }
