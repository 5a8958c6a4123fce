"""The command that runs other projects' suites on our session: that it can fail, and when."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
HOME = HERE.parent.parent

Outcomes = dict[str, tuple[str, str]]

PASSED = ("passed", "")


def _load() -> ModuleType:
    path = HOME / "tools" / "requests_conformance.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their annotations up there.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


runner: Any = _load()


def never(_: Sequence[str]) -> tuple[Outcomes, Outcomes]:
    raise AssertionError("there was nothing to look at again")


def test_every_difference_is_named() -> None:
    """D1: a test that fails, is skipped, or is there in one run only, differs."""
    original: Outcomes = {"a": PASSED, "b": PASSED, "c": ("failed", "x"), "d": PASSED, "e": PASSED}
    swapped: Outcomes = {
        "a": ("failed", "AssertionError: no\nmore"),
        "b": ("skipped", ""),
        "c": PASSED,
        "e": PASSED,
        "f": PASSED,
    }
    found = {d.test: (d.original, d.swapped) for d in runner.differences(original, swapped)}
    assert found == {
        "a": ("passed", "failed"),
        "b": ("passed", "skipped"),
        "c": ("failed", "passed"),
        "d": ("passed", "absent"),
        "f": ("absent", "passed"),
    }
    (first, *_) = runner.judge(original, swapped, {}, lambda _: (original, swapped))
    assert first.splitlines() == [
        "a: passed with the original, failed with ours",
        "      AssertionError: no",
    ]


def test_what_fails_with_both_is_no_difference() -> None:
    """D1: the original need not pass; ours must do the same."""
    outcomes: Outcomes = {"a": ("failed", "one"), "b": ("xfailed", "")}
    assert runner.judge(outcomes, {**outcomes, "a": ("failed", "two")}, {}, never) == []


def test_known_difference_is_none_that_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """D1: a listed difference is told with its reason, and the others still count."""
    original: Outcomes = {"a": PASSED, "b": PASSED}
    swapped: Outcomes = {"a": ("failed", ""), "b": ("failed", "")}
    looked_at: list[Sequence[str]] = []

    def look(tests: Sequence[str]) -> tuple[Outcomes, Outcomes]:
        looked_at.append(tests)
        return {"b": PASSED}, {"b": ("error", "")}

    wrong = runner.judge(original, swapped, {"a": "it is meant"}, look)
    assert looked_at == [["b"]]
    assert wrong == ["b: passed with the original, error with ours"]
    assert "known: a: it is meant" in capsys.readouterr().out


def test_known_difference_that_is_none_is_wrong() -> None:
    """D1: the list of known differences cannot grow stale."""
    (wrong,) = runner.judge({"a": PASSED}, {"a": PASSED}, {"a": "it is meant"}, never)
    assert "must not be listed" in wrong


def test_difference_must_be_there_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """D1: what a busy machine did is told, but is no difference."""
    wrong = runner.judge({"a": PASSED}, {"a": ("failed", "")}, {}, lambda _: ({}, {}))
    assert wrong == []
    assert "differed once, but not again: a" in capsys.readouterr().out


@pytest.mark.parametrize(
    "original",
    [{}, {"a": ("skipped", "")}, {"a": PASSED, "b": ("failed", ""), "c": ("error", "")}],
    ids=["empty", "skipped", "failing"],
)
def test_suite_that_does_not_work_here_proves_nothing(original: Outcomes) -> None:
    """D1: a comparison with an original that fails by itself is refused."""
    assert runner.unsound(original)
    assert runner.unsound({"a": PASSED, "b": ("skipped", "")}) is None


def test_known_differences_have_reasons_and_rules() -> None:
    """D1: each listed difference names a test and the rules that it follows from."""
    for suite in runner.SUITES.values():
        for test, reason in suite.known.items():
            assert "::" in test
            assert "R3" in reason


SUITE = """
import socket
import pytest
import requests
from requests import Session
import weatherglass

def test_class():
    assert issubclass(Session, weatherglass.Session) == {ours}
    assert Session is requests.Session is requests.sessions.Session
    assert type(requests.session()) is Session

def test_network():
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("a.example", 80)
    assert socket.getaddrinfo("localhost", 80)

def test_failing():
    assert "what it said" == ""

@pytest.fixture
def broken():
    yield
    raise OSError("too late")

def test_broken(broken):
    pass

@pytest.mark.skip
def test_skipped():
    pass

@pytest.mark.xfail
def test_xfailed():
    assert False
"""


@pytest.mark.parametrize(("side", "ours"), [("original", False), ("session", True)])
def test_plugin_swaps_the_class_and_notes_outcomes(tmp_path: Path, side: str, ours: bool) -> None:
    """D1: every name of the class is swapped, and each test's worst outcome is written down."""
    (tmp_path / "test_it.py").write_text(SUITE.format(ours=ours), encoding="utf-8")
    outcomes = tmp_path / "outcomes.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "conformance_plugin", "--session-class", side, "--outcomes", str(outcomes)]
    path = os.pathsep.join((str(HOME / "src"), str(HERE)))
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = {
        test.partition("::")[2]: (outcome, said)
        for test, (outcome, said) in json.loads(outcomes.read_text(encoding="utf-8")).items()
    }
    assert {test: outcome for test, (outcome, _) in found.items()} == {
        "test_class": "passed",
        "test_network": "passed",
        "test_failing": "failed",
        "test_broken": "error",
        "test_skipped": "skipped",
        "test_xfailed": "xfailed",
    }
    assert "what it said" in found["test_failing"][1]
