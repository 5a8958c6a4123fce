"""The error that a response's body describes, read from every place where vendors put it (C6).

A body is untrusted: it is looked at up to 64 KiB, parsed at most once, and never raises or
takes long, whatever is in it (rule C7). What a code means is not decided here but in
:mod:`weatherglass.diagnose.rules`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from weatherglass.diagnose.foreign import identifier, printable

MAX_BODY = 64 * 1024
"""Bytes of a body that are looked at."""

MAX_MESSAGE = 500
"""Characters of an error message that are kept."""

MAX_RAW_TEXT = 4096
"""Characters of an unparsed body that are kept."""

MAX_DEPTH = 64
"""Levels of nesting; a deeper body is an attack, not an error."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a body says about an error."""

    code: str | None = None
    """The first code that was found; ``None`` if the body has none."""
    message: str = ""
    correlation_id: str | None = None
    known_shape: bool = True
    """Whether the body is one of the known forms of an error, or empty."""
    payload: Any = field(default=None, repr=False)
    """The parsed JSON, or the beginning of the text; ``None`` if there was nothing."""
    codes: tuple[str, ...] = ()
    """All codes that were found, the most telling first."""
    words: str = ""
    """All messages that were found, for rules that look for a phrase."""


def read_error(
    body: bytes | None, content_type: str | None = None, status: int | None = None
) -> ErrorBody:
    """What a body says; total and bounded (rules C6 and C7).

    A body is taken for what its content type says: one that is declared as markup or media is
    not parsed, and neither is one whose bytes do not fit its character set.

    Args:
        body: The bytes as decoded from any content encoding; ``None`` if it was not read.
        content_type: The header's value.
        status: The HTTP status, so that its repetition in the body is not taken for a code.
    """
    head = (body or b"")[:MAX_BODY]
    text, sound = _decoded(head, content_type)
    stripped = text.strip()
    if not stripped:
        return ErrorBody()
    if sound and stripped[0] in "{[" and not _is_markup_or_media(content_type):
        payload = _parsed(stripped)
        if payload is not None:
            return read_payload(payload, status)
    return ErrorBody(
        message=_text_message(stripped),
        known_shape=False,
        payload=stripped[:MAX_RAW_TEXT],
        words=_text_message(stripped),
    )


# --- from bytes to JSON -------------------------------------------------------------------

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Only codecs that take linear time; some of Python's others do not, and the name is the server's.
_CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_CHARSET = re.compile(r"charset\s{0,4}=\s{0,4}[\"']?([a-z0-9_-]{1,24})", re.ASCII | re.IGNORECASE)
_STRING = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(128)) - set(b"[]{}"))
_LONG_NUMBER = re.compile(r"\d{19}", re.ASCII)


