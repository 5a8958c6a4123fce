"""Looking at an application's session: whether all it sends goes through weatherglass."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

import weatherglass
from weatherglass.cli import main
from weatherglass.cli.doctor.findings import Finding, Status
from weatherglass.cli.doctor.session import judge, load
from weatherglass.cli.failure import CommandFailed, WrongUsage

MODULE = "doctor_application"
APPLICATION = """
import requests
import weatherglass

class Client:
    session = weatherglass.Session()

session = requests.Session()
client = Client()
number = 7

def make():
    return Client.session

def leave():
    raise SystemExit(7)

def chatter():
    print("ready")
    return Client.session

def fail():
    raise RuntimeError("no https://ann:s3cret@db.example today")
"""


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An application's module in the working directory."""
    (tmp_path / f"{MODULE}.py").write_text(APPLICATION, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    yield MODULE
    sys.modules.pop(MODULE, None)


def findings(session: requests.Session) -> list[Finding]:
    with session:
        return list(judge(session))


def test_a_weatherglass_session_is_well() -> None:
    """D1: ours is mounted for https and http; its policy is named."""
    (found,) = findings(weatherglass.Session())

    assert found.status is Status.OK
    assert found.found == "a weatherglass.Session, policy default, for https:// and http://"


def test_a_plain_session_is_a_failure() -> None:
    """A session that weatherglass knows nothing of is the finding."""
    (found,) = findings(requests.Session())

    assert found.status is Status.FAILED
    assert "without weatherglass" in found.found


def test_a_session_that_retries_by_itself_is_a_failure() -> None:
    """D4: urllib3.Retry in place of ours is named with its prefix."""
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=3))
    (found,) = findings(session)

    assert found.status is Status.FAILED
    assert "the adapter on 'https://' retries by itself" in found.found


def test_an_adapter_beside_ours_is_told() -> None:
    """D4: one that retries beside ours is a failure, one that does not a warning."""
    session = weatherglass.Session()
    session.mount("https://plain.example", HTTPAdapter())
    with pytest.warns(weatherglass.SecondRetryLayerWarning):
        session.mount("https://ann:s3cret@retrying.example", HTTPAdapter(max_retries=2))
    statuses = {found.status: found for found in findings(session)}

    assert set(statuses) == {Status.OK, Status.WARNING, Status.FAILED}
    assert "'https://plain.example'" in statuses[Status.WARNING].found
    assert "s3cret" not in statuses[Status.FAILED].found


def test_an_adapter_for_https_alone_is_a_warning() -> None:
    """A plain session with our adapter on one prefix sends the rest without it."""
    session = requests.Session()
    session.mount("https://", weatherglass.Adapter())
    (found,) = findings(session)

    assert found.status is Status.WARNING
    assert found.found.endswith("but not for all of 'http://'")


def test_an_adapter_for_one_host_is_a_warning() -> None:
    """Ours may be meant for one host only, which is told."""
    session = requests.Session()
    session.mount("https://api.example.com", weatherglass.Adapter())
    (found,) = findings(session)

    assert found.status is Status.WARNING
    assert "'https://', 'http://'" in found.found


def test_a_session_that_observes_is_a_warning() -> None:
    """D18: the dry run is not forgotten."""
    (found,) = findings(weatherglass.Session(policy=weatherglass.Policy(mode="observe")))

    assert found.status is Status.WARNING
    assert "only observes" in found.found


@pytest.mark.parametrize("attribute", ["Client.session", "client.session", "make"])
def test_a_session_is_found(application: str, attribute: str) -> None:
    """An attribute, one of an attribute, or a function that makes it; from the working folder."""
    with load(f"{application}:{attribute}") as session:
        assert isinstance(session, weatherglass.Session)


@pytest.mark.parametrize("named", ["nocolon", ":x", "x:", ""])
def test_a_name_of_another_form_is_wrong_usage(named: str) -> None:
    """D16: the form is told."""
    with pytest.raises(WrongUsage, match="MODULE:ATTRIBUTE"):
        load(named)


def test_what_is_no_session_is_wrong_usage(application: str) -> None:
    """D16: what was found instead is told."""
    with pytest.raises(WrongUsage, match=r"is a int, but must be a requests\.Session"):
        load(f"{application}:number")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("doctor_nowhere:x", "ModuleNotFoundError"),
        (f"{MODULE}:nothing", "AttributeError"),
        (f"{MODULE}:fail", "RuntimeError"),
        (f"{MODULE}:leave", "SystemExit: 7"),
    ],
)
@pytest.mark.usefixtures("application")
def test_what_cannot_be_had_is_told(named: str, said: str) -> None:
    """An import or a function that fails is told without traceback, and without credentials."""
    with pytest.raises(CommandFailed, match=said) as caught:
        load(named)
    assert "s3cret" not in str(caught.value)


def test_the_command_looks_at_a_session(
    application: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--session` makes its findings findings of the command."""
    assert main(["doctor", "--session", f"{application}:session"]) == 1
    assert "failed   session" in capsys.readouterr().out
    assert main(["doctor", "--session", f"{application}:client.session"]) == 0


def test_what_an_application_prints_is_not_among_the_findings(
    application: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is the doctor's alone, so that `--json` can be parsed."""
    assert main(["doctor", "--json", "--session", f"{application}:chatter"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["ok"]
    assert printed.err == "ready\n"
