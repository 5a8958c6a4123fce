"""The rule files, their tests and the dashboards, read; and of PromQL, which names it uses.

PromQL itself is parsed by promtool, in ``tests/stack``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards" / "rules"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-z_][\w:]*)\{([^{}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")')
_NAME = re.compile(r"(?<![\w.$])[a-zA-Z_][\w:]*")
_NOT_PLAIN = re.compile(r"[^\w|]")


def rules(kind: str) -> list[dict[str, Any]]:
    """All rules of a kind: ``alert`` or ``record``."""
    return [
        rule
        for file in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


def alert_tests() -> Iterator[dict[str, Any]]:
    """All cases of all tests of alerts."""
    for file in sorted((RULES / "tests").glob("*.test.yaml")):
        for test in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            yield from test.get("alert_rule_test", ())


def boards() -> list[dict[str, Any]]:
    """The dashboards as they are committed."""
    return [json.loads(file.read_text("utf-8")) for file in (ROOT / "dashboards").glob("*.json")]


def names(expression: str) -> set[str]:
    """All that stands in an expression outside of strings: metrics, labels, functions, keywords."""
    return set(_NAME.findall(_STRING.sub("", expression)))


def selectors(expression: str) -> Iterator[tuple[str, str, list[str]]]:
    """Metric, label, and the values that the label is compared with, for each matcher.

    Raises:
        ValueError: for a pattern that is more than a list of words.
    """
    for metric, matchers in _SELECTOR.findall(expression):
        for label, operator, quoted in _MATCHER.findall(matchers):
            text = quoted[1:-1]
            values = [text] if operator in ("=", "!=") else text.split("|")
            if label != "error_type" and "~" in operator and _NOT_PLAIN.search(text):
                raise ValueError(f"{metric}: {label}{operator}{quoted} is no list of words")
            yield metric, label, values
