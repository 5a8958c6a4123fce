"""Who may reach what: the rules that import-linter cannot express."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import weatherglass

PACKAGE = Path(weatherglass.__file__).parent


def imports(folder: Path = PACKAGE) -> Iterator[tuple[str, str]]:
    """Each import below a folder of the package: the importing module's path, and what it names."""
    for path in sorted(folder.rglob("*.py")):
        importer = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield importer, alias.name
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    yield importer, f"{node.module}.{alias.name}"


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def test_the_core_needs_the_opentelemetry_api_alone() -> None:
    """O4: SDK and exporters are imported where they are set up, and nowhere else."""
    found = {
        importer
        for importer, name in imports()
        if under(name, "opentelemetry.sdk", "opentelemetry.exporter")
    }

    assert found <= {"telemetry/configure.py"}


def test_standard_names_are_spelled_by_the_registry() -> None:
    """O4: the semantic conventions' package, which pins the API's version, is not used."""
    assert [i for i in imports() if under(i[1], "opentelemetry.semconv")] == []


def test_clocks_and_chance_come_from_the_runtime() -> None:
    """R7: nothing but the runtime, and the testing tools, reads a clock, sleeps or draws lots."""
    found = {importer for importer, name in imports() if under(name, "time", "random", "secrets")}

    assert {importer for importer in found if not importer.startswith("testing/")} == {"runtime.py"}


def test_what_happened_is_told_without_sending_anything() -> None:
    """C1, N2: classification knows requests' responses and exceptions, but no way to send."""
    senders = ("requests.Session", "requests.sessions", "requests.adapters", "requests.api")

    assert [i for i in imports(PACKAGE / "diagnose") if under(i[1], *senders)] == []
