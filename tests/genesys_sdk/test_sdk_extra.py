"""Without the extra, and what is imported when."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import weatherglass


def run(program: str) -> str:
    """What a program prints in a fresh interpreter."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(weatherglass.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_genesys_does_not_import_the_sdk() -> None:
    """G2: whoever does not use the SDK does not wait for it, and need not have it."""
    loaded = run(
        """
        import sys
        import weatherglass.genesys, weatherglass.genesys.sdk
        print("PureCloudPlatformClientV2" in sys.modules)
        """
    )
    assert loaded == "False"


def test_a_missing_extra_is_named() -> None:
    """G2: without the SDK, the error says what to install."""
    said = run(
        """
        import sys
        import weatherglass
        from weatherglass.genesys import install
        sys.modules["PureCloudPlatformClientV2"] = None
        try:
            install(object(), weatherglass.Session())
        except ImportError as error:
            print(error)
        """
    )
    assert said.startswith("PureCloudPlatformClientV2")
    assert "pip install --upgrade 'weatherglass[genesys]'" in said
