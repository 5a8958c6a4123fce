"""HTTP/1.1 on a plain socket, as much of it as a test server needs.

The server reads requests and writes answers itself, byte by byte, because it must be able to
break every rule on purpose: a library that is always correct could not. What to answer is not
decided here.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_RECEIVE = 64 * 1024
_NO_BODY = frozenset({204, 304})


class BadRequest(Exception):
    """What was received is not a request that the server can read."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was received."""

    method: str
    path: str
    """Without the query, percent-encoded as received."""
    query: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    keep_alive: bool = True

    def header(self, name: str) -> str | None:
        """The first header of this name, without regard to case."""
        wanted = name.lower()
        for known, value in self.headers:
            if known.lower() == wanted:
                return value
        return None

    def parameters(self) -> dict[str, str]:
        """The query's parameters; the last of equal names wins."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """The body's fields, read as a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(slots=True)
class Answer:
    """What is to be answered."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: tuple[bytes, ...] | None = None
    """The body in pieces, sent with chunked transfer coding in place of ``body``."""

    @classmethod
    def of_json(cls, status: int, payload: Any, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """An answer with a JSON body."""
        typed = [("Content-Type", "application/json"), *headers]
        return cls(status, json.dumps(payload).encode(), typed)

    def copy(self) -> Answer:
        """An answer that can be given headers of its own."""
        return Answer(self.status, self.body, list(self.headers), self.chunks)

    def has(self, name: str) -> bool:
        """Whether there is a header of this name."""
        wanted = name.lower()
        return any(known.lower() == wanted for known, _ in self.headers)


def render_head(answer: Answer, *, length: int | None, keep_alive: bool) -> bytes:
    """The status line and headers; ``length`` is what ``Content-Length`` claims."""
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if answer.chunks is not None:
        lines.append("Transfer-Encoding: chunked")
    elif length is not None and answer.status not in _NO_BODY and not answer.has("Content-Length"):
        lines.append(f"Content-Length: {length}")
    if not keep_alive:
        lines.append("Connection: close")
    return b"\r\n".join(map(_line_bytes, lines)) + b"\r\n\r\n"


def render_chunk(piece: bytes) -> bytes:
    """A piece of a body in chunked transfer coding; the empty one is the last."""
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def render(answer: Answer, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """A whole and correct answer."""
    head = render_head(answer, length=len(answer.body), keep_alive=keep_alive)
    if head_only or answer.status in _NO_BODY:
        return head
    if answer.chunks is not None:
        return head + b"".join(map(render_chunk, (*answer.chunks, b"")))
    return head + answer.body


def _line_bytes(line: str) -> bytes:
    # Latin-1 is what HTTP clients read headers as; what it cannot spell goes out as UTF-8.
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode()


class Connection:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.number = number
        self.doomed = False
        """Set when the next request on this connection is to find it closed."""
        self.aborted = False
        self._socket = sock
        self._buffer = bytearray()

    def use(self, sock: socket.socket) -> None:
        """Go on with a socket that has taken this one's place (TLS)."""
        self._socket = sock

    def read_request(self) -> Request | None:
        """The next request; ``None`` when the client has closed the connection.

        Raises:
            BadRequest: when what came is not HTTP, breaks off, or is too large.
            OSError: when the connection broke.
        """
        head = self._read_head()
        if head is None:
            return None
        start, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = _start_line(start)
        headers = tuple(_header_line(line) for line in lines)
        fields = {name.lower(): value for name, value in headers}
        if fields.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._read_body(fields)
        path, _, query = target.partition("?")
        said = fields.get("connection", "").lower()
        keep_alive = said != "close" and (version != "HTTP/1.0" or said == "keep-alive")
        return Request(method, path, query, headers, body, keep_alive)

    def _read_head(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD:
                break
            if not self._fill():
                if self._buffer:
                    raise BadRequest("the head breaks off")
                return None
        if not 0 <= end <= MAX_HEAD:
            raise BadRequest(f"the head is longer than {MAX_HEAD} bytes")
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return head

    def _read_body(self, fields: Mapping[str, str]) -> bytes:
        if "chunked" in fields.get("transfer-encoding", "").lower():
            return self._read_chunks()
        length = fields.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            raise BadRequest(f"Content-Length is {length!r}, but must be at most {MAX_BODY}")
        return self._read_exactly(int(length))

    def _read_chunks(self) -> bytes:
        pieces = bytearray()
        while True:
            size_line = self._read_line().partition(b";")[0].strip()
            try:
                size = int(size_line, 16)
            except ValueError:
                raise BadRequest(f"a chunk's size is {bytes(size_line)!r}") from None
            if size == 0:
                break
            if size < 0 or len(pieces) + size > MAX_BODY:
                raise BadRequest(f"the body is longer than {MAX_BODY} bytes")
            pieces += self._read_exactly(size)
            self._read_line()
        while self._read_line():
            pass
        return bytes(pieces)

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD or not self._fill():
                raise BadRequest("a line breaks off or is too long")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise BadRequest("the body breaks off")
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self) -> bool:
        received = self._socket.recv(_RECEIVE)
        self._buffer += received
        return bool(received)

    def send(self, data: bytes) -> None:
        """Send all of this."""
        self._socket.sendall(data)

    def wait_for_close(self) -> None:
        """Block until the client closes, or :meth:`abort` or :meth:`stop_reading` is called."""
        with contextlib.suppress(OSError):
            while self._socket.recv(_RECEIVE):
                pass

    def stop_reading(self) -> None:
        """End a :meth:`wait_for_close` from another thread; the client notices nothing."""
        with contextlib.suppress(OSError):
            # The class's own method: that of a TLS socket would take its state down as well.
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def abort(self) -> None:
        """End whatever another thread does on this connection."""
        self.aborted = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close with a reset (RST) instead of an orderly end."""
        with contextlib.suppress(OSError):
            linger_none = struct.pack("hh" if _IS_WINDOWS else "ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
        self._socket.close()

    def close(self) -> None:
        """Close in order (FIN)."""
        # Said first, since a forked child may hold the socket open after it is closed here.
        self.abort()
        self._socket.close()


_IS_WINDOWS = not hasattr(socket, "AF_UNIX")


def _start_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(f"the first line is {line[:80]!r}, but must be METHOD target HTTP/1.1")
    method, target, version = parts
    if not target.startswith("/"):
        # The absolute form, as a client sends it to a proxy.
        target = "/" + target.partition("://")[2].partition("/")[2]
    return method, target, version


def _header_line(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name:
        raise BadRequest(f"a header is {line[:80]!r}, but must be name: value")
    return name, value.strip()
