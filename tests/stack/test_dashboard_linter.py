"""Grafana's own linter has nothing to say against the boards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
EXCEPTIONS = FOLDER / ".lint"

pytestmark = pytest.mark.timeout(600)  # the first of these tests may have to build the linter


def lint(linter: Path, board: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter as strictly as it can, with our exceptions."""
    return subprocess.run(  # noqa: S603 - a program of the stack
        [str(linter), "lint", "--strict", "--verbose", "--config", str(EXCEPTIONS), str(board)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["weather", "failures", "breakers"])
def test_the_linter_passes(dashboard_linter: Path, name: str) -> None:
    """Each board keeps all of the linter's rules, but for exceptions that are written down."""
    result = lint(dashboard_linter, FOLDER / f"{name}.json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "title and description" in result.stdout  # it did look at the rules


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        ("[$__rate_interval]", "[5m]", "should use $__rate_interval"),
        (r"job=~\"$job\"", r"job=\"mine\"", "job selector is"),
        ('"unit": "reqps"', '"unit": "bananas"', "invalid units"),
    ],
)
def test_the_linter_would_complain(
    dashboard_linter: Path, tmp_path: Path, good: str, bad: str, complaint: str
) -> None:
    """A fixed rate interval, a fixed job or an unknown unit on the board is told and fails."""
    text = (FOLDER / "weather.json").read_text(encoding="utf-8")
    assert good in text
    spoilt = tmp_path / "weather.json"
    spoilt.write_text(text.replace(good, bad), encoding="utf-8")
    result = lint(dashboard_linter, spoilt)
    assert result.returncode != 0
    assert complaint in result.stdout + result.stderr


def test_exceptions_have_reasons() -> None:
    """Every exception from a rule says why; none silences a rule altogether."""
    written = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    for rules in written.values():
        for rule, exception in rules.items():
            assert exception, f"{rule} is left out altogether"
            assert exception["reason"]
            assert exception["entries"]
