"""Writes dashboards/*.json from dashboards/source, or checks that they are up to date.

``python tools/generate_dashboards.py`` writes them; with ``--check`` nothing is written, and the
exit status is 1 when a file is not what the source gives.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # dashboards is a folder of this repository, not an installed package

from dashboards.source import BOARDS, render  # noqa: E402 - must follow the line above

FOLDER = ROOT / "dashboards"


def stale(folder: Path) -> list[str]:
    """The boards in a folder that are missing or are not what the source gives."""
    return [name for name in BOARDS if _text(folder / name) != render(name)]


def unknown(folder: Path) -> list[str]:
    """Files in a folder that the source does not make."""
    return sorted(path.name for path in folder.glob("*.json") if path.name not in BOARDS)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: list[str] | None = None) -> int:
    """Write or check the boards; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the boards are")
    wanted = parser.parse_args(arguments)
    if not wanted.check:
        for name in BOARDS:
            (wanted.folder / name).write_text(render(name), encoding="utf-8")
        return 0
    for name in stale(wanted.folder):
        print(
            f"{name} is not what dashboards/source gives: run tools/generate_dashboards.py",
            file=sys.stderr,
        )
    for name in unknown(wanted.folder):
        print(f"{name} is made by nothing in dashboards/source: remove it", file=sys.stderr)
    return int(bool(stale(wanted.folder) or unknown(wanted.folder)))


if __name__ == "__main__":
    sys.exit(main())
