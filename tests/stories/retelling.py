"""The whole story of calls, told again from what was exported, and compared with the truth (O2).

There are two witnesses: the reports of the calls, and the server's ledger. Spans are rebuilt
into stories; these must equal the reports, each attempt must be the request that the ledger has
under its trace context, and the metrics and log records must be what follows from the stories.

It works on records as OTLP carries them, wherever they were received. Names are spelled out
here, and not taken from the registry: this is the contract as its readers know it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from logging import LogRecord
from typing import Any
from urllib.parse import urlsplit

from levels import check_levels
from measurements import UNMEASURED, Series, bounded, check_sums, counts_of_stories, counts_told
from narrative import REFRESH, WAIT, CallStory, Told, one_event, reported, retell
from occurrences import (
    AFTER_THE_END,
    FeedFailure,
    Raised,
    WindowEvent,
    check_events_of_call,
    check_exemplars,
    check_links,
    check_raised,
    check_refresh_event,
    check_windows,
    raised_on_spans,
)

from weatherglass import CallReport, testing
from weatherglass.testing import Entry, Span

NEVER_ARRIVED = frozenset(
    {
        "dns",
        "connect_refused",
        "connect_timeout",
        "tls_handshake",
        "tls_certificate",
        "proxy",
        "invalid_call",
    }
)
"""Kinds of failures after which a server knows nothing of the attempt."""

WITHOUT_REPORT = frozenset({"token-endpoint", UNMEASURED})
"""The policies of calls that weatherglass makes for itself: what they did, the ledger knows."""

NEVER_HEARD = frozenset({"read_timeout", "network_other", "invalid_call"})
"""Kinds of failures after which a caller knows nothing of the answer, whatever it was."""


def check_story(
    told: Told,
    memories: Sequence[tuple[CallReport, BaseException | None]],
    ledger: Sequence[Entry],
    *,
    transitions: Sequence[Any] | None = None,
    refreshes: Sequence[Any] | None = None,
    raised: Sequence[Raised] | None = None,
    windows: Mapping[WindowEvent, int] | None = None,
    feed_failures: Sequence[FeedFailure] = (),
    levels: Mapping[Series, float] | None = None,
    observing: Collection[str] = (),
    exemplars: bool = False,
    in_threads: bool = False,
) -> list[CallStory]:
    """Fail unless the telemetry tells what the reports and the ledger say, all of it and no more.

    ``memories`` are all reports, each with what its call raised, if anything; calls to token
    endpoints and status pages have none. ``transitions`` and ``refreshes`` are what the
    application's callbacks were given, if anybody listened, and ``raised`` what its own callbacks
    raised. ``windows`` are the maintenance windows that calls ran into, ``feed_failures`` the
    feeds that began to fail, ``levels`` the states at the export, ``observing`` the names of the
    policies that only observe. ``exemplars`` says that the points are the first that were
    exported. Returns the stories of all calls.

    ``in_threads`` says that calls ran beside each other: then a breaker may have moved between
    an attempt's permit and its span.
    """
    retold = [retell(told, call) for call in told.calls()]
    with_report = [story for story in retold if story.policy not in WITHOUT_REPORT]
    expected = [reported(report, error) for report, error in memories]
    if in_threads:
        with_report, expected = _without_states(with_report), _without_states(expected)
    _compare("stories", Counter(with_report), Counter(expected))
    reports = [report for report, _ in memories]
    for call, story in zip(told.calls(), retold, strict=True):
        _check_call(told, call, observing)
        check_events_of_call(told, call, story)
    check_links(told)
    _check_ledger(told, ledger)
    _check_keys(reports, ledger)
    witnesses: list[tuple[Any, Callable[[Told, Any], None]]] = [
        (transitions, _check_transitions),
        (refreshes, _check_refreshes),
        (raised, check_raised),
        (windows, check_windows),
        (levels, check_levels),
        (exemplars or None, check_exemplars),
    ]
    for witness, compare in witnesses:
        if witness is not None:
            compare(told, witness)
    callbacks = raised_on_spans(told).elements() if raised is None else raised
    counts = counts_of_stories(told, retold, [each.callback for each in callbacks])
    counted = bounded(counts, told.points)
    _compare("series", counts_told(told.points), counted)
    check_sums(told.points, reports, [story for story in retold if story.policy != UNMEASURED])
    later = _logged_later(raised or (), feed_failures)
    if told.logs is not None:
        _check_logs(told, told.logs, later)
    if told.records is not None:
        _check_records(told, told.records, later)
    return retold


def _without_states(stories: Sequence[CallStory]) -> list[CallStory]:
    return [
        replace(
            story,
            attempts=tuple(replace(attempt, breaker_state=None) for attempt in story.attempts),
        )
        for story in stories
    ]


def _compare(what: str, told: Mapping[Any, float], expected: Mapping[Any, float]) -> None:
    """Both say the same, each thing as often; what differs is listed."""
    differing = [
        f"{told.get(each, 0)} told, {expected.get(each, 0)} expected: {each}"
        for each in sorted({*told, *expected}, key=repr)
        if told.get(each, 0) != expected.get(each, 0)
    ]
    assert not differing, "\n".join([f"{what} differ", *differing])


# What holds for each call ------------------------------------------------------------------


def _check_call(told: Told, call: Span, observing: Collection[str]) -> None:
    """The rules for kinds, names, parents, order, counts and statuses."""
    given, spans = call.attributes, told.children(call)
    attempts = [span for span in spans if span.kind == "CLIENT"]
    assert call.kind == "INTERNAL"
    assert {"server.address", "server.port", "weatherglass.policy"} <= given.keys()
    assert given["weatherglass.attempts"] == len(attempts)
    mode = "observe" if given["weatherglass.policy"] in observing else None
    assert given.get("weatherglass.mode") == mode
    failed = given["weatherglass.outcome"] != "success"
    assert call.status == ("ERROR" if failed else "UNSET")
    why = given.get("weatherglass.give_up.reason", given.get("weatherglass.failure.kind"))
    assert call.status_message == (why if failed else "")
    assert ("error.type" in given) == failed
    assert ("weatherglass.failure.kind" in given) == failed
    given_up = one_event(call, "weatherglass.call.given_up")
    assert (given_up or {}).get("weatherglass.give_up.reason") == given.get(
        "weatherglass.give_up.reason"
    )
    for number, attempt in enumerate(attempts):
        _check_attempt(attempt, number)
    _check_waterfall(call, spans)
    for span in spans:
        assert span.name != WAIT or span.status == "UNSET"
        for event in span.events:
            assert event.name != "exception", "a handled failure is no exception of the call"


def _check_attempt(attempt: Span, resends: int) -> None:
    given = attempt.attributes
    failed = "weatherglass.failure.kind" in given
    # The server's part of a URL, as the conventions want it on every CLIENT span.
    where = urlsplit(given["url.full"])
    assert (given["server.address"], given["server.port"]) == (
        where.hostname,
        where.port or {"http": 80, "https": 443}[where.scheme],
    )
    assert given.get("http.request.resend_count") == (resends or None)
    assert ("weatherglass.resend.reason" in given) == bool(resends)
    assert attempt.status == ("ERROR" if failed else "UNSET")
    assert ("error.type" in given) == failed
    status = given.get("http.response.status_code")
    if status is not None and status >= 400:
        assert given["error.type"] == str(status)
    assert ("network.protocol.version" in given) == (status is not None)
    name = given["http.request.method"]
    name = "HTTP" if name == "_OTHER" else name
    template = given.get("url.template")
    assert attempt.name == (f"{name} {template}" if template else name)


def _check_waterfall(call: Span, spans: Sequence[Span]) -> None:
    """One after the other, and all within the call."""
    at = call.start_ns
    for span in spans:
        assert span.trace_id == call.trace_id
        if span.kind == "CLIENT" or span.name in (WAIT, REFRESH):
            assert at <= span.start_ns <= span.end_ns
            at = span.end_ns
    assert at <= call.end_ns


# The server's side -------------------------------------------------------------------------


def traced_by(entry: Entry) -> tuple[str, str]:
    """Trace and span id of the request's one ``traceparent``, which must say "sampled"."""
    values = [value for name, value in entry.headers if name.lower() == "traceparent"]
    assert len(values) == 1, f"a request has {len(values)} trace contexts, not one"
    version, trace_id, span_id, flags = values[0].split("-")
    assert version == "00"
    assert int(flags, 16) & 1
    return trace_id, span_id


