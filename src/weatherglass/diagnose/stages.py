"""How far an exchange had come when an exception arose, read off the frames it passed through.

The same exception means different things before and after the request was sent, and urllib3
gives both the same form: a TLS handshake that times out and an answer that does not come are one
``ReadTimeoutError``. The frames tell them apart; without frames nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from types import TracebackType

_MAX_FRAMES = 128


class Stage(Enum):
    """A stage of an exchange."""

    CONNECT = auto()
    """urllib3 was preparing the connection; nothing of the request was sent."""
    TUNNEL = auto()
    """Likewise, and a proxy was being asked for a tunnel."""
    HANDSHAKE = auto()
    """Likewise, and TLS was being negotiated."""
    EXCHANGE = auto()
    """The connection was in use."""
    BODY = auto()
    """The answer's body was being read."""


_PREPARING = frozenset({"_validate_conn", "_prepare_proxy", "_new_conn"})
_TUNNELLING = frozenset({"_tunnel"})
_NEGOTIATING = frozenset({"do_handshake", "ssl_wrap_socket", "_ssl_wrap_socket_and_match_hostname"})
_POOL_MODULES = ("urllib3.connectionpool", "urllib3.connection")


def stage_of(errors: Iterable[BaseException]) -> Stage | None:
    """The stage in which an attempt failed; ``None`` if its exceptions passed no known frame."""
    exchange: Stage | None = None
    for error in errors:
        frames = list(_frames(error.__traceback__))
        if any(module in _POOL_MODULES and name in _PREPARING for module, name in frames):
            return _preparing(frames)
        if any(module == "urllib3.response" for module, _ in frames):
            exchange = Stage.BODY
        elif exchange is None and any(module in _POOL_MODULES for module, _ in frames):
            exchange = Stage.EXCHANGE
    return exchange


def _preparing(frames: list[tuple[str, str]]) -> Stage:
    names = {name for _, name in frames}
    if names & _NEGOTIATING:
        return Stage.HANDSHAKE
    return Stage.TUNNEL if names & _TUNNELLING else Stage.CONNECT


def _frames(traceback: TracebackType | None) -> Iterable[tuple[str, str]]:
    """Module and function of each frame, the outermost first."""
    left = _MAX_FRAMES
    while traceback is not None and left > 0:
        frame = traceback.tb_frame
        yield str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
        traceback = traceback.tb_next
        left -= 1
