"""Finding and building the programs of the stack, with a stand-in for Go that takes no time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import binaries, golang

GO = """#!/bin/sh
echo "$*" >>"{log}"
case "$1" in
env) echo go{version} ;;
list) [ "{listing}" = yes ] || {{ echo "dial tcp: i/o timeout" >&2; exit 1; }} ;;
build)
    while [ "$1" != -o ]; do shift; done
    echo "half a program" >"$2"
    [ "{building}" = yes ] || {{ echo "undefined: Prometheus" >&2; exit 1; }}
    chmod +x "$2"
    ;;
esac
"""
VARIABLES = (
    "STACK_COLLECTOR",
    "STACK_PROMETHEUS",
    "STACK_PROMTOOL",
    "STACK_DASHBOARD_LINTER",
)


class Go:
    """A Go of some version, which can fail; ``said`` is what it was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"

    def install(
        self, version: str = "1.99.1", *, listing: str = "yes", building: str = "yes"
    ) -> None:
        """Put it on the path in place of any other."""
        self._log.touch()
        program = self._folder / "go"
        program.write_text(
            GO.format(log=self._log, version=version, listing=listing, building=building),
            encoding="utf-8",
        )
        program.chmod(0o755)

    def asked(self, word: str) -> int:
        """How often it was asked to do something."""
        return sum(line.startswith(word) for line in self._log.read_text("utf-8").splitlines())


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Go]:
    """Nothing is installed, and nothing is in the cache, until a test says so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(golang, "PAUSE", 0)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    golang.version.cache_clear()
    yield Go(folder)
    golang.version.cache_clear()


def programs_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def test_a_program_is_built_once(go: Go, tmp_path: Path) -> None:
    """What was built is kept, and Go is not asked to build it again."""
    go.install()

    built = binaries.prometheus()

    assert binaries.prometheus() == built
    assert os.access(built, os.X_OK)
    assert built.is_relative_to(tmp_path / "cache" / "weatherglass" / "stack")
    assert go.asked("build") == 1


def test_another_go_builds_another_program(go: Go) -> None:
    """The version of Go is part of what a program is kept under."""
    go.install("1.99.1")
    built = binaries.promtool()

    golang.version.cache_clear()
    go.install("1.99.2")

    assert binaries.promtool() != built
    assert go.asked("build") == 2


@pytest.mark.usefixtures("go")
def test_a_variable_names_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is named is taken as it is, without any Go."""
    program = tmp_path / "otelcol"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("STACK_COLLECTOR", str(program))

    assert binaries.collector() == program


@pytest.mark.usefixtures("go")
def test_a_variable_that_names_no_program_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is said with the variable's name, and nothing is built in its place."""
    monkeypatch.setenv("STACK_PROMTOOL", "/nowhere/promtool")

    with pytest.raises(binaries.Unavailable, match="STACK_PROMTOOL is /nowhere/promtool"):
        binaries.promtool()


ALL = (binaries.collector, binaries.prometheus, binaries.promtool, binaries.dashboard_linter)


@pytest.mark.usefixtures("go")
@pytest.mark.parametrize(("find", "variable"), [*zip(ALL, VARIABLES, strict=True)], ids=VARIABLES)
def test_without_go_the_reason_and_the_way_out_are_told(
    find: Callable[[], Path], variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who has no Go learns that, and which variable may name a program instead."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(binaries.Unavailable, match=f"there is no go.*{variable}"):
        find()


@pytest.mark.parametrize("find", ALL[:3], ids=VARIABLES[:3])
def test_a_go_that_is_too_old_is_told(go: Go, find: Callable[[], Path]) -> None:
    """An old Go is named with the version that is needed, before it fails somewhere inside."""
    go.install("1.22.3")

    with pytest.raises(binaries.Unavailable, match=r"Go 1\.22\.3 is too old: .* needs Go 1\.26"):
        find()
    assert go.asked("build") == 0


def test_downloads_are_tried_again(go: Go) -> None:
    """A download that fails is tried four times, and its last words are told."""
    go.install(listing="no")

    with pytest.raises(binaries.Unavailable, match=r"failed 4 times: .*i/o timeout"):
        binaries.prometheus()
    assert go.asked("list") == 4
    assert go.asked("build") == 0


def test_a_failed_build_leaves_nothing(go: Go, tmp_path: Path) -> None:
    """Half a program is never found in the cache, and the next build begins anew."""
    go.install(building="no")
    with pytest.raises(binaries.Unavailable, match="cannot be built: undefined: Prometheus"):
        binaries.prometheus()
    assert programs_in(tmp_path / "cache") == []

    go.install()

    assert binaries.prometheus().exists()
    assert programs_in(tmp_path / "cache") == ["prometheus"]
