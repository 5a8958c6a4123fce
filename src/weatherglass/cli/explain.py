"""``weatherglass explain``: how an HTTP answer is understood, and what would be done about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests.structures import CaseInsensitiveDict

from weatherglass.cli import profiles
from weatherglass.cli.explanation import Explanation
from weatherglass.cli.failure import CommandFailed, WrongUsage
from weatherglass.cli.next_step import Request, next_step
from weatherglass.cli.transcript import LARGEST, Answer, headers, parse
from weatherglass.diagnose import classify_response
from weatherglass.diagnose.dates import parse_date
from weatherglass.policy import Rule, load_policy
from weatherglass.policy.file import read_file
from weatherglass.runtime import SYSTEM

_LONGEST_DATE = 64
_EXAMPLES = """\
examples:
  curl -si https://api.example.com/orders | weatherglass explain
  weatherglass explain --status 429 --header 'Retry-After: 5'
  weatherglass explain --status 503 --method POST --url https://api.example.com/orders
  weatherglass explain --status 500 --body '{"code": "VALIDATION_FAILED"}' --json
  weatherglass explain --rules my-rules.toml < answer.txt
  weatherglass explain --profile genesys < answer.txt

The policy in force is that of 'weatherglass config'. Times in the answer are measured
against its own Date header, or the clock if it has none.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "explain",
        help="say how an HTTP answer is understood, and what would be done about it",
        description="Reads the output of curl -i, or an answer described by options, and says\n"
        "what kind of failure it is, by which rule, and what would be done next.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    answer = parser.add_argument_group("the answer, instead of curl's output on standard input")
    answer.add_argument("--status", type=_status, metavar="N", help="the HTTP status")
    answer.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="a header of the answer; may be repeated",
    )
    body = answer.add_mutually_exclusive_group()
    body.add_argument("--body", metavar="TEXT", help="the body of the answer")
    body.add_argument("--body-file", metavar="F", help="a file that holds it; - is standard input")
    request = parser.add_argument_group("the request")
    request.add_argument(
        "--method", default="GET", type=str.upper, metavar="M", help="its method (GET)"
    )
    request.add_argument(
        "--url", type=_url, metavar="URL", help="its URL, to judge routes and windows by"
    )
    request.add_argument(
        "--retries", type=_count, default=0, metavar="N", help="retries already made (0)"
    )
    parser.add_argument("--rules", metavar="F", help="a TOML file with [[rules]] to ask first")
    parser.add_argument("--file", metavar="F", help="the policy file, as for 'config'")
    profiles.add_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain an answer.

    Raises:
        WrongUsage: when there is no answer to explain, or it is given in two ways; when there
            is no such profile.
        CommandFailed: when a file cannot be read, or a profile's module cannot be imported.
        InvalidPolicy: when policy or rules hold something that makes no sense.
    """
    policy = load_policy(arguments.file, profile=profiles.chosen(arguments.profile)).policy
    rules = (*_rules(arguments.rules), *policy.rules)
    answer = _answer(arguments)
    at = _received_at(answer.headers)
    failure = classify_response(
        status=answer.status,
        headers=answer.headers,
        body=answer.body,
        received_at=at,
        rules=rules,
        correlation_headers=policy.correlation_headers,
        limit_headers=policy.limit_headers,
    )
    request = Request(method=arguments.method, url=arguments.url, retries=arguments.retries, at=at)
    step = None if failure is None else next_step(failure, policy, request)
    explanation = Explanation(answer.status, failure, step, policy, request)
    if arguments.json:
        print(json.dumps(explanation.to_dict(), indent=2))
    else:
        print(explanation.render())
    return 0


def _answer(arguments: argparse.Namespace) -> Answer:
    if arguments.status is not None:
        return Answer(arguments.status, headers(arguments.header), _body(arguments))
    for option in ("header", "body", "body_file"):
        if getattr(arguments, option):
            name = option.replace("_", "-")
            raise WrongUsage(f"--{name} describes an answer and needs its --status as well")
    if sys.stdin is None or sys.stdin.isatty():
        raise WrongUsage(
            "there is no answer to explain: pipe the output of curl -i into this command, or"
            " describe an answer by --status"
        )
    try:
        return parse(_standard_input())
    except ValueError as error:
        raise WrongUsage(str(error)) from None


def _body(arguments: argparse.Namespace) -> bytes:
    if arguments.body is not None:
        return str(arguments.body).encode("utf-8", "surrogateescape")
    if arguments.body_file is None:
        return b""
    if arguments.body_file == "-":
        return _standard_input()
    try:
        with Path(arguments.body_file).open("rb") as opened:
            return opened.read(LARGEST)
    except (OSError, ValueError) as error:
        raise CommandFailed(f"the body cannot be read: {error}") from error


def _standard_input() -> bytes:
    return sys.stdin.buffer.read(LARGEST)


def _rules(file: str | None) -> Sequence[Rule]:
    if file is None:
        return ()
    found = read_file(file).rules
    if not found:
        raise CommandFailed(f"file {file} has no [[rules]]")
    return found


def _received_at(found: CaseInsensitiveDict[str]) -> float:
    """When the answer came: by its own Date, so that one kept in a file still makes sense."""
    now = SYSTEM.time()
    date = parse_date(found.get("Date", "")[:_LONGEST_DATE].strip(), now)
    return now if date is None else date[1]


def _status(text: str) -> int:
    if len(text) == len("200") and text.isascii() and text.isdigit() and text[0] in "12345":
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a status from 100 to 599")


def _header(text: str) -> str:
    if not headers([text]):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 'Name: value'")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http:// or https:// URL")
    return text


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len("1000"):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
