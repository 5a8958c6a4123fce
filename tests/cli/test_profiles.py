"""``--profile``: a vendor's profile for explain and config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weatherglass.cli import main

OWN = """
from weatherglass.policy import Profile, Rule

PROFILE = Profile(
    "Example",
    {"correlation_headers": ("x-example-id",)},
    rules=(Rule(name="example busy", codes=("busy",), transient=True),),
)

def make():
    print("made")
    return PROFILE

def fail():
    raise RuntimeError("no such tenant")

class Vendors:
    example = PROFILE
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an application's profile, in which commands are run."""
    (tmp_path / "own_vendors.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("attribute", ["PROFILE", "make", "Vendors.example"])
@pytest.mark.usefixtures("here")
def test_an_answer_is_explained_by_an_own_profile(
    attribute: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """G1: a module's profile, or what its function makes, is what an answer is read by."""
    command = ["explain", "--status", "500", "--body", '{"code": "busy"}', "--json"]
    command += ["--header", "X-Example-Id: abc", "--profile", f"own_vendors:{attribute}"]
    assert main(command) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["policy"], told["failure"]["rule"]) == ("Example", "example busy")
    assert told["failure"]["correlation_id"] == "abc"


def test_config_names_the_profile_as_an_origin(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """G1, D17: what comes from a profile is told apart from file and environment."""
    (here / "weatherglass.toml").write_text('correlation_headers = ["x-mine"]', encoding="utf-8")
    command = ["config", "--file", "weatherglass.toml", "--profile", "own_vendors:PROFILE"]
    assert main([*command, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["correlation_headers"]["value"] == ["x-mine", "x-example-id"]
    assert told["correlation_headers"]["origin"] == "file weatherglass.toml and profile Example"
    assert told["rules"]["origin"] == "profile Example"
    assert told["deadline"]["origin"] == "default"


@pytest.mark.parametrize("named", ["genesys", "GENESYS"])
def test_the_built_in_profile_has_a_name(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """G1: what weatherglass brings needs no module."""
    command = ["explain", "--status", "400", "--body", '{"code": "client.failed.request"}']
    assert main([*command, "--profile", named, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failure"]["transient"] is True

    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failure"]["transient"] is False


@pytest.mark.parametrize(
    ("named", "message", "code"),
    [
        ("genesis", "--profile is 'genesis', but must be genesys, or MODULE:ATTRIBUTE", 2),
        ("own_vendors:", "--profile is 'own_vendors:', but must be genesys", 2),
        ("own_vendors:OWN", "AttributeError", 1),
        ("no_such_module:x", "cannot be had: ModuleNotFoundError", 1),
        ("own_vendors:fail", "cannot be had: RuntimeError: no such tenant", 1),
        ("json:dumps", "cannot be had: TypeError", 1),
        ("json:decoder", "is a module, but must be a weatherglass.Profile, or a function", 2),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_no_profile_is_named(
    named: str, message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """G1: the message says what was given and what is taken."""
    assert main(["config", "--profile", named]) == code
    written = capsys.readouterr()
    assert message in written.err
    assert written.out == ""
