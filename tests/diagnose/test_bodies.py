"""The error that a body describes."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from weatherglass.diagnose.bodies import (
    MAX_BODY,
    MAX_DEPTH,
    MAX_MESSAGE,
    MAX_RAW_TEXT,
    ErrorBody,
    read_error,
    read_payload,
)

JSON = "application/json"


def _read(payload: Any, status: int | None = None) -> ErrorBody:
    return read_error(json.dumps(payload).encode(), JSON, status)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"code": "bad.request"}, "bad.request"),
        ({"errorCode": "BAD_REQUEST"}, "BAD_REQUEST"),
        ({"error_code": "bad-request"}, "bad-request"),
        ({"code": 88}, "88"),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({"error": {"code": "lock_timeout", "type": "invalid_request_error"}}, "lock_timeout"),
        ({"error": {"errorCode": "x"}}, "x"),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, "RESOURCE_EXHAUSTED"),
        ({"error": {"type": "overloaded_error"}, "type": "error"}, "overloaded_error"),
        ({"error": {"errors": [{"reason": "rateLimitExceeded"}]}}, "rateLimitExceeded"),
        ({"errors": [{"code": "first"}, {"code": "second"}]}, "first"),
        ({"errors": [{"errorCode": "x"}]}, "x"),
        ({"details": [{"errorCode": "x"}]}, "x"),
        ([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "…"}], "REQUEST_LIMIT_EXCEEDED"),
        ([{"code": "x"}], "x"),
        ({"type": "https://example.com/out-of-credit"}, "https://example.com/out-of-credit"),
        ({"type": "about:blank", "title": "Out of credit"}, "Out of credit"),
        ({"title": "Out of credit", "status": 429}, "Out of credit"),
    ],
)
def test_places_of_codes(payload: Any, code: str) -> None:
    """C6: the code is found in every place where vendors put it."""
    found = _read(payload, 429)
    assert found.code == code
    assert found.known_shape


def test_most_telling_place_comes_first() -> None:
    """C6: when several places have a code, all are known, the most telling one first."""
    found = _read(
        {
            "title": "Title",
            "type": "urn:type",
            "errors": [{"code": "listed"}],
            "error": {"code": "nested", "type": "nested_type"},
            "errorCode": "second",
            "code": "first",
        }
    )
    expected = ("first", "second", "nested", "nested_type", "listed", "urn:type", "Title")
    assert found.codes == expected
    assert found.code == "first"


@pytest.mark.parametrize(
    "payload",
    [
        {"message": "broken", "code": None},
        {"message": "broken", "code": True},
        {"message": "broken", "code": ""},
        {"message": "broken", "code": " \n"},
        {"message": "broken", "code": ["x"]},
        {"message": "broken", "code": "x" * 129},
        {"message": "broken", "code": 503},
        {"message": "broken", "code": "503"},
        {"message": "broken", "errors": []},
        {"message": "broken", "errors": ["text"]},
        {"message": "broken", "errors": {"name": ["missing"]}},
        {"message": "broken", "error": "Service is out of order"},
        {"message": "broken", "error": {"status": "503", "reason": "Out of order"}},
        {"message": "broken", "type": "about:blank", "title": "Service Unavailable"},
    ],
)
def test_no_code(payload: Any) -> None:
    """C3, C6: what repeats the status, is a sentence or cannot be a code is none."""
    found = _read(payload, 503)
    assert found.code is None
    assert found.message == "broken"
    assert found.known_shape


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"message": "m"}, "m"),
        ({"error": "x", "error_description": "m"}, "m"),
        ({"error": "x", "description": "m"}, "m"),
        ({"type": "x", "title": "t", "detail": "m"}, "m"),
        ({"type": "x", "title": "m"}, "m"),
        ({"error": {"message": "m"}}, "m"),
        ({"error": {"type": "x", "reason": "m"}}, "m"),
        ({"errors": [{"message": "m"}]}, "m"),
        ({"errors": ["m"]}, "m"),
        ({"errorMessages": ["m"], "errors": {}}, "m"),
        ({"error": "m in words"}, "m in words"),
        ([{"message": "m"}], "m"),
        ({"message": 5, "detail": "m"}, "m"),
        ({"code": "x"}, ""),
    ],
)
def test_places_of_messages(payload: Any, message: str) -> None:
    """C3: the message is found in every place where vendors put it."""
    assert _read(payload).message == message


def test_all_messages_can_be_searched() -> None:
    """C8: phrases are looked for in all messages, not only in the one that is shown."""
    found = _read({"error_description": "first", "description": "rate limit exceeded; later"})
    assert found.message == "first"
    assert "rate limit exceeded" in found.words


def test_message_is_bounded_and_on_one_line() -> None:
    """C10: a message has no control characters and at most 500 characters."""
    found = _read({"message": "a\r\n\x1b[31mb\u202e" + "c" * 5000})
    assert found.message.startswith("a [31mb ccc")
    assert len(found.message) == MAX_MESSAGE
    assert found.message.isprintable()


@pytest.mark.parametrize("key", ["contextId", "correlationId", "requestId", "request_id"])
def test_correlation_id(key: str) -> None:
    """C2: the server's correlation id is read from the body."""
    assert _read({"message": "m", key: "abc-1"}).correlation_id == "abc-1"
    assert _read({"message": "m", key: {"no": "id"}}).correlation_id is None


