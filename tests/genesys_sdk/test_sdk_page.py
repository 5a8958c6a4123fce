"""The examples of docs/genesys-sdk.md: ``tests/docs`` only compiles them, for the SDK's sake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, FakeServer, VirtualClock

PAGE = Path(__file__).parents[2] / "docs" / "genesys-sdk.md"

EXAMPLE = re.compile(r"```python\n(.*?)```\n\n<!-- output -->\n```text\n(.*?)```", re.DOTALL)

VARYING = re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?|\d+\.\d+")


def test_the_examples_do_what_they_say(
    configuration: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every example with an output runs, after those before it, and prints that."""
    assert configuration
    monkeypatch.setenv("GENESYS_CLOUD_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("GENESYS_CLOUD_CLIENT_SECRET", CLIENT_SECRET)
    examples = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))
    clock = VirtualClock()
    names: dict[str, Any] = {"clock": clock}
    with FakeServer(clock=clock, require_tokens=True) as server:
        here = f"api_url={server.url!r}, login_url={server.url!r}, status_feed=False, runtime=clock"
        for code, output in examples:
            code = code.replace('region="mypurecloud.com"', here)  # noqa: PLW2901 - played here
            exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102 - our own page
            printed = capsys.readouterr().out.replace(server.url, "https://api.mypurecloud.com")
            assert VARYING.sub("#", printed) == VARYING.sub("#", output)
        names["session"].close()
    assert len(examples) == 3