def _check_ledger(told: Told, ledger: Sequence[Entry]) -> None:
    """Each request that the server saw is one attempt, and each attempt was seen if it arrived."""
    attempts = {(span.trace_id, span.span_id): span for span in told.attempts()}
    for entry in ledger:
        _check_entry(attempts.pop(traced_by(entry)), entry)
    for span in attempts.values():
        assert span.attributes["weatherglass.failure.kind"] in NEVER_ARRIVED


def _check_entry(span: Span, entry: Entry) -> None:
    given = span.attributes
    method = given.get("http.request.method_original", given["http.request.method"])
    assert (method, urlsplit(given["url.full"]).path) == (entry.method, entry.path)
    unheard = given.get("weatherglass.failure.kind") in NEVER_HEARD
    if entry.fault != "raw" and not unheard:
        assert given.get("http.response.status_code") == entry.status


def _check_keys(reports: Sequence[CallReport], ledger: Sequence[Entry]) -> None:
    """The keys that the server received are those of the reports."""
    received = {entry.idempotency_key for entry in ledger} - {None}
    assert received <= {report.idempotency_key for report in reports}


def _check_transitions(told: Told, transitions: Sequence[Any]) -> None:
    """Breakers moved as the application was told."""
    assert [
        (
            event["weatherglass.breaker.name"],
            event["weatherglass.breaker.previous_state"],
            event["weatherglass.breaker.state"],
            event["weatherglass.breaker.cause"],
        )
        for _, event in told.events("weatherglass.breaker.transition")
    ] == [(t.name, t.previous.value, t.state.value, t.cause.value) for t in transitions]


