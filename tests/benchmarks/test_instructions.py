"""What a call costs its client, in instructions: counts repeat where times do not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "instructions.py"
KINDS = ("plain", "without_sdk", "with_sdk", "refused_without_sdk")

pytestmark = [
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed"),
    pytest.mark.skipif(
        sys.version_info < (3, 11),
        reason="calls of Python functions are dear before 3.11, and plain requests makes as few",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="valgrind counts on Linux"),
    pytest.mark.timeout(900),
    # What was counted once serves all.
    pytest.mark.xdist_group("instructions"),
]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Instructions per call by the kind of client."""
    file = tmp_path_factory.mktemp("instructions") / "counts.json"
    command = [sys.executable, str(BENCHMARK), *KINDS, "--calls", "50", "--json", str(file)]
    subprocess.run(command, check=True, timeout=800)  # noqa: S603 - our own script
    found: dict[str, int] = json.loads(file.read_text())
    return found


def test_a_success_with_the_sdk_on_costs_less_than_plain_requests(counts: dict[str, int]) -> None:
    """O1: with two spans and four measurements, at most 0.9 of a plain session's instructions."""
    assert counts["with_sdk"] <= 0.9 * counts["plain"]


def test_a_success_without_an_sdk_costs_still_less(counts: dict[str, int]) -> None:
    """O4: telemetry that nobody set up costs next to nothing."""
    assert counts["without_sdk"] <= 0.7 * counts["plain"]


def test_a_refused_call_costs_less_than_a_tenth_of_a_success(counts: dict[str, int]) -> None:
    """B6: a refusal is made before the request is prepared."""
    assert counts["refused_without_sdk"] <= 0.1 * counts["without_sdk"]
