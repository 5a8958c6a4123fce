"""Routes of a policy, such as ``POST /orders/*``, and whether a request is on one of them.

A ``*`` stands for any run of characters, slashes included, and in place of the method for any
method. Methods are compared in upper case, paths exactly and without their query. Used for
rules R3 and I4.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit


def matches(routes: tuple[str, ...], method: str, path: str) -> bool:
    """Whether a request with this method and path is on one of the routes."""
    if not routes:
        return False
    method = method.upper()
    return any(
        _fits(wanted_method, method) and _fits(wanted_path, path or "/")
        for wanted_method, wanted_path in _compiled(routes)
    )


def path_of(url: str) -> str:
    """The path of a URL as it goes over the wire."""
    return urlsplit(url).path or "/"


_Pattern = tuple[str, ...]
"""The texts between the stars; one text alone must be matched exactly."""


@lru_cache(maxsize=256)
def _compiled(routes: tuple[str, ...]) -> tuple[tuple[_Pattern, _Pattern], ...]:
    compiled = []
    for route in routes:
        method, _, path = route.partition(" ")
        compiled.append((tuple(method.upper().split("*")), tuple(path.strip().split("*"))))
    return tuple(compiled)


def _fits(pattern: _Pattern, text: str) -> bool:
    """Whether a text fits; linear, where a regular expression could be made to backtrack."""
    first, *middle = pattern
    if not middle:
        return text == first
    last = middle.pop()
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
