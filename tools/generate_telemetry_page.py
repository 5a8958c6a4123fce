"""Writes docs/telemetry.md from the telemetry registry, or checks that it is up to date.

``python tools/generate_telemetry_page.py`` writes it; with ``--check`` nothing is written, and
the exit status is 1 when the page is not what the registry says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from weatherglass.telemetry import prometheus, redact, registry
from weatherglass.telemetry.definitions import SERIES, Attribute, Event, Metric, Span

PAGE = Path(__file__).resolve().parents[1] / "docs" / "telemetry.md"

INTRODUCTION = f"""\
# Telemetry

<!-- Made by tools/generate_telemetry_page.py from weatherglass.telemetry.registry. -->

Everything that weatherglass decides can be seen from outside: as OpenTelemetry spans, metrics and
events, and through the standard logger `{registry.SCOPE_NAME}`. This page lists every name. A new
name comes with a minor version, a changed one with a major version.

The instrumentation scope is `{registry.SCOPE_NAME}`, with the package's version and the schema
`{registry.SCHEMA_URL}`.

Without an OpenTelemetry SDK nothing is recorded and next to nothing is done. An application that
has set up its own needs to do no more. One that has none calls
`weatherglass.telemetry.configure("my-service", endpoint="http://localhost:4318")`, or without
arguments and with the standard `OTEL_*` variables: OTLP over HTTP by default, over gRPC by choice,
exported in the background and flushed at exit. It never replaces a provider that is there.
"""

SPANS = """\
## Spans

A call that succeeds at once makes two spans: its own, and that of its one request. Waits are spans
too, so that a waterfall shows where the time went.
"""

COEXISTENCE = """\
### Beside other instrumentations

Around each request that weatherglass sends, other HTTP instrumentations are suppressed with the key
that OpenTelemetry's own ones share, so there is one CLIENT span and one `traceparent` per request.
A call that arrives with that key set by somebody else is inside of a CLIENT span already: then no
call, wait, refresh or request spans are made, `http.client.*` is not measured and no header is
added; what is our own is written on the span that is there, and counted as ever. A call that
arrives with all instrumentation suppressed, as in an exporter, leaves no trace at all.
"""

METRICS = """\
## Metrics

Labels in *italics* are not on every series. Each measurement is made in the context of the span
that it belongs to, so that exemplars lead to it.
"""

BOUNDS = f"""\
## How many series there can be

Labels come from closed sets or from bounded ones: the first values are told as they are, all that
come later as `{registry.OTHER}` (a number is left out instead). At most {registry.ORIGINS} server
addresses are told apart in one process. Where the combinations would still be more than
{SERIES:,}, the metric stops telling new ones apart and keeps only the closed labels, so none of
them ever has more than {SERIES:,} series. What this comes to at the very worst, with every set
exhausted:
"""

BOUNDS_END = """\
A healthy process has a few dozen. Buckets count as Prometheus counts them, with the sum and the
count.
"""

EVENTS = """\
## Events

An event is told on the span that it belongs to, if that is recorded, or as an OpenTelemetry log
record with an event name, or both or neither: `Recorder(events="span" | "logs" | "both" | "none")`.
The standard logger hears of it in any case, with the attributes as `extra`. Opened breakers,
unusable Retry-After values, failed token refreshes and calls given up are warnings, callbacks that
raise are errors, and a call that an open breaker refuses is not warned of again.
"""

ATTRIBUTES = "## Attributes and their values\n"

REDACTION = """\
## What is not told

Bodies and header values are never told, with two exceptions, both on spans alone: the server's
correlation id if it looks like one, and the first 64 characters of a Retry-After value.

In URLs, credentials become `{redacted}:{redacted}@`, and the values of these parameters
`{redacted}`, in the fragment too, whatever their case and separators: {parameters}. The rest of
the query, and the path, are told.

An error code is told if it looks like a code: letters, digits and `. _ : / ~ -`, at most 100 of
them. Anything else may be a sentence with somebody's name in it, and is `{other}`.

