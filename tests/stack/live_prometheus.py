"""Questions to a running Prometheus that the tests ask, beyond plain queries.

Selectors are taken out of expressions by Prometheus' own parser, so that no query is read with a
regular expression of ours.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import requests
from stack.processes import Prometheus

_Found = TypeVar("_Found")
_LOOK = 0.2
"""Real seconds between two looks at what has arrived."""


def wait_for(look: Callable[[], _Found], timeout: float = 20.0) -> _Found:
    """What ``look`` finds, as soon as it finds something.

    Raises:
        TimeoutError: when it finds nothing in time.
    """
    deadline = time.monotonic() + timeout
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {found!r} after {timeout:g} s")
        threading.Event().wait(_LOOK)
    return found


def ask(prometheus: Prometheus, path: str, **parameters: Any) -> Any:
    """The data that an endpoint of the API answers with."""
    with requests.Session() as session:
        session.trust_env = False
        url = f"{prometheus.url}/api/v1/{path}"
        answer = session.get(url, params=parameters, timeout=30).json()
    assert answer["status"] == "success", f"{path} {parameters}: {answer.get('error')}"
    return answer["data"]


def numbers(results: list[dict[str, Any]]) -> list[float]:
    """The numbers that a range query returned; what is no number is drawn by nobody."""
    points = (float(value) for result in results for _, value in result.get("values", ()))
    return [value for value in points if not math.isnan(value)]


def selectors(prometheus: Prometheus, expression: str) -> set[str]:
    """The series selectors of an expression, without ranges and offsets."""
    return set(_selectors(ask(prometheus, "parse_query", query=expression)))


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """All objects of a syntax tree."""
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node:
        if isinstance(each, (dict, list)):
            yield from _nodes(each)


def _selectors(node: Any) -> Iterator[str]:
    for each in _nodes(node):
        if each.get("type") in ("vectorSelector", "matrixSelector"):
            matchers = (f"{m['name']}{m['type']}{_quoted(m['value'])}" for m in each["matchers"])
            yield "{" + ",".join(sorted(matchers)) + "}"


def groupings(prometheus: Prometheus, expression: str) -> list[tuple[set[str], set[str]]]:
    """The labels of each ``by``, and the selectors of the series that it groups.

    Without labels that the expression makes itself.
    """
    found = []
    for node in _nodes(ask(prometheus, "parse_query", query=expression)):
        if node.get("type") == "aggregation" and not node["without"]:
            labels = set(node["grouping"]) - set(_made(node))
            found.append((labels, set(_selectors(node))))
    return found


def _made(node: Any) -> Iterator[str]:
    for each in _nodes(node):
        if each.get("type") == "call" and each["func"]["name"] in ("label_replace", "label_join"):
            yield each["args"][1]["val"]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def total(prometheus: Prometheus, expression: str, at: float) -> float:
    """The one number that an expression comes to; 0 if there is none."""
    found = prometheus.query(expression, at)
    return float(found[0]["value"][1]) if found else 0.0


def by_labels(prometheus: Prometheus, expression: str, at: float, *labels: str) -> dict[str, int]:
    """The whole numbers of a vector, by the values of these labels; without zeros."""
    found: dict[str, int] = {}
    for result in prometheus.query(expression, at):
        value = round(float(result["value"][1]))
        if value:
            found[" ".join(result["metric"].get(label, "") for label in labels)] = value
    return found
