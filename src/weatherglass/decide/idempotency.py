"""Idempotency keys: making them, what they are worth, and what an answer says of a replay.

A key alone makes no call replayable (rule I4): whether the server honours it, the policy says
per route. Sending the key and keeping it over the attempts of a call (rule I3) is the adapter's
business. The header is that of draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from weatherglass.decide.canonical import canonical
from weatherglass.decide.routes import matches, path_of
from weatherglass.policy import IdempotencyPolicy
from weatherglass.policy.codes import comparable
from weatherglass.vocabulary import KeySource, Replay

NO_KEY: tuple[None, None] = (None, None)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_CHUNK = 65536


def make_key(
    policy: IdempotencyPolicy,
    *,
    method: str,
    url: str,
    body: Any,
    content_type: str | None,
    random_uuid: Callable[[], str],
    headers: Mapping[str, Any] | None = None,
) -> tuple[str | None, KeySource | None]:
    """The key of a call and where it comes from; two ``None`` for a call without one (I1).

    A key that already stands in ``headers`` is kept. ``url`` is taken as it is sent, its query
    unsorted; ``body`` may be ``None``, bytes, text, or a file that can be put back to where it
    stands, which is then read once for a deterministic key. What can be read only once gets a
    key per call instead (rule I6).
    """
    method = method.upper()
    if method in _SAFE and method not in policy.methods:
        return NO_KEY
    given = _find(headers, policy.header)
    if given is not None:
        return given, KeySource.CALLER
    if policy.key is None or method not in policy.methods:
        return NO_KEY
    if policy.key == "per_call":
        return random_uuid(), KeySource.PER_CALL
    payload = _read(body)
    if payload is None:
        return random_uuid(), KeySource.PER_CALL_ONE_SHOT
    client = () if policy.client_id is None else (policy.client_id.encode(),)
    parts = canonical(payload, content_type)
    digest = _digest((client, (method.encode(),), (_sent(url),), parts))
    return _spelled(digest, policy.key_format), KeySource.DETERMINISTIC


def honours(policy: IdempotencyPolicy, method: str, url: str) -> bool:
    """Whether the server is known to honour keys on this route (rule I4)."""
    return policy.honours_keys or (
        bool(policy.honouring_routes) and matches(policy.honouring_routes, method, path_of(url))
    )


def replay_mark(
    status: int,
    code: str | None,
    headers: Mapping[str, Any],
    *,
    resent: bool,
    done_codes: Iterable[str] = (),
) -> Replay | None:
    """What a final answer says about an earlier delivery of the same request (rule I5).

    ``resent`` is whether the request was sent more than once. An answer that says so itself is
    a replay in any case; "already done", which 409 and ``done_codes`` say, is one only perhaps,
    and only to a request that may have been done before. Not to be asked of a failure that is
    transient: a conflict that will pass does not say "done".
    """
    said = _find(headers, "Idempotent-Replayed")
    if said is not None and said.strip().lower() == "true":
        return Replay.REPLAYED
    if resent and (status == 409 or _is_one_of(code, done_codes)):
        return Replay.AMBIGUOUS
    return None


def _is_one_of(code: str | None, codes: Iterable[str]) -> bool:
    return code is not None and comparable(code) in map(comparable, codes)


def _find(headers: Mapping[str, Any] | None, name: str) -> str | None:
    """A header's value, whatever the case of its name; ``requests`` allows bytes."""
    if not headers:
        return None
    value = headers.get(name)
    if value is None:
        wanted = name.lower()
        for key, candidate in headers.items():
            if key.lower() == wanted:
                value = candidate
    if value is None:
        return None
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _sent(url: str) -> bytes:
    """The URL without its fragment, which is never sent."""
    return url.partition("#")[0].encode("utf-8", "surrogatepass")


def _read(body: Any) -> bytes | None:
    """The bytes of a body that is still there afterwards; ``None`` when it would not be."""
    if body is None:
        return b""
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    try:
        read, position = body.read, body.tell()
        # Only what can be put back is touched at all.
        body.seek(position)
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    try:
        return b"".join(_chunks(read))
    finally:
        body.seek(position)


def _chunks(read: Callable[[int], Any]) -> Iterator[bytes]:
    while chunk := read(_CHUNK):
        yield chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk


def _digest(fields: Iterable[Iterable[bytes]]) -> bytes:
    """SHA-256 over fields of parts, each with its length before it.

    So no two ways to divide the same bytes are alike: neither ``("ab", "c")`` and ``("a", "bc")``,
    nor a missing part and an empty one.
    """
    sha = hashlib.sha256(b"weatherglass idempotency key 1\n")
    for field in fields:
        parts = tuple(field)
        sha.update(len(parts).to_bytes(8, "big"))
        for part in parts:
            sha.update(len(part).to_bytes(8, "big"))
            sha.update(part)
    return sha.digest()


def _spelled(digest: bytes, key_format: str) -> str:
    """All 256 bits in hex, or 122 of them in a UUID.

    The UUID carries the version and variant bits of RFC 9562, section 5.5: version 5, made from
    a hash of a name. The section's hash is SHA-1; SHA-256 belongs into version 8 (section 5.8),
    which validators that were written for RFC 4122 refuse. Nobody can check which hash it was,
    and a key is worth nothing where it is refused.
    """
    if key_format == "hex":
        return digest.hex()
    return str(UUID(bytes=digest[:16], version=5))
