"""What one attempt does with its request and its response on the wire.

Copies that carry our headers, bodies that are rewound to where they stood (rule D12), answers
that are read within the deadline (D9, D10), and answers that are let go of before a wait (D11).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

from requests import PreparedRequest, Response
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,  # noqa: A004 - requests' own name for it
    ContentDecodingError,
    ReadTimeout,
    SSLError,
)
from urllib3.exceptions import DecodeError, HTTPError, ProtocolError, ReadTimeoutError
from urllib3.exceptions import SSLError as Urllib3SSLError
from urllib3.util import Timeout

PEEK_LIMIT: Final = 65536
"""Bytes of a failed answer that are looked at (rule C7)."""

_CHUNK: Final = 65536


class DeadlinePassed(ReadTimeout):
    """The deadline passed while the body was read; internal to the attempt loop."""


def copy_request(request: PreparedRequest) -> PreparedRequest:
    """A copy whose headers can be changed without the caller's request changing.

    What we add (token, key, trace context) must not stay on the caller's object: ``requests``
    would carry it to the target of a redirect, and pickle it with the response (T9, T11).
    """
    copied = PreparedRequest.__new__(type(request))
    copied.__dict__.update(request.__dict__)
    copied.headers = request.headers.copy()
    return copied


FIELDS: Final = frozenset(vars(PreparedRequest()))
"""What a prepared request consists of."""


def carry_notes(sent: PreparedRequest, request: PreparedRequest) -> None:
    """Give the caller's request what tools below us have noted on the copy that was sent (D3).

    The ``responses`` library does: ``response.request.params``.
    """
    notes = vars(sent)
    vars(request).update((name, notes[name]) for name in notes.keys() - FIELDS)


class Body:
    """Whether and how the body of a request can be sent again (rule D12)."""

    __slots__ = ("_body", "_position", "replayable")

    def __init__(self, request: PreparedRequest) -> None:
        body: Any = request.body
        self._body = body
        self._position: int | None = None
        self.replayable = body is None or isinstance(body, (bytes, str, bytearray, memoryview))
        if self.replayable:
            return
        position = getattr(request, "_body_position", None)
        if position is None:
            position = _tell(body)
        if isinstance(position, int) and _seekable(body):
            self._position = position
            self.replayable = True

    def rewind(self) -> None:
        """Put the body back to where it stood when the call began."""
        if self._position is not None:
            self._body.seek(self._position)


def _tell(body: Any) -> int | None:
    try:
        position = body.tell()
    except (AttributeError, OSError, ValueError):
        return None
    return position if isinstance(position, int) else None


def _seekable(body: Any) -> bool:
    if not hasattr(body, "seek"):
        return False
    seekable = getattr(body, "seekable", None)
    try:
        return seekable is None or bool(seekable())
    except (OSError, ValueError):
        return False


def capped_timeout(timeout: Any, cap: Callable[[float | None], float | None]) -> Any:
    """The connect and read timeout of an attempt, each cut down by ``cap`` (rule D9)."""
    if isinstance(timeout, Timeout):
        connect, read = timeout.connect_timeout, timeout.read_timeout
    elif isinstance(timeout, tuple):
        if len(timeout) != 2:
            return timeout  # requests says what is wrong with it
        connect, read = timeout
    else:
        connect = read = timeout
    return cap(_seconds(connect)), cap(_seconds(read))


def _seconds(timeout: Any) -> float | None:
    """A timeout as a number; urllib3's default is the socket module's, which is none."""
    return timeout if isinstance(timeout, (int, float)) else None


def read_body(response: Response, remaining: Callable[[], float] | None) -> None:
    """Read the whole body into the response, within the deadline if there is one.

    Raises:
        DeadlinePassed: when the deadline passes meanwhile.
        requests.exceptions.RequestException: as ``response.content`` would.
    """
    raw = response.raw
    consumed = getattr(response, "_content_consumed", False)
    if remaining is None or consumed or not hasattr(raw, "read1"):
        response.content  # noqa: B018 - the property reads the body
        return
    keep_body(response, b"".join(_read_within(response, remaining)))


def keep_body(response: Response, content: bytes) -> None:
    """Make what was read the response's body, as ``response.content`` does."""
    response._content = content  # noqa: SLF001 - there is no public way
    response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001 - likewise


def _read_within(response: Response, remaining: Callable[[], float]) -> Iterator[bytes]:
    raw = response.raw
    while True:
        left = remaining()
        if left <= 0:
            response.close()
            raise DeadlinePassed("the deadline passed while the body was read")
        # Looked up each time: with its last byte read the connection is another call's, or closed.
        connection = _socket_of(raw)
        if connection is not None:
            connection.settimeout(left)
        try:
            chunk = _reading(raw.read1, _CHUNK)
        except ConnectionError:
            if remaining() <= 0:
                raise DeadlinePassed("the deadline passed while the body was read") from None
            raise
        if not chunk:
            return
        yield chunk


