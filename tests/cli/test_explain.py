"""`weatherglass explain` says how an answer is understood and what would follow."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from weatherglass.cli import main
from weatherglass.policy.settings import PREFIX

NIGHT = """
[maintenance]
mode = "wait"
[[maintenance.windows]]
name = "night"
start = 2026-05-01T21:00:00Z
end = 2026-05-01T23:00:00Z
hosts = ["api.example.com"]
"""

LIMITED = (
    b"HTTP/2 429 \r\nDate: Fri, 01 May 2026 22:00:00 GMT\r\n"
    b"Retry-After: Fri, 01 May 2026 22:00:42 GMT\r\nContent-Type: application/json\r\n\r\n"
    b'{"code": "too.many.requests", "message": "Slow down", "contextId": "c-1"}'
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests are not to be explained."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


class Input(io.TextIOWrapper):
    """A standard input that holds these bytes."""

    def __init__(self, data: bytes, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data))
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*arguments: str, stdin: bytes | None = None) -> str:
        monkeypatch.setattr(sys, "stdin", Input(stdin or b"", terminal=stdin is None))
        code = main(["explain", *arguments])
        told = capsys.readouterr()
        assert (code, told.err) == (0, "")
        return told.out

    return run


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*arguments: str, stdin: bytes | None = None) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", Input(stdin or b"", terminal=stdin is None))
        code = main(["explain", *arguments])
        told = capsys.readouterr()
        assert told.out == ""
        return code, told.err

    return run


def told(explain: Any, *arguments: str, stdin: bytes | None = None) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(explain("--json", *arguments, stdin=stdin))
    return plain


def rows(text: str) -> dict[str, str]:
    """The rows of the text by their names."""
    lines = text.splitlines()[1:]
    return {line[:14].strip(): line[14:].strip() for line in lines}


def test_curl_output_is_explained(explain: Any) -> None:
    """C2, A1, A3: kind, deciding rule, Retry-After and the next step stand in the text."""
    text = explain(stdin=LIMITED)

    assert text.startswith("HTTP 429\n")
    assert rows(text) == {
        "failure": "rate_limited (transient: it may pass)",
        "executed": "no: the server rejected the request before executing it",
        "code": "too.many.requests",
        "message": "Slow down",
        "correlation": "c-1",
        "rule": rows(text)["rule"],
        "token": "a new one cannot help",
        "retry-after": "'Fri, 01 May 2026 22:00:42 GMT' (imf_fixdate, from retry_after): 42 s",
        "next": "retry 1 of 5 after 42 to 46.2 s, the server's delay",
        "provided": "breaker and budgets allow it, and the body can be sent again",
        "policy": "default",
    }


def test_the_explanation_is_plain_json(explain: Any) -> None:
    """D7: the same explanation as data, without the payload."""
    plain = told(explain, stdin=LIMITED)

    assert (plain["status"], plain["method"], plain["policy"]) == (429, "GET", "default")
    assert plain["failure"]["kind"] == "rate_limited"
    assert plain["failure"]["retry_after"]["variant"] == "imf_fixdate"
    assert "raw" not in plain["failure"]
    assert plain["next"] == {
        "step": "retry",
        "delay": [42.0, pytest.approx(46.2)],
        "wait_reason": "retry_after",
        "retry_after_disposition": "honoured",
        "give_up_reason": None,
        "maintenance": None,
    }


def test_a_described_answer_is_explained(explain: Any) -> None:
    """A1: status, headers and body can be given as options."""
    plain = told(
        explain,
        *("--status", "429", "--header", "Retry-After: 5"),
        *("--header", "Content-Type: application/json", "--body", '{"code": "busy"}'),
    )

    assert plain["failure"]["retry_after"]["seconds"] == 5.0
    assert plain["failure"]["code"] == "busy"


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_body_can_come_from_a_file(explain: Any, tmp_path: Path, source: str) -> None:
    """C6: the body is read from a file, or from standard input."""
    body = b'{"code": "busy"}'
    file = tmp_path / "body.json"
    file.write_bytes(body)
    name = str(file) if source == "file" else "-"
    plain = told(explain, "--status", "503", "--body-file", name, stdin=body)

    assert plain["failure"]["code"] == "busy"


@pytest.mark.parametrize(
    ("arguments", "next_row"),
    [
        (("--status", "503"), "retry 1 of 5 after 0 to 1 s, computed backoff"),
        (("--status", "503", "--retries", "3"), "retry 4 of 5 after 0 to 8 s, computed backoff"),
        (("--status", "503", "--retries", "5"), "give up (retries_exhausted)"),
        (("--status", "503", "--method", "post"), "give up (method_not_replayable)"),
        (
            ("--status", "429", "--header", "Retry-After: 0"),
            "after 1 to 1.1 s, the server's delay, raised",
        ),
        (
            ("--status", "429", "--header", "Retry-After: 7200"),
            "give up (retry_after_above_ceiling)",
        ),
        (
            ("--status", "429", "--header", "Retry-After: soon"),
            "computed, as the server's word is unusable",
        ),
        (("--status", "404"), "no retry: the failure is permanent"),
        (("--status", "401"), "fetch a new token and send the request again, once"),
        (("--status", "204"), ""),
    ],
)
def test_the_next_step_is_told(explain: Any, arguments: tuple[str, ...], next_row: str) -> None:
    """R1, R2, R3, A5, A6, A7, T4: retry with which bounds, or why not, as the policy decides."""
    assert next_row in rows(explain(*arguments)).get("next", "")


def test_a_success_is_no_failure(explain: Any) -> None:
    """C1: below 400 there is nothing to explain."""
    assert "no failure" in explain("--status", "204")
    plain = told(explain, "--status", "204")

    assert (plain["failure"], plain["next"]) == (None, None)


def test_a_give_up_is_json_too(explain: Any) -> None:
    """R2: the reason is one of the closed set."""
    plain = told(explain, "--status", "504", "--method", "POST")

    assert plain["next"]["step"] == "give_up"
    assert plain["next"]["give_up_reason"] == "method_not_replayable"
    assert plain["next"]["delay"] is None


def test_rules_are_asked_first(explain: Any, tmp_path: Path) -> None:
    """C6: rules from a file overrule the table, and the explanation names the one that decided."""
    file = tmp_path / "rules.toml"
    file.write_text(
        '[[rules]]\nname = "mine"\nstatuses = [404]\ncodes = ["not.yet"]\ntransient = true',
        encoding="utf-8",
    )
    arguments = ("--rules", str(file), "--status", "404", "--body", '{"code": "NOT.YET"}')

    assert told(explain, *arguments)["failure"]["rule"] == "mine"
    assert "retry 1 of 5" in rows(explain(*arguments))["next"]


def test_the_policy_in_force_decides(
    explain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D17, D18: policy file and environment count, and observing is said."""
    file = tmp_path / "weatherglass.toml"
    file.write_text('name = "mine"\nmode = "observe"\n[retry]\nmax_retries = 2', encoding="utf-8")
    monkeypatch.setenv("WEATHERGLASS_RETRY_BASE_DELAY", "3")
    found = rows(explain("--file", str(file), "--status", "503"))

    assert found["next"] == "retry 1 of 2 after 0 to 3 s, computed backoff"
    assert found["policy"] == "mine"
    assert "observes" in found["but"]


