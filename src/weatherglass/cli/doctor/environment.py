"""What can be seen without asking anybody: versions, policy and other retry layers.

Gathering is apart from judging, so that what is said of a machine can be tested without it.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from requests.adapters import HTTPAdapter

from weatherglass.cli.doctor import variables
from weatherglass.cli.doctor.findings import Finding, failed, ok, warning
from weatherglass.errors import InvalidPolicy
from weatherglass.layers import retries_by_itself
from weatherglass.policy import load_policy

_PACKAGES = (
    "requests",
    "urllib3",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
)
_HTTP_CLIENTS = ("requests", "urllib3")
"""Whose instrumentations make spans for the same requests as weatherglass."""
_AUTO = "opentelemetry.instrumentation.auto_instrumentation"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this process is surrounded by."""

    versions: Mapping[str, str | None]
    """By package; ``None`` for one that is not installed."""
    python: str
    environ: Mapping[str, str]
    instrumentations: frozenset[str]
    """The instrumentations that are installed, by their entry points."""
    auto_instrumented: bool
    """Whether processes with this environment are instrumented as they start."""
    default_retries: Any
    """What an adapter of ``requests`` that is told nothing has as ``max_retries``."""


def gather() -> Surroundings:
    """Look around."""
    return Surroundings(
        versions={name: _version(name) for name in ("weatherglass", *_PACKAGES)},
        python=platform.python_version(),
        environ=dict(os.environ),
        instrumentations=frozenset(
            each.name for each in entry_points(group="opentelemetry_instrumentor")
        ),
        auto_instrumented=_AUTO in sys.modules
        or _AUTO.replace(".", "/") in os.environ.get("PYTHONPATH", "").replace("\\", "/"),
        default_retries=HTTPAdapter().max_retries,
    )


def examine(around: Surroundings, policy_file: str | None) -> Iterator[Finding]:
    """All that is to be said of the surroundings."""
    yield of_versions(around)
    yield of_policy(policy_file, around.environ)
    yield from variables.examine(around.environ)
    yield of_retry_layers(around)
    yield of_instrumentations(around)


def of_versions(around: Surroundings) -> Finding:
    """Which versions of what are installed."""
    packages = ", ".join(f"{name} {found}" for name, found in around.versions.items() if found)
    found = f"Python {around.python}, {packages}"
    if around.versions.get("opentelemetry-sdk") is None:
        return warning(
            "versions",
            found,
            "without opentelemetry-sdk nothing is exported; it comes with weatherglass, unless"
            " that is installed without its dependencies",
        )
    return ok("versions", found)


def of_policy(file: str | None, environ: Mapping[str, str]) -> Finding:
    """Whether the policy of file and variables makes sense."""
    try:
        loaded = load_policy(file, environ)
    except InvalidPolicy as error:
        return failed("policy", str(error), "correct it; weatherglass config shows all settings")
    changed = [name for name, origin in loaded.origins.items() if origin != "default"]
    policy = loaded.policy
    found = f"{policy.name!r}, " + (
        f"{len(changed)} setting{'' if len(changed) == 1 else 's'} other than the defaults"
        f" ({', '.join(sorted({loaded.origins[name] for name in changed}))})"
        if changed
        else "all defaults"
    )
    if policy.observing:
        return warning(
            "policy",
            f"{found}; the mode is observe",
            'nothing is retried, refused, refreshed or delayed: set mode = "active" when the dry'
            " run is over",
        )
    return ok("policy", found)


def of_retry_layers(around: Surroundings) -> Finding:
    """Whether ``requests`` retries by itself here."""
    if retries_by_itself(around.default_retries):
        return warning(
            "retry layers",
            f"adapters of requests retry by default here (max_retries={around.default_retries!r}):"
            " somebody has changed requests",
            "weatherglass's own adapters are not affected, but all other sessions are: find who"
            " changes requests.adapters.DEFAULT_RETRIES or HTTPAdapter",
        )
    return ok("retry layers", "requests does not retry by itself; --session looks at a session")


def of_instrumentations(around: Surroundings) -> Finding:
    """Which other instrumentations make spans for the same requests."""
    found = [name for name in _HTTP_CLIENTS if name in around.instrumentations]
    listed = around.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    disabled = [each.strip() for each in listed.split(",")]
    active = [name for name in found if name not in disabled]
    check = "instrumentations"
    if not active:
        return ok(check, "none but weatherglass makes spans for the requests it sends")
    told = f"{' and '.join(active)} can be instrumented too"
    if around.auto_instrumented:
        told += ", and are as the process starts (opentelemetry-instrument)"
    return ok(
        check,
        f"{told}: while weatherglass sends, they are suppressed, so there is one CLIENT span per"
        " attempt",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
