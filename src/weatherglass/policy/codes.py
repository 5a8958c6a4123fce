"""How error codes are compared (rule C6): one vendor spells the same code in several ways.

Codes stand in settings, which say by this what they mean; whether an error has one is asked in
:mod:`weatherglass.diagnose`, and whether it says "already done" in :mod:`weatherglass.decide`.
"""

from __future__ import annotations

# client.failed.request, CLIENT_FAILED_REQUEST and client-failed-request are one code.
_SEPARATORS = str.maketrans("_- ", "...")


def comparable(code: str) -> str:
    """A code without the accidents of its spelling: case, and the separator between words."""
    return code.casefold().translate(_SEPARATORS)
