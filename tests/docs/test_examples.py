"""The examples of the documentation do what is said of them.

They are tried against a fake server in virtual time, changed in two ways: their hosts are replaced
by the server's, and sessions and adapters get the clock, unless an example brings its own.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from doc_pages import Example, pages

from weatherglass.cli import main
from weatherglass.policy import load_policy
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    FaultRule,
    Maintenance,
    RateLimit,
    VirtualClock,
    faults,
    rules_of,
)

pytest_plugins = ["pytester"]

HOSTS = (
    "https://login.example.com",
    "https://login.mypurecloud.com",
    "https://api.example.com",
    "https://api.mypurecloud.com",
    "https://status.example.com",
)
OTHER_WAY = "https://api.example.com"
"""What the server is called in output."""

ORDERS = FaultRule(
    fault=faults.delay(0.118, of=faults.answer(200, json=[{"id": 1}])), path="/orders*"
)
"""A route that the fake server does not have, and nearly all examples call."""

VARYING = re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?|\d+\.\d+")
ELLIPSIS = "…\n"

EXAMPLES = [example for page in pages() for example in page.examples]
PYTHON = [e for e in EXAMPLES if e.language == "python"]
TRIED = [e for e in PYTHON if not {"not run", "pytest"} & e.notes.keys()]


def stories() -> list[list[Example]]:
    """Each example that begins anew, with those that continue it."""
    told: list[list[Example]] = []
    for example in TRIED:
        if "continued" in example.notes:
            told[-1].append(example)
        else:
            told.append([example])
    return told


def outputs() -> dict[str, str]:
    """What an example prints, by the example."""
    printed: dict[str, str] = {}
    before: Example | None = None
    for example in EXAMPLES:
        if "output" in example.notes:
            assert before is not None, f"{example} follows no example"
            printed[str(before)] = example.text
        before = example
    return printed


def plan_of(example: Example) -> FaultPlan:
    """The faults that the example's comments ask for, and the route of the orders."""
    names = {
        "faults": faults,
        "FaultPlan": FaultPlan,
        "FaultRule": FaultRule,
        "Maintenance": Maintenance,
        "RateLimit": RateLimit,
    }
    if "plan" in example.notes:
        plan: FaultPlan = eval(example.notes["plan"], names)  # noqa: S307 - our own pages
        if plan.maintenance:
            return plan  # a rule would strike before the window
        return FaultPlan(
            rules=(*plan.rules, ORDERS),
            rate_limit=plan.rate_limit,
            idempotency=plan.idempotency,
        )
    script = eval(f"({example.notes.get('faults', '')},)".replace("(,)", "()"), names)  # noqa: S307 - likewise
    return FaultPlan(rules=(*rules_of(*script), ORDERS))


def adapted(code: str, server: FakeServer) -> str:
    """The example's code for this server, in the time of ``clock``."""
    for host in HOSTS:
        code = code.replace(host, server.url)
    if "runtime=" not in code:
        code = re.sub(
            r"weatherglass\.(Session|Adapter)\(", r"weatherglass.\1(runtime=clock, ", code
        )
    if "api_url=" not in code and "gateway=" not in code:
        # A region's hosts are played by the server, too.
        given = f"runtime=clock, api_url={server.url!r}, login_url={server.url!r}"
        if "region=" not in code:
            given += ", region='mypurecloud.ie'"
        code = code.replace("genesys.Session(", f"genesys.Session({given}, ")
    # On a plain session the adapter would not be found: the fake server speaks HTTP.
    return code.replace('mount("https://"', 'mount("http://"')


def comparable(text: str) -> str:
    """A text without what differs from run to run."""
    return VARYING.sub("#", text)


def assert_printed(printed: str, expected: str) -> None:
    """What was printed is what the page says, which may break off with an ellipsis."""
    if expected.endswith(ELLIPSIS):
        expected = expected.removesuffix(ELLIPSIS)
        printed = printed[: len(expected)]
    assert comparable(printed) == comparable(expected)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with a client's credentials, and no settings of weatherglass."""
    for name in list(os.environ):
        if name.startswith(("WEATHERGLASS_", "OTEL_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("GENESYS_CLOUD_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("GENESYS_CLOUD_CLIENT_SECRET", CLIENT_SECRET)
    return monkeypatch


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Puts back what an example does to logging."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.mark.parametrize("story", stories(), ids=lambda story: str(story[0]))
@pytest.mark.usefixtures("environment", "quiet_logging")
def test_python_example_runs(story: list[Example], capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python example runs, and prints what the page says that it prints."""
    clock = VirtualClock()
    expected = outputs()
    names: dict[str, Any] = {"__name__": "example", "clock": clock}
    with FakeServer(plan_of(story[0]), clock=clock, require_tokens=False) as server:
        names["announced_windows"] = server.maintenance_windows()
        try:
            for example in story:
                code = "\n" * (example.line - 1) + adapted(example.text, server)
                exec(compile(code, example.page, "exec"), names)  # noqa: S102 - our own pages
                printed = capsys.readouterr().out.replace(server.url, OTHER_WAY)
                printed = printed.replace("=127.0.0.1", "=api.example.com")
                assert_printed(printed, expected.get(str(example), ""))
        finally:
            for value in names.values():
                if isinstance(value, requests.Session):
                    value.close()


@pytest.mark.parametrize("example", PYTHON, ids=str)
def test_python_example_compiles(example: Example) -> None:
    """Every Python example is Python, those that are not run included."""
    compile(example.text, str(example), "exec")


@pytest.mark.parametrize("example", [e for e in PYTHON if "pytest" in e.notes], ids=str)
def test_test_file_passes(
    example: Example, pytester: pytest.Pytester, environment: pytest.MonkeyPatch
) -> None:
    """Every test file that is shown passes, with the fixtures as others have them."""
    environment.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    environment.setenv("PYTHONPATH", os.pathsep.join(str(Path(p).resolve()) for p in sys.path))
    pytester.makepyfile(example.text)
    tests = len(re.findall(r"^def test_", example.text, re.MULTILINE))

    result = pytester.runpytest_subprocess("-p", "weatherglass.testing.plugin", "-W", "error")

    result.assert_outcomes(passed=tests)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.language == "toml"], ids=str)
def test_policy_file_loads(example: Example, tmp_path: Path) -> None:
    """D17: every policy file that is shown is a valid one."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(example.text, encoding="utf-8")

    loaded = load_policy(file, environ={})

    assert any(origin.startswith("file") for origin in loaded.origins.values())


def commands(example: Example) -> list[tuple[list[str], str]]:
    """The commands of a console example, each with what is shown below it."""
    found: list[tuple[list[str], str]] = []
    for line in example.text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((shlex.split(line[2:]), ""))
        else:
            command, shown = found[-1]
            found[-1] = command, shown + line
    return found


CONSOLE = [e for e in EXAMPLES if e.language == "console" and "not run" not in e.notes]


@pytest.mark.parametrize("example", CONSOLE, ids=str)
def test_command_prints_what_is_shown(
    example: Example, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command of ours runs, and prints what is shown below it."""
    for command, shown in commands(example):
        while "=" in command[0]:
            environment.setenv(*command.pop(0).split("=", 1))
        if command[0] == "export":
            environment.setenv(*command[1].split("=", 1))
            continue
        if command[0] != "weatherglass" or "<command>" in command:
            assert not shown, f"{example} shows the output of a command that is not ours"
            continue
        code = main(command[1:])
        printed = capsys.readouterr().out
        assert code == 0
        if shown:
            assert_printed(printed, shown)
    # What was exported must be variables that exist, with values that fit.
    load_policy()
