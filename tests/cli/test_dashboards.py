"""`weatherglass dashboards export`: what it writes, and what it never overwrites."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from weatherglass.cli import main, picture
from weatherglass.cli.failure import CommandFailed
from weatherglass.cli.picture import parts_of, source_tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


def export(folder: Path, *options: str) -> int:
    return main(["dashboards", "export", str(folder), *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def in_repository() -> dict[str, bytes]:
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in parts_of(ROOT)}


def test_all_that_belongs_to_the_picture_is_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dashboards, rules, provisioning and collector files keep their places among themselves."""
    assert export(tmp_path / "new" / "folder") == 0
    told = capsys.readouterr().out

    exported = contents(tmp_path / "new" / "folder")
    assert exported == in_repository()
    for part in (
        "otel-collector.yaml",
        "collector/scrape.yaml",
        "dashboards/weather.json",
        "dashboards/rules/weatherglass.alerts.yaml",
        "stack/prometheus.yaml",
    ):
        assert part in exported
        assert f"wrote {tmp_path / 'new' / 'folder' / part}" in told
    assert "weatherglass doctor" in told


def test_the_page_lists_what_is_exported() -> None:
    """What the documentation shows as written is what is written."""
    shown = re.findall(
        r"^wrote monitoring/(\S+)$", (ROOT / "docs" / "cli.md").read_text("utf-8"), re.MULTILINE
    )

    assert shown == sorted(in_repository())


def test_nothing_made_for_developers_is_exported(tmp_path: Path) -> None:
    """The generator's source, rule tests and Go files stay in the repository."""
    assert export(tmp_path) == 0

    assert not [n for n in contents(tmp_path) if re.search(r"\.(py|pyc|mod|sum)$|test", n)]


def test_relative_paths_hold_in_the_exported_folder(tmp_path: Path) -> None:
    """What the compose file mounts from beside itself is exported to that very place."""
    assert export(tmp_path) == 0
    compose = tmp_path / "stack" / "compose.yaml"
    mounted = re.findall(r"- (\.{1,2}/[^:]+):", compose.read_text("utf-8"))

    assert mounted
    assert [path for path in mounted if not (compose.parent / path).exists()] == []


def test_the_wheel_carries_the_same_files() -> None:
    """What pyproject.toml puts into the wheel is what is exported from a source tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    forced = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    carried: dict[str, bytes] = {}
    for source, target in forced.items():
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                relative = file.relative_to(path).as_posix() if path.is_dir() else ""
                carried[f"{target}/{relative}".rstrip("/")] = file.read_bytes()

    prefix = f"weatherglass/{picture.FOLDER}/"
    assert carried == {prefix + name: data for name, data in in_repository().items()}


def test_the_data_source_is_preselected(tmp_path: Path) -> None:
    """`--datasource` chooses what the dashboards begin with; panels still ask the variable."""
    assert export(tmp_path / "plain") == 0
    assert export(tmp_path / "chosen", "--datasource", "prom-7") == 0
    plain, chosen = contents(tmp_path / "plain"), contents(tmp_path / "chosen")

    for name, data in chosen.items():
        if not picture.is_dashboard(name):
            assert data == plain[name]
            continue
        before, after = json.loads(plain[name]), json.loads(data)
        changed = [
            (old, new)
            for old, new in zip(
                before["templating"]["list"], after["templating"]["list"], strict=True
            )
            if old != new
        ]
        assert [new["type"] for _, new in changed] == ["datasource"]
        for old, new in changed:
            assert new.pop("current") == {"selected": True, "text": "prom-7", "value": "prom-7"}
            old.pop("current", None)
            assert old == new
        before.pop("templating")
        after.pop("templating")
        assert before == after


def test_exporting_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that are there already, just so, are left alone."""
    assert export(tmp_path) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()

    assert export(tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert "wrote" not in capsys.readouterr().out


def test_files_that_differ_are_named_and_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--force`, nothing is written if anything would be lost."""
    ours = tmp_path / "otel-collector.yaml"
    ours.write_text("mine", encoding="utf-8")

    assert export(tmp_path) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{ours} is there already, with other contents; nothing was written" in told.err
    assert contents(tmp_path) == {"otel-collector.yaml": b"mine"}


def test_force_overwrites(tmp_path: Path) -> None:
    """`--force` replaces what differs, and touches nothing that is not ours."""
    (tmp_path / "otel-collector.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")

    assert export(tmp_path, "--force") == 0
    assert contents(tmp_path) == {**in_repository(), "notes.txt": b"mine"}


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A DIR that is a file is wrong usage, and said to be."""
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")

    assert export(file) == 2
    assert f"DIR is {str(file)!r}, but must be a folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the system refuses is told with the path, without a traceback."""
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")

    assert export(file / "below") == 1
    told = capsys.readouterr().err
    assert told.startswith("weatherglass: error: cannot write")
    assert str(file) in told


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions that bind")
def test_a_folder_without_permission_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Likewise where writing is not allowed."""
    tmp_path.chmod(0o500)
    assert export(tmp_path) == 1
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--datasource", " "], ["--folder", "x"]])
def test_wrong_options_are_wrong_usage(options: list[str], tmp_path: Path) -> None:
    """A data source without a name, or an option that there is not, ends with 2."""
    assert export(tmp_path, *options) == 2
    assert contents(tmp_path) == {}


def test_an_action_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """`weatherglass dashboards` alone says what it can do."""
    assert main(["dashboards"]) == 2
    assert "export" in capsys.readouterr().err


def test_an_installation_without_the_files_says_so(tmp_path: Path) -> None:
    """A package that was installed without them is named as what is wrong."""
    with pytest.raises(CommandFailed, match="has no dashboards, rules and collector files"):
        picture.picture(tmp_path / "site-packages" / "weatherglass")


def test_an_installed_package_has_what_it_carries(tmp_path: Path) -> None:
    """Where the package carries the files, no source tree is needed."""
    package = tmp_path / "site-packages" / "weatherglass"
    for name, data in in_repository().items():
        path = package / picture.FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    assert source_tree(package) is None
    assert picture.picture(package) == in_repository()