def _check_refreshes(told: Told, refreshes: Sequence[Any]) -> None:
    """Tokens were refreshed as the application was told, and each ended in one event."""
    spans = sorted(told.refreshes(), key=lambda span: span.end_ns)
    assert [
        (
            span.attributes["weatherglass.token.source"],
            span.attributes["weatherglass.token.reason"],
            span.status == "UNSET",
        )
        for span in spans
    ] == [(report.source, report.reason.value, report.succeeded) for report in refreshes]
    for span in spans:
        check_refresh_event(span)


# Log records -------------------------------------------------------------------------------

_SPAN_ONLY = "weatherglass.retry_after.raw"

_Record = tuple[str, frozenset[tuple[str, Any]]]


def _check_logs(told: Told, logs: Sequence[LogRecord], later: Counter[_Record]) -> None:
    """Each event on a span is a log record too, with the same attributes but the raw value.

    What happens when there is no span, ``later``, is a log record only.
    """
    on_spans = Counter(
        _event_of(event.name, event.attributes) for span in told.spans for event in span.events
    )
    logged = Counter(
        _event_of(str(fields["weatherglass.event"]), fields)
        for record in logs
        if "weatherglass.event" in (fields := vars(record))
    )
    _compare("logged events", logged, on_spans + later)


def _check_records(
    told: Told, records: Sequence[testing.LogRecord], later: Counter[_Record]
) -> None:
    """So it is as a log record of OpenTelemetry, which belongs to the same span."""
    on_spans = Counter(
        (span.span_id, _event_of(event.name, event.attributes))
        for span in told.spans
        for event in span.events
    )
    recorded = Counter(
        (record.span_id, _event_of(record.event_name, record.attributes)) for record in records
    )
    alone = Counter({(None, event): count for event, count in later.items()})
    _compare("log records", recorded, on_spans + alone)


def _logged_later(raised: Iterable[Raised], failures: Iterable[FeedFailure]) -> Counter[_Record]:
    """What is told when a call's span has ended, or in the background."""
    feeds = Counter(
        _event_of(
            "weatherglass.maintenance.feed_failed",
            {"weatherglass.maintenance.feed": each.feed, "error.type": each.error_type},
        )
        for each in failures
    )
    return feeds + Counter(
        _event_of(
            "weatherglass.callback.failed",
            {
                "weatherglass.callback": each.callback,
                "error.type": each.error_type,
                "code.file.path": each.file,
                "code.line.number": each.line,
            },
        )
        for each in raised
        if each.callback in AFTER_THE_END
    )


def _event_of(name: str, fields: Mapping[str, Any]) -> _Record:
    return name, frozenset(
        (key, value)
        for key, value in fields.items()
        if "." in key and key not in (_SPAN_ONLY, "weatherglass.event")
    )
