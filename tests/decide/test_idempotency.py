"""Idempotency keys: how they are made, and what they are worth."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from weatherglass.decide.idempotency import honours, make_key, replay_mark
from weatherglass.policy import IdempotencyPolicy
from weatherglass.vocabulary import KeySource, Replay

DETERMINISTIC = IdempotencyPolicy(key="deterministic")
PER_CALL = IdempotencyPolicy(key="per_call")
JSON = "application/json"
URL = "https://api.example.com/orders?a=1&b=2"
RANDOM = "8c5f2d3e-0000-4000-8000-000000000001"


def made(
    body: Any = b"",
    content_type: str | None = JSON,
    *,
    policy: IdempotencyPolicy = DETERMINISTIC,
    method: str = "POST",
    url: str = URL,
    headers: Mapping[str, Any] | None = None,
) -> tuple[str | None, KeySource | None]:
    return make_key(
        policy,
        method=method,
        url=url,
        body=body,
        content_type=content_type,
        random_uuid=lambda: RANDOM,
        headers=headers,
    )


def key(*args: Any, **kwargs: Any) -> str:
    value, source = made(*args, **kwargs)
    assert source is KeySource.DETERMINISTIC
    assert value is not None
    return value


@pytest.mark.parametrize("method", ["POST", "PUT", "post"])
def test_post_and_put_carry_a_key(method: str) -> None:
    """I1: with a key maker, POST and PUT carry a key."""
    assert made(method=method)[1] is KeySource.DETERMINISTIC


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_carry_none(method: str) -> None:
    """I1: the rest carry none, PATCH included."""
    assert made(method=method) == (None, None)


def test_patch_carries_one_by_choice() -> None:
    """I1: the methods are policy."""
    policy = IdempotencyPolicy(key="per_call", methods=("patch",))
    assert made(policy=policy, method="PATCH") == (RANDOM, KeySource.PER_CALL)
    assert made(policy=policy, method="POST") == (None, None)


def test_without_a_key_maker_there_is_no_key() -> None:
    """I1: the default policy makes none."""
    assert made(policy=IdempotencyPolicy()) == (None, None)


@pytest.mark.parametrize("policy", [IdempotencyPolicy(), PER_CALL, DETERMINISTIC])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_the_callers_own_key_is_kept(policy: IdempotencyPolicy, method: str) -> None:
    """I1: an existing header wins over any key maker, in whatever case it is written."""
    for headers in ({"idempotency-key": "mine"}, {"Idempotency-Key": b"mine"}):
        found = made(policy=policy, method=method, headers=headers)
        assert found == ("mine", KeySource.CALLER)


def test_the_name_of_the_header_is_policy() -> None:
    """I1: only the header that the policy names is a key."""
    policy = IdempotencyPolicy(key="per_call", header="X-Request-Id")
    assert made(policy=policy, headers={"x-request-id": "r1"})[0] == "r1"
    assert made(policy=policy, headers={"Idempotency-Key": "k"})[0] == RANDOM


def test_per_call_keys_are_random() -> None:
    """I2: `per_call` takes a fresh UUID and looks at nothing."""
    assert made(policy=PER_CALL) == (RANDOM, KeySource.PER_CALL)


def test_a_deterministic_key_is_a_sha_256_in_hex() -> None:
    """I2: the same request makes the same key, 256 bits in hexadecimal."""
    assert re.fullmatch("[0-9a-f]{64}", key(b'{"a": 1}'))
    assert key(b'{"a": 1}') == key(b'{"a": 1}')


def test_a_key_survives_releases() -> None:
    """I2: the key of a given request is part of the contract; changing it resends what was done."""
    policy = IdempotencyPolicy(key="deterministic", client_id="app")
    assert key(b'{"b": [1.0, "x", null], "a": "\\u00e9"}', policy=policy) == (
        "4ac5677dd9eed5d50bb6243f507a0ee052cf65744c09b7fe4f680ba3bdfaa92b"
    )


def test_a_key_can_be_a_uuid() -> None:
    """I2: with `key_format` set, the key is a UUID with the version and variant of RFC 9562."""
    policy = IdempotencyPolicy(key="deterministic", key_format="uuid")
    found = uuid.UUID(key(b"{}", policy=policy))
    assert found.version == 5
    assert found.variant == uuid.RFC_4122
    assert str(found) == key(b" {} ", policy=policy)
    assert str(found) != key(b"[]", policy=policy)


def test_what_differs_has_different_keys() -> None:
    """I2: two endpoints, queries, methods, clients or payloads never share a key."""
    clients = [IdempotencyPolicy(key="deterministic", client_id=client) for client in ("a", "b")]
    keys = [
        key(b"{}"),
        key(b"{}", url="https://api.example.com/invoices?a=1&b=2"),
        key(b"{}", url="https://api.example.com/orders?a=1&b=3"),
        key(b"{}", url="https://api.example.com/orders"),
        key(b"{}", url="https://login.example.com/orders?a=1&b=2"),
        key(b"{}", method="PUT"),
        key(b"{}", policy=clients[0]),
        key(b"{}", policy=clients[1]),
        key(b"[]"),
        key(b""),
        key(b"{}", content_type="text/plain"),
    ]
    assert len(set(keys)) == len(keys)


def test_the_query_counts_as_it_is_sent() -> None:
    """I2: the order of parameters may mean something to the server, so it is kept."""
    assert key(url="https://a.example/?a=1&b=2") != key(url="https://a.example/?b=2&a=1")


def test_a_fragment_is_not_sent_and_does_not_count() -> None:
    """I2: two URLs that are the same on the wire make one key."""
    assert key(url=URL + "#top") == key(url=URL)


@pytest.mark.parametrize(
    "same",
    [
        b'{"b":{"y":[1,2],"x":null},"a":"\xc3\xa9"}',
        b'{ "a" : "\\u00e9",\n "b" : { "x" : null , "y" : [ 1 , 2 ] } }\n',
        '{"b": {"y": [1, 2], "x": null}, "a": "é"}'.encode("utf-16"),
    ],
)
def test_key_order_whitespace_and_escapes_do_not_count(same: bytes) -> None:
    """I2: the same JSON content makes the same key however it is written."""
    assert key(same) == key(b'{"a":"\xc3\xa9","b":{"x":null,"y":[1,2]}}')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b'"1"'),
        (b"1", b"1.0"),
        (b"1", b"true"),
        (b"0", b"false"),
        (b"null", b'"null"'),
        (b"null", b"{}"),
        (b"[1,2]", b"[2,1]"),
        (b"[1,2]", b"[12]"),
        (b"[[1],2]", b"[1,[2]]"),
        (b"9007199254740993", b"9007199254740992"),
        (b"0.1", b"0.10000000000000001"),
        (b"1e400", b"1e500"),
        (b'{"a":"b"}', b'{"b":"a"}'),
        (b'{"a":{}}', b'{"a":[]}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":1,"a":2}', b'{"a":2,"a":1}'),
        (b'{"a":1', b'{"a":1}'),
        (b'"\\ud800"', b'"\\ud801"'),
        (b'"a"', b'"A"'),
    ],
)
def test_json_of_different_content_stays_different(one: bytes, other: bytes) -> None:
    """I2: numbers keep their spelling, and what is not plain JSON counts byte for byte."""
    assert key(one) != key(other)


def test_numbers_of_any_size_are_taken() -> None:
    """I2: a number too long for a float or an int is content like any other."""
    long = b"1" * 10_000
    assert key(b"[" + long + b"]") == key(b"[ " + long + b" ]")


def test_nesting_without_end_is_taken_as_it_stands() -> None:
    """I2, S1: very deep JSON neither raises nor gets a key that depends on the caller's stack."""
    deep = b"[" * 100_000 + b"]" * 100_000
    assert key(deep) == key(deep)
    nested = b"[" * 200 + b"]" * 200
    assert key(nested) != key(nested + b" ")


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "application/merge-patch+json", "APPLICATION/JSON"],
)
def test_every_json_media_type_is_json(content_type: str) -> None:
    """I2: parameters, suffixes and case of the media type do not hide JSON."""
    assert key(b'{"a": 1}', content_type) == key(b'{"a":1}', content_type)


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "nonsense", "a\nb: c"])
def test_what_is_not_json_counts_byte_for_byte(content_type: str | None) -> None:
    """I2: without a JSON media type, whitespace is content."""
    assert key(b'{"a": 1}', content_type) != key(b'{"a":1}', content_type)


