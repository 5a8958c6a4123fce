"""The comparison of the documentation, held against what was promised."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOME = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    path = HOME / "tools" / "generate_sdk_comparison.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their annotations up there.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


tool: Any = _load()


def seen(outcome: str, sent: int, executed: int, refreshes: int = 0, calls: int = 1) -> Any:
    return tool.Seen(outcome, sent, executed, refreshes, calls)


EXPECTED: dict[str, tuple[Any, Any]] = {
    "POST: the connection is reset": (
        seen("`MaxRetryError`", 11, 0),
        seen("`ApiException`", 1, 0),
    ),
    "POST: the 200 breaks off": (
        seen("`MaxRetryError`", 11, 11),
        seen("`ApiException`", 1, 1),
    ),
    "POST: executed, and the answer is lost": (
        seen("success", 2, 2),
        seen("`ApiException`", 1, 1),
    ),
    "POST: a 502 page in Latin-1": (
        seen("`UnicodeDecodeError`", 1, 0),
        seen("`ApiException` 502", 1, 0),
    ),
    "GET: a 503": (seen("`ApiException` 503", 1, 0), seen("success", 2, 1)),
    "GET: a 429 with": (seen("success", 2, 1), seen("success", 2, 1)),
    "GET: 429s with `Retry-After: soon`": (
        seen("`InvalidHeader`", 1, 0),
        seen("`ApiException` 429", 6, 0),
    ),
    "GET: 429s with `Retry-After: 1.5`": (
        seen("`InvalidHeader`", 1, 0),
        seen("`ApiException` 429", 6, 0),
    ),
    "GET: 429s with `Retry-After: -3`": (
        seen("`InvalidHeader`", 1, 0),
        seen("`ApiException` 429", 6, 0),
    ),
    "GET: the client credentials": (
        seen("`ApiException` 401", 1, 0),
        seen("success", 2, 1, refreshes=1),
    ),
    "GET: every token is refused": (
        seen("success", 51, 1, refreshes=50),
        seen("`ApiException` 401", 2, 0, refreshes=1),
    ),
    "GET in 8 threads": (
        seen("success", 16, 8, refreshes=8, calls=8),
        seen("success", 9, 8, refreshes=1, calls=8),
    ),
}
"""By the beginning of the row's words: the SDK alone, and on weatherglass."""


def test_every_row_is_expected() -> None:
    """G3: the page compares nothing that is not tested here."""
    rows = list(tool.SCENES)

    assert len(rows) == len(EXPECTED)
    assert all(name.startswith(begin) for name, begin in zip(rows, EXPECTED, strict=True))


@pytest.mark.usefixtures("configuration")
@pytest.mark.parametrize("row", EXPECTED)
def test_the_sdk_alone(row: str) -> None:
    """G3: what the page says of the real SDK as it comes is so."""
    assert scene(row)(tool.Alone()) == EXPECTED[row][0]


@pytest.mark.usefixtures("configuration")
@pytest.mark.parametrize("row", EXPECTED)
def test_the_sdk_on_weatherglass(row: str) -> None:
    """G3: what the page says of the real SDK on weatherglass is so."""
    assert scene(row)(tool.OnWeatherglass()) == EXPECTED[row][1]


def scene(row: str) -> Any:
    """The scene of a row."""
    (found,) = [scene for name, scene in tool.SCENES.items() if name.startswith(row)]
    return found


def test_numbers_are_told_in_words() -> None:
    """G3: a cell says how often something was sent, and what must not be so."""
    assert str(seen("success", 1, 1)) == "success; sent once"
    assert str(seen("x", 2, 2, 1)) == "x; sent twice, **executed twice**, 1 refresh"
    assert str(seen("x", 16, 8, 8, calls=8)) == "x; sent 16 times, 8 refreshes"


def test_a_page_without_marks_is_refused() -> None:
    """The tool does not write into a page that it does not know."""
    with pytest.raises(ValueError, match=re.escape("genesys-sdk.md has lost the marks")):
        tool.page("# Something else\n")