@pytest.mark.parametrize(
    ("url", "policy", "next_row"),
    [
        (
            "https://api.example.com/search?q=1",
            "[retry]\nidempotent_routes=['POST /search']",
            "retry 1",
        ),
        (
            "https://api.example.com/orders",
            "[retry]\nidempotent_routes=['POST /search']",
            "give up",
        ),
        (
            "https://api.example.com/orders",
            "[idempotency]\nkey='per_call'\nhonouring_routes=['POST /orders']",
            "retry 1",
        ),
        ("https://api.example.com/orders", "[idempotency]\nkey='per_call'", "give up"),
        (
            "https://api.example.com/orders",
            "[idempotency]\nkey='per_call'\nmethods=['PUT']\nhonours_keys=true",
            "give up",
        ),
    ],
)
def test_routes_are_judged_by_the_url(
    explain: Any, tmp_path: Path, url: str, policy: str, next_row: str
) -> None:
    """R3, I4: a POST is replayed where its route is idempotent, or its key honoured."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(policy, encoding="utf-8")
    found = rows(explain("--file", str(file), "--status", "503", "--method", "POST", "--url", url))

    assert found["next"].startswith(next_row)


def test_keys_that_are_honoured_everywhere_need_no_url(explain: Any, tmp_path: Path) -> None:
    """I4: a server that honours keys on every route does so on this one."""
    file = tmp_path / "weatherglass.toml"
    file.write_text("[idempotency]\nkey='per_call'\nhonours_keys=true", encoding="utf-8")

    assert "retry 1" in explain("--file", str(file), "--status", "503", "--method", "POST")


def test_what_was_not_judged_is_said(explain: Any, tmp_path: Path) -> None:
    """R3, M1: without a URL, a policy's routes and windows cannot be judged."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(NIGHT, encoding="utf-8")

    assert "were not judged" in rows(explain("--file", str(file), "--status", "503"))["note"]


