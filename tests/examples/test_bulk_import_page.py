"""What docs/bulk-import.md says of the example is true of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from examples.bulk_import import command, rows
from examples.bulk_import.journal import State

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "bulk-import.md").read_text(encoding="utf-8")
BOARDS = {"1": "weather", "2": "failures", "3": "breakers"}


def section(heading: str) -> str:
    """The text below a heading."""
    found = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def titles(board: str) -> set[str]:
    """The titles of all panels of a board."""
    text = (ROOT / "dashboards" / f"{board}.json").read_text(encoding="utf-8")
    return {panel["title"] for panel in json.loads(text)["panels"]}


def test_the_panels_that_are_named_exist() -> None:
    """Where to look on the dashboards is said by the panels' own titles."""
    named = re.findall(r"^\| (\d) \| (.*?) \|", section("On the dashboards"), re.MULTILINE)

    assert named
    for board, panels in named:
        for panel in re.findall(r"\*(.+?)\*", panels):
            assert panel in titles(BOARDS[board])


def test_the_options_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option is in the table, and every option in the table exists."""
    with pytest.raises(SystemExit):
        command.main(["--help"])
    offered = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}

    listed = re.findall(r"^\| (`--.*?) \|", section("In earnest"), re.MULTILINE)

    assert {option for cell in listed for option in re.findall(r"--[a-z-]+", cell)} == offered


def test_the_columns_are_those_of_the_file() -> None:
    """Every column is in the table."""
    listed = re.findall(r"^\| `([a-z_]+)` \|", section("In earnest"), re.MULTILINE)

    assert tuple(listed) == rows.COLUMNS


def test_every_way_for_a_row_to_end_is_told() -> None:
    """The table of reports leads to each of the final states."""
    told = set(re.findall(r"\*([a-z]+)\*", section("What a report says, and what to do")))

    assert told == {state.value for state in State if state.final}


def test_the_files_that_are_explained_are_those_that_there_are() -> None:
    """No part of the example is left out."""
    told = set(re.findall(r"([a-z]+\.py)`", section("The parts")))
    there = {file.name for file in (ROOT / "examples" / "bulk_import").glob("*.py")}

    assert told == {name for name in there if not name.startswith("__")}
