"""Every rule is evaluated by a real Prometheus over real series."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from live_prometheus import groupings, numbers, selectors
from live_stack import RULES, Live


def _rules(kind: str) -> list[dict[str, Any]]:
    return [
        rule
        for file in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


RECORDED = {f"{n}: {rule['record']}": rule for n, rule in enumerate(_rules("record"))}
"""Several rules may record under one name, with labels of their own."""
ALERTS = {f"{n}: {rule['alert']}": rule for n, rule in enumerate(_rules("alert"))}


def test_there_are_rules_of_both_kinds() -> None:
    """The rules that the following tests look at are there."""
    assert RECORDED
    assert ALERTS


def test_prometheus_has_loaded_every_rule(push: Live) -> None:
    """No rule is missing from what is evaluated, and every one of them is healthy."""
    rules = push.prometheus.rules()
    names = sorted(rule["name"] for rule in rules)
    ours = [rule["record"] for rule in RECORDED.values()]
    ours += [rule["alert"] for rule in ALERTS.values()]
    assert names == sorted(ours)
    ill = {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"}
    assert not ill


@pytest.mark.parametrize("rule", RECORDED.values(), ids=RECORDED)
def test_every_recording_rule_yields_series(push: Live, rule: dict[str, Any]) -> None:
    """Each recording rule records something in the run."""
    labels = ",".join(f'{name}="{value}"' for name, value in rule.get("labels", {}).items())
    recorded = f"{rule['record']}{{{labels}}}"
    found = numbers(push.over_the_run(recorded))
    assert found, f"{recorded} has no samples: {rule['expr']}"


@pytest.mark.parametrize("rule", [*RECORDED.values(), *ALERTS.values()], ids=[*RECORDED, *ALERTS])
def test_every_label_of_a_rule_exists(push: Live, rule: dict[str, Any]) -> None:
    """No rule groups by a label that its series do not have."""
    for labels, grouped in groupings(push.prometheus, rule["expr"]):
        missing = labels - push.labels(grouped)
        assert not missing, f"{rule} groups by {missing}"


@pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)
def test_every_selector_of_an_alert_finds_series(push: Live, rule: dict[str, Any]) -> None:
    """No alert is silent because it looks at series that do not exist."""
    for selector in selectors(push.prometheus, rule["expr"]):
        found = push.series(selector)
        assert found, f"{rule['alert']} selects {selector}, which no series fits"
