"""The two calls that are made: create a queue, and find one by its name.

How often a request is sent, when, and with which token is the session's business. What comes
back always has the call's report; what that means is said in :mod:`.verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import requests

import weatherglass
from weatherglass.genesys import Session

QUEUES = "/api/v2/routing/queues"

_PAGE = 100
_SOON = 5.0
"""Seconds after which to come back where nobody has said when."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a call."""

    report: weatherglass.CallReport
    body: dict[str, Any] | None = None
    """The answer's JSON object; ``None`` if there is none."""
    come_back_in: float = _SOON
    """Seconds."""


def create(session: Session, wanted: Mapping[str, Any]) -> Told:
    """Ask for a queue to be created."""
    return _call(session, "POST", json=dict(wanted))


def find(session: Session, name: str) -> tuple[Told, dict[str, Any] | None]:
    """Look for the queue of this name: what was told last, and the queue if there is one.

    One whose name differs in case alone is found as well, as the server may take it for the same.
    """
    page, alike = 1, None
    while True:
        asked = {"name": name, "pageSize": _PAGE, "pageNumber": page}
        told = _call(session, "GET", params=asked)
        queues = None if told.body is None else told.body.get("entities")
        if told.body is None or not isinstance(queues, list):
            # What is not the server's answer does not say that there is none.
            return replace(told, body=None), None
        # An asterisk in a name is a wildcard to the server, so there may be others.
        for queue in queues:
            if queue["name"] == name:
                return told, queue
            if queue["name"].casefold() == name.casefold():
                alike = queue
        if page >= told.body.get("pageCount", 1):
            return told, alike
        page += 1


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> list[str]:
    """The settings in which a queue is not what was wanted; what was left open can be anything."""
    names: list[str] = []
    for key, value in wanted.items():
        there = found.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            names += differences(value, there, f"{path}{key}.")
        elif there != value:
            names.append(path + key)
    return names


def _call(session: Session, method: str, **content: Any) -> Told:
    try:
        response = session.request(method, QUEUES, url_template=QUEUES, **content)
    except requests.RequestException as error:
        return Told(weatherglass.report(error), come_back_in=_wait_of(error))
    report = weatherglass.report(response)
    if not report.succeeded:
        asked = report.failure.retry_after_seconds if report.failure else None
        return Told(report, come_back_in=asked or _SOON)
    try:
        body = response.json()
    except ValueError:
        body = None
    return Told(report, body if isinstance(body, dict) else None)


def _wait_of(error: requests.RequestException) -> float:
    """Seconds that a refusal speaks of."""
    for name in ("next_probe_in", "retry_after"):
        seconds = getattr(error, name, None)
        if isinstance(seconds, (int, float)):
            return float(seconds)
    return _SOON
