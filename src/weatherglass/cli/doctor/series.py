"""Whether the series arrive in Prometheus, under their names, fresh, and with the rules on them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from weatherglass.cli.doctor import names
from weatherglass.cli.doctor.clocks import CHECK, judge
from weatherglass.cli.doctor.findings import Finding, failed, ok, skipped, warning
from weatherglass.cli.doctor.network import NoAnswer
from weatherglass.cli.doctor.prometheus import Prometheus, RuleGroup
from weatherglass.cli.failure import CommandFailed
from weatherglass.cli.picture import is_rule_file, picture
from weatherglass.runtime import SYSTEM
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Metric
from weatherglass.telemetry.prometheus import metric_name

FRESH = 180.0
"""Seconds after which a newest sample is old: three of the SDK's export intervals."""

_RECENT = 3600.0
_POLL = 1.0
_OURS = r"weatherglass[._].+"
_OF_EVERY_CALL = (registry.CALL_DURATION, registry.ATTEMPT_COUNT)
"""The metrics that exist as soon as any call was made."""
_HOLDS_CALLS = f"{metric_name(registry.CALL_DURATION)}_count"
_GROUP = re.compile(r"^\s*- name:\s*[\"']?([^\"'#\s]+)", re.MULTILINE)
_OLDEST_MAJOR = 3
_OTLP_FLAG = "web.enable-otlp-receiver"
_SEND = (
    "make a call in the application and look again after its export interval (60 s by default);"
    " does it call weatherglass.telemetry.configure(), and does --otlp work?"
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A measurement that was sent, and that is to arrive."""

    metric: Metric
    value: float
    wait: float
    """Seconds, at most."""


def examine(
    server: Prometheus, job: str | None, service: str, arrival: Arrival | None
) -> Iterator[Finding]:
    """All that can be seen in Prometheus.

    Args:
        server: the Prometheus.
        job: the job that must have series; any if ``None``.
        service: the job of the doctor itself, which does not count.
        arrival: what the doctor has sent, if anything.
    """
    try:
        yield _server(server)
    except NoAnswer as error:
        yield failed("prometheus", error.found, error.advice)
        return
    yield _looked_at(CHECK, lambda: judge(server.clock()))
    if arrival is not None:
        # First, because what an application sent before will have arrived by then as well.
        yield _looked_at("arrival", lambda: _arrival(server, arrival, service))
    yield _looked_at("metric names", lambda: _names(server, job))
    yield _looked_at("series", lambda: _series(server, job, service))
    yield _looked_at("rules", lambda: judge_rules(server.rule_groups(), _expected_groups()))


def _looked_at(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except NoAnswer as error:
        return failed(check, error.found, error.advice)


def _server(server: Prometheus) -> Finding:
    server.clock()  # a version alone is no proof that it answers queries
    try:
        version = server.version()
    except NoAnswer:
        version = ""
    return judge_server(server.shown, version, server.flags())


def judge_server(shown: str, version: str, flags: Mapping[str, str]) -> Finding:
    """Whether it is a Prometheus that the rest is made for."""
    found = f"{shown} answers queries, version {version or 'unknown'}"
    major = version.partition(".")[0].lstrip("v")
    if major.isdecimal() and int(major) < _OLDEST_MAJOR:
        return warning(
            "prometheus",
            found,
            f"Prometheus {_OLDEST_MAJOR} or later takes OTLP; before, let it scrape the Collector"
            " (collector/scrape.yaml)",
        )
    receiver = flags.get(_OTLP_FLAG)
    if receiver is not None:
        found += f", OTLP receiver {'on' if receiver == 'true' else 'off'}"
    return ok("prometheus", found)


def _names(server: Prometheus, job: str | None) -> Finding:
    since = SYSTEM.time() - _RECENT
    found = server.names(_selector(_OURS, job), since)
    return judge_names([name for name in found if ":" not in name], job)


def judge_names(found: Iterable[str], job: str | None = None) -> Finding:
    """Whether metrics have the names that dashboards ask for, and which ones there are."""
    check = "metric names"
    wrong = names.mistranslated(found, registry.METRICS.values())
    if wrong:
        return failed(check, names.described(wrong), names.ADVICE)
    present = set(found)
    ours = [m for m in registry.METRICS.values() if m.name.startswith(registry.SCOPE_NAME)]
    there = [m for m in ours if _has(present, m)]
    if not there:
        return skipped(check, f"no metric of weatherglass{_of(job)} in the last hour")
    lacking = [metric_name(m) for m in _OF_EVERY_CALL if m not in there]
    if lacking:
        return failed(
            check,
            f"{', '.join(lacking)} of every call {'is' if len(lacking) == 1 else 'are'} missing,"
            f" while {len(there)} others are there",
            "does a filter or a view on the way drop metrics?",
        )
    later = f"; {len(ours) - len(there)} others come with their first occurrence"
    return ok(
        check, f"{len(there)} of {len(ours)} metrics{later if len(there) < len(ours) else ''}"
    )


def _has(present: set[str], metric: Metric) -> bool:
    name = metric_name(metric)
    return name in present or f"{name}_count" in present


def _series(server: Prometheus, job: str | None, service: str) -> Finding:
    selector = _selector(_HOLDS_CALLS, job)
    newest = f"max by (job) (timestamp({selector}))"
    ages = _ages(server, newest, service)
    if not ages:
        # An instant query looks back for five minutes only.
        ages = _ages(server, f"max by (job) (max_over_time(timestamp({selector})[1d:1m]))", service)
    return judge_ages(ages, job)


def _ages(server: Prometheus, expression: str, service: str) -> dict[str, float]:
    found = server.query(expression)
    now = server.clock().theirs
    jobs = {sample.labels.get("job", ""): now - sample.value for sample in found}
    return {job: age for job, age in jobs.items() if job != service}


def judge_ages(ages: Mapping[str, float], job: str | None = None) -> Finding:
    """Whether there are series of calls, and new samples in them: no data is not zero."""
    check = "series"
    if not ages:
        found = f"no series of calls{_of(job)} in the last day"
        return warning(check, found, _SEND) if job is None else failed(check, found, _SEND)
    told = ", ".join(
        f"{name or '(no job)'} ({_ago(age)})" for name, age in sorted(ages.items(), key=_by_age)
    )
    if min(ages.values()) <= FRESH:
        return ok(check, f"newest samples by job: {told}")
    return failed(
        check,
        f"nothing new: the newest samples by job are {told}",
        "the application has stopped, or its export is broken: look at its log for lines of"
        " opentelemetry.exporter, and at the Collector's",
    )


def judge_rules(groups: Iterable[RuleGroup], expected: Iterable[str]) -> Finding:
    """Whether the rules are loaded and can be evaluated."""
    check = "rules"
    loaded = {group.name: group for group in groups}
    wanted = list(expected)
    if not wanted:
        return skipped(check, "this installation carries no rules to compare with")
    broken = [rule for name in wanted if name in loaded for rule in loaded[name].broken]
    if broken:
        return failed(check, f"cannot be evaluated: {'; '.join(broken)}", "export the rules again")
    lacking = [name for name in wanted if name not in loaded]
    if lacking:
        return warning(
            check,
            f"not loaded: {', '.join(lacking)}",
            "weatherglass dashboards export DIR, and name DIR/dashboards/rules/*.yaml under"
            " rule_files in prometheus.yml",
        )
    return ok(check, f"loaded: {', '.join(wanted)}")


def _expected_groups() -> list[str]:
    try:
        contents = picture()
    except CommandFailed:
        return []
    return [
        name
        for path, data in contents.items()
        if is_rule_file(path)
        for name in _GROUP.findall(data.decode())
    ]


def _arrival(server: Prometheus, sent: Arrival, service: str) -> Finding:
    """Wait until what was sent is there."""
    pattern = re.sub(r"[._]", "[._]", sent.metric.name)
    expression = f"{_selector(pattern + '.*', None)} == {sent.value!r}"
    began, asleep = SYSTEM.monotonic(), threading.Event()
    while True:
        found = server.query(expression)
        waited = SYSTEM.monotonic() - began
        if found:
            return judge_arrival(found[0].labels, waited, sent.metric, service)
        if waited + _POLL > sent.wait:
            break
        SYSTEM.wait(asleep, _POLL)
    off = server.flags().get(_OTLP_FLAG) == "false"
    return failed(
        "arrival",
        f"the measurement that was sent has not come to {server.shown} within {sent.wait:g} s",
        "look at the logs of what took it, a Collector as a rule: does it export metrics to this"
        " Prometheus? If it is scraped, --wait must be longer than the scrape interval"
        + (f"; --{_OTLP_FLAG} is off here, so nothing can be pushed" if off else ""),
    )


def judge_arrival(
    labels: Mapping[str, str], waited: float, metric: Metric, service: str
) -> Finding:
    """How a measurement has arrived."""
    check, name = "arrival", labels.get("__name__", "")
    wrong = names.mistranslated([name], [metric])
    if wrong:
        return failed(check, names.described(wrong), names.ADVICE)
    job = labels.get("job", "")
    if job != service:
        return warning(
            check,
            f"what was sent has come, but as of job {job!r} instead of {service!r}",
            "dashboards tell services apart by job: set honor_labels: true where Prometheus"
            " scrapes the Collector, and leave service.name to the application",
        )
    return ok(check, f"what was sent is in Prometheus, {waited:.0f} s later")


def _selector(pattern: str, job: str | None) -> str:
    matchers = [f"__name__=~{json.dumps(pattern)}"]
    if job is not None:
        matchers.append(f"job={json.dumps(job, ensure_ascii=False)}")
    return "{" + ",".join(matchers) + "}"


def _of(job: str | None) -> str:
    return "" if job is None else f" of job {job}"


def _by_age(item: tuple[str, float]) -> tuple[float, str]:
    return item[1], item[0]


def _ago(age: float) -> str:
    if age < 2 * 60:
        return f"{max(age, 0):.0f} s ago"
    if age < 2 * 3600:
        return f"{age / 60:.0f} min ago"
    return f"{age / 3600:.0f} h ago"
