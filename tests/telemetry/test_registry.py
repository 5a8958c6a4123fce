"""The registry against the conventions, the vocabulary, and the rest of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import http_attributes as incubating_http
from opentelemetry.semconv._incubating.attributes import url_attributes
from opentelemetry.semconv.attributes import (
    code_attributes,
    error_attributes,
    exception_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
)
from opentelemetry.semconv.attributes import url_attributes as stable_url_attributes
from opentelemetry.semconv.metrics import http_metrics
from opentelemetry.semconv.schemas import Schemas

import weatherglass
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import SERIES, Instrument, Metric
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
    Word,
)

PACKAGE = Path(weatherglass.__file__).parent

CONVENTIONS = (
    code_attributes,
    error_attributes,
    exception_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    stable_url_attributes,
    url_attributes,
)

CONTRACT = {
    "http.client.request.duration": ("histogram", "s"),
    "weatherglass.call.duration": ("histogram", "s"),
    "weatherglass.call.attempts": ("histogram", "{attempt}"),
    "weatherglass.attempts": ("counter", "{attempt}"),
    "weatherglass.failures": ("counter", "{failure}"),
    "weatherglass.retries": ("counter", "{retry}"),
    "weatherglass.give_ups": ("counter", "{call}"),
    "weatherglass.wait.duration": ("histogram", "s"),
    "weatherglass.retry_after.headers": ("counter", "{header}"),
    "weatherglass.breaker.status": ("observable up-down counter", "1"),
    "weatherglass.breaker.transitions": ("counter", "{transition}"),
    "weatherglass.breaker.refusals": ("counter", "{call}"),
    "weatherglass.token.refresh.duration": ("histogram", "s"),
    "weatherglass.token.ttl": ("observable gauge", "s"),
    "weatherglass.budget.level": ("observable gauge", "{token}"),
    "weatherglass.ratelimit.remaining": ("observable gauge", "{request}"),
    "weatherglass.idempotency.keys": ("counter", "{key}"),
    "weatherglass.observed_decisions": ("counter", "{decision}"),
    "weatherglass.maintenance.active": ("observable up-down counter", "{window}"),
    "weatherglass.maintenance.time_to_start": ("observable gauge", "s"),
    "weatherglass.maintenance.time_to_end": ("observable gauge", "s"),
    "weatherglass.maintenance.feed.age": ("observable gauge", "s"),
    "weatherglass.callback.errors": ("counter", "{error}"),
}

EVENTS = {
    "weatherglass.retry.scheduled",
    "weatherglass.call.given_up",
    "weatherglass.retry_after.received",
    "weatherglass.breaker.transition",
    "weatherglass.token.refreshed",
    "weatherglass.token.refresh_failed",
    "weatherglass.maintenance.started",
    "weatherglass.maintenance.ended",
    "weatherglass.maintenance.feed_failed",
    "weatherglass.auth.escalated",
    "weatherglass.callback.failed",
    "exception",
}


def test_metrics_are_those_of_the_contract() -> None:
    """O1: every metric has the name, instrument and unit that dashboards are built on."""
    found = {m.name: (m.instrument.value, m.unit) for m in registry.METRICS.values()}

    assert found == CONTRACT


def test_events_are_those_of_the_contract() -> None:
    """O1: every event has the name that others look for."""
    assert set(registry.EVENTS) == EVENTS


def test_standard_names_are_the_conventions() -> None:
    """O3: what is not our own is spelled as the semantic conventions spell it."""
    known = {
        value for module in CONVENTIONS for value in vars(module).values() if isinstance(value, str)
    }
    standard = {name for name in registry.ATTRIBUTES if not name.startswith("weatherglass.")}

    assert standard <= known


def test_duration_of_requests_is_the_conventions() -> None:
    """O3: the conventions' metric has their name, unit and buckets."""
    metric = registry.REQUEST_DURATION

    assert metric.name == http_metrics.HTTP_CLIENT_REQUEST_DURATION
    assert metric.unit == "s"
    assert metric.buckets == (
        (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    )


def test_known_methods_are_the_conventions() -> None:
    """O3: the methods that are told as they are are those that the conventions know."""
    known = {method.value for method in incubating_http.HttpRequestMethodValues}

    assert {*registry.KNOWN_METHODS, registry.OTHER} == known


def test_schema_is_a_published_one() -> None:
    """O3: the schema URL names conventions that exist."""
    assert registry.SCHEMA_URL in {schema.value for schema in Schemas}


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        (registry.OUTCOME, Outcome),
        (registry.GIVE_UP_REASON, GiveUpReason),
        (registry.RESEND_REASON, ResendReason),
        (registry.RETRY_AFTER_VARIANT, RetryAfterVariant),
        (registry.RETRY_AFTER_SOURCE, RetryAfterSource),
        (registry.RETRY_AFTER_DISPOSITION, Disposition),
        (registry.WAIT_REASON, WaitReason),
        (registry.KEY_SOURCE, KeySource),
        (registry.REPLAY, Replay),
        (registry.DECISION, ObservedDecision),
        (registry.BREAKER_STATE, BreakerState),
        (registry.BREAKER_PREVIOUS_STATE, BreakerState),
        (registry.BREAKER_CAUSE, BreakerCause),
        (registry.TOKEN_REASON, TokenReason),
    ],
)
def test_closed_sets_are_the_vocabulary(attribute: str, words: type[Word]) -> None:
    """O6: the values of a closed label are exactly the words of its set."""
    assert registry.ATTRIBUTES[attribute].values == tuple(str(word) for word in words)


