"""Deterministic keys, for arbitrary requests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from weatherglass.decide.canonical import canonical
from weatherglass.decide.idempotency import make_key
from weatherglass.policy import IdempotencyPolicy
from weatherglass.vocabulary import KeySource

JSON = "application/json"

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def key(
    body: bytes,
    content_type: str | None = JSON,
    *,
    client_id: str | None = None,
    method: str = "POST",
    url: str = "https://api.example.com/",
) -> str:
    made, source = make_key(
        IdempotencyPolicy(key="deterministic", client_id=client_id, methods=(method,)),
        method=method,
        url=url,
        body=body,
        content_type=content_type,
        random_uuid=lambda: "unused",
    )
    assert source is KeySource.DETERMINISTIC
    assert made is not None
    return made


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same value with the keys of every object in another order."""
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    if isinstance(value, dict):
        members = [(name, shuffled(item, chance)) for name, item in value.items()]
        chance.shuffle(members)
        return dict(members)
    return value


WRITERS: list[Callable[[Any], bytes]] = [
    lambda value: json.dumps(value).encode(),
    lambda value: json.dumps(value, indent=2).encode(),
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(),
    lambda value: json.dumps(value, indent="\t", ensure_ascii=False).encode("utf-16"),
]


@given(VALUES, st.randoms(), st.sampled_from(WRITERS), st.sampled_from(WRITERS))
def test_one_json_value_has_one_key(
    value: Any,
    chance: random.Random,
    one: Callable[[Any], bytes],
    other: Callable[[Any], bytes],
) -> None:
    """I2: key order, whitespace, escapes and encoding change nothing."""
    assert key(one(value)) == key(other(shuffled(value, chance)))


def spelled(value: Any) -> str:
    """What makes two values the same content: types and numbers as they are spelled."""
    return json.dumps(value, sort_keys=True)


@given(VALUES, VALUES)
@example(1, 1.0)
@example(1, True)
@example({"a": "1"}, {"a": 1})
@example([["a"], "b"], ["a", ["b"]])
def test_two_json_values_have_two_keys(one: Any, other: Any) -> None:
    """I2: different content never shares a key."""
    assume(spelled(one) != spelled(other))
    assert key(json.dumps(one).encode()) != key(json.dumps(other).encode())


@given(VALUES)
def test_the_canonical_form_is_json_of_the_same_value(value: Any) -> None:
    """I2: nothing is lost or changed on the way, and a canonical text is its own canonical form."""
    kind, text = canonical(json.dumps(value).encode(), JSON)
    assert kind == b"json"
    assert spelled(json.loads(text)) == spelled(value)
    assert list(canonical(text, JSON)) == [kind, text]


REQUESTS = st.tuples(
    st.none() | st.text("ab|", min_size=1, max_size=3),
    st.sampled_from(["POST", "PUT", "POSTPUT"]),
    st.text("ab/?", max_size=3),
    st.binary(max_size=3) | st.sampled_from([b"ab", b"a", b"b"]),
)


@given(REQUESTS, REQUESTS)
@example(("a", "POST", "b", b""), ("a", "POST", "", b"b"))
@example((None, "POST", "", b""), ("", "POST", "", b""))
def test_no_two_requests_share_a_key(
    one: tuple[str | None, str, str, bytes], other: tuple[str | None, str, str, bytes]
) -> None:
    """I2: however the same characters are spread over client, method, URL and body."""
    assume(one != other)
    assume("" not in (one[0], other[0]))
    keys = {
        key(body, None, client_id=client, method=method, url="https://h/" + path)
        for client, method, path, body in (one, other)
    }
    assert len(keys) == 2


@given(st.binary(max_size=300), st.none() | st.text(max_size=40) | st.just(JSON))
def test_any_payload_of_any_type_has_a_key(body: bytes, content_type: str | None) -> None:
    """I2, S1: no bytes and no media type raise."""
    assert key(body, content_type) == key(body, content_type)


PARTS = st.lists(st.binary(max_size=5).filter(lambda part: b"--" not in part), max_size=4)


def multipart(boundary: str, parts: list[bytes]) -> tuple[bytes, str]:
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return body + b"--%s--\r\n" % boundary.encode(), f"multipart/form-data; boundary={boundary}"


@given(PARTS, PARTS)
def test_multipart_bodies_are_told_apart_by_their_parts(
    one: list[bytes], other: list[bytes]
) -> None:
    """I2: with boundaries drawn anew, the same parts make the same key and others do not."""
    same = key(*multipart("3f1ac0", one)) == key(*multipart("9e0b77", other))
    assert same == (one == other)
