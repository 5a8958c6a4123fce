"""What the doctor says of what it was told: judgements without machine or network."""

from __future__ import annotations

import pytest
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from weatherglass.cli.doctor import environment, names, series, variables
from weatherglass.cli.doctor.clocks import Reading, from_date, judge
from weatherglass.cli.doctor.environment import Surroundings
from weatherglass.cli.doctor.findings import Finding, Status, failed, ok, summary, warning
from weatherglass.cli.doctor.prometheus import RuleGroup
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Metric
from weatherglass.telemetry.prometheus import metric_name, series_names

ALL = [name for metric in registry.METRICS.values() for name in series_names(metric)]


def around(**changes: object) -> Surroundings:
    plain: dict[str, object] = {
        "versions": {"weatherglass": "1", "opentelemetry-sdk": "1.45.1"},
        "python": "3.12.0",
        "environ": {},
        "instrumentations": frozenset(),
        "auto_instrumented": False,
        "default_retries": HTTPAdapter().max_retries,
    }
    return Surroundings(**{**plain, **changes})  # type: ignore[arg-type]  # of many types


# Findings -----------------------------------------------------------------------------------


def test_a_finding_is_lines_for_a_person() -> None:
    """Status, check and what was found come first, and what to do about it below, indented."""
    finding = failed("series", "word " * 30, "do this")
    first, *others = finding.render().splitlines()

    assert first.startswith("failed   series            word word")
    assert all(len(line) <= 100 for line in finding.render().splitlines())
    assert others[-1].strip() == "-> do this"
    assert all(line.startswith(" " * 27) for line in others)


def test_the_summary_counts() -> None:
    """What is worst is counted first, and what there is none of is left out."""
    findings = [ok("a", ""), warning("b", "", ""), warning("c", "", ""), failed("d", "", "")]

    assert summary(findings) == "1 failed, 2 warnings, 1 ok"


# Clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "status"),
    [
        (0.0, Status.OK),
        (1.5, Status.OK),
        (5.0, Status.WARNING),
        (-5.0, Status.WARNING),
        (45.0, Status.FAILED),
        (-45.0, Status.FAILED),
    ],
)
def test_clocks_are_compared(ahead: float, status: Status) -> None:
    """More than two seconds are warned of, more than thirty are a failure, in both directions."""
    found = judge(Reading("the API", 1000.0 + ahead, 0.0, 1000.0, 1000.0))

    assert found.status is status
    if status is not Status.OK:
        assert f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}" in found.found


def test_a_slow_answer_and_whole_seconds_are_no_difference() -> None:
    """Only what cannot be explained by the way there and back, or by rounding, counts."""
    reading = from_date("x", "Thu, 01 Jan 1970 00:16:40 GMT", 990.0, 1004.9)

    assert reading == Reading("x", 1000.0, 1.0, 990.0, 1004.9)
    assert reading.difference == 0.0


def test_the_age_of_a_cached_answer_counts() -> None:
    """A cache's Date is that of the server behind it, so many seconds ago."""
    reading = from_date("x", "Thu, 01 Jan 1970 00:16:40 GMT", 1060.0, 1060.0, "60")

    assert reading is not None
    assert reading.difference == 0.0


@pytest.mark.parametrize("date", ["", "yesterday", "0", "\x00"])
def test_no_date_is_no_reading(date: str) -> None:
    """What is no date says nothing about a clock."""
    assert from_date("x", date, 0.0, 0.0) is None


# Surroundings -------------------------------------------------------------------------------


def test_versions_are_told() -> None:
    """The packages that matter are named with their versions."""
    found = environment.of_versions(around())

    assert (found.status, found.found) == (
        Status.OK,
        "Python 3.12.0, weatherglass 1, opentelemetry-sdk 1.45.1",
    )


def test_a_missing_sdk_is_warned_of() -> None:
    """Without an SDK there is nothing to export with."""
    found = environment.of_versions(around(versions={"weatherglass": "1"}))

    assert found.status is Status.WARNING
    assert "opentelemetry-sdk" in found.advice


def test_a_wrong_policy_is_a_failure() -> None:
    """D16: what is wrong with file or variables is told as `weatherglass config` tells it."""
    found = environment.of_policy(None, {"WEATHERGLASS_RETRY_MAX_RETRIES": "-1"})

    assert found.status is Status.FAILED
    assert "retry.max_retries is -1, but must be" in found.found


