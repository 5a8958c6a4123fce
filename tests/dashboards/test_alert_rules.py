"""The rules speak of what there is, and every alert can be looked up. No tool is needed here."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rule_files import ROOT, RULES, alert_tests, boards, names, rules, selectors

from weatherglass.telemetry import prometheus, registry
from weatherglass.telemetry.definitions import Metric
from weatherglass.vocabulary import NETWORK_KINDS, Kind

ALERTS = {str(rule["alert"]): rule for rule in rules("alert")}
RECORDED = {str(rule["record"]): rule for rule in rules("record")}
EXPRESSIONS = {name: rule["expr"] for table in (RECORDED, ALERTS) for name, rule in table.items()}

SERIES: dict[str, Metric] = {
    series: metric
    for metric in registry.METRICS.values()
    for series in prometheus.series_names(metric)
}
LABELS = {prometheus.label_name(name) for name in registry.ATTRIBUTES}
OF_THE_TARGET = {"job", "instance"}
SEVERITIES = {"critical", "warning", "info"}

PROMQL = set(
    re.findall(
        r"\w+",
        "and or unless on by group_left group_right offset sum min max count group scalar vector"
        " clamp_min increase last_over_time max_over_time min_over_time label_replace",
    )
)
"""The words of PromQL that the rules use."""

LEVELS = {
    "weatherglass",
    "job_server",
    "job_server_reason",
    "job_instance",
    "job_instance_source",
    "job_instance_breaker",
}
LOUD_IN_MAINTENANCE = {
    "WeatherglassTokenRefreshFailing",
    "WeatherglassTokenAboutToExpire",
    "WeatherglassCredentialsRefused",
    "WeatherglassAuthEscalated",
    "WeatherglassMaintenanceOverrun",
    "WeatherglassMaintenanceFeedStale",
    "WeatherglassTelemetryAbsent",
    "WeatherglassCallbackErrors",
}
SILENCED = re.compile(
    r"on \(job, server_address\)\s+"
    r"max_over_time\(job_server:weatherglass_maintenance_active:max\[\w+\]\) == 1"
)


def runbooks() -> dict[str, str]:
    """The sections of the runbooks on alerts, by their heading."""
    text = (ROOT / "docs" / "runbooks.md").read_text("utf-8")
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)
    sections = zip(parts[1::2], parts[2::2], strict=True)
    return {heading: body for heading, body in sections if heading.startswith("Weatherglass")}


# What they speak of --------------------------------------------------------------------------


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_every_name_is_one_of_ours(expression: str) -> None:
    """O6: metrics and labels are the registry's, translated, or recorded by a rule."""
    known = set(SERIES) | set(RECORDED) | LABELS | OF_THE_TARGET | PROMQL

    assert names(expression) - known == set()


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_every_selector_can_match(expression: str) -> None:
    """O6: a metric is asked for labels that it has, and for values that they can have."""
    for series, label, values in selectors(expression):
        if series in RECORDED:
            assert label in LABELS
        else:
            attributes = SERIES[series].attributes
            assert label in {prometheus.label_name(each.name) for each in attributes} | {
                *OF_THE_TARGET
            }
        attribute = next(
            each
            for each in registry.ATTRIBUTES.values()
            if prometheus.label_name(each.name) == label
        )
        allowed = ("true", "false") if attribute.type is bool else attribute.values
        assert not allowed or set(values) <= set(allowed), f"{series}: {label}"


def test_every_recorded_series_is_used() -> None:
    """No rule records what no other rule reads."""
    used = set().union(*(names(expression) for expression in EXPRESSIONS.values()))

    assert set(RECORDED) - used == set()


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_names_say_level_metric_and_operations(name: str) -> None:
    """Recorded series are named as Prometheus advises."""
    level, metric, operations = name.split(":")

    assert level in LEVELS
    assert metric
    assert re.fullmatch(r"(max|ratio|increase|ratio\d+[mh]|increase\d+[mh])", operations)


