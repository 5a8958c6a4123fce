"""What comes from the wire, made fit to be kept: bounded text and headers by lower-case name.

Nothing here judges what a text or a header means; it only takes care that no size and no
character in it can hurt a log, a report or a parser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MAX_IDENTIFIER = 128
"""Characters of an error code or a correlation id; longer ones are none."""

_CORRELATION_HEADERS = (
    "x-correlation-id",
    "x-request-id",
    "x-ms-request-id",
    "x-github-request-id",
    "request-id",
)


def printable(text: str, limit: int) -> str:
    """The text on one line, without control characters, at most ``limit`` characters long."""
    # White space shrinks on the way, so a little more than the limit is looked at.
    head = text[: 2 * limit]
    if not head.isprintable():
        head = "".join(char if char.isprintable() else " " for char in head)
    return " ".join(head.split())[:limit]


def lowered(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers by lower-case name; those that were sent twice are joined with a comma."""
    plain: dict[str, str] = {}
    for name, value in headers.items() if headers else ():
        key = _text(name).lower()
        text = _text(value)
        plain[key] = f"{plain[key]}, {text}" if key in plain else text
    return plain


def _text(value: object) -> str:
    # Mappings from elsewhere (VCR-like tools, other clients) hold bytes, numbers or nothing.
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return value.decode("latin-1")
    return "" if value is None else str(value)


def identifier(value: object) -> str | None:
    """A code or id in printable form; ``None`` for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    if isinstance(value, int):
        # Codes are small numbers; the text of a huge one costs quadratic time.
        return str(value) if abs(value) < 10**18 else None
    if len(value) > MAX_IDENTIFIER:
        return None
    return printable(value, MAX_IDENTIFIER) or None


def correlation_id(headers: Mapping[str, str], asked_first: Sequence[str] = ()) -> str | None:
    """The server's name for this exchange, from headers by lower-case name.

    ``asked_first`` are names, in lower case, that come before the usual ones.
    """
    for name in (*asked_first, *_CORRELATION_HEADERS):
        found = identifier(headers.get(name))
        if found is not None:
            return found
    return None
