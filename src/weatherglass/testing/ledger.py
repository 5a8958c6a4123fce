"""The ledger: what the server received, and what it did with it.

It is the other side's truth: tests compare what a client says about itself with it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from weatherglass.testing.plan import TOKEN_PATH


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that the server received."""

    number: int
    """Counted from 1, in the order of arrival."""
    connection: int
    """The connection that it came on, counted from 1 in the order of acceptance."""
    method: str
    path: str
    query: str
    arrived_at: float
    """Seconds since the epoch, on the server's clock."""
    body_hash: str
    """SHA-256 of the body, in hex."""
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """As received; they may hold credentials, so they stand in no ``repr``."""
    token: str | None = None
    """The fingerprint of the bearer token; never the token itself."""
    token_generation: int | None = None
    """The how-manieth token of its client it was, from 1; ``None`` if the server issued none."""
    idempotency_key: str | None = None
    executed: bool = False
    """Whether the request took effect: the route ran and answered with success."""
    replayed: bool = False
    """Whether the answer was that of an earlier request with the same idempotency key."""
    fault: str | None = None
    """The name or label of the fault that was applied."""
    status: int | None = None
    """The status that was sent; ``None`` if no answer was, or none yet."""

    def header(self, name: str) -> str | None:
        """The first header of this name, without regard to case."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known.lower() == wanted), None)


class Ledger:
    """All requests of one server. Safe to read at any time from any thread.

    An entry is complete before its answer is sent, so whoever has an answer finds it here.
    """

    def __init__(self, *, keep: int | None = None) -> None:
        self._changed = threading.Condition()
        self._entries: dict[int, Entry] = {}
        self._received = 0
        self._keep = keep

    def arrived(self, **known: Any) -> int:
        """Open an entry; returns its number."""
        with self._changed:
            self._received += 1
            number = self._received
            self._entries[number] = Entry(number=number, **known)
            if self._keep is not None and len(self._entries) > self._keep:
                del self._entries[next(iter(self._entries))]
            self._changed.notify_all()
        return number

    def update(self, number: int, **changes: Any) -> None:
        """Add to an entry what has become known since."""
        with self._changed:
            entry = self._entries.get(number)
            if entry is not None:
                self._entries[number] = dataclasses.replace(entry, **changes)
                self._changed.notify_all()

    def clear(self) -> None:
        """Forget all entries; numbers go on."""
        with self._changed:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def requests(self, *, path: str | None = None, method: str | None = None) -> tuple[Entry, ...]:
        """The requests in the order of arrival; ``path`` may be a glob (``/api/v2/*``)."""
        with self._changed:
            entries = tuple(self._entries.values())
        return tuple(entry for entry in entries if _matches(entry, path, method))

    def executions(
        self, *, path: str | None = None, method: str | None = None
    ) -> tuple[Entry, ...]:
        """Those of the requests that took effect."""
        return tuple(entry for entry in self.requests(path=path, method=method) if entry.executed)

    def duplicates(
        self, *, methods: tuple[str, ...] = ("POST", "PATCH")
    ) -> tuple[tuple[Entry, ...], ...]:
        """Groups of requests, alike in method, path, query and body, that took effect repeatedly.

        Only for methods that are not idempotent, and not for the token endpoint, where asking
        twice is the custom. Two calls that mean to send the same thing look like one sent twice:
        tests give each call a body of its own.
        """
        groups: dict[tuple[str, str, str, str], list[Entry]] = {}
        for entry in self.executions():
            if entry.method in methods and entry.path != TOKEN_PATH:
                alike = (entry.method, entry.path, entry.query, entry.body_hash)
                groups.setdefault(alike, []).append(entry)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    def token_calls(self) -> tuple[Entry, ...]:
        """The requests to the token endpoint."""
        return self.requests(path=TOKEN_PATH)

    def by_status(
        self, *, path: str | None = None, method: str | None = None
    ) -> Mapping[int | None, int]:
        """How many requests were answered with each status; ``None`` for no answer."""
        return Counter(entry.status for entry in self.requests(path=path, method=method))

    def wait_until(
        self,
        count: int,
        timeout: float = 10.0,
        *,
        path: str | None = None,
        method: str | None = None,
        executed: bool = False,
    ) -> tuple[Entry, ...]:
        """Wait until at least ``count`` such requests have arrived (or been executed).

        Returns them, and those that came with them.

        Raises:
            TimeoutError: when there are still fewer after ``timeout`` seconds.
        """
        query = self.executions if executed else self.requests
        with self._changed:
            # The condition's lock is re-entrant, so the queries can be asked under it.
            if not self._changed.wait_for(
                lambda: len(query(path=path, method=method)) >= count, timeout
            ):
                found = len(query(path=path, method=method))
                raise TimeoutError(
                    f"{found} requests ({method or 'any method'} {path or 'any path'}) have been"
                    f" {'executed' if executed else 'received'} after {timeout:g} s,"
                    f" but {count} were expected"
                )
            return query(path=path, method=method)


def _matches(entry: Entry, path: str | None, method: str | None) -> bool:
    return (path is None or entry.path == path or fnmatchcase(entry.path, path)) and (
        method is None or entry.method == method
    )
