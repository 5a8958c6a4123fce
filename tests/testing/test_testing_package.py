"""The package itself: light to import, complete, and without pytest where it is not needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import weatherglass.testing

BLOCKED = """
import sys

for name in ("pytest", "_pytest", "rich", "requests_mock", "responses"):
    sys.modules[name] = None
"""


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(  # noqa: S603 - this very interpreter, with code from this file
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_can_be_fetched() -> None:
    """All public names exist, and an unknown one fails as names do."""
    for name in weatherglass.testing.__all__:
        assert getattr(weatherglass.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'FaultServer'"):
        _ = weatherglass.testing.FaultServer


def test_neither_pytest_nor_rich_is_needed() -> None:
    """The whole package, but for its plugin, works where only weatherglass is installed."""
    code = BLOCKED + (
        "import weatherglass.testing as t\n"
        "for name in t.__all__: getattr(t, name)\n"
        "import weatherglass.testing.mocking\n"
        "with t.FakeServer(), t.OtlpReceiver(): print('works')\n"
    )
    assert python(code) == "works\n"


def test_plugin_fetches_nothing_before_it_is_asked() -> None:
    """The plugin that every pytest run loads brings in none of the modules behind its fixtures."""
    code = (
        "import weatherglass.testing.plugin, sys\n"
        "print(sorted(m for m in sys.modules if m.startswith('weatherglass.testing')))\n"
        "print('opentelemetry.proto' in sys.modules, 'requests_mock' in sys.modules)\n"
    )
    assert python(code) == (
        "['weatherglass.testing', 'weatherglass.testing.plugin']\nFalse False\n"
    )