def test_a_maintenance_window_is_told(explain: Any, tmp_path: Path) -> None:
    """M3, A4: the window in force at the answer's own date decides what comes next."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(NIGHT, encoding="utf-8")
    arguments = (
        *("--file", str(file), "--status", "503", "--url", "https://api.example.com/"),
        *("--header", "Date: Fri, 01 May 2026 22:59:00 GMT"),
    )
    found = rows(explain(*arguments))

    assert found["next"] == "retry 1 of 5 after 60 to 65 s, when the maintenance window ends"
    assert found["maintenance"].startswith("night, until 2026-05-01T23:00:00")
    assert told(explain, *arguments)["next"]["maintenance"] == "night"


def test_a_deadline_bounds_the_delay(explain: Any, tmp_path: Path) -> None:
    """D9: a backoff that would cross the deadline is not waited for."""
    file = tmp_path / "weatherglass.toml"
    file.write_text("deadline = 2", encoding="utf-8")
    arguments = ("--file", str(file), "--status", "503", "--retries", "3")

    assert told(explain, *arguments)["next"]["delay"] == [0.0, 2.0]


def test_control_characters_stay_off_the_terminal(explain: Any) -> None:
    """S1: a hostile server cannot write to the terminal of whoever explains its answer."""
    text = explain(
        stdin=b"HTTP/1.1 503 x\r\nRetry-After: \x1b[31m\x9b\r\nContent-Type: application/json\r\n"
        b'\r\n{"code": "a\\u001b[31mb", "message": "x\\u0007\\u009by\\nHTTP 200",'
        b' "contextId": "\\u001b"}'
    )

    assert text.replace("\n", "").isprintable()
    assert "\nHTTP 200" not in text


@pytest.mark.parametrize(
    ("arguments", "stdin", "named"),
    [
        ((), None, "there is no answer to explain"),
        ((), b"", "is empty"),
        ((), b"{}", "begins with '{}'"),
        (("--header", "A: 1"), b"", "--header describes an answer and needs its --status"),
        (("--body", "x"), b"", "--body describes an answer and needs its --status"),
        (("--body-file", "x"), b"", "--body-file describes an answer and needs its --status"),
        (("--status", "600"), b"", "'600' is not a status from 100 to 599"),
        (("--status", "٤٢٩"), b"", "is not a status"),
        (("--status", "4290"), b"", "is not a status"),
        (("--status", "429", "--header", "Retry-After"), b"", "is not of the form 'Name: value'"),
        (("--status", "429", "--url", "/orders"), b"", "is not an http:// or https:// URL"),
        (("--status", "429", "--url", "https://[::1"), b"", "is not an http:// or https:// URL"),
        (("--status", "429", "--retries", "-1"), b"", "--retries"),
        (("--status", "429", "--retries", "99999"), b"", "is not a whole number from 0"),
        (("--status", "429", "--body", "x", "--body-file", "y"), b"", "not allowed with"),
        (("--nonsense",), b"", "--nonsense"),
    ],
)
def test_wrong_usage_is_told(
    complaint: Any, arguments: tuple[str, ...], stdin: bytes | None, named: str
) -> None:
    """D16: wrong usage ends with exit code 2 and says what was expected."""
    code, text = complaint(*arguments, stdin=stdin)

    assert code == 2
    assert named in text


def test_a_file_that_cannot_be_used_is_told(complaint: Any, tmp_path: Path) -> None:
    """D17: a missing or empty file ends with exit code 1 and its name."""
    empty = tmp_path / "empty.toml"
    empty.touch()
    missing = str(tmp_path / "missing")

    for arguments, named in (
        (("--rules", str(empty)), "has no [[rules]]"),
        (("--rules", missing), "cannot be read"),
        (("--file", missing), "cannot be read"),
        (("--body-file", missing), "the body cannot be read"),
    ):
        code, text = complaint("--status", "503", *arguments)
        assert code == 1
        assert named in text
