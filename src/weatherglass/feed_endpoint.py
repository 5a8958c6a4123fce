"""How status pages are reached: through an adapter of their own (rule M2).

It has no breaker, no gate and no token, few retries, and a deadline, which holds for a page that
drips as well. Its calls have spans, but count in no metric. Proxies and certificates are the
environment's. What it reads is bounded and handed on as bytes; what they say is for
:mod:`weatherglass.feeds`.
"""

from __future__ import annotations

import io
import math
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod, ref

import requests
from requests.adapters import HTTPAdapter
from requests.utils import default_user_agent
from urllib3.util import Retry

from weatherglass.feeds import Feeds, FeedUnreadable
from weatherglass.feeds.flight import Flight
from weatherglass.feeds.statuspage import LARGEST, PATHS
from weatherglass.options import options, without_options
from weatherglass.policy import (
    BreakerPolicy,
    MaintenancePolicy,
    Policy,
    RetryAfterPolicy,
    RetryPolicy,
    StatusFeed,
)
from weatherglass.runtime import SYSTEM
from weatherglass.wire import read_within

if TYPE_CHECKING:
    from weatherglass.adapter import Adapter
    from weatherglass.live import LiveState

FEED_POLICY: Final = Policy(
    name="status-feed",
    # The next reading is the better retry: it comes soon after a failure.
    retry=RetryPolicy(max_retries=1, max_network_retries=1, base_delay=0.5, max_delay=0.5),
    retry_after=RetryAfterPolicy(gate=False),
    breaker=BreakerPolicy(enabled=False),
)
"""The policy by which status pages are read; the deadline, which cuts down the timeouts, is the
feed's."""

_HEADERS: Final = {
    "Accept": "application/json",
    # A small body can unpack to an enormous one.
    "Accept-Encoding": "identity",
    # The next reading is minutes away.
    "Connection": "close",
}
_PIECE: Final = 65536


def has_feeds(maintenance: MaintenancePolicy) -> bool:
    """Whether there is anything to read."""
    return bool(maintenance.feeds) or maintenance.file is not None


def feeds_of(owner: Adapter, live: LiveState, reader: Adapter) -> Feeds:
    """The feeds of an adapter's policy, read through another one into the owner's calendar."""
    # Held weakly: a reading must not keep alive what the application has forgotten.
    method = WeakMethod(live.windows_changed)

    def changed() -> None:
        found = method()
        if found is not None:
            found()

    return Feeds(
        owner.policy.maintenance,
        owner.runtime,
        FeedTransport(reader, owner),
        replace=live.calendar.replace,
        changed=changed,
        told=owner.recorder.feed_failed,
    )


class FeedTransport:
    """Reads the documents of status pages; for one thread at a time.

    Args:
        adapter: one of its own.
        owner: the adapter whose feeds they are, which is not kept alive.
    """

    def __init__(self, adapter: Adapter, owner: Adapter) -> None:
        self._adapter = adapter
        self._owner = ref(owner)
        self._wire = _Wire()
        # For the environment's proxies and certificates alone.
        self._session = requests.Session()

    def __call__(self, feed: StatusFeed, flight: Flight) -> tuple[bytes, bytes]:
        """The documents of a page, in the order of their paths.

        Raises:
            FeedUnreadable: for an answer other than 200, or too much of it.
            requests.exceptions.RequestException: when there is no answer in time.
        """
        owner = self._owner()
        inner = None if owner is None else owner.inner
        # What performs the owner's attempts now performs these as well (rule D3).
        self._adapter.inner = self._wire if inner is None else inner
        del owner
        until = SYSTEM.monotonic() + feed.timeout
        self._wire.flight, self._wire.until = flight, until
        try:
            upcoming, active = (self._read(feed.url + path, until) for path in PATHS)
        finally:
            self._wire.hang_up()
        return upcoming, active

    def close(self) -> None:
        """Wake a reading that waits to try again."""
        self._adapter.close()

    def _read(self, url: str, until: float) -> bytes:
        headers = {"User-Agent": default_user_agent(), **_HEADERS}
        prepared = requests.Request("GET", url, headers=headers).prepare()
        settings = self._session.merge_environment_settings(url, {}, True, None, None)
        left = until - SYSTEM.monotonic()
        if left <= 0:
            raise FeedUnreadable("timeout")
        with without_options(), options(deadline=left):
            response = self._adapter.send(prepared, **settings)
        try:
            if response.status_code != 200:
                raise FeedUnreadable(str(response.status_code))
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise FeedUnreadable("content_encoding")
            return _bounded(_pieces(response, until))
        finally:
            response.close()


def _pieces(response: requests.Response, until: float) -> Iterator[bytes]:
    if hasattr(response.raw, "read1") and not getattr(response, "_content_consumed", False):
        return read_within(response, lambda: until - SYSTEM.monotonic())
    # A stand-in's answer, which is here already.
    return response.iter_content(_PIECE)


def _bounded(pieces: Iterator[bytes]) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > LARGEST:
            raise FeedUnreadable("too_large")
    return bytes(body)


class _Wire(HTTPAdapter):
    """An adapter whose connections can be broken off from another thread, and are never kept.

    Nothing is read from them after a time: a timeout of the socket's begins anew with each byte.
    """

    def __init__(self) -> None:
        self.flight = Flight()
        self.until = math.inf
        """Monotonic seconds until which answers are read."""
        self._connections: list[Any] = []
        super().__init__(max_retries=Retry(0, read=False, respect_retry_after_header=False))

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **settings: Any) -> Any:
        known = len(self.proxy_manager)
        manager = super().proxy_manager_for(*args, **settings)
        if len(self.proxy_manager) > known:
            self._watch(manager)
        return manager

    def connected(self, connection: Any, line: socket.socket) -> None:
        """A connection has been made, as yet without TLS."""
        self._connections.append(connection)
        self.flight.hold(line)

    def hang_up(self) -> None:
        """Close all connections."""
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self.close()

    def _watch(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {
            scheme: _watched(pool, self) for scheme, pool in manager.pool_classes_by_scheme.items()
        }


def _watched(pool: Any, wire: _Wire) -> Any:
    """A class of pools whose connections are told of."""

    class Answer(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **settings: Any) -> None:
            super().__init__(sock, *args, **settings)
            self.fp = io.BufferedReader(_Punctual(self.fp.detach(), sock, wire))

    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # whatever the pool's is
        response_class = Answer

        def _new_conn(self) -> socket.socket:
            line: socket.socket = super()._new_conn()
            wire.connected(self, line)
            return line

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


class _Punctual(io.RawIOBase):
    """What comes in, headers as well, for as long as there is time."""

    def __init__(self, raw: io.RawIOBase, line: socket.socket, wire: _Wire) -> None:
        self._raw = raw
        self._line = line
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._wire.until - SYSTEM.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the reading is over")
        self._line.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