def _reading(read: Callable[..., bytes], amount: int) -> bytes:
    """One read, with its errors as ``requests.Response.iter_content`` turns them."""
    try:
        return read(amount, decode_content=True)
    except ProtocolError as error:
        raise ChunkedEncodingError(error) from error
    except DecodeError as error:
        raise ContentDecodingError(error) from error
    except ReadTimeoutError as error:
        raise ConnectionError(error) from error
    except Urllib3SSLError as error:
        raise SSLError(error) from error


def leave_broken(response: Response, error: Exception) -> bool:
    """Whether a body that could not be read is that of a redirect, which hides nothing.

    ``requests`` follows a redirect however broken its body is. It finds the same error again.
    """
    cause = error.args[0] if error.args else None
    broken = isinstance(error, (ChunkedEncodingError, ContentDecodingError))
    if not broken or not response.is_redirect or not isinstance(cause, HTTPError):
        return False
    response.raw = _Broken(response.raw, cause)
    return True


class _Broken:
    """A raw answer whose body broke while it was read."""

    def __init__(self, raw: Any, error: Exception) -> None:
        self._raw = raw
        self._error = error

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _socket_of(raw: Any) -> socket.socket | None:
    """The socket that an answer is read from, so that its timeout can shrink with the deadline.

    An answer with ``Connection: close`` has left its connection already; then the socket is
    reached through the file that reads it.
    """
    found = getattr(getattr(raw, "connection", None), "sock", None)
    if found is None:
        reader = getattr(getattr(raw, "_fp", None), "fp", None)
        found = getattr(getattr(reader, "raw", None), "_sock", None)
    return found if hasattr(found, "settimeout") else None


def peek_body(response: Response, remaining: Callable[[], float] | None = None) -> bytes | None:
    """What can be read of a streamed failure without taking it from the caller (rule C7).

    At most :data:`PEEK_LIMIT` bytes are looked at, and no longer than the deadline allows. A body
    that is longer, late or broken has no code; its reader finds it as if nobody had looked.
    """
    raw = response.raw
    if getattr(response, "_content_consumed", False):
        return response.content[:PEEK_LIMIT]
    length = response.headers.get("Content-Length", "")
    if not hasattr(raw, "read1") or (length.isdigit() and int(length) > PEEK_LIMIT):
        return None
    read, whole, broken = bytearray(), False, None
    try:
        whole = _fill(read, raw, remaining)
    except Exception as error:  # noqa: BLE001 - the caller's, when they have read so far
        broken = error
    response.raw = _Prefixed(bytes(read), raw, broken)
    if not whole:
        return None
    keep_body(response, bytes(read))
    return bytes(read)


def _fill(read: bytearray, raw: Any, remaining: Callable[[], float] | None) -> bool:
    """Read up to the body's end, beyond the limit, or to the deadline; whether it was the end."""
    connection = None if remaining is None else _socket_of(raw)
    timeout = None if connection is None else connection.gettimeout()
    while len(read) <= PEEK_LIMIT:
        if remaining is not None:
            left = remaining()
            if left <= 0:
                break
            if connection is not None:
                connection.settimeout(left)
        chunk = raw.read1(_CHUNK, decode_content=True)
        if not chunk:
            return True
        read += chunk
    if connection is not None:
        # The rest is read by the caller, with the timeout that they have set.
        connection.settimeout(timeout)
    return False


class _Prefixed:
    """A raw answer of which the beginning was read already, perhaps up to where it broke."""

    def __init__(self, prefix: bytes, raw: Any, broken: Exception | None = None) -> None:
        self._prefix = prefix
        self._raw = raw
        self._broken = broken

    def stream(self, amount: int = _CHUNK, decode_content: bool | None = None) -> Iterator[bytes]:
        while self._prefix:
            yield self._take(amount)
        # Not by its own stream(): urllib3 reads chunks by itself there, and cannot go on with
        # one that http.client has begun.
        while piece := self._rest().read1(amount, decode_content=decode_content):
            yield piece

    def read(self, amount: int | None = None, **options: Any) -> bytes:
        if amount is None:
            return self._take(None) + bytes(self._rest().read(**options))
        return self._take(amount) or bytes(self._rest().read(amount, **options))

    def _take(self, amount: int | None) -> bytes:
        taken = self._prefix[:amount]
        self._prefix = self._prefix[len(taken) :]
        return taken

    def _rest(self) -> Any:
        if self._broken is not None:
            raise self._broken
        return self._raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


_VERSIONS: Final = {10: "1.0", 11: "1.1", 20: "2"}


def http_version(response: Response | None) -> str | None:
    """The protocol version of an answer, as the semantic conventions spell it."""
    return _VERSIONS.get(getattr(getattr(response, "raw", None), "version", 0))


def release(response: Response) -> None:
    """Give the connection back before a wait: as it is if the body was read, else closed (D11)."""
    if not getattr(response, "_content_consumed", False):
        response.close()
        # Should it be returned after all, nobody must take an empty body for the answer's.
        gone = ProtocolError("the body was not read before the call waited to send again")
        response.raw = _Prefixed(b"", response.raw, gone)