def test_the_order_of_a_form_is_kept() -> None:
    """I2: the fields of a form count in the order in which they are sent."""
    form = "application/x-www-form-urlencoded"
    assert key(b"a=1&b=2", form) != key(b"b=2&a=1", form)


def multipart(boundary: str, *parts: str) -> tuple[bytes, str]:
    body = "".join(f"--{boundary}\r\n\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
    return body.encode(), f'multipart/form-data; boundary="{boundary}"'


def test_the_boundary_of_a_multipart_body_does_not_count() -> None:
    """I2: requests draws a boundary at random each time; the parts are what is sent."""
    assert key(*multipart("3f1a", "x", "y")) == key(*multipart("9e0b", "x", "y"))
    assert key(*multipart("3f1a", "x", "y")) != key(*multipart("3f1a", "xy"))
    assert key(*multipart("3f1a", "--9e0b", "y")) != key(*multipart("9e0b", "", "", "y"))


def test_text_and_its_bytes_are_one_body() -> None:
    """I2: a body given as text makes the key of its UTF-8; none is the same as an empty one."""
    assert key('{"a": "é"}') == key('{"a": "é"}'.encode())
    assert key(None) == key(b"") == key("")
    assert key(bytearray(b"x")) == key(b"x")


def test_a_file_is_read_and_put_back() -> None:
    """I6, D12: a body that can be read again is hashed from where it stands, and left there."""
    file = io.BytesIO(b"skipped" + b'{"a":1}')
    file.seek(7)
    assert key(file) == key(b'{ "a": 1 }')
    assert file.tell() == 7
    text = io.StringIO('{"a": 1}')
    assert key(text) == key(b'{"a":1}')


def test_a_real_file_is_read_in_pieces(tmp_path: Path) -> None:
    """I6: a file that is larger than one read makes the key of its content."""
    content = b"0123456789" * 20_000
    path = tmp_path / "upload"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert key(file, None) == key(content, None)
        assert file.read() == content


class Pipe:
    """A stream that can be read but not put back."""

    def read(self, _: int = -1) -> bytes:
        raise AssertionError("a body that can be read only once was read")

    def tell(self) -> int:
        raise OSError("not seekable")

    def seek(self, _: int) -> int:
        raise io.UnsupportedOperation("not seekable")


def chunks() -> Iterator[bytes]:
    yield b"never read"
    raise AssertionError("a generator was read")


@pytest.mark.parametrize("body", [Pipe(), chunks(), iter([b"a"])])
def test_what_can_be_read_only_once_gets_a_key_per_call(body: Any) -> None:
    """I6: a one-shot body is not touched; its key is random, and said to be."""
    assert made(body) == (RANDOM, KeySource.PER_CALL_ONE_SHOT)


def test_a_key_is_worth_nothing_by_itself() -> None:
    """I4: the default policy knows of no server that honours keys."""
    assert not honours(DETERMINISTIC, "POST", URL)


def test_a_server_honours_keys_everywhere_or_on_routes() -> None:
    """I4: the policy says so, for all routes or for some."""
    assert honours(IdempotencyPolicy(honours_keys=True), "PATCH", URL)
    some = IdempotencyPolicy(honouring_routes=("POST /orders", "PUT /x/*"))
    assert honours(some, "POST", URL)
    assert not honours(some, "PUT", URL)
    assert honours(some, "put", "https://api.example.com/x/7?y")


@pytest.mark.parametrize("value", ["true", "TRUE", " true ", b"true"])
@pytest.mark.parametrize("status", [200, 201, 409])
def test_an_answer_that_says_so_is_a_replay(value: Any, status: int) -> None:
    """I5: `Idempotent-Replayed: true` is believed, on any status, resent or not."""
    headers = {"idempotent-replayed": value}
    assert replay_mark(status, None, headers, resent=False) is Replay.REPLAYED
    assert replay_mark(status, None, headers, resent=True) is Replay.REPLAYED


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, None), (409, "x"), (400, "Name.Taken"), (400, "NAME_TAKEN"), (422, "already-done")],
)
def test_already_done_is_ambiguous_to_a_request_that_was_resent(
    status: int, code: str | None
) -> None:
    """I5: a conflict, or a code that says so, after a resend may be our own doing."""
    done = ("name.taken", "already_done")
    assert replay_mark(status, code, {}, resent=True, done_codes=done) is Replay.AMBIGUOUS
    assert replay_mark(status, code, {}, resent=False, done_codes=done) is None


def test_without_a_policy_no_code_says_already_done() -> None:
    """I5: which codes say it is known to a policy or a profile, not to the core."""
    assert replay_mark(400, "name.taken", {}, resent=True) is None
    assert replay_mark(400, None, {}, resent=True, done_codes=("name.taken",)) is None


@pytest.mark.parametrize(
    ("status", "code", "headers"),
    [
        (200, None, {}),
        (400, "bad.request", {}),
        (503, None, {}),
        (200, None, {"Idempotent-Replayed": "false"}),
    ],
)
def test_other_answers_say_nothing_of_a_replay(
    status: int, code: str | None, headers: dict[str, str]
) -> None:
    """I5: nothing else is marked."""
    assert replay_mark(status, code, headers, resent=True) is None
