"""Prometheus' own tool accepts the rules and runs their tests; and those tests can fail.

What can be said of the rules without a tool is in ``tests/dashboards``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).resolve().parents[2] / "dashboards" / "rules"
ALERTS = "weatherglass.alerts.yaml"
RECORDED = "weatherglass.rules.yaml"
TESTS = sorted(file.name for file in (RULES / "tests").glob("*.test.yaml"))

QUIET_IN_MAINTENANCE = {
    "WeatherglassErrorBudgetBurnFast",
    "WeatherglassErrorBudgetBurnSlow",
    "WeatherglassGiveUps",
    "WeatherglassRetryBudgetExhausted",
    "WeatherglassBreakerOpen",
    "WeatherglassBreakerFlapping",
    "WeatherglassUnusableRetryAfter",
}

Document = dict[str, Any]


def _read(path: Path) -> Document:
    document: Document = yaml.safe_load(path.read_text("utf-8"))
    return document


def _rules(name: str) -> list[Document]:
    return [rule for group in _read(RULES / name)["groups"] for rule in group["rules"]]


def _run(promtool: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own build of promtool
        [str(promtool), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


class Copy:
    """A copy of the rules and their tests that may be changed."""

    def __init__(self, promtool: Path, folder: Path) -> None:
        self._promtool = promtool
        self._folder = folder
        shutil.copytree(RULES, folder, dirs_exist_ok=True)

    def change_rules(self, name: str, change: Callable[[Document], None]) -> None:
        path = self._folder / name
        document = _read(path)
        for group in document["groups"]:
            for rule in group["rules"]:
                change(rule)
        path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    def change_tests(self, change: Callable[[Document], Document | None]) -> None:
        """Replace each test by what ``change`` makes of it; ``None`` drops it."""
        for name in TESTS:
            path = self._folder / "tests" / name
            document = _read(path)
            changed = (change(deepcopy(test)) for test in document["tests"])
            document["tests"] = [test for test in changed if test is not None]
            path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    def failing(self) -> set[str]:
        """The alerts and the expressions whose cases fail."""
        done = _run(
            self._promtool, "test", "rules", *(self._folder / "tests" / name for name in TESTS)
        )
        said = done.stdout + done.stderr
        found = re.findall(r"alertname: (\w+)|expr: \"([^\"]+)\"", said)
        assert (done.returncode != 0) is bool(found), said
        return {alert or expression for alert, expression in found}


@pytest.fixture
def changed(promtool: Path, tmp_path: Path) -> Copy:
    return Copy(promtool, tmp_path)


def _only(*, firing: bool) -> Callable[[Document], Document | None]:
    """Keep the cases of alerts that are to fire, or those that are not."""

    def change(test: Document) -> Document | None:
        test.pop("promql_expr_test", None)
        cases = test.pop("alert_rule_test", ())
        kept = [case for case in cases if bool(case.get("exp_alerts")) is firing]
        return {**test, "alert_rule_test": kept} if kept else None

    return change


# They hold -----------------------------------------------------------------------------------


def test_the_configuration_of_prometheus_finds_the_rules(promtool: Path) -> None:
    """Prometheus accepts stack/prometheus.yaml, and both rule files are where it says."""
    checked = _run(promtool, "check", "config", RULES.parents[1] / "stack" / "prometheus.yaml")

    assert checked.returncode == 0, checked.stderr
    assert "2 rule files found" in checked.stdout


@pytest.mark.parametrize("name", [RECORDED, ALERTS])
def test_the_rules_are_well_formed(promtool: Path, name: str) -> None:
    """Prometheus can load the rules, and its linter finds nothing."""
    done = _run(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES / name)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", TESTS)
def test_the_rules_do_what_their_tests_say(promtool: Path, name: str) -> None:
    """M4: alerts fire when they should and are quiet when they should, windows included."""
    done = _run(promtool, "test", "rules", RULES / "tests" / name)

    assert done.returncode == 0, done.stdout + done.stderr


# The tests can fail --------------------------------------------------------------------------


def test_an_alert_that_never_fires_is_noticed(changed: Copy) -> None:
    """Each alert has a case that fails when the alert is dead."""

    def silence(rule: Document) -> None:
        rule["expr"] = "vector(0) > 1"

    changed.change_rules(ALERTS, silence)
    changed.change_tests(_only(firing=True))

    assert changed.failing() == {rule["alert"] for rule in _rules(ALERTS)}


def test_an_alert_that_always_fires_is_noticed(changed: Copy) -> None:
    """Each alert has a case that fails when the alert cries wolf."""

    def cry_wolf(rule: Document) -> None:
        rule["expr"] = "vector(1)"
        rule.pop("for", None)

    changed.change_rules(ALERTS, cry_wolf)
    changed.change_tests(_only(firing=False))

    assert changed.failing() == {rule["alert"] for rule in _rules(ALERTS)}


def test_an_alert_that_does_not_wait_is_noticed(changed: Copy) -> None:
    """Each alert that waits before it fires has a case that fails when it does not."""
    changed.change_rules(ALERTS, lambda rule: rule.pop("for", None))

    assert changed.failing() == {rule["alert"] for rule in _rules(ALERTS) if "for" in rule}


def test_a_recording_rule_that_is_wrong_is_noticed(changed: Copy) -> None:
    """The values of every recorded series are looked at."""

    def spoil(rule: Document) -> None:
        rule["expr"] = "vector(-1)"

    def values_only(test: Document) -> Document | None:
        test.pop("alert_rule_test", None)
        return test if "promql_expr_test" in test else None

    changed.change_rules(RECORDED, spoil)
    changed.change_tests(values_only)
    failing = {expression.split(" ")[0] for expression in changed.failing()}

    assert failing == {rule["record"] for rule in _rules(RECORDED)}


def test_alerts_are_quiet_because_of_the_window(changed: Copy) -> None:
    """M4: the same weather without the window makes every one of them fire."""

    def without_window(test: Document) -> Document | None:
        if not test["name"].startswith("quiet: everything"):
            return None
        test.pop("promql_expr_test")
        for series in test["input_series"]:
            if series["series"].startswith("weatherglass_maintenance_active"):
                series["values"] = "0x140"
        return test

    changed.change_tests(without_window)

    assert changed.failing() == QUIET_IN_MAINTENANCE
