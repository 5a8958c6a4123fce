"""``weatherglass doctor``: does an installation work, as an operator would ask.

Only what the options name is asked over the network, and the status feeds of a session that an
option names; except for the OTLP endpoint, which the standard variables name as well. What is sent
is one span and one measurement, as of a service of the doctor's own, so that no dashboard shows it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import uuid
from collections.abc import Callable, Generator, Iterator
from typing import Any

from weatherglass.cli.doctor import clocks, environment, feeds, series, session
from weatherglass.cli.doctor.delivery import judge
from weatherglass.cli.doctor.findings import (
    Finding,
    failed,
    has_failed,
    skipped,
    summary,
)
from weatherglass.cli.doctor.network import is_web_url
from weatherglass.cli.doctor.prometheus import Prometheus
from weatherglass.cli.failure import WrongUsage
from weatherglass.errors import InvalidPolicy
from weatherglass.runtime import SYSTEM
from weatherglass.telemetry.configure import Wishes, check
from weatherglass.telemetry.definitions import Instrument, Metric
from weatherglass.telemetry.probe import METRICS, TRACES, Delivery, Sender
from weatherglass.telemetry.redact import redact_text, redact_url

SERVICE = "weatherglass-doctor"
"""The ``service.name`` of what is sent, and so its job."""
SPAN = "weatherglass.doctor"
PROBE = Metric(
    "weatherglass.doctor.probe",
    Instrument.OBSERVABLE_GAUGE,
    "s",
    "When the doctor sent this, in seconds since the epoch.",
    (),
    (),
    (),
)
"""What is sent. It is no telemetry of the library and stands in none of its tables."""

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_EXAMPLES = """\
examples:
  weatherglass doctor
  weatherglass doctor --otlp http://localhost:4318 --prometheus http://localhost:9090
  weatherglass doctor --prometheus http://localhost:9090 --job orders
  weatherglass doctor --api https://api.example.com --session orders.client:session
  OTEL_EXPORTER_OTLP_PROTOCOL=grpc weatherglass doctor --otlp http://localhost:4317

Exit code 1 says that a check has failed; warnings do not count. With --otlp and --prometheus, it
waits until what it sent has arrived.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="check an installation: export, series, clocks, other retry layers",
        description="Checks what can be seen from here, and says what to do about what is wrong.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--otlp", metavar="URL", help="send there; else where OTEL_EXPORTER_OTLP_ENDPOINT says"
    )
    parser.add_argument("--prometheus", metavar="URL", help="look for the series there")
    parser.add_argument("--job", metavar="NAME", help="the job that must have series there")
    parser.add_argument("--api", metavar="URL", help="compare clocks with this API")
    parser.add_argument(
        "--session",
        metavar="MODULE:ATTRIBUTE",
        help="look at the application's session, or call the function that makes it",
    )
    parser.add_argument("--file", metavar="F", help="the policy file, as for 'config'")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="seconds for what was sent to arrive in Prometheus (30)",
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="S", help="seconds per request (5)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the installation.

    Raises:
        WrongUsage: for a URL or a session that is none.
        CommandFailed: when the session's module cannot be imported.
    """
    _check(arguments)
    findings: list[Finding] = []
    for finding in examine(arguments):
        findings.append(finding)
        if not arguments.json:
            # At once: some checks take their time.
            print(finding.render(), flush=True)
    if arguments.json:
        told = {
            "ok": not has_failed(findings),
            "findings": [finding.to_dict() for finding in findings],
        }
        print(json.dumps(told, indent=2))
    else:
        print(f"\n{summary(findings)}")
    return 1 if has_failed(findings) else 0


def examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    """All checks, one after the other."""
    inspected = None if arguments.session is None else session.load(arguments.session)
    yield from environment.examine(environment.gather(), arguments.file)
    if inspected is not None:
        yield from session.judge(inspected)
        yield from feeds.judge(inspected)
    sent_at = round(SYSTEM.time(), 3)
    sent = yield from _export(arguments, sent_at)
    if arguments.prometheus is not None:
        server = Prometheus(arguments.prometheus, arguments.timeout)
        arrival = series.Arrival(PROBE, sent_at, arguments.wait) if sent else None
        yield from series.examine(server, arguments.job, SERVICE, arrival)
    else:
        yield skipped("prometheus", "--prometheus URL looks for the series")
    if arguments.api is not None:
        yield clocks.of_api(arguments.api, arguments.timeout)


def _export(arguments: argparse.Namespace, sent_at: float) -> Generator[Finding, None, bool]:
    """Send a span and a measurement; returns whether the latter was accepted."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        if arguments.otlp is None:
            yield skipped("otlp", "OTEL_SDK_DISABLED is true")
        else:
            yield failed(
                "otlp",
                "nothing was sent, because OTEL_SDK_DISABLED is true; nor will the application"
                " send anything with this environment",
                "unset it",
            )
        return False
    if arguments.otlp is None and not any(map(os.environ.get, _ENDPOINTS)):
        yield skipped(
            "otlp", "--otlp URL, or OTEL_EXPORTER_OTLP_ENDPOINT, sends a span and a measurement"
        )
        return False
    wishes = Wishes(arguments.otlp, None, None, None)
    sender = Sender(wishes, SERVICE, str(uuid.uuid4()), arguments.timeout)
    span, why = _sent(TRACES, lambda: sender.send_span(SPAN))
    yield why
    gauge, why = _sent(METRICS, lambda: sender.send_gauge(PROBE, sent_at))
    yield why
    for delivery in (gauge, span):
        if delivery is not None and delivery.answer is not None:
            answer = delivery.answer
            reading = clocks.from_date(
                "the OTLP endpoint", answer.date, answer.sent_at, answer.received_at
            )
            if reading is not None:
                yield clocks.judge(reading)
                break
    return not has_failed([why])


def _sent(signal: str, send: Callable[[], Delivery]) -> tuple[Delivery | None, Finding]:
    try:
        delivery = send()
    except (ImportError, InvalidPolicy) as error:
        return None, failed(f"otlp {signal}", str(error), "correct it, or install what is missing")
    except Exception as error:  # noqa: BLE001 - exporters raise what they like on odd settings
        told = f"the exporter cannot be made: {type(error).__name__}: {redact_text(str(error))}"
        return None, failed(f"otlp {signal}", told, "look at the OTEL_EXPORTER_OTLP_* variables")
    return delivery, judge(delivery)


def _check(arguments: argparse.Namespace) -> None:
    for option in ("otlp", "prometheus", "api"):
        url = getattr(arguments, option)
        if url is not None and not is_web_url(url):
            raise WrongUsage(f"--{option} must be a URL with http or https and a host")
    if arguments.job is not None and arguments.prometheus is None:
        raise WrongUsage("--job names a job to look for, so --prometheus must say where")
    if arguments.otlp is None:
        return
    try:
        check(Wishes(redact_url(arguments.otlp), None, None, None))
    except InvalidPolicy as error:
        raise WrongUsage(f"--otlp: {error}") from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600 or math.isnan(seconds):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds from above 0 to 3600"
        )
    return seconds
