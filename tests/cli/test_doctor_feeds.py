"""Looking at the status feeds of an application's session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import weatherglass
from weatherglass.cli import main
from weatherglass.cli.doctor.feeds import judge
from weatherglass.cli.doctor.findings import Finding, Status
from weatherglass.testing import FakeServer, FaultPlan, FaultRule, Maintenance, faults

PAGES = "/api/v2/scheduled-maintenances/*"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server whose status page announces five windows."""
    windows = tuple(Maintenance(name=name, start=0, end=600) for name in "abcde")
    with FakeServer(FaultPlan(maintenance=windows)) as server:
        yield server


def findings(**maintenance: Any) -> list[Finding]:
    policy = weatherglass.Policy().new(maintenance=maintenance)
    with weatherglass.Session(policy=policy) as session:
        return list(judge(session))


def page(server: FakeServer, **settings: Any) -> weatherglass.StatusFeed:
    return weatherglass.StatusFeed(
        server.url, **{"name": "vendor", "hosts": ("a.example",), **settings}
    )


def test_a_page_that_can_be_read_is_well(server: FakeServer) -> None:
    """M2: what a page announces is told, once, though the adapter is mounted twice."""
    (found,) = findings(feeds=(page(server),))

    assert found.status is Status.OK
    assert found.found == f"'vendor', {server.url}, announces 'a', 'b', 'c' and 2 more"


def test_a_page_of_nothing_is_well(server: FakeServer) -> None:
    """M2: a page that announces nothing can be read all the same."""
    server.plan = FaultPlan()
    (found,) = findings(feeds=(page(server),))

    assert found.status is Status.OK
    assert found.found.endswith("announces no window")


def test_a_page_for_all_hosts_is_a_warning(server: FakeServer) -> None:
    """M1: a page without hosts speaks for everybody's servers, which is told."""
    (found,) = findings(feeds=(page(server, hosts=()),))

    assert found.status is Status.WARNING
    assert "set hosts" in found.advice


@pytest.mark.parametrize(
    ("fault", "error", "advice"),
    [
        (faults.answer(404), "404", "must be that of a status page"),
        (faults.answer(200, body="<html>"), "not_json", "must be that of a status page"),
        (faults.redirect("https://example.com/"), "302", "redirects are not followed"),
        (faults.reset(), "ConnectionError", "whether it can be reached"),
    ],
)
def test_a_page_that_cannot_be_read_is_a_failure(
    server: FakeServer, fault: Any, error: str, advice: str
) -> None:
    """M2: what goes wrong in silence, since it changes no call, is told with what to do."""
    server.plan = FaultPlan(rules=(FaultRule(fault=fault, path=PAGES),))
    (found,) = findings(feeds=(page(server),))

    assert found.status is Status.FAILED
    assert found.found == f"'vendor', {server.url}, cannot be read: {error}"
    assert advice in found.advice


def test_a_file_is_looked_at(tmp_path: Path) -> None:
    """M1: a mistake in the file of windows is named with its place."""
    path = tmp_path / "windows.toml"
    (missing,) = findings(file=str(path))
    path.write_text("[[windows]]\nname = 'x'\n", encoding="utf-8")
    (wrong,) = findings(file=str(path))
    path.write_text("", encoding="utf-8")
    (good,) = findings(file=str(path))

    assert [each.status for each in (missing, wrong, good)] == [
        Status.FAILED, Status.FAILED, Status.OK,
    ]  # fmt: skip
    assert "FileNotFoundError" in missing.found
    assert "windows[0] has no start" in wrong.advice


def test_a_session_without_feeds_has_no_finding() -> None:
    """M2: nothing is asked, and nothing told, where there is no feed."""
    assert findings() == []
    with requests.Session() as plain:
        assert list(judge(plain)) == []


def test_the_command_reads_the_feeds_of_a_session(
    server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--session` has the feeds of that session read."""
    (tmp_path / "doctor_fed_application.py").write_text(
        "import weatherglass as w\n"
        f"page = w.StatusFeed({server.url!r}, hosts=('a.example',))\n"
        "session = w.Session(policy=w.Policy().new(maintenance={'feeds': (page,)}))\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    assert main(["doctor", "--session", "doctor_fed_application:session"]) == 0
    assert "status feed       '127.0.0.1'" in capsys.readouterr().out
    sys.modules.pop("doctor_fed_application").session.close()