def _decoded(body: bytes, content_type: str | None) -> tuple[str, bool]:
    """The text, and whether its bytes fitted the character set."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if body.startswith(mark)), None)
    if encoding is None:
        found = _CHARSET.search(content_type[:256]) if content_type else None
        encoding = _CHARSETS.get(found[1].lower() if found else "", "utf-8")
    try:
        return body.decode(encoding), True
    except UnicodeDecodeError:
        return body.decode(encoding, "replace"), False


def _is_markup_or_media(content_type: str | None) -> bool:
    media_type = (content_type or "")[:256].partition(";")[0].strip().lower()
    return (
        "html" in media_type
        or "xml" in media_type
        or media_type.startswith(("image/", "audio/", "video/", "font/", "multipart/"))
        or media_type in ("text/css", "text/csv", "application/pdf", "application/zip")
    )


def _parsed(text: str) -> Any:
    """The parsed JSON; ``None`` for what is not JSON or nested too deeply."""
    if _too_deep(text):
        return None
    decoder = _CAREFUL if _LONG_NUMBER.search(text) else _PLAIN
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError):
        return None


def _too_deep(text: str) -> bool:
    # Measured before parsing, so that no thread's stack, however small, is put at risk, and so
    # that what is kept can later be pickled and printed.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    structure = _STRING.sub("", text).encode("ascii", "ignore")
    depth = 0
    for mark in structure.translate(None, _ALL_BUT_BRACKETS):
        if mark in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        else:
            depth -= 1
    return False


def _whole_number(text: str) -> int | str:
    # Turning thousands of digits into an integer takes quadratic time.
    return int(text) if len(text) <= 18 else text[:MAX_MESSAGE]


def _no_number(_: str) -> None:
    return None


_PLAIN = json.JSONDecoder(parse_constant=_no_number)
_CAREFUL = json.JSONDecoder(parse_constant=_no_number, parse_int=_whole_number)


def _text_message(text: str) -> str:
    """A line for a body that is not JSON: the title of a page, or the beginning of the text."""
    head = text[:MAX_RAW_TEXT]
    if not head.startswith("<"):
        return printable(head, MAX_MESSAGE)
    lower = head.lower()
    start = lower.find(">", lower.find("<title")) + 1 if "<title" in lower else 0
    end = lower.find("</title", start) if start else -1
    return printable(head[start:end], MAX_MESSAGE) if end > 0 else ""


# --- from JSON to the error ---------------------------------------------------------------

_CODE_KEYS = ("code", "errorCode", "error_code")
_NESTED_CODE_KEYS = (*_CODE_KEYS, "status", "reason", "type")
_MESSAGE_KEYS = (
    "message",
    "error_description",
    "description",
    "detail",
    "errorMessage",
    "error_message",
    "msg",
    "title",
)
_NESTED_MESSAGE_KEYS = (*_MESSAGE_KEYS, "reason")
_CORRELATION_KEYS = ("contextId", "correlationId", "requestId", "request_id")
_KNOWN_KEYS = frozenset({*_CODE_KEYS, *_MESSAGE_KEYS, "error", "errors", "errorMessages", "type"})


def read_payload(payload: Any, status: int | None = None) -> ErrorBody:
    """What a parsed body says; see :func:`read_error`."""
    # Salesforce and others answer with a list of errors.
    top = _first_object(payload) if isinstance(payload, list) else payload
    if not isinstance(top, Mapping):
        return ErrorBody(known_shape=False, payload=payload)
    codes = tuple(dict.fromkeys(_codes(top, status)))
    messages = tuple(dict.fromkeys(_messages(top)))
    ids = (identifier(top.get(key)) for key in _CORRELATION_KEYS)
    return ErrorBody(
        code=codes[0] if codes else None,
        message=messages[0] if messages else "",
        correlation_id=next((found for found in ids if found is not None), None),
        known_shape=bool(codes) or not _KNOWN_KEYS.isdisjoint(top),
        payload=payload,
        codes=codes,
        words="; ".join(messages)[: 2 * MAX_MESSAGE],
    )


def _codes(top: Mapping[str, Any], status: int | None) -> Iterator[str]:
    """The codes of an error object, the most telling place first."""
    repeated = None if status is None else str(status)
    for value in _code_values(top):
        code = identifier(value)
        if code is not None and code != repeated:
            yield code
    # The members of RFC 9457 come last: other vendors use these names for other things.
    kind = identifier(top.get("type"))
    if kind is not None and kind.lower() != "about:blank":
        yield kind
    title = identifier(top.get("title"))
    if title is not None and title.lower() != _phrase(status):
        yield title


def _code_values(top: Mapping[str, Any]) -> Iterator[Any]:
    for key in _CODE_KEYS:
        yield top.get(key)
    error = top.get("error")
    if isinstance(error, Mapping):
        yield from _nested_values(error)
    elif _is_word(error):
        yield error
    for key in ("errors", "details"):
        inner = _first_object(top.get(key))
        if inner is not None:
            yield from _nested_values(inner)


def _nested_values(error: Mapping[str, Any]) -> Iterator[Any]:
    for key in _NESTED_CODE_KEYS:
        value = error.get(key)
        # A sentence under one of these names is a message, and a number under "status" HTTP's.
        if key in _CODE_KEYS or (_is_word(value) and not str(value).isdigit()):
            yield value
    inner = _first_object(error.get("errors"))
    if inner is not None:
        for key in (*_CODE_KEYS, "reason"):
            if _is_word(inner.get(key)):
                yield inner[key]


def _messages(top: Mapping[str, Any]) -> Iterator[str]:
    """The texts of an error object in words, the most telling first."""
    for value in _message_values(top):
        message = printable(value, MAX_MESSAGE) if isinstance(value, str) else ""
        if message:
            yield message


def _message_values(top: Mapping[str, Any]) -> Iterator[Any]:
    for key in _MESSAGE_KEYS:
        yield top.get(key)
    error = top.get("error")
    if not _is_word(error):
        yield error
    for inner in (error, _first_object(top.get("errors"))):
        if isinstance(inner, Mapping):
            for key in _NESTED_MESSAGE_KEYS:
                yield inner.get(key)
    for key in ("errorMessages", "errors"):
        listed = top.get(key)
        if isinstance(listed, list) and listed:
            yield listed[0]


def _first_object(value: Any) -> Mapping[str, Any] | None:
    """The object, or the first of a list of objects."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and value:
        value = value[0]
    return value if isinstance(value, Mapping) else None


def _is_word(value: Any) -> bool:
    """Whether a text can be a code rather than a sentence."""
    return (
        isinstance(value, str) and bool(value) and not any(char.isspace() for char in value[:256])
    )


def _phrase(status: int | None) -> str | None:
    """The reason phrase of a status, in lower case."""
    try:
        return HTTPStatus(status or 0).phrase.lower()
    except ValueError:
        return None
