"""What the server does with idempotency keys, in each mode."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass

from weatherglass.testing.bodies import Refused
from weatherglass.testing.plan import IdempotencyMode
from weatherglass.testing.wire import Answer

METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)

Fingerprint = tuple[str, str, str, str]
"""Method, path, query and body hash."""


class KeyRefused(Refused):
    """The key cannot be taken; said in the words of the mode."""

    def __init__(self, mode: IdempotencyMode, status: int, code: str, why: str) -> None:
        super().__init__(status, code, f"This Idempotency-Key cannot be taken: {why}.")
        self.mode = mode

    def answer(self, correlation_id: str) -> Answer:
        if self.mode is IdempotencyMode.STRIPE:
            error = {"type": "idempotency_error", "code": self.code, "message": self.message}
            return Answer.of_json(self.status, {"error": error})
        if self.mode is IdempotencyMode.IETF:
            problem = {"type": "about:blank", "title": self.message, "status": self.status}
            body = json.dumps(problem).encode()
            return Answer(self.status, body, [("Content-Type", "application/problem+json")])
        return super().answer(correlation_id)


@dataclass(slots=True)
class _First:
    """The first request that came with a key."""

    fingerprint: Fingerprint
    answer: Answer | None = None
    """``None`` while it is under way."""


class KeyStore:
    """All keys that were seen; each client has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _First] = {}

    def begin(
        self, mode: IdempotencyMode, client: str, key: str, fingerprint: Fingerprint
    ) -> Answer | None:
        """Claim the key: ``None`` if the request is to be executed, else the first one's answer.

        Who gets ``None`` owes a :meth:`finish`.

        Raises:
            KeyRefused: when the key has the wrong shape, belongs to another request, or to one
                that is still under way.
        """
        if mode is IdempotencyMode.UUID_ONLY and not _UUID.fullmatch(key):
            raise KeyRefused(mode, 400, "bad.request", "it is not a UUID")
        with self._lock:
            first = self._known.get((client, key))
            if first is None:
                self._known[client, key] = _First(fingerprint)
                return None
        if first.fingerprint != fingerprint:
            status = 400 if mode is IdempotencyMode.STRIPE else 422
            raise KeyRefused(mode, status, "idempotency.key.reused", "another request has it")
        if first.answer is None:
            raise KeyRefused(mode, 409, "idempotency.key.in.use", "the first is under way")
        answer = first.answer.copy()
        if mode is IdempotencyMode.STRIPE:
            answer.headers.append(("Idempotent-Replayed", "true"))
        return answer

    def finish(self, client: str, key: str, answer: Answer | None) -> None:
        """Keep the answer for replays; ``None`` or a server's error gives the key back."""
        with self._lock:
            if answer is None or answer.status >= 500:
                self._known.pop((client, key), None)
            else:
                self._known[client, key].answer = answer.copy()
