"""What the SDK wants to send, as it goes over the wire: the SDK's own rules, to the byte.

Pure: neither the SDK nor the network is needed here. Whether a body can be sent again is no
question, as the SDK reads files into memory before it gets here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from urllib3.filepost import encode_multipart_formdata

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "OPTIONS"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})

Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]


class Wire(NamedTuple):
    """A request that is ready to be sent, but for its authentication."""

    method: str
    url: str
    headers: dict[str, str | bytes]
    body: bytes | None


def on_the_wire(options: Any) -> Wire:
    """The request that the SDK's ``HttpRequestOptions`` describe.

    Raises:
        ValueError: for a method that the SDK does not send, or for a body beside form fields.
    """
    method = str(options.method).upper()
    if method not in _WITH_BODY | _WITHOUT_BODY:
        allowed = ", ".join(sorted(_WITH_BODY | _WITHOUT_BODY))
        raise ValueError(f"the method is {method}, but must be one of {allowed}")
    url = str(options.url)
    if options.query_params:
        url += "?" + urlencode(options.query_params)
    headers = {str(name): _header_value(value) for name, value in (options.headers or {}).items()}
    named = next((name for name in headers if name.lower() == "content-type"), None)
    if named is None:
        # Whatever the method: so does the SDK.
        named, headers["Content-Type"] = "Content-Type", "application/json"
    if method in _WITHOUT_BODY:
        return Wire(method, url, headers, None)
    if options.post_params and options.body:
        raise ValueError("body parameter cannot be used with post_params parameter.")
    content_type, body = _encoded(_text(headers[named]), options.post_params, options.body)
    if content_type is None:
        del headers[named]
    else:
        headers[named] = content_type
    return Wire(method, url, headers, body)


def _encoded(content_type: str, fields: Pairs, body: Any) -> tuple[str | None, bytes | None]:
    """The content type as it is sent, and the body."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return content_type, urlencode(fields).encode("ascii") if fields else None  # type: ignore[arg-type]  # as the SDK gives them
    if media_type == "multipart/form-data":
        if not fields:
            return None, None
        encoded, with_boundary = encode_multipart_formdata(fields)  # type: ignore[arg-type]  # likewise
        return with_boundary, encoded
    if isinstance(body, bytes):
        return content_type, body
    if media_type != "application/json" and isinstance(body, str):
        return content_type, body.encode()
    # No body is sent as ``null``: so does the SDK.
    return content_type, json.dumps(body).encode("ascii")


def _header_value(value: Any) -> str | bytes:
    return value if isinstance(value, (str, bytes)) else str(value)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
