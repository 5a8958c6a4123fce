"""Request bodies: what is sent again is the same as what was sent first, or is not sent again."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from scenes import Clock, kinds, outcome_of, read_timeout, reason, statuses, token_source

from weatherglass import Session
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults

TEXT = b"0123456789" * 50_000
"""More than goes through a socket at once."""


def at(position: int, file: Any) -> Any:
    file.seek(position)
    return file


class FileLike:
    """Not a file, but it can be read and put back like one."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()


REPLAYABLE: dict[str, tuple[Callable[[Path], dict[str, Any]], bytes | None]] = {
    "nothing": (lambda _: {}, b""),
    "bytes": (lambda _: {"data": TEXT}, TEXT),
    "str": (lambda _: {"data": "grüße"}, "grüße".encode()),
    "bytearray": (lambda _: {"data": bytearray(TEXT)}, TEXT),
    "dict": (lambda _: {"data": {"a": "1", "b": ["2", "3"]}}, b"a=1&b=2&b=3"),
    "pairs": (lambda _: {"data": [("a", "1"), ("a", "2")]}, b"a=1&a=2"),
    "json": (lambda _: {"json": {"a": [1, None]}}, b'{"a": [1, null]}'),
    "BytesIO": (lambda _: {"data": io.BytesIO(TEXT)}, TEXT),
    "BytesIO amid": (lambda _: {"data": at(7, io.BytesIO(TEXT))}, TEXT[7:]),
    "file": (lambda path: {"data": path.open("rb")}, TEXT),
    "file amid": (lambda path: {"data": at(123_456, path.open("rb"))}, TEXT[123_456:]),
    "file-like amid": (lambda _: {"data": at(5, FileLike(TEXT))}, TEXT[5:]),
    # Its boundary differs from call to call.
    "multipart": (
        lambda path: {"files": {"f": at(9, path.open("rb"))}, "data": {"a": "1"}},
        None,
    ),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the text."""
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def given(
    request: pytest.FixtureRequest, path: Path
) -> Iterator[tuple[dict[str, Any], bytes | None]]:
    """A body as a caller gives it, and the bytes that it stands for."""
    make, expected = REPLAYABLE[request.param]
    arguments = make(path)
    yield arguments, expected
    bodies: tuple[Any, ...] = (arguments.get("data"), arguments.get("files", {}).get("f"))
    for body in bodies:
        if hasattr(body, "close"):
            body.close()


EVERY_BODY = pytest.mark.parametrize("given", REPLAYABLE, indirect=True)


def the_same_each_time(server: FakeServer, times: int, expected: bytes | None, path: str) -> None:
    bodies = [entry.body for entry in server.ledger.requests(path=path)]
    assert len(bodies) == times
    assert len(set(bodies)) == 1
    lengths = {entry.header("Content-Length") for entry in server.ledger.requests(path=path)}
    assert len(lengths) == 1
    assert expected is None or bodies[0] == expected


@EVERY_BODY
def test_body_is_the_same_in_every_retry(
    server: FakeServer, session: Session, given: tuple[dict[str, Any], bytes | None]
) -> None:
    """D12: bytes, text, forms, JSON and files go out alike each time, from where they stood."""
    arguments, expected = given
    server.plan = FaultPlan.script(
        faults.answer(503), faults.reset(), faults.answer(429, retry_after=1), faults.cut()
    )
    answer = session.put(f"{server.url}/echo", **arguments)
    assert kinds(answer) == [
        "unavailable", "connection_reset", "rate_limited", "truncated_body", None,
    ]  # fmt: skip
    the_same_each_time(server, 5, expected, "/echo")


@EVERY_BODY
def test_body_is_the_same_with_another_token(
    clock: Clock, given: tuple[dict[str, Any], bytes | None]
) -> None:
    """D12, T4: likewise when a POST is sent again with a new token."""
    arguments, expected = given
    with FakeServer(clock=clock, require_tokens=("/echo",)) as server:
        server.plan = FaultPlan.script(faults.revoke(), path="/echo")
        with Session(runtime=clock, tokens=token_source(server)) as session:
            answer = session.post(f"{server.url}/echo", **arguments)
        assert statuses(answer) == [401, 200]
        the_same_each_time(server, 2, expected, "/echo")


@EVERY_BODY
def test_body_is_the_same_behind_a_redirect(
    server: FakeServer, session: Session, given: tuple[dict[str, Any], bytes | None]
) -> None:
    """D12, D15: a 307 takes the body along, and its own retries do too."""
    arguments, expected = given
    server.plan = FaultPlan(
        rules=(
            *FaultPlan.script(faults.redirect("/echo", 307), path="/moved").rules,
            *FaultPlan.script(faults.answer(429, retry_after=1), path="/echo").rules,
        )
    )
    answer = session.post(f"{server.url}/moved", **arguments)
    assert statuses(answer) == [307, 429, 200]
    the_same_each_time(server, 2, expected, "/echo")


class ReadOnce:
    """A body of one's own that can be read and nothing else."""

    def __init__(self) -> None:
        self._pieces = [b"", b"piece two", b"piece one"]

    def read(self, _size: int = -1) -> bytes:
        return self._pieces.pop() if self._pieces else b""

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece


class Telling(ReadOnce):
    """One that says where it stands, but cannot be put back there."""

    def tell(self) -> int:
        return 0

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


def pipe() -> Any:
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as out:
            out.write(b"piece one" + b"piece two")

    threading.Thread(target=write).start()
    return os.fdopen(reader, "rb")


ONE_SHOT: dict[str, Callable[[], Any]] = {
    "generator": lambda: (piece for piece in (b"piece one", b"piece two")),
    "iterator": lambda: iter([b"piece one", b"piece two"]),
    "readable": ReadOnce,
    "telling": Telling,
    "pipe": pipe,
}

REFUSALS: dict[str, tuple[Fault, str]] = {
    "503": (faults.answer(503), "unavailable"),
    "429": (faults.answer(429, retry_after=1), "rate_limited"),
    "reset": (faults.reset(), "connection_reset"),
    "hang": (faults.hang(), "read_timeout"),
}


@pytest.mark.parametrize("body", ONE_SHOT.values(), ids=ONE_SHOT.keys())
@pytest.mark.parametrize(("fault", "kind"), REFUSALS.values(), ids=REFUSALS.keys())
def test_one_shot_body_is_never_replayed(
    server: FakeServer, session: Session, body: Callable[[], Any], fault: Fault, kind: str
) -> None:
    """D12: what can be read only once is sent only once, and that is the named reason."""
    server.plan = FaultPlan.script(*[fault] * 9)
    data = body()
    outcome = outcome_of(
        lambda: session.put(
            f"{server.url}/echo", data=data, timeout=(20, 10 * read_timeout(fault)[1])
        )
    )
    assert (kinds(outcome), reason(outcome)) == ([kind], "body_not_replayable")
    assert [entry.body for entry in server.ledger.wait_until(1)] == [b"piece onepiece two"]
    if hasattr(data, "close"):
        data.close()


@pytest.mark.parametrize("body", ONE_SHOT.values(), ids=ONE_SHOT.keys())
def test_one_shot_body_is_not_replayed_with_another_token(
    clock: Clock, body: Callable[[], Any]
) -> None:
    """D12, T4: not after a 401 either; the answer is returned, and the next call is well."""
    with FakeServer(clock=clock, require_tokens=("/echo",)) as server:
        server.plan = FaultPlan.script(faults.revoke(), path="/echo")
        data = body()
        with Session(runtime=clock, tokens=token_source(server)) as session:
            answer = session.post(f"{server.url}/echo", data=data)
            assert (statuses(answer), reason(answer)) == ([401], "body_not_replayable")
            assert session.post(f"{server.url}/echo", data=b"x").ok
        if hasattr(data, "close"):
            data.close()


def test_one_shot_body_is_not_replayed_even_where_nothing_was_sent(
    server: FakeServer, session: Session
) -> None:
    """D12: for every reason, a refused connection included: who knows what was read of it."""
    url = server.refused_url()
    error = outcome_of(lambda: session.put(url, data=iter([b"x"])))
    assert isinstance(error, requests.ConnectionError)
    assert reason(error) == "body_not_replayable"


def test_one_shot_body_that_arrives_is_no_failure(server: FakeServer, session: Session) -> None:
    """D12: a call with such a body succeeds as with requests, in chunks."""
    answer = session.post(f"{server.url}/echo", data=iter([b"piece one", b"piece two"]))
    assert answer.json()["body"] == "piece onepiece two"
    assert answer.json()["headers"]["Transfer-Encoding"] == "chunked"


def test_error_of_the_caller_s_own_body_is_theirs(server: FakeServer, session: Session) -> None:
    """D12: what a body raises while it is read reaches the caller as it is, and once."""

    def broken() -> Iterator[bytes]:
        yield b"piece one"
        raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own") as caught:
        session.put(f"{server.url}/echo", data=broken())
    assert kinds(caught.value) == ["invalid_call"]
