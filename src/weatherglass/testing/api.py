"""The routes: a corner of the Genesys Cloud API, and plain ones for tests of a client.

Routes know nothing of faults, tokens or limits: whoever gets here is let in.
"""

from __future__ import annotations

import base64
import json
import random
import re
import threading
import uuid
from collections.abc import Callable
from math import ceil
from typing import Any

from weatherglass.testing.bodies import Refused, parsed_object
from weatherglass.testing.oauth import Bearer
from weatherglass.testing.wire import MAX_BODY, Answer, Request

QUEUES = "/api/v2/routing/queues"
_ANY = "*"
_MAX_PAGE = 500

Handler = Callable[..., Answer]


class Api:
    """The state behind the routes; ids come from the seed, so runs can be compared."""

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - ids that must repeat
        self._queues: dict[str, dict[str, Any]] = {}
        self._evaluations = 0
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            ("GET", re.compile("/api/v2/users/me"), self._me),
            ("GET", re.compile(QUEUES), self._list_queues),
            ("POST", re.compile(QUEUES), self._create_queue),
            ("GET", re.compile(QUEUES + "/([^/]+)"), self._get_queue),
            ("PUT", re.compile(QUEUES + "/([^/]+)"), self._put_queue),
            ("DELETE", re.compile(QUEUES + "/([^/]+)"), self._delete_queue),
            (
                "POST",
                re.compile("/api/v2/quality/conversations/([^/]+)/evaluations"),
                self._create_evaluation,
            ),
            (_ANY, re.compile("/echo"), _echo),
            (_ANY, re.compile(r"/status/(\d{3})"), _status),
            ("GET", re.compile(r"/bytes/(\d{1,9})"), _bytes),
            (_ANY, re.compile("/redirect"), _redirect),
            ("GET", re.compile("/stream"), _stream),
        ]

    def answer(self, request: Request, bearer: Bearer | None) -> Answer:
        """The route's answer.

        Raises:
            Refused: with the error that the route, or the lack of one, has to answer.
        """
        method = "GET" if request.method == "HEAD" else request.method
        found = False
        for known, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            if known in (_ANY, method):
                return handler(request, bearer, *match.groups())
            found = True
        if found:
            raise Refused(405, message=f"{request.method} is not allowed here.")
        raise Refused(404, message="There is no such route.")

    def _me(self, _request: Request, bearer: Bearer | None) -> Answer:
        if bearer is not None and bearer.client_id and not bearer.of_user:
            raise Refused(400, "not.a.user", "The token does not belong to a user.")
        return Answer.of_json(
            200,
            {
                "id": "00000000-0000-4000-8000-000000000001",
                "name": "Fake User",
                "email": "fake.user@example.com",
                "state": "active",
                "version": 1,
                "selfUri": "/api/v2/users/00000000-0000-4000-8000-000000000001",
            },
        )

    def _list_queues(self, request: Request, _bearer: Bearer | None) -> Answer:
        asked = request.parameters()
        size = _number(asked.get("pageSize", "25"))
        page = _number(asked.get("pageNumber", "1"))
        if size is None or page is None or not 1 <= size <= _MAX_PAGE or page < 1:
            raise Refused(
                400, message=f"pageSize must be from 1 to {_MAX_PAGE}, pageNumber from 1."
            )
        with self._lock:
            queues = [dict(queue) for queue in self._queues.values()]
        name = asked.get("name")
        if name is not None:
            queues = [queue for queue in queues if queue["name"] == name]
        return Answer.of_json(200, _page(queues, size, page))

    def _create_queue(self, request: Request, _bearer: Bearer | None) -> Answer:
        wanted = parsed_object(request.body)
        if wanted is None or not isinstance(wanted.get("name"), str) or not wanted["name"]:
            raise Refused(400, message="A queue needs a name.")
        with self._lock:
            if self._name_taken(wanted["name"], except_id=None):
                raise _duplicate(wanted["name"])
            queue_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            queue = {**wanted, "id": queue_id, "version": 1, "selfUri": f"{QUEUES}/{queue_id}"}
            self._queues[queue_id] = queue
        return Answer.of_json(200, queue)

    def _get_queue(self, _request: Request, _bearer: Bearer | None, queue_id: str) -> Answer:
        with self._lock:
            queue = self._queues.get(queue_id)
        if queue is None:
            raise _no_queue(queue_id)
        return Answer.of_json(200, queue)

    def _put_queue(self, request: Request, _bearer: Bearer | None, queue_id: str) -> Answer:
        wanted = parsed_object(request.body)
        if wanted is None:
            raise Refused(400, message="The body is not a JSON object.")
        with self._lock:
            queue = self._queues.get(queue_id)
            if queue is None:
                raise _no_queue(queue_id)
            name = wanted.get("name", queue["name"])
            if self._name_taken(name, except_id=queue_id):
                raise _duplicate(name)
            fixed = {"id": queue_id, "version": queue["version"] + 1, "selfUri": queue["selfUri"]}
            queue = self._queues[queue_id] = {**queue, **wanted, **fixed}
        return Answer.of_json(200, queue)

    def _delete_queue(self, _request: Request, _bearer: Bearer | None, queue_id: str) -> Answer:
        with self._lock:
            queue = self._queues.pop(queue_id, None)
        if queue is None:
            raise _no_queue(queue_id)
        return Answer(204)

    def _name_taken(self, name: Any, *, except_id: str | None) -> bool:
        return any(
            queue["name"] == name and queue["id"] != except_id for queue in self._queues.values()
        )

    def _create_evaluation(
        self, request: Request, _bearer: Bearer | None, conversation_id: str
    ) -> Answer:
        # No natural key: whoever sends this twice has two evaluations.
        if parsed_object(request.body) is None:
            raise Refused(400, message="The body is not a JSON object.")
        with self._lock:
            self._evaluations += 1
            number = self._evaluations
        made = {"id": f"evaluation-{number}", "conversation": {"id": conversation_id}}
        return Answer.of_json(200, made)


