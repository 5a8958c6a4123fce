"""Error bodies, whatever a server sends."""

from __future__ import annotations

import json
import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.diagnose import classify_response, normalise, read_error
from weatherglass.diagnose.bodies import MAX_BODY, MAX_MESSAGE, ErrorBody
from weatherglass.diagnose.foreign import MAX_IDENTIFIER
from weatherglass.report import GENERIC, UNKNOWN
from weatherglass.vocabulary import NETWORK_KINDS, Kind

KEYS = st.sampled_from(
    [
        "code",
        "errorCode",
        "error_code",
        "error",
        "errors",
        "details",
        "type",
        "title",
        "status",
        "message",
        "error_description",
        "contextId",
        "errorMessages",
        "reason",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.just("x" * 600)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=15,
)
CONTENT_TYPES = st.one_of(
    st.none(),
    st.sampled_from(["application/json", "text/html", "application/json; charset=utf-16"]),
    st.text(max_size=40).map(lambda text: "application/json; charset=" + text),
)
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    JSON.map(lambda payload: json.dumps(payload).encode()),
    # Cut anywhere, so that every kind of unfinished JSON is met.
    st.tuples(JSON, st.integers(0, 200)).map(lambda cut: json.dumps(cut[0]).encode()[: cut[1]]),
    st.lists(st.sampled_from([*'[]{}",:\\ae1-.', "\\u0000"]), max_size=200).map(
        lambda pieces: "".join(pieces).encode()
    ),
)
# A code is a word: no white space, printable, of a sane length, and no HTTP status.
CODES = st.text(
    st.characters(codec="ascii", categories=["L", "N"], include_characters="._-"),
    min_size=1,
    max_size=MAX_IDENTIFIER,
).filter(lambda code: not code.isdigit())


def _check(found: ErrorBody) -> None:
    for text in (*found.codes, found.code or "x", found.correlation_id or "x"):
        assert 0 < len(text) <= MAX_IDENTIFIER
        assert text.isprintable()
    assert found.code == (found.codes[0] if found.codes else None)
    assert len(found.message) <= MAX_MESSAGE
    assert not found.message or found.message.isprintable()
    assert pickle.loads(pickle.dumps(found)) is not None  # noqa: S301 - our own pickle


@given(BODIES, CONTENT_TYPES, st.one_of(st.none(), st.integers(400, 599)))
def test_reading_is_total(body: bytes | None, content_type: str | None, status: int | None) -> None:
    """C6, C7: no body and no content type raises, and what is found is bounded and printable."""
    _check(read_error(body, content_type, status))


@given(
    st.integers(400, 1000),
    st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=5),
    BODIES,
)
def test_classification_is_total(status: int, headers: dict[str, str], body: bytes | None) -> None:
    """C1, C2, C3: any answer from 400 up has exactly one kind and all that goes with it."""
    failure = classify_response(status=status, headers=headers, body=body, received_at=1.8e9)
    assert failure is not None
    assert failure.kind in Kind
    assert failure.kind not in NETWORK_KINDS
    assert failure.code
    assert failure.message
    assert failure.rule
    assert normalise(failure) is failure
    assert pickle.loads(pickle.dumps(failure)) == failure  # noqa: S301 - our own pickle


@given(st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=6))
def test_normalising_payloads_is_total(payload: dict[str, Any]) -> None:
    """C3: any mapping is normalised, and no status is invented."""
    failure = normalise({"statusCode": 503} | payload | {"status": None})
    assert failure.status == 503
    assert failure.code


@given(CODES)
def test_code_is_found_in_every_place(code: str) -> None:
    """C6: whatever the code, it is read from each place where vendors put it, as it stands."""
    for payload in (
        {"code": code},
        {"errorCode": code},
        {"error": code},
        {"error": {"code": code}},
        {"errors": [{"code": code}]},
        [{"errorCode": code}],
        {"type": code},
        {"title": code},
    ):
        assert read_error(json.dumps(payload).encode(), "application/json").code == code


@given(CODES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_code_is_found_in_every_encoding(code: str, encoding: str) -> None:
    """C6: UTF-8, and whatever a byte order mark announces, is read."""
    body = json.dumps({"code": code}).encode(encoding)
    assert read_error(body, "application/json").code == code


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_nothing_beyond_the_bound_is_looked_at(head: bytes, tail: bytes) -> None:
    """C7: what stands behind the first 64 KiB makes no difference."""
    body = head.ljust(MAX_BODY, b" ")
    assert read_error(body + tail, None) == read_error(body, None)


@given(st.text(max_size=100))
def test_text_is_a_message_without_a_code(text: str) -> None:
    """C3, C7: text that is no JSON has no code; only an empty one has a known shape."""
    body = ("~" + text).encode("utf-8", "replace")
    failure = classify_response(status=500, headers={}, body=body, received_at=None)
    assert failure is not None
    assert failure.code == UNKNOWN
    empty = classify_response(status=500, headers={}, body=b" ", received_at=None)
    assert empty is not None
    assert empty.code == GENERIC
