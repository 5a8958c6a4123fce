"""The status page: maintenance windows as Atlassian Statuspage publishes them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from weatherglass.testing.plan import STATUS_PAGE_PATHS, FaultPlan, Maintenance
from weatherglass.testing.wire import Answer

_ALL, _UPCOMING, _ACTIVE, _SUMMARY = STATUS_PAGE_PATHS


def page(path: str, plan: FaultPlan, *, started_at: float, now: float) -> Answer:
    """The page at this path; times are seconds since the epoch."""
    windows = [
        _entry(number, window, started_at, now)
        for number, window in enumerate(plan.maintenance, start=1)
        if window.announced
    ]
    if path == _UPCOMING:
        windows = [window for window in windows if window["status"] == "scheduled"]
    elif path == _ACTIVE:
        windows = [window for window in windows if window["status"] == "in_progress"]
    elif path == _SUMMARY:
        windows = [window for window in windows if window["status"] != "completed"]
    payload: dict[str, Any] = {"page": _page_info(now), "scheduled_maintenances": windows}
    if path == _SUMMARY:
        active = any(window["status"] == "in_progress" for window in windows)
        payload["status"] = {
            "indicator": "maintenance" if active else "none",
            "description": "Service Under Maintenance" if active else "All Systems Operational",
        }
        payload["components"] = []
        payload["incidents"] = []
    return Answer.of_json(200, payload)


def _entry(number: int, window: Maintenance, started_at: float, now: float) -> dict[str, Any]:
    start, end = started_at + window.start, started_at + window.end
    status = "scheduled" if now < start else "in_progress" if now < end else "completed"
    return {
        "id": f"maintenance{number}",
        "name": window.name,
        "status": status,
        "impact": "maintenance",
        "created_at": _iso(started_at),
        "updated_at": _iso(now),
        "scheduled_for": _iso(start),
        "scheduled_until": _iso(end),
        "started_at": None if status == "scheduled" else _iso(start),
        "components": [
            {"id": f"component{index}", "name": name}
            for index, name in enumerate(window.components, start=1)
        ],
        "incident_updates": [],
    }


def _page_info(now: float) -> dict[str, str]:
    return {
        "id": "fakepage",
        "name": "Fake server",
        "url": "https://status.example.com",
        "time_zone": "Etc/UTC",
        "updated_at": _iso(now),
    }


def _iso(at: float) -> str:
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
