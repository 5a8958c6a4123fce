"""Finding another retry layer around or beside ours, which would multiply the attempts (rule D4).

Looked for only when a call is about to be retried: a healthy application never pays for it.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from weatherglass.errors import InvalidPolicy

_warned: dict[str, object] = {}


class SecondRetryLayerWarning(UserWarning):
    """Another retry layer is active beside weatherglass: failed calls are tried too often."""


def warn_of_second_layer(adapter: HTTPAdapter) -> None:
    """Look up the stack for tenacity, and for ``urllib3.Retry`` beside ``adapter``."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the stack
    while frame is not None:
        package = _package(frame)
        if package == "requests":
            warn_of_mounted_retry(frame.f_locals.get("self"), adapter)
        caller = frame.f_back
        # The tenacity that weatherglass itself drives is called by weatherglass.
        if (
            package == "tenacity"
            and caller
            and _package(caller) not in ("tenacity", "weatherglass")
        ):
            _warn(
                "tenacity",
                "a tenacity retry runs around a weatherglass call: each of its attempts is a whole"
                " call with retries of its own; let one of the two retry",
            )
            return
        frame = caller


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).split(".", 1)[0]


def warn_of_mounted_retry(session: Any, adapter: HTTPAdapter) -> None:
    """Warn once of a ``urllib3.Retry`` on another adapter of the session."""
    if not isinstance(session, requests.Session):
        return
    for prefix, mounted in session.adapters.items():
        retries = getattr(mounted, "max_retries", None)
        if mounted is not adapter and retries_by_itself(retries):
            _warn(
                "urllib3",
                f"the adapter mounted on {prefix!r} retries by itself (max_retries={retries!r}):"
                " its failures are repeated without weatherglass seeing them",
            )


def second_retries(given: Any) -> InvalidPolicy:
    """The error for retries that are asked for beside ours; it says what to set instead."""
    return InvalidPolicy(
        f"max_retries is {given!r}, but weatherglass does the retries itself: set"
        " policy=weatherglass.Policy(retry=weatherglass.RetryPolicy(max_retries=...))"
    )


def retries_by_itself(policy: Any) -> bool:
    """Whether a ``urllib3.Retry`` or a number ever retries; without a total, its counts hold."""
    total = policy if isinstance(policy, int) else getattr(policy, "total", 0)
    if total is not None:
        return bool(total)
    return any(getattr(policy, count, 0) for count in ("connect", "read", "status", "other"))


def _warn(layer: str, message: str) -> None:
    # Who puts the mark is the one who warns; without a lock, which a fork could inherit held.
    mark = object()
    if _warned.setdefault(layer, mark) is mark:
        warnings.warn(message, SecondRetryLayerWarning, stacklevel=4)


def forget_warnings() -> None:
    """Warn again: for tests and for long-running notebooks."""
    _warned.clear()
