"""The payload of a request in a form that is the same for the same content.

JSON is freed of key order and whitespace; everything else counts as it stands. Numbers keep
their spelling: ``1`` and ``1.0`` stay apart, because a reader may treat them differently, and
telling two equal requests apart does less harm than taking two requests for one. Used by
:mod:`weatherglass.decide.idempotency`; a form's order of fields is content, and stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from email.message import Message
from json.encoder import encode_basestring_ascii
from typing import Any

_DEEPEST = 100
"""JSON nested more deeply counts as it stands: what the interpreter's own stack still bears
depends on the caller, and a key must not."""


def canonical(body: bytes, content_type: str | None) -> Iterator[bytes]:
    """The parts of a payload, the first of which says how it was understood.

    Joined by something that tells the parts apart, they are equal for equal payloads only.
    """
    header = Message()
    header["Content-Type"] = content_type or ""
    media_type = header.get_content_type()
    if media_type == "application/json" or media_type.endswith("+json"):
        text = _canonical_json(body)
        if text is not None:
            return iter((b"json", text))
    boundary = header.get_boundary() if media_type.startswith("multipart/") else None
    if boundary:
        # The boundary is drawn anew for every request.
        return iter((b"multipart", *body.split(b"--" + boundary.encode("utf-8", "replace"))))
    return iter((b"raw", body))


class _Number(str):
    """A JSON number as it was spelled."""

    __slots__ = ()


def _canonical_json(body: bytes) -> bytes | None:
    """``None`` when the text is not JSON, or not such that its meaning is beyond doubt."""
    try:
        value = json.loads(
            body,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
            object_pairs_hook=_object,
        )
        return "".join(_encoded(value, _DEEPEST)).encode("ascii")
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice: which one counts is the reader's choice")
    return found


def _encoded(value: Any, depth: int) -> Iterator[str]:
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, _Number):
        yield str(value)
    elif isinstance(value, str):
        yield encode_basestring_ascii(value)
    elif isinstance(value, list):
        yield "["
        yield from _joined(_encoded(item, depth - 1) for item in value)
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        yield from _joined(_member(key, value[key], depth) for key in sorted(value))
        yield "}"
    else:
        yield {None: "null", True: "true", False: "false"}[value]


def _member(key: str, value: Any, depth: int) -> Iterator[str]:
    yield encode_basestring_ascii(key)
    yield ":"
    yield from _encoded(value, depth - 1)


def _joined(items: Iterable[Iterator[str]]) -> Iterator[str]:
    for index, item in enumerate(items):
        if index:
            yield ","
        yield from item
