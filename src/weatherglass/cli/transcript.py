"""Reading an HTTP answer as ``curl -i`` prints it.

Such output can hold several heads: interim answers, a proxy's, those of redirects that were
followed; the last one is the answer. It is read as curl writes it, not as the wire carries it:
chunks are already joined and the body ends where the output ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from requests.structures import CaseInsensitiveDict

LARGEST = 1024 * 1024
"""Bytes of a transcript that are looked at (rule S1)."""

_STATUS_LINE = re.compile(rb"HTTP/[0-9](?:\.[0-9])? ([1-9][0-9]{2})(?: [^\r\n]*)?\r?(?:\n|\Z)")
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: CaseInsensitiveDict[str]
    """Those that were sent several times are joined with commas, as ``requests`` does."""
    body: bytes


def parse(output: bytes) -> Answer:
    """The last answer in the output of ``curl -i``.

    Raises:
        ValueError: when the output does not begin with an answer's head.
    """
    text = output[:LARGEST].lstrip(b"\r\n")
    begin = _STATUS_LINE.match(text)
    if begin is None:
        shown = text[:_LONGEST_SHOWN].decode("latin-1")
        raise ValueError(
            "the output of curl -i begins with a line such as 'HTTP/1.1 429 Too Many Requests',"
            f" but this {f'begins with {shown!r}' if text else 'is empty'}"
        )
    while True:
        lines, body = _head(text, begin.end())
        following = _STATUS_LINE.match(text, body)
        if following is None:
            return Answer(int(begin[1]), headers(lines), text[body:])
        begin = following


def headers(lines: Iterable[str]) -> CaseInsensitiveDict[str]:
    """Headers from lines of ``Name: value``; a line that is none is passed over."""
    found: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if colon and name:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _head(text: bytes, position: int) -> tuple[list[str], int]:
    """The header lines from a position on, and where the body begins."""
    lines: list[str] = []
    while position < len(text):
        end = text.find(b"\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].decode("latin-1").rstrip("\r")
        position = end + 1
        if not line:
            break
        if line[0] in " \t" and lines:  # a value that was folded over lines
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines, position
