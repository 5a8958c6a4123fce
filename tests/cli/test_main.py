"""The command line: its commands, its exit codes, and `weatherglass config`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from weatherglass.cli import COMMANDS, main
from weatherglass.policy import Policy, load_policy
from weatherglass.policy.settings import PREFIX

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests do not count."""
    for name in set(os.environ) - set(PLAIN):
        monkeypatch.delenv(name)


def run(*arguments: str, out: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    program = "import sys; from weatherglass.cli import main; sys.exit(main())"
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        check=False,
        env=PLAIN,
        timeout=60,
    )


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """D17: each command explains itself, and shows how it is used."""
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        assert main([name, "--help"]) == 0
        assert f"weatherglass {name}" in capsys.readouterr().out.partition("examples:")[2]


def test_the_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """D17: the command line names what it can do."""
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out

    assert all(command.__name__.rpartition(".")[2] in listed for command in COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """D17: the command line says which weatherglass it is."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("weatherglass ")


@pytest.mark.parametrize("arguments", [[], ["forecast"], ["config", "--json", "--toml"]])
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """D16: usage errors print the usage and end with 2."""
    assert main(arguments) == 2
    assert "usage: weatherglass" in capsys.readouterr().err


def test_the_config_is_printed_with_origins(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D17: `config` prints what `load_policy` finds, file and environment included."""
    file = tmp_path / "weatherglass.toml"
    file.write_text("deadline = 20", encoding="utf-8")
    monkeypatch.setenv("WEATHERGLASS_RETRY_MAX_RETRIES", "2")
    assert main(["config", "--file", str(file)]) == 0
    text = capsys.readouterr().out

    assert text == load_policy(file).render() + "\n"
    assert f"20.0{'':20}  file {file}" in text
    assert "environment variable WEATHERGLASS_RETRY_MAX_RETRIES" in text


def test_the_config_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """D17: `config --json` is JSON with value and origin of each setting."""
    assert main(["config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == load_policy(environ={}).to_dict()


def test_the_config_is_printed_as_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """D17: `config --toml` is a policy file that loads again."""
    assert main(["config", "--toml"]) == 0
    file = tmp_path / "weatherglass.toml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")

    assert load_policy(file, {}).policy == Policy()


def test_a_wrong_config_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D16: a setting that makes no sense is named on the error stream, without a traceback."""
    monkeypatch.setenv("WEATHERGLASS_RETRY_MAX_RETRIES", "-1")
    assert main(["config"]) == 1
    told = capsys.readouterr()

    assert told.out == ""
    assert told.err.startswith("weatherglass: error: retry.max_retries is -1, but must be")
    assert told.err.count("\n") == 1


def test_a_process_ends_with_the_exit_code() -> None:
    """D17: the command hands its exit code to the shell, and does without a stdin."""
    assert run("config").returncode == 0
    assert run("explain").returncode == 2
    assert run("config", "--file", os.devnull + "/x").returncode == 1


def test_a_reader_that_leaves_is_no_traceback() -> None:
    """D17: `weatherglass config | true` fails quietly."""
    read, write = os.pipe()
    os.close(read)
    try:
        ended = run("config", out=write)
    finally:
        os.close(write)

    assert (ended.returncode, ended.stderr) == (1, b"")
