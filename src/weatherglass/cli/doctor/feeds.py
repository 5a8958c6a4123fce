"""Looking at the status feeds of an application's session: whether they can be read from here.

They are read as the application would read them, through its adapter, once and at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import requests

from weatherglass.adapter import Adapter
from weatherglass.cli.doctor.findings import Finding, failed, ok, warning
from weatherglass.feeds import FeedReading
from weatherglass.policy import StatusFeed
from weatherglass.telemetry.redact import redact_text, redact_url

_CHECK: Final = "status feed"
_NOT_THE_PAGE: Final = (
    "the url must be that of a status page of the kind of Atlassian Statuspage, such that"
    " /api/v2/scheduled-maintenances/upcoming.json can be put behind it"
)


def judge(session: requests.Session) -> Iterator[Finding]:
    """What can be said of the feeds of a session; nothing where it has none."""
    # One adapter is mounted for https and for http.
    adapters = {id(each): each for each in session.adapters.values() if isinstance(each, Adapter)}
    for adapter in adapters.values():
        pages = {feed.name: feed for feed in adapter.policy.maintenance.feeds}
        for name, reading in adapter.read_feeds().items():
            page = pages.get(name)
            if page is None:
                yield _of_file(str(adapter.policy.maintenance.file), reading)
            else:
                yield _of_page(page, reading)


def _of_page(page: StatusFeed, reading: FeedReading) -> Finding:
    shown = f"{page.name!r}, {redact_url(page.url)}"
    if reading.error is not None:
        return failed(_CHECK, f"{shown}, cannot be read: {reading.error}", _advice(reading.error))
    if not page.hosts:
        return warning(
            _CHECK,
            f"{shown}, {_announced(reading)} for all hosts",
            "set hosts, or the maintenance of this page is taken for that of every server",
        )
    return ok(_CHECK, f"{shown}, {_announced(reading)}")


def _of_file(path: str, reading: FeedReading) -> Finding:
    if reading.error is None:
        return ok(_CHECK, f"the file {path} {_announced(reading)}")
    return failed(
        _CHECK,
        f"the file {path} cannot be read: {reading.error}",
        redact_text(reading.detail)
        if reading.detail
        else "set maintenance.file to a file of windows",
    )


def _announced(reading: FeedReading) -> str:
    names = ", ".join(repr(window.name) for window in reading.windows[:3])
    more = "" if len(reading.windows) <= 3 else f" and {len(reading.windows) - 3} more"
    return f"announces {names}{more}" if names else "announces no window"


def _advice(error: str) -> str:
    if error.startswith("3"):
        return "redirects are not followed: set the url that the page redirects to"
    if error in ("404", "not_json", "not_a_status_page"):
        return _NOT_THE_PAGE
    return "see whether it can be reached from here, through HTTPS_PROXY if that is set"