def test_failure_kinds_have_a_word_for_success() -> None:
    """C1: the failure distribution has all kinds, and one value for attempts without failure."""
    values = registry.ATTRIBUTES[registry.FAILURE_KIND].values

    assert values == (*(str(kind) for kind in Kind), "none")


@pytest.mark.parametrize("metric", registry.METRICS.values(), ids=lambda m: m.name)
def test_every_label_is_bounded(metric: Metric) -> None:
    """O6: no metric can have more series than its stated number, whatever its labels hold."""
    assert 0 < metric.coarse_series < metric.most_series <= SERIES
    assert metric.fine_series + metric.coarse_series >= metric.most_series
    assert set(metric.optional) <= {a.name for a in metric.attributes}


@pytest.mark.parametrize("metric", registry.METRICS.values(), ids=lambda m: m.name)
def test_names_leave_prometheus_its_suffixes(metric: Metric) -> None:
    """O3: units and ``_total`` are not spelled in names, and no gauge becomes a ratio."""
    assert not re.search(r"_(total|seconds|ratio|count|sum|bucket)$", metric.name)
    assert (metric.instrument, metric.unit) != (Instrument.OBSERVABLE_GAUGE, "1")


def spelled() -> Iterator[tuple[str, str]]:
    """Every text in the package that is not a docstring, with the file it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        # A context variable is named for debuggers, not for telemetry.
        prose |= {
            id(argument)
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "ContextVar"
            for argument in n.args
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in prose:
                yield path.relative_to(PACKAGE).as_posix(), str(node.value)


def test_no_other_file_spells_a_name() -> None:
    """O1: names of spans, metrics, events and attributes stand in the registry and nowhere else."""
    names = {
        name
        for table in (registry.ATTRIBUTES, registry.METRICS, registry.EVENTS, registry.SPANS)
        for name in table
        if "." in name
    }

    assert [s for s in spelled() if s[1] in names and s[0] != "telemetry/registry.py"] == []


def test_telemetry_spells_nothing_like_a_name() -> None:
    """O1: within the telemetry package, nothing that looks like a name of ours is made up."""
    ours = re.compile(r"^weatherglass\.[a-z_.]+$")
    found = [s for s in spelled() if s[0].startswith("telemetry/") and ours.match(s[1])]

    assert {file for file, _ in found} == {"telemetry/registry.py"}