def _page(entities: list[dict[str, Any]], size: int, page: int) -> dict[str, Any]:
    count = max(1, ceil(len(entities) / size))

    def uri(number: int) -> str:
        return f"{QUEUES}?pageSize={size}&pageNumber={number}"

    shown: dict[str, Any] = {
        "entities": entities[(page - 1) * size : page * size],
        "pageSize": size,
        "pageNumber": page,
        "total": len(entities),
        "pageCount": count,
        "firstUri": uri(1),
        "selfUri": uri(page),
        "lastUri": uri(count),
    }
    if page < count:
        shown["nextUri"] = uri(page + 1)
    return shown


def _duplicate(name: str) -> Refused:
    return Refused(400, "duplicate.name", f"A queue with the name {name} exists already.")


def _no_queue(queue_id: str) -> Refused:
    return Refused(404, message=f"There is no queue {queue_id}.")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _echo(request: Request, _bearer: Bearer | None) -> Answer:
    try:
        body = {"body": request.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(request.body).decode()}
    payload = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": dict(request.headers),
        **body,
    }
    return Answer.of_json(200, payload)


def _status(_request: Request, _bearer: Bearer | None, code: str) -> Answer:
    status = int(code)
    if not 200 <= status <= 599:
        raise Refused(404, message="Statuses are from 200 to 599.")
    return Answer(status)


def _bytes(_request: Request, _bearer: Bearer | None, count: str) -> Answer:
    size = int(count)
    if size > MAX_BODY:
        raise Refused(400, message=f"At most {MAX_BODY} bytes.")
    pattern = bytes(range(256))
    body = (pattern * (size // 256 + 1))[:size]
    return Answer(200, body, [("Content-Type", "application/octet-stream")])


def _redirect(request: Request, _bearer: Bearer | None) -> Answer:
    asked = request.parameters()
    status = _number(asked.get("status", "302"))
    if "to" not in asked or status not in (301, 302, 303, 307, 308):
        raise Refused(400, message="Say where: /redirect?to=URL&status=302.")
    return Answer(status, b"", [("Location", asked["to"])])


def _stream(request: Request, _bearer: Bearer | None) -> Answer:
    asked = request.parameters()
    count = _number(asked.get("chunks", "3"))
    size = _number(asked.get("size", "16"))
    if not count or not size or count * size > MAX_BODY:
        raise Refused(400, message="Say how much: /stream?chunks=3&size=16.")
    lines = tuple(
        json.dumps({"chunk": number}).encode().ljust(size - 1) + b"\n"
        for number in range(1, count + 1)
    )
    return Answer(200, headers=[("Content-Type", "application/x-ndjson")], chunks=lines)