def test_what_shows_an_origin_down_is_what_windows_go_by() -> None:
    """M3: an overrun is found by a 503 or a transient network failure, and by all of these."""
    expression = RECORDED["job_server:weatherglass_attempts_down_unplanned:increase10m"]["expr"]
    transient = {str(kind) for kind in NETWORK_KINDS - {Kind.TLS_CERTIFICATE}}

    for _, label, values in selectors(expression):
        if label == prometheus.label_name(registry.FAILURE_KIND):
            assert set(values) == transient | {Kind.UNAVAILABLE.value}


def test_unusable_values_are_those_without_seconds() -> None:
    """A7: every variant that says nothing is told of, but for the one that says that none came."""
    kinds = (ROOT / "docs" / "kinds.md").read_text("utf-8")
    silent = set(re.findall(r"^\| `(\w+)` \|.*\| none \|$", kinds, re.MULTILINE)) - {"missing"}
    assert silent

    told = {
        value
        for _, label, values in selectors(ALERTS["WeatherglassUnusableRetryAfter"]["expr"])
        if label == prometheus.label_name(registry.RETRY_AFTER_VARIANT)
        for value in values
    }
    assert told == silent


@pytest.mark.parametrize("alert", ALERTS)
def test_silence_in_maintenance_is_a_decision(alert: str) -> None:
    """M4: an alert is silent in windows, or is named as one that must not be."""
    silenced = SILENCED.search(ALERTS[alert]["expr"]) is not None

    assert silenced is (alert not in LOUD_IN_MAINTENANCE)


# How they are told ---------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_severity_and_says_what_is_wrong(alert: str) -> None:
    """Whoever is called learns what it is, and where to read on."""
    rule: dict[str, Any] = ALERTS[alert]

    assert alert.startswith("Weatherglass")
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{alert.lower()}"


@pytest.mark.parametrize("alert", ALERTS)
def test_labels_in_texts_exist(alert: str) -> None:
    """O6: what a text fills in is a label of ours."""
    for text in ALERTS[alert]["annotations"].values():
        filled = set(re.findall(r"\$labels\.(\w+)", text))
        assert filled <= LABELS | OF_THE_TARGET


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """Nobody looks for a section in vain, and no section is left over."""
    assert list(runbooks()) == list(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_runbook_answers_the_same_questions(alert: str) -> None:
    """At night one looks for the same things in the same places."""
    told = re.findall(r"^\*\*(.+?)\*\*", runbooks().get(alert, ""), re.MULTILINE)

    assert told == ["It means", "You see", "Check first", "Do", "Quiet"]


@pytest.mark.parametrize("alert", ALERTS)
def test_every_runbook_names_the_severity(alert: str) -> None:
    """The page and the rule agree on how urgent it is."""
    severity = ALERTS[alert]["labels"]["severity"]

    assert f"`{severity}`" in runbooks().get(alert, "").split("**It means**")[0]


def test_runbooks_name_panels_that_exist() -> None:
    """What an operator is sent to is there: ``*Board / Panel*``."""
    panels = {
        f"{board['title'].partition(': ')[2]} / {panel['title']}"
        for board in boards()
        for panel in board["panels"]
    }
    text = " ".join("\n".join(runbooks().values()).split())
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*]* / [^*]+)\*(?!\*)", text))

    assert named
    assert named - panels == set()


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tested_firing_and_not_firing(alert: str) -> None:
    """Each alert has a case in which it fires, and one in which it does not."""
    fires = [bool(case.get("exp_alerts")) for case in alert_tests() if case["alertname"] == alert]

    assert set(fires) == {True, False}


def test_tests_name_alerts_that_exist() -> None:
    """A case for an alert that does not exist would pass for ever as one that does not fire."""
    assert {case["alertname"] for case in alert_tests()} <= set(ALERTS)


def test_every_test_file_is_seen() -> None:
    """All files among the tests end as those that are run."""
    assert all(file.name.endswith(".test.yaml") for file in (RULES / "tests").iterdir())
