"""What the doctor finds, and how it is said. Findings are made elsewhere."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

_WIDTH = 100
_INDENT = 27


class Status(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, or will, but not as one would wish."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was not asked for, or something before it failed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do about it."""

    check: str
    status: Status
    found: str
    advice: str = ""

    def render(self) -> str:
        """The finding as lines for a person."""
        lines = _wrapped(self.found)
        if self.advice:
            lines += _wrapped(f"-> {self.advice}")
        head = f"{self.status.value:<8} {self.check:<{_INDENT - 10}} "
        return "\n".join(
            [head + (lines[0] if lines else ""), *(" " * _INDENT + line for line in lines[1:])]
        ).rstrip()

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON types."""
        return {
            "check": self.check,
            "status": self.status.value,
            "found": self.found,
            "advice": self.advice or None,
        }


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """It could be better."""
    return Finding(check, Status.WARNING, found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, Status.FAILED, found, advice)


def skipped(check: str, found: str) -> Finding:
    """It was not looked at."""
    return Finding(check, Status.SKIPPED, found)


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether anything does not work."""
    return any(finding.status is Status.FAILED for finding in findings)


def summary(findings: Iterable[Finding]) -> str:
    """How many ended how: ``1 failed, 2 warnings, 5 ok``."""
    counted = [each.status for each in findings]
    words = {Status.FAILED: "failed", Status.WARNING: "warning", Status.OK: "ok"}
    words[Status.SKIPPED] = "skipped"
    parts = []
    for status, word in words.items():
        count = counted.count(status)
        plural = "s" if status is Status.WARNING and count != 1 else ""
        if count:
            parts.append(f"{count} {word}{plural}")
    return ", ".join(parts)