@pytest.mark.parametrize("payload", [{}, {"foo": 1}, [], [1, 2], [[{"code": "x"}]], ["a"]])
def test_unknown_shapes(payload: Any) -> None:
    """C3: JSON that is no known form of an error has an unknown shape, and is kept."""
    found = _read(payload)
    assert not found.known_shape
    assert found.code is None
    assert found.payload == payload


@pytest.mark.parametrize("body", [None, b"", b"  \r\n", b"\xef\xbb\xbf"])
def test_empty_bodies(body: bytes | None) -> None:
    """C3, C7: an empty body has no code, and nothing unknown about it."""
    assert read_error(body, JSON) == ErrorBody()


@pytest.mark.parametrize(
    "content_type",
    [None, "", JSON, "application/problem+json", "text/plain", "application/octet-stream", "x"],
)
def test_content_types_that_allow_json(content_type: str | None) -> None:
    """C6: JSON is recognised under a content type that does not say otherwise."""
    assert read_error(b'{"code": "x"}', content_type).code == "x"


@pytest.mark.parametrize(
    "content_type", ["text/html", "TEXT/HTML; charset=utf-8", "application/xml", "image/png"]
)
def test_wrong_content_types(content_type: str) -> None:
    """C7: a body that is declared to be markup or media has no code."""
    found = read_error(b'{"code": "x"}', content_type)
    assert (found.code, found.known_shape) == (None, False)


def test_html_under_a_json_content_type() -> None:
    """C7: a gateway's page has no code; its title is the message."""
    page = b"<html>\n<head><TITLE>502  Bad Gateway</TITLE></head><body>code: 5</body></html>"
    found = read_error(page, JSON)
    assert (found.code, found.known_shape) == (None, False)
    assert found.message == "502 Bad Gateway"
    assert isinstance(found.payload, str)


@pytest.mark.parametrize("page", [b"<html>", b"<title>", b"<title></title>", b"<title", b"<"])
def test_broken_html(page: bytes) -> None:
    """C7: a page without a title has no message."""
    assert read_error(page, "text/html").message == ""


def test_plain_text() -> None:
    """C7: plain text is a message without a code."""
    found = read_error(b"upstream connect error", "text/plain")
    assert (found.code, found.message) == (None, "upstream connect error")


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": "x", "message": "cut o',
        b'{"code": "x"',
        b'{"code": "x"} trailing',
        b'{"code": x}',
        b"{'code': 'x'}",
        b"[",
        b'{"code": "\\',
    ],
)
def test_broken_json(body: bytes) -> None:
    """C7: truncated or broken JSON has no code."""
    found = read_error(body, JSON)
    assert (found.code, found.known_shape) == (None, False)


