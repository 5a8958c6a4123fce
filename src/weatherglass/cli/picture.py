"""The files that show weatherglass's telemetry: dashboards, rules and collector configurations.

The wheel carries them in ``weatherglass/picture``; in a source tree they lie where they are
made. They refer to each other by relative paths, so they keep their places among themselves.
This finds and reads them; what becomes of them is the business of the commands.
"""

from __future__ import annotations

from pathlib import Path

import weatherglass
from weatherglass.cli.failure import CommandFailed

PACKAGE = Path(weatherglass.__file__).parent

FOLDER = "picture"
"""Where in the package the wheel carries them; see ``force-include`` in ``pyproject.toml``."""

PARTS = (
    "otel-collector.yaml",
    "collector/*.yaml",
    "dashboards/*.json",
    "dashboards/rules/*.yaml",
    "dashboards/provisioning/**/*.yaml",
    "stack/*.yaml",
    "docs/runbooks.md",
)
"""Which files of a source tree belong to the picture, as patterns."""

RULES = "dashboards/rules/"
DASHBOARDS = "dashboards/"

_LANDMARKS = ("pyproject.toml", "otel-collector.yaml", "dashboards")


def picture(package: Path = PACKAGE) -> dict[str, bytes]:
    """The files, by their paths from the folder that they are exported to.

    Args:
        package: the folder of the package, as it is installed.

    Raises:
        CommandFailed: when this installation has none.
    """
    carried = package / FOLDER
    if carried.is_dir():
        return _read(carried, [path for path in carried.rglob("*") if path.is_file()])
    tree = source_tree(package)
    if tree is not None:
        return _read(tree, parts_of(tree))
    raise CommandFailed(
        "this installation of weatherglass has no dashboards, rules and collector files: neither"
        f" {FOLDER}/ in the package, as in a wheel, nor the files of a source tree around it;"
        " install the wheel again"
    )


def source_tree(package: Path = PACKAGE) -> Path | None:
    """The root of the source tree that the package is run from, if it is."""
    root = package.resolve().parents[1]
    return root if all((root / name).exists() for name in _LANDMARKS) else None


def parts_of(tree: Path) -> list[Path]:
    """The files of the picture in a source tree."""
    return sorted({path for part in PARTS for path in tree.glob(part) if path.is_file()})


def is_dashboard(name: str) -> bool:
    """Whether a file of the picture is a dashboard."""
    return name.startswith(DASHBOARDS) and name.endswith(".json")


def is_rule_file(name: str) -> bool:
    """Whether it is a file of recording or alert rules."""
    return name.startswith(RULES)


def _read(root: Path, paths: list[Path]) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(paths)}
