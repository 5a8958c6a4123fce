"""Looking at an application's session: whether all it sends goes through weatherglass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from weatherglass.adapter import Adapter
from weatherglass.cli import attributes
from weatherglass.cli.doctor.findings import Finding, failed, ok, warning
from weatherglass.layers import retries_by_itself
from weatherglass.telemetry.redact import redact_url

_EVERYWHERE = ("https://", "http://")


def load(named: str) -> requests.Session:
    """The session that ``module:attribute`` names, or that the function there makes.

    Raises:
        WrongUsage: when nothing is named, or no session.
        CommandFailed: when the module cannot be imported, or the function fails.
    """
    return attributes.found("--session", named, requests.Session, "a requests.Session")


def judge(session: requests.Session) -> Iterator[Finding]:
    """What can be said of a session."""
    yield _of_mounts(session)
    others = [
        (prefix, adapter)
        for prefix, adapter in session.adapters.items()
        if prefix not in _EVERYWHERE and not isinstance(adapter, Adapter)
    ]
    for prefix, adapter in others:
        yield _of_other(prefix, adapter)


def _of_mounts(session: requests.Session) -> Finding:
    check = "session"
    mounted = {prefix: session.adapters.get(prefix) for prefix in _EVERYWHERE}
    ours = {prefix: each for prefix, each in mounted.items() if isinstance(each, Adapter)}
    for prefix, adapter in mounted.items():
        if prefix not in ours and retries_by_itself(getattr(adapter, "max_retries", 0)):
            return _of_other(prefix, adapter)
    if not any(isinstance(each, Adapter) for each in session.adapters.values()):
        return failed(
            check,
            f"a {_kind(session)} without weatherglass in it",
            "use weatherglass.Session, or mount a weatherglass.Adapter",
        )
    policies = {each.policy.name for each in ours.values()}
    found = (
        f"a {_kind(session)}, policy {', '.join(sorted(policies))}"
        if policies
        else (f"a {_kind(session)}")
    )
    if any(each.policy.observing for each in ours.values()):
        return warning(
            check,
            f"{found}, which only observes",
            'set mode = "active" when the dry run is over',
        )
    if len(ours) < len(_EVERYWHERE):
        lacking = ", ".join(repr(prefix) for prefix in _EVERYWHERE if prefix not in ours)
        return warning(
            check,
            f"{found}, but not for all of {lacking}",
            "mount the adapter there too, if such URLs are called",
        )
    return ok(check, f"{found}, for https:// and http://")


def _of_other(prefix: str, adapter: Any) -> Finding:
    retries = getattr(adapter, "max_retries", 0)
    shown = redact_url(prefix)
    if retries_by_itself(retries):
        return failed(
            "session",
            f"the adapter on {shown!r} retries by itself (max_retries={retries!r})",
            "what it sends is repeated without weatherglass seeing it: mount weatherglass's"
            " adapter there, or set max_retries=0",
        )
    return warning(
        "session",
        f"{shown!r} has a {_kind(adapter)} of its own",
        "what it sends is neither retried nor seen by weatherglass",
    )


def _kind(thing: Any) -> str:
    return f"{type(thing).__module__.partition('.')[0]}.{type(thing).__name__}"