def test_wrong_charset() -> None:
    """C7: bytes that do not fit the character set never raise, and have no code."""
    body = '{"code": "x", "message": "für"}'.encode("latin-1")
    for content_type in (JSON, f"{JSON}; charset=utf-8", f"{JSON}; charset=us-ascii"):
        found = read_error(body, content_type)
        assert (found.code, found.known_shape) == (None, False)


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        ("utf-8", JSON),
        ("utf-8-sig", JSON),
        ("utf-16", JSON),
        ("utf-32", JSON),
        ("latin-1", f"{JSON}; charset=ISO-8859-1"),
        ("cp1252", f'{JSON}; charset="windows-1252"'),
        ("utf-16-le", f"{JSON};charset=utf-16le"),
        ("utf-8", f"{JSON}; charset=no-such-charset"),
    ],
)
def test_right_charsets(encoding: str, content_type: str) -> None:
    """C6: a declared character set, a byte order mark or UTF-8 is decoded."""
    found = read_error('{"code": "x", "message": "für"}'.encode(encoding), content_type)
    assert (found.code, found.message) == ("x", "für")


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "zlib", "utf-7", "\x00"])
@pytest.mark.timeout(10)
def test_charsets_that_could_hurt(charset: str) -> None:
    """C7: the server cannot choose a codec that is slow or that is no character set."""
    body = b'{"code": "x", "message": "' + b"a-" * 30_000 + b'"}'
    assert read_error(body, f"{JSON}; charset={charset}").code == "x"


# --- bombs ---


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b"[" * (MAX_BODY // 2) + b"]" * (MAX_BODY // 2),
        b'{"a":' * 10_000,
        b'{"code": "x", "a": ' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}",
        b'{"code": "x", "a": ' + b'[{"a":' * 32 + b"[1]" + b"}]" * 32 + b"}",
        b'["' + b'\\"' * 30_000,
        b'[["' + b"]" * 100 + b'",' + b"[" * 30_000,
        b"[" * 65 + b'"\\' * 30_000,
        b'{"code": ' + b"9" * 60_000 + b"}",
        b'{"code": ' + b"9" * 60_000,
        b'{"code": -' + b"9" * 60_000 + b"e99999}",
    ],
    ids=[
        "megabyte",
        "closed",
        "objects",
        "one too deep",
        "mixed",
        "quotes",
        "hidden",
        "escapes",
        "digits",
        "open digits",
        "float",
    ],
)
@pytest.mark.timeout(10)
def test_bombs(body: bytes) -> None:
    """C7: no body raises or takes long, and none of these has a code."""
    assert read_error(body, JSON).code is None


def test_nesting_up_to_the_bound() -> None:
    """C7: nesting is allowed up to the bound, and what is kept can be pickled."""
    inner = MAX_DEPTH - 1
    body = b'{"code": "x", "a": ' + b"[" * inner + b"]" * inner + b"}"
    found = read_error(body, JSON)
    assert found.code == "x"
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own pickle


def test_brackets_in_strings_are_not_nesting() -> None:
    """C7: brackets inside strings are text."""
    assert _read({"code": "x", "message": '["{' * 200}).code == "x"


def test_many_small_objects_are_no_bomb() -> None:
    """C7: a long flat list of errors is an error body."""
    assert _read([{"code": "x"}] * 1000).code == "x"


def test_numbers_that_are_none() -> None:
    """C7: NaN, infinities and numbers of a thousand digits are read without harm."""
    body = b'{"code": "x", "a": NaN, "b": -Infinity, "c": 1e999, "d": ' + b"9" * 1000 + b"}"
    payload = read_error(body, JSON).payload
    assert payload["a"] is None
    assert payload["d"] == "9" * MAX_MESSAGE


def test_only_the_beginning_is_looked_at() -> None:
    """C7: at most 64 KiB of a body are looked at, so a longer JSON has no code."""
    tail = b'{"code": "x", "fill": "' + b"a" * MAX_BODY + b'"}'
    padded = b'{"code": "x"}' + b" " * 1_000_000
    assert read_error(tail, JSON).code is None
    assert read_error(padded, JSON).code == "x"


def test_kept_text_is_bounded() -> None:
    """C10: of a body that is not JSON only the beginning is kept."""
    found = read_error(b"a" * MAX_BODY, "text/plain")
    assert len(found.payload) == MAX_RAW_TEXT
    assert len(found.message) == MAX_MESSAGE


def test_payload_stays_out_of_repr() -> None:
    """C10: the payload of an error does not show in its repr."""
    assert "secret" not in repr(_read({"code": "x", "token": "secret"}))


def test_payloads_that_were_never_json() -> None:
    """C3: a mapping from elsewhere may hold anything without raising."""
    payload = {"code": object(), "error": object(), "errors": {1, 2}, 5: "five"}
    assert read_payload(payload).code is None