def test_a_dry_run_is_warned_of() -> None:
    """D18: whoever wonders why nothing is retried is told that the mode is observe."""
    found = environment.of_policy(None, {"WEATHERGLASS_MODE": "observe"})

    assert found.status is Status.WARNING
    assert "the mode is observe" in found.found


def test_a_policy_is_told_with_its_origins() -> None:
    """D17: where settings come from is said."""
    plain = environment.of_policy(None, {})
    changed = environment.of_policy(None, {"WEATHERGLASS_DEADLINE": "20"})

    assert plain.found == "'default', all defaults"
    assert changed.found == (
        "'default', 1 setting other than the defaults (environment variable WEATHERGLASS_DEADLINE)"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "otlp, none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "600000"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer s3cret"),
    ],
)
def test_variables_that_keep_telemetry_away_are_warned_of(name: str, value: str) -> None:
    """O4: a standard variable that leaves dashboards empty is named, with what it does."""
    (found,) = variables.examine({name: value})

    assert found.status is Status.WARNING
    assert found.found.startswith(name)
    assert "s3cret" not in found.found
    assert found.advice


def test_a_certificate_that_requests_overrules_is_warned_of() -> None:
    """The exporter's own setting does not hold where a bundle for all of requests is set."""
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem"}
    (alone,) = variables.examine(environ)
    (both,) = variables.examine(environ | {"REQUESTS_CA_BUNDLE": "/all.pem"})

    assert alone.status is Status.OK
    assert both.status is Status.WARNING
    assert "is overruled by REQUESTS_CA_BUNDLE" in both.found


