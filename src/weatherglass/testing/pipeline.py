"""What happens to one request: from its arrival to the answer that is to be delivered.

Fault or no fault; then token, rate limit, idempotency key, route. What became of the request is
entered into the ledger before its answer leaves, so whoever has an answer finds it there.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from email.utils import formatdate
from fnmatch import fnmatchcase

from weatherglass.runtime import Runtime
from weatherglass.testing import idempotency, limits
from weatherglass.testing.api import Api
from weatherglass.testing.bodies import Refused, fault_answer
from weatherglass.testing.delivery import Delivery, ServerStopped
from weatherglass.testing.faults import ON_DELIVERY, Action, Fault
from weatherglass.testing.idempotency import KeyStore
from weatherglass.testing.ledger import Ledger
from weatherglass.testing.oauth import Authority, Bearer
from weatherglass.testing.plan import STATUS_PAGE_PATHS, TOKEN_PATH, IdempotencyMode
from weatherglass.testing.script import Script, is_exempt
from weatherglass.testing.statuspage import page
from weatherglass.testing.wire import Answer, Connection, Request


@dataclass(slots=True)
class _Exchange:
    """One request on its way."""

    request: Request
    number: int
    correlation_id: str
    bearer: Bearer | None
    body_hash: str
    key: str | None
    executed: bool = False
    replayed: bool = False
    claim: tuple[str, str] | None = None
    """The client and key that were claimed in the key store."""
    outcome: Answer | None = None
    """What the claimed key will answer to replays."""


class Pipeline:
    """The server's behaviour, without its sockets."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        ledger: Ledger,
        authority: Authority,
        delivery: Delivery,
        script: Script,
        seed: int,
        guarded: tuple[str, ...],
        started_at: float,
    ) -> None:
        self.script = script
        """What goes wrong at present; may be replaced at any time."""
        self.started_at = started_at
        self._runtime = runtime
        self._ledger = ledger
        self._authority = authority
        self._delivery = delivery
        self._api = Api(seed)
        self._keys = KeyStore()
        self._seed = seed
        self._guarded = guarded

    def handle(self, connection: Connection, request: Request) -> bool:
        """Answer one request, well or badly; whether the connection is to be kept.

        Raises:
            OSError: when the client has left.
            ServerStopped: when the server was stopped meanwhile.
        """
        exchange = self._arrived(connection, request)
        if connection.doomed:
            self._ledger.update(exchange.number, fault=str(Action.IDLE_CLOSE))
            return False
        script = self.script
        at = self._runtime.time() - self.started_at
        fault, label = script.strike(request.method, request.path, at)
        if fault is None or fault.action is Action.SERVE:
            answer: Answer | None = self._execute(exchange, script)
        else:
            # Told at once, so that a held or hung request can be recognised.
            self._ledger.update(exchange.number, fault=label)
            answer = self._suffer(exchange, script, fault)
        self._finish(exchange, answer)
        return self._delivery.deliver(connection, request, answer, fault)

    def _arrived(self, connection: Connection, request: Request) -> _Exchange:
        bearer = self._authority.bearer(request)
        body_hash = hashlib.sha256(request.body).hexdigest()
        key = request.header("Idempotency-Key")
        number = self._ledger.arrived(
            connection=connection.number,
            method=request.method,
            path=request.path,
            query=request.query,
            arrived_at=self._runtime.time(),
            body_hash=body_hash,
            body=request.body,
            headers=request.headers,
            token=None if bearer is None else bearer.fingerprint,
            token_generation=None if bearer is None else bearer.generation,
            idempotency_key=key,
        )
        correlation_id = str(uuid.UUID(int=(self._seed % 2**32) << 96 | number))
        return _Exchange(request, number, correlation_id, bearer, body_hash, key)

    def _suffer(self, exchange: _Exchange, script: Script, fault: Fault) -> Answer | None:
        """The answer that a fault leaves; ``None`` for none."""
        if fault.action is Action.REVOKE:
            self._authority.revoke()
        if not fault.after_execution:
            self._pause(fault)
        scripted = fault if fault.action is Action.ANSWER else fault.of
        if scripted is None:
            executes = fault.after_execution or fault.action in ON_DELIVERY
        else:
            executes = fault.after_execution or scripted.after_execution
        answer = self._execute(exchange, script) if executes else None
        if scripted is not None:
            answer = self._scripted(exchange, scripted)
            exchange.executed = exchange.executed if executes else scripted.status < 300
        if fault.after_execution:
            self._ledger.update(exchange.number, executed=exchange.executed)
            self._pause(fault)
        return answer if scripted is not None or fault.action in ON_DELIVERY else None

    def _pause(self, fault: Fault) -> None:
        if not self._delivery.pause(fault):
            raise ServerStopped

    def _scripted(self, exchange: _Exchange, fault: Fault) -> Answer:
        now = self._runtime.time()
        answer = fault_answer(fault, now=now, correlation_id=exchange.correlation_id)
        if not any(name.lower() == "date" for name, _ in fault.headers):
            answer.headers.insert(0, ("Date", formatdate(now, usegmt=True)))
        return answer

    def _finish(self, exchange: _Exchange, answer: Answer | None) -> None:
        if exchange.claim is not None:
            self._keys.finish(*exchange.claim, exchange.outcome)
        self._ledger.update(
            exchange.number,
            status=None if answer is None else answer.status,
            executed=exchange.executed,
            replayed=exchange.replayed,
        )

    def _execute(self, exchange: _Exchange, script: Script) -> Answer:
        """What the server answers of itself; notes whether the request took effect."""
        path = exchange.request.path
        told: list[tuple[str, str]] = []
        try:
            self._authorise(exchange)
            told = self._limit(exchange, script)
            answer = self._keyed(exchange, script)
        except Refused as refused:
            answer = refused.answer(exchange.correlation_id)
        answer.headers.insert(0, ("Date", formatdate(self._runtime.time(), usegmt=True)))
        answer.headers += told
        if path.startswith("/api/") and not answer.has("ININ-Correlation-Id"):
            answer.headers.append(("ININ-Correlation-Id", exchange.correlation_id))
        return answer

    def _authorise(self, exchange: _Exchange) -> None:
        path = exchange.request.path
        if is_exempt(path) or not any(fnmatchcase(path, glob) for glob in self._guarded):
            return
        if exchange.bearer is None:
            raise Refused(401, "authentication.required", "No authentication bearer token.")
        if not self._authority.is_valid(exchange.bearer):
            raise Refused(401, "bad.credentials", "Invalid login credentials.")

    def _limit(self, exchange: _Exchange, script: Script) -> list[tuple[str, str]]:
        """Count the request; the headers that tell the client of its limit."""
        path = exchange.request.path
        limiter = script.limiter
        if limiter is None or not script.limits(path):
            return list(_UNLIMITED) if path.startswith("/api/") and not is_exempt(path) else []
        token = "" if exchange.bearer is None else exchange.bearer.fingerprint
        reading = limiter.take(token, self._runtime.monotonic())
        return limits.told(limiter.limit, reading, self._runtime.time())

    def _keyed(self, exchange: _Exchange, script: Script) -> Answer:
        """The route's answer, unless the request's idempotency key has one already."""
        request, mode = exchange.request, script.plan.idempotency
        heeds = mode is not IdempotencyMode.IGNORE and request.method in idempotency.METHODS
        if exchange.key is not None and heeds and not is_exempt(request.path):
            claim = ("" if exchange.bearer is None else exchange.bearer.client_id, exchange.key)
            alike = (request.method, request.path, request.query, exchange.body_hash)
            stored = self._keys.begin(mode, *claim, alike)
            if stored is not None:
                exchange.replayed = True
                return stored
            exchange.claim = claim
        try:
            answer = self._route(exchange, script)
            exchange.executed = answer.status < 400
        except Refused as refused:
            answer = refused.answer(exchange.correlation_id)
        exchange.outcome = answer.copy() if exchange.claim is not None else None
        return answer

    def _route(self, exchange: _Exchange, script: Script) -> Answer:
        request = exchange.request
        if request.path == TOKEN_PATH:
            if request.method != "POST":
                raise Refused(405, message="The token endpoint takes POST.")
            return self._authority.grant(request)
        if request.path in STATUS_PAGE_PATHS and request.method == "GET":
            now = self._runtime.time()
            return page(request.path, script.plan, started_at=self.started_at, now=now)
        return self._api.answer(request, exchange.bearer)


_UNLIMITED = (
    ("inin-ratelimit-count", "1"),
    ("inin-ratelimit-allowed", "300"),
    ("inin-ratelimit-reset", "60"),
)
"""What a client is told where nothing is limited."""
