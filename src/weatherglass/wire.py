"""What one attempt does with its request and its response on the wire.

Copies that carry our headers, bodies that are rewound to where they stood (rule D12), answers
that are read within the deadline (D9, D10), and answers that are let go of before a wait (D11).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, Final

from requests import PreparedRequest, Response
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,  # noqa: A004 - requests' own name for it
    ContentDecodingError,
    ReadTimeout,
    SSLError,
)
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import DecodeError, HTTPError, ProtocolError, ReadTimeoutError
from urllib3.exceptions import SSLError as Urllib3SSLError
from urllib3.util import Timeout

PEEK_LIMIT: Final = 65536
"""Bytes of a failed answer that are looked at (rule C7)."""

_CHUNK: Final = 65536
_PIECE: Final = 1024


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

    def can_rewind(self) -> bool:
        """Whether it can be sent again now: a file may have been closed meanwhile."""
        return self.replayable and not getattr(self._body, "closed", False)

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
    keep_body(response, b"".join(read_within(response, remaining)))


def keep_body(response: Response, content: bytes) -> None:
    """Make what was read the response's body, as ``response.content`` does."""
    response._content = content  # noqa: SLF001 - there is no public way
    response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001 - likewise


def read_within(response: Response, remaining: Callable[[], float]) -> Iterator[bytes]:
    """The body in pieces, as it comes, while time remains.

    Raises:
        DeadlinePassed: when none does.
        requests.exceptions.RequestException: as ``response.content`` would.
    """
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


def needs_no_body(response: Response, error: Exception) -> bool:
    """Whether a body that could not be read is that of a redirect: ``requests`` ignores it."""
    return response.is_redirect and isinstance(error, (ChunkedEncodingError, ContentDecodingError))


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
    if not isinstance(raw, HTTPResponse) or (length.isdigit() and int(length) > PEEK_LIMIT):
        return None
    peeked = _Peeked(raw)
    response.raw = peeked
    return peeked.look(remaining)


class _Peeked(HTTPResponse):
    """A raw answer whose beginning was read already; whoever reads it finds it as it came."""

    def __init__(self, raw: HTTPResponse) -> None:
        self._rest = _Rest(raw)
        super().__init__(
            body=self._rest,  # type: ignore[arg-type]  # of a file, all that is used is there
            headers=raw.headers,
            status=raw.status,
            version=raw.version,
            reason=raw.reason,
            preload_content=False,
            decode_content=raw.decode_content,
            original_response=getattr(raw, "_original_response", None),
            retries=raw.retries,
            enforce_content_length=raw.enforce_content_length,
            request_url=raw.url,
        )
        self.length_remaining = raw.length_remaining

    @property
    def whole(self) -> bool:
        """Whether all of the body is here, and its connection free."""
        return self._rest.whole

    @property
    def connection(self) -> Any:
        return self._rest.raw.connection

    def release_conn(self) -> None:
        self._rest.raw.release_conn()

    def break_with(self, error: Exception) -> None:
        """Let the next reader find this error."""
        self._rest.broken = error

    def look(self, remaining: Callable[[], float] | None) -> bytes | None:
        """Read ahead; returns the body, decoded, if this was all of it."""
        try:
            _read_ahead(self._rest, remaining)
        except Exception as error:  # noqa: BLE001 - the caller's, when they have read so far
            self._rest.broken = error
        if not self.whole:
            return None
        try:
            return _unpack(self._rest.ahead, self.headers)
        except HTTPError:
            return None


def _unpack(packed: bytearray, headers: HTTPHeaderDict) -> bytes:
    """The body decoded, up to the limit."""
    # In small pieces, each of which may become a thousand times as large: older versions of
    # urllib3 know no limit but that.
    packets = HTTPResponse(BytesIO(packed), headers, preload_content=False)
    unpacked = bytearray()
    while len(unpacked) < PEEK_LIMIT:
        piece = packets.read1(_PIECE, decode_content=True)
        if not piece:
            break
        unpacked += piece
    return bytes(unpacked[:PEEK_LIMIT])


class _Rest:
    """The body of an answer as a file: what was read of it ahead, and then the rest."""

    def __init__(self, raw: HTTPResponse) -> None:
        self.raw = raw
        self.ahead = bytearray()
        self.whole = False
        self.broken: Exception | None = None
        """What broke off the reading ahead; for whoever reads so far."""

    def read(self, amount: int | None = None) -> bytes:
        found = bytearray()
        while amount is None or len(found) < amount:
            if found and self.broken is not None and not self.ahead:
                break
            piece = self.read1(None if amount is None else amount - len(found))
            if not piece:
                break
            found += piece
        return bytes(found)

    def read1(self, amount: int | None = None) -> bytes:
        if self.ahead:
            taken = bytes(self.ahead[:amount])
            del self.ahead[:amount]
            return taken
        if self.broken is not None:
            raise self.broken
        # Not by the stream() of urllib3, which reads chunks by itself and cannot go on with one
        # that http.client has begun.
        return b"" if self.whole else self.raw.read1(amount, decode_content=False)

    def isclosed(self) -> bool:
        return not self.ahead and self.broken is None and self.raw.closed

    def close(self) -> None:
        self.ahead.clear()
        self.broken = None
        self.raw.close()
        self.raw.release_conn()


def _read_ahead(rest: _Rest, remaining: Callable[[], float] | None) -> None:
    """Read up to the body's end, beyond the limit, or to the deadline."""
    connection = None if remaining is None else _socket_of(rest.raw)
    timeout = None if connection is None else connection.gettimeout()
    while len(rest.ahead) <= PEEK_LIMIT:
        if remaining is not None:
            left = remaining()
            if left <= 0:
                break
            if connection is not None:
                connection.settimeout(left)
        chunk = rest.raw.read1(_CHUNK, decode_content=False)
        if not chunk:
            rest.whole = True
            return
        rest.ahead += chunk
    if connection is not None:
        # The rest is read by the caller, with the timeout that they have set.
        connection.settimeout(timeout)


_VERSIONS: Final = {10: "1.0", 11: "1.1", 20: "2"}


def http_version(response: Response | None) -> str | None:
    """The protocol version of an answer, as the semantic conventions spell it."""
    return _VERSIONS.get(getattr(getattr(response, "raw", None), "version", 0))


def release(response: Response) -> None:
    """Give the connection back before a wait: as it is if the body was read, else closed (D11)."""
    raw = response.raw
    if getattr(response, "_content_consumed", False) or (isinstance(raw, _Peeked) and raw.whole):
        return
    response.close()
    if isinstance(raw, HTTPResponse):
        # Should it be returned after all, nobody must take an empty body for the answer's.
        response.raw = _Peeked(raw)
        response.raw.break_with(
            ProtocolError("the body was not read before the call waited to send again")
        )