def test_variables_are_told_by_name_alone() -> None:
    """What a variable holds may be a secret; only that it is set is told."""
    (found,) = variables.examine({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret"})

    assert found == ok("OTEL_ variables", "set: OTEL_EXPORTER_OTLP_HEADERS")


@pytest.mark.parametrize("retries", [3, Retry(3), Retry(total=None, connect=1)])
def test_requests_that_retries_by_default_is_warned_of(retries: object) -> None:
    """D4: whoever has changed the defaults of requests makes all other sessions retry."""
    found = environment.of_retry_layers(around(default_retries=retries))

    assert found.status is Status.WARNING
    assert environment.of_retry_layers(around()).status is Status.OK


def test_other_instrumentations_are_told_to_be_well() -> None:
    """O5: they are named, and that they are suppressed while weatherglass sends."""
    installed = frozenset({"requests", "urllib3", "flask"})
    found = environment.of_instrumentations(around(instrumentations=installed))
    auto = environment.of_instrumentations(
        around(
            instrumentations=installed,
            auto_instrumented=True,
            environ={"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "urllib3, flask"},
        )
    )

    assert found.status is Status.OK
    assert found.found.startswith("requests and urllib3 can be instrumented too: while")
    assert auto.found.startswith("requests can be instrumented too, and are as the process starts")
    assert "none but" in environment.of_instrumentations(around()).found


def test_this_machine_can_be_looked_at() -> None:
    """What is gathered here makes findings of each kind, and none of them a failure."""
    here = environment.gather()
    findings = list(environment.examine(here, None))

    assert here.versions["requests"]
    assert {f.check for f in findings} >= {"versions", "policy", "retry layers", "instrumentations"}


# Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", registry.METRICS.values(), ids=lambda m: m.name)
def test_names_of_other_translations_are_recognised(metric: Metric) -> None:
    """O3: each metric is known by its name with dots, without suffixes, or both."""
    underscored = metric.name.replace(".", "_")
    others = {metric.name, underscored, f"{metric.name}_bucket", f"{metric.name}_seconds_total"}
    others -= set(series_names(metric))

    assert set(names.mistranslated(others, registry.METRICS.values())) == others
    assert names.mistranslated(series_names(metric), registry.METRICS.values()) == {}


def test_what_is_not_ours_is_not_judged() -> None:
    """Names that stand for no metric of the registry are passed over."""
    found = ["weatherglass_unheard_of", "up", "weatherglass:calls:rate5m"]

    assert names.mistranslated(found, registry.METRICS.values()) == {}


def test_a_wrong_translation_is_a_failure_with_its_cure() -> None:
    """O3: dashboards would stay empty, so the setting that makes the names is named."""
    dotted = series.judge_names(["weatherglass.attempts_total", "weatherglass.call.duration"])
    bare = series.judge_names(["weatherglass_attempts"])

    assert dotted.status is bare.status is Status.FAILED
    assert dotted.found == (
        "weatherglass.attempts_total is there, but dashboards ask for weatherglass_attempts_total:"
        " dots were kept, and 1 more"
    )
    assert "suffixes are missing" in bare.found
    assert "UnderscoreEscapingWithSuffixes" in dotted.advice


def test_metrics_of_every_call_must_be_there() -> None:
    """What each call makes cannot be missing where others are, unless something drops it."""
    breakers = metric_name(registry.BREAKER_STATUS)
    attempts = metric_name(registry.ATTEMPT_COUNT)
    duration = series_names(registry.CALL_DURATION)

    assert series.judge_names([]).status is Status.SKIPPED
    assert series.judge_names([breakers]).status is Status.FAILED
    some = series.judge_names([attempts, *duration])
    assert some.status is Status.OK
    assert "others come with their first occurrence" in some.found
    assert "others" not in series.judge_names(ALL).found


# Series and rules ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ages", "job", "status"),
    [
        ({}, None, Status.WARNING),
        ({}, "orders", Status.FAILED),
        ({"orders": 12.0}, None, Status.OK),
        ({"orders": 12.0, "old": 7200.0}, None, Status.OK),
        ({"orders": 7200.0}, "orders", Status.FAILED),
    ],
)
def test_no_data_is_not_zero(ages: dict[str, float], job: str | None, status: Status) -> None:
    """Series must be there and fresh; that none has ever come is told apart from old ones."""
    found = series.judge_ages(ages, job)

    assert found.status is status
    assert all(name in found.found for name in ages)
    assert job is None or bool(ages) or f"of job {job}" in found.found


def test_the_age_of_the_newest_sample_is_told() -> None:
    """The freshest job comes first, each with its age in a fitting unit."""
    found = series.judge_ages({"b": 7300.0, "a": 12.0, "": 240.0, "ahead": -1.0})

    assert found.found == (
        "newest samples by job: ahead (0 s ago), a (12 s ago), (no job) (4 min ago), b (2 h ago)"
    )


def test_rules_that_are_not_loaded_are_warned_of() -> None:
    """Dashboards work without, alerts do not: the command that exports the rules is named."""
    found = series.judge_rules([RuleGroup("a", ())], ["a", "b"])

    assert (found.status, found.found) == (Status.WARNING, "not loaded: b")
    assert "weatherglass dashboards export" in found.advice


def test_rules_that_cannot_be_evaluated_are_a_failure() -> None:
    """A rule's error is told."""
    groups = [RuleGroup("a", ("Rule: bad",)), RuleGroup("foreign", ("Theirs: bad",))]
    found = series.judge_rules(groups, ["a"])

    assert (found.status, found.found) == (Status.FAILED, "cannot be evaluated: Rule: bad")


def test_loaded_rules_are_well() -> None:
    """Groups of others do not matter, and without rules of our own nothing is said."""
    groups = [RuleGroup("a", ()), RuleGroup("foreign", ("Theirs: bad",))]

    assert series.judge_rules(groups, ["a"]).status is Status.OK
    assert series.judge_rules(groups, []).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("version", "flags", "status", "said"),
    [
        ("3.16.0", {"web.enable-otlp-receiver": "true"}, Status.OK, "OTLP receiver on"),
        ("3.16.0", {"web.enable-otlp-receiver": "false"}, Status.OK, "OTLP receiver off"),
        ("2.53.1", {}, Status.WARNING, "version 2.53.1"),
        ("v3.0.0", {}, Status.OK, "version v3.0.0"),
        ("", {}, Status.OK, "version unknown"),
    ],
)
def test_the_prometheus_is_described(
    version: str, flags: dict[str, str], status: Status, said: str
) -> None:
    """Its version and whether it takes OTLP are told; one that cannot is warned of."""
    found = series.judge_server("http://prometheus:9090", version, flags)

    assert found.status is status
    assert said in found.found


def test_findings_are_plain_json() -> None:
    """A finding without advice has none, rather than an empty one."""
    assert Finding("a", Status.OK, "b").to_dict() == {
        "check": "a",
        "status": "ok",
        "found": "b",
        "advice": None,
    }
