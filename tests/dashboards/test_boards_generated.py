"""The committed boards are what their source gives, and what Grafana's own schema knows."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from board_parts import FOLDER, NAMES, ROOT, load
from dashboards.source.boards import Row, dashboard
from dashboards.source.looks import GREEN, thresholds
from dashboards.source.panels import stat


def generator() -> ModuleType:
    """The tool, which is a file and not a module."""
    path = ROOT / "tools" / "generate_dashboards.py"
    specification = importlib.util.spec_from_file_location("generate_dashboards", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The committed boards, in a folder where they may be spoilt."""
    for name in NAMES:
        shutil.copy(FOLDER / f"{name}.json", tmp_path)
    return tmp_path


def test_boards_are_up_to_date() -> None:
    """What is committed is what the generator gives."""
    assert generator().main(["--check"]) == 0


def test_an_edited_board_is_noticed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board that was changed by hand fails the check, by name; writing it anew mends that."""
    board = copy / "failures.json"
    board.write_text(board.read_text(encoding="utf-8").replace("Waits", "Delays"), encoding="utf-8")
    assert generator().main(["--check", "--folder", str(copy)]) == 1
    assert "failures.json is not what dashboards/source gives" in capsys.readouterr().err
    assert generator().main(["--folder", str(copy)]) == 0
    assert generator().main(["--check", "--folder", str(copy)]) == 0


def test_missing_and_unknown_boards_are_noticed(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A board that is not there fails the check, and so does one that nothing makes."""
    (copy / "weather.json").rename(copy / "climate.json")
    assert generator().main(["--check", "--folder", str(copy)]) == 1
    told = capsys.readouterr().err
    assert "weather.json is not what" in told
    assert "climate.json is made by nothing" in told


def test_lines_fill_the_grid() -> None:
    """A line of panels that is not 24 columns wide is refused, by the name of its row."""
    panel = stat(
        "Lonely",
        "Alone.",
        "up",
        unit="short",
        steps=thresholds(GREEN),
        no_value="none",
    )
    with pytest.raises(ValueError, match="'Short' is 3 columns wide, but must be 24"):
        dashboard("uid", "Title", "Text.", [Row("Short", ((panel,),))])


@pytest.fixture
def through_grafanas_models() -> Any:
    """A function that reads a board with the models of Grafana's SDK and writes it back."""
    reason = "grafana-foundation-sdk is not installed; it needs Python 3.11"
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason=reason)
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder", reason=reason)
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins", reason=reason)
    plugins.register_default_plugins()

    def read_and_write(board: dict[str, Any]) -> Any:
        return json.loads(encoder.JSONEncoder().encode(models.Dashboard.from_json(board)))

    return read_and_write


def lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where something of ours is missing or another in theirs, which may have more in it."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            each
            for key, value in ours.items()
            for each in lost(value, theirs.get(key, "nothing"), f"{path}/{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [each for number, pair in pairs for each in lost(*pair, f"{path}/{number}")]
    return [] if ours == theirs else [path]


@pytest.mark.parametrize("name", NAMES)
def test_grafanas_schema_knows_every_field(name: str, through_grafanas_models: Any) -> None:
    """Grafana's own models of the classic schema read each board and lose nothing of it."""
    board = load(name)
    written = through_grafanas_models(board)
    assert board.pop("id") is None  # which they leave out
    assert lost(board, written) == []


def test_grafanas_schema_drops_what_it_does_not_know(through_grafanas_models: Any) -> None:
    """The comparison with Grafana's models finds a field that Grafana would ignore."""
    board = load("weather")
    panel = board["panels"][1]
    for part in (panel, panel["options"], panel["targets"][0], panel["fieldConfig"]["defaults"]):
        part["misspelt"] = True
    assert lost(board, through_grafanas_models(board)) == [
        "/id",
        "/panels/1/targets/0/misspelt",
        "/panels/1/fieldConfig/defaults/misspelt",
        "/panels/1/options/misspelt",
        "/panels/1/misspelt",
    ]