The exception that a call ends with is told once, without its stack trace. Its message is told for
network failures and for refusals of our own only, without queries and credentials: other messages
may quote headers or bodies.
"""

PROMETHEUS = """\
## Names in Prometheus

As the OpenTelemetry Collector and Prometheus translate them with the classic underscore names.
`job` is `service.namespace/service.name`, or `service.name` alone, and `instance` is
`service.instance.id`; all other attributes of the resource are on `target_info`.
"""


def page() -> str:
    """The whole page."""
    sections = (
        INTRODUCTION,
        SPANS,
        *map(_span, registry.SPANS.values()),
        COEXISTENCE,
        METRICS,
        _table(
            ("Metric", "Instrument", "Unit", "Labels", "What it says"),
            map(_metric, registry.METRICS.values()),
        ),
        _buckets(),
        BOUNDS,
        _table(("Metric", "Series", "In Prometheus"), _series()),
        BOUNDS_END,
        EVENTS,
        _table(("Event", "What happened", "Attributes"), map(_event, registry.EVENTS.values())),
        ATTRIBUTES,
        _table(
            ("Attribute", "Type", "What it says", "Values"),
            map(_attribute, registry.ATTRIBUTES.values()),
        ),
        REDACTION.format(
            redacted=registry.REDACTED,
            other=registry.OTHER,
            parameters=", ".join(f"`{name}`" for name in sorted(redact.SECRET_PARAMETERS)),
        ),
        PROMETHEUS,
        _table(
            ("Metric", "In Prometheus", "Labels"), map(_in_prometheus, registry.METRICS.values())
        ),
    )
    return "\n".join(sections)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _names(attributes: Iterable[Attribute]) -> str:
    return ", ".join(f"`{attribute.name}`" for attribute in attributes)


def _span(span: Span) -> str:
    parts = [f"### `{span.name}` ({span.kind})\n", f"{span.meaning}\n"]
    parts.append(f"From its start: {_names(span.start)}.\n")
    if span.end:
        parts.append(f"At its end, where they apply: {_names(span.end)}.\n")
    return "\n".join(parts)


def _metric(metric: Metric) -> tuple[str, ...]:
    labels = (
        f"*`{a.name}`*" if a.name in metric.optional else f"`{a.name}`" for a in metric.attributes
    )
    return (
        f"`{metric.name}`",
        metric.instrument.value,
        f"`{metric.unit}`",
        ", ".join(labels),
        metric.meaning,
    )


def _buckets() -> str:
    lines = ["Upper bounds of the buckets:\n"]
    for metric in registry.METRICS.values():
        if metric.buckets:
            bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
            lines.append(f"- `{metric.name}`: {bounds}")
    return "\n".join(lines) + "\n"


def _series() -> Iterator[tuple[str, ...]]:
    total = translated = 0
    for metric in registry.METRICS.values():
        most = metric.most_series
        in_prometheus = most * prometheus.series_per_attribute_set(metric)
        total += most
        translated += in_prometheus
        yield f"`{metric.name}`", f"{most:,}", f"{in_prometheus:,}"
    yield "all together", f"{total:,}", f"{translated:,}"


def _event(event: Event) -> tuple[str, ...]:
    return f"`{event.name}`", event.meaning, _names(event.attributes)


_TYPES = {str: "string", int: "int", float: "double", bool: "boolean", tuple: "string[]"}


def _attribute(attribute: Attribute) -> tuple[str, ...]:
    values = ", ".join(f"`{value}`" for value in attribute.values)
    if not values and attribute.limit is not None and attribute.type is str:
        values = f"as a label, {attribute.limit} at most, then `{registry.OTHER}`"
    return f"`{attribute.name}`", _TYPES[attribute.type], attribute.meaning, values


def _in_prometheus(metric: Metric) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in prometheus.series_names(metric))
    labels = ", ".join(f"`{prometheus.label_name(a.name)}`" for a in metric.attributes)
    return f"`{metric.name}`", names, labels


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    wanted = parser.parse_args(arguments)
    made = page()
    if not wanted.check:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    present = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if present == made:
        return 0
    print(
        f"{PAGE.name} is not what the registry says: run tools/generate_telemetry_page.py",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
