"""What `curl -i` prints is read as an HTTP answer."""

from __future__ import annotations

import re

import pytest

from weatherglass.cli.transcript import LARGEST, headers, parse

HEAD = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("output", "status", "body"),
    [
        (HEAD + b"body", 429, b"body"),
        (HEAD.replace(b"\r\n", b"\n") + b"body", 429, b"body"),
        (HEAD, 429, b""),
        (b"\r\n\n" + HEAD, 429, b""),
        (b"HTTP/2 503 \r\nRetry-After: 5\r\n\r\n{}", 503, b"{}"),
        (b"HTTP/3 503\r\nRetry-After: 5\r\n\r\n{}", 503, b"{}"),
        (b"HTTP/1.0 503\nretry-after:5", 503, b""),
        (HEAD + b"\x00\xff\r\n\r\n\x80", 429, b"\x00\xff\r\n\r\n\x80"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"x", 429, b"x"),
        (b"HTTP/1.1 200 Connection established\r\n\r\n" + HEAD, 429, b""),
        (b"HTTP/1.1 302 Found\r\nLocation: /b\r\nRetry-After: 9\r\n\r\n" + HEAD, 429, b""),
        (
            b"HTTP/1.1 301 Moved\n\nHTTP/1.1 302 Found\n\n" + HEAD + b"HTTP/1.1 is old",
            429,
            b"HTTP/1.1 is old",
        ),
    ],
)
def test_the_last_answer_counts(output: bytes, status: int, body: bytes) -> None:
    """Interim answers, a proxy's and those of redirects are passed over; bytes stay bytes."""
    answer = parse(output)

    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["retry-after"] == "5"


def test_an_answer_without_headers_is_one() -> None:
    """A status line and a blank line are enough, and even the blank line may be missing."""
    for output in (b"HTTP/1.1 503\r\n\r\nbody", b"HTTP/1.1 503\n\nbody"):
        assert (parse(output).status, dict(parse(output).headers), parse(output).body) == (
            503,
            {},
            b"body",
        )
    assert (parse(b"HTTP/1.1 503").status, parse(b"HTTP/1.1 503").body) == (503, b"")


def test_headers_are_read_as_requests_does() -> None:
    """Names in any case, repeated ones joined, folded values unfolded, noise passed over."""
    found = parse(
        b"HTTP/1.1 429 x\r\nA: 1\r\na: 2\r\nB: one\r\n  two\r\nno colon\r\n: no name\r\n"
        b"C:\r\nLatin: caf\xe9\r\n\r\n"
    ).headers

    assert dict(found) == {"a": "1, 2", "B": "one two", "C": "", "Latin": "café"}


def test_header_lines_need_a_name_and_a_colon() -> None:
    """What is not of the form 'Name: value' is no header."""
    assert dict(headers(["Retry-After: 5", "Retry-After", ": 5"])) == {"Retry-After": "5"}


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (b"", "is empty"),
        (b"\r\n\r\n", "is empty"),
        (b'{"code": "busy"}', 'begins with \'{"code": "busy"}\''),
        (b"HTTP/1.1 abc", "begins with 'HTTP/1.1 abc'"),
        (b"HTTP/1.1 099 x\r\n\r\n", "begins with"),
        (b"HTTP/1.1 42\r\n\r\n", "begins with"),
        (b"\x1b[31m" * 100, "begins with '\\x1b[31m"),
    ],
)
def test_other_output_is_refused(output: bytes, named: str) -> None:
    """Output without a head (curl without -i) is named for what it is, in printable form."""
    with pytest.raises(ValueError, match="curl -i") as refused:
        parse(output)

    assert re.search(re.escape(named), str(refused.value))
    assert str(refused.value).isprintable()


def test_hostile_output_is_read_within_bounds() -> None:
    """S1: a megabyte of heads, of one header or of nothing at all is read in linear time."""
    heads = parse(b"HTTP/1.1 100 x\n\n" * (LARGEST // 8))
    line = parse(b"HTTP/1.1 429 x\nA: " + b"x" * (2 * LARGEST))

    assert (heads.status, len(line.headers["a"])) == (100, LARGEST - len("HTTP/1.1 429 x\nA: "))
    assert parse(HEAD + b"\n" * (2 * LARGEST)).body == b"\n" * (LARGEST - len(HEAD))
