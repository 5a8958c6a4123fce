"""Network failures: from an exception to its kind, wherever in the chain its cause stands (N1).

``requests`` wraps ``urllib3``, which wraps ``http.client``, ``ssl`` and ``socket``; the outer
names say little ("ConnectionError"), so the chain is walked from the outside in and the first
exception that settles the matter decides. No body is looked at (N2).

That nothing was sent (N4) is believed only on evidence that belongs to this very attempt: links
that were set on purpose (arguments, ``reason``, ``__cause__``) and the frames of urllib3 in
which a connection is prepared. The implicit ``__context__`` may be an older error that the
application was handling while it made this call, so it may name a kind but proves nothing.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import requests
import urllib3

from weatherglass.diagnose.bodies import MAX_MESSAGE
from weatherglass.diagnose.foreign import printable
from weatherglass.diagnose.stages import Stage, stage_of
from weatherglass.report import Failure
from weatherglass.vocabulary import NETWORK_KINDS, Execution, Kind

_MAX_CHAIN = 64

_PERMANENT = frozenset({Kind.TLS_CERTIFICATE, Kind.INVALID_CALL})

_NOT_SENT = Execution.NOT_SENT
_POSSIBLE = Execution.POSSIBLE

_errors = urllib3.exceptions
_requests = requests.exceptions


class Verdict(NamedTuple):
    """What an exception says by itself."""

    kind: Kind
    execution: Execution
    settled: bool = True
    """Whether nothing further down the chain can say it better."""


@dataclass(frozen=True, slots=True)
class _Link:
    error: BaseException
    certain: bool
    """Whether the exception belongs to this attempt beyond doubt."""


def classify_exception(error: BaseException) -> Failure:
    """The failure that an exception stands for (rules N1 to N4).

    All kinds are transient except a refused certificate, a call that is invalid in itself, and
    a proxy that refuses the tunnel with a 4xx.
    """
    chain = list(_chain(error))
    decisive, verdict = _decide(chain)
    kind, execution = _staged(verdict, chain)
    message = _message(decisive.error) or _message(error)
    return Failure(
        kind=kind,
        transient=kind not in _PERMANENT and not _tunnel_refused(kind, chain),
        execution=execution,
        message=message,
        rule=f"exception {type(decisive.error).__qualname__}",
        error_type=type(error).__qualname__,
    )


# --- the chain ----------------------------------------------------------------------------

# Exceptions that are where an error begins, as Python's own are: what they were raised in the
# context of is not their cause.
_ROOTS = (OSError, http.client.HTTPException, _errors.HTTPError)


def _chain(error: BaseException) -> Iterator[_Link]:
    """The exception and all that it was raised from, the nearest first."""
    waiting = [_Link(error, certain=True)]
    seen: set[int] = set()
    while waiting and len(seen) < _MAX_CHAIN:
        link = waiting.pop()
        if id(link.error) in seen:
            continue
        seen.add(id(link.error))
        yield link
        waiting.extend(reversed(_next_links(link)))


def _next_links(link: _Link) -> list[_Link]:
    error = link.error
    said = [getattr(error, "reason", None), *error.args, error.__cause__]
    causes = [cause for cause in said if isinstance(cause, BaseException)]
    if causes:
        return [_Link(cause, link.certain and _same_attempt(error, cause)) for cause in causes]
    context = error.__context__
    if context is None or error.__suppress_context__ or _is_root(error):
        return []
    return [_Link(context, certain=False)]


def _is_root(error: BaseException) -> bool:
    if isinstance(error, requests.RequestException):
        return False
    return isinstance(error, _ROOTS) or type(error).__module__ == "builtins"


def _same_attempt(error: BaseException, cause: BaseException) -> bool:
    # requests below urllib3: a body that is itself read from another request.
    return isinstance(error, requests.RequestException) or not isinstance(
        cause, requests.RequestException
    )


# --- what each exception says -------------------------------------------------------------

_Classes = tuple[type[BaseException], ...]

# In this order, for many of these classes are subclasses of others.
_TABLE: tuple[tuple[_Classes, Verdict], ...] = (
    # The request itself is wrong and never left.
    (
        (
            _requests.InvalidURL,
            _requests.MissingSchema,
            _requests.InvalidSchema,
            _requests.URLRequired,
            _requests.UnrewindableBodyError,
            _errors.LocationValueError,
            _errors.ProxySchemeUnsupported,
            _errors.UnrewindableBodyError,
            http.client.InvalidURL,
        ),
        Verdict(Kind.INVALID_CALL, _NOT_SENT),
    ),
    (
        (
            _requests.StreamConsumedError,
            _requests.TooManyRedirects,
            _requests.InvalidJSONError,
            _errors.HostChangedError,
        ),
        Verdict(Kind.INVALID_CALL, _POSSIBLE),
    ),
    # Raised by urllib3 only until it is connected to the proxy, tunnel included.
    ((_requests.ProxyError, _errors.ProxyError), Verdict(Kind.PROXY, _NOT_SENT)),
    ((_errors.NameResolutionError, socket.gaierror), Verdict(Kind.DNS, _NOT_SENT)),
    ((ConnectionRefusedError,), Verdict(Kind.CONNECT_REFUSED, _NOT_SENT)),
    (
        (_requests.ConnectTimeout, _errors.ConnectTimeoutError),
        Verdict(Kind.CONNECT_TIMEOUT, _NOT_SENT),
    ),
    ((ssl.SSLCertVerificationError,), Verdict(Kind.TLS_CERTIFICATE, _NOT_SENT)),
    # Raised by urllib3's own comparison of host names, which is part of the handshake.
    (
        (urllib3.util.ssl_match_hostname.CertificateError,),
        Verdict(Kind.TLS_CERTIFICATE, _NOT_SENT),
    ),
    # The answer came, but not whole, or not in HTTP.
    (
        (_errors.InvalidChunkLength, _requests.ContentDecodingError, _errors.DecodeError),
        Verdict(Kind.MALFORMED_RESPONSE, _POSSIBLE),
    ),
    ((http.client.IncompleteRead,), Verdict(Kind.TRUNCATED_BODY, _POSSIBLE)),
    (
        (_errors.InvalidHeader, _errors.HeaderParsingError, _errors.BodyNotHttplibCompatible),
        Verdict(Kind.MALFORMED_RESPONSE, _POSSIBLE),
    ),
    ((_errors.ResponseNotChunked,), Verdict(Kind.MALFORMED_RESPONSE, _POSSIBLE)),
    # Including http.client.RemoteDisconnected, which is also a BadStatusLine.
    (
        (ConnectionResetError, ConnectionAbortedError, BrokenPipeError),
        Verdict(Kind.CONNECTION_RESET, _POSSIBLE),
    ),
    ((http.client.ImproperConnectionState,), Verdict(Kind.NETWORK_OTHER, _POSSIBLE)),
    ((http.client.HTTPException,), Verdict(Kind.MALFORMED_RESPONSE, _POSSIBLE)),
    (
        (_requests.ReadTimeout, _errors.TimeoutError, TimeoutError, _requests.Timeout),
        Verdict(Kind.READ_TIMEOUT, _POSSIBLE),
    ),
    (
        (_errors.EmptyPoolError, _errors.ClosedPoolError),
        Verdict(Kind.NETWORK_OTHER, _NOT_SENT),
    ),
    # Wrappers: what they wrap knows better.
    ((_requests.InvalidHeader,), Verdict(Kind.INVALID_CALL, _NOT_SENT, settled=False)),
    ((_requests.SSLError, _errors.SSLError), Verdict(Kind.TLS_HANDSHAKE, _POSSIBLE, settled=False)),
    ((_errors.ProtocolError,), Verdict(Kind.TRUNCATED_BODY, _POSSIBLE, settled=False)),
    (
        (requests.RequestException, _errors.HTTPError),
        Verdict(Kind.NETWORK_OTHER, _POSSIBLE, settled=False),
    ),
    (
        (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError),
        Verdict(Kind.INVALID_CALL, _POSSIBLE),
    ),
    ((OSError,), Verdict(Kind.NETWORK_OTHER, _POSSIBLE)),
)

_UNKNOWN = Verdict(Kind.INVALID_CALL, _POSSIBLE, settled=False)


def _verdict(error: BaseException) -> Verdict:
    if isinstance(error, _errors.NewConnectionError):
        return _of_new_connection(error)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLCertVerificationError):
        return _of_tls(error)
    if isinstance(error, (_requests.SSLError, _errors.SSLError)) and _is_bare(error):
        return _of_tls(error)
    if isinstance(error, _requests.ChunkedEncodingError):
        return _of_body(error)
    if type(error) is OSError and error.errno is None:
        return _of_unnumbered(error)
    return next((said for classes, said in _TABLE if isinstance(error, classes)), _UNKNOWN)


def _of_new_connection(error: urllib3.exceptions.NewConnectionError) -> Verdict:
    """No connection could be made: the system's error says why."""
    cause = error.__cause__
    if isinstance(error, _errors.NameResolutionError) or isinstance(cause, socket.gaierror):
        return Verdict(Kind.DNS, _NOT_SENT)
    if isinstance(cause, TimeoutError):
        return Verdict(Kind.CONNECT_TIMEOUT, _NOT_SENT)
    if cause is None or isinstance(cause, ConnectionRefusedError):
        return Verdict(Kind.CONNECT_REFUSED, _NOT_SENT)
    return Verdict(Kind.NETWORK_OTHER, _NOT_SENT)


def _is_bare(error: BaseException) -> bool:
    return not any(isinstance(arg, BaseException) for arg in error.args)


def _of_tls(error: BaseException) -> Verdict:
    # The stage, if it is known, then tells a handshake from a connection that broke later.
    if _blames_certificate(error):
        return Verdict(Kind.TLS_CERTIFICATE, _POSSIBLE)
    return Verdict(Kind.TLS_HANDSHAKE, _POSSIBLE)


def _blames_certificate(error: BaseException) -> bool:
    """Whether OpenSSL, an alert of the other side, or a fingerprint check refused one."""
    text = f"{getattr(error, 'reason', '')} {_message(error)}".lower()
    return "certificate" in text or "unknown_ca" in text or "fingerprint" in text


def _of_body(error: requests.exceptions.ChunkedEncodingError) -> Verdict:
    """The connection broke while the body was read, for whatever reason."""
    malformed = any(isinstance(link.error, _errors.InvalidChunkLength) for link in _chain(error))
    return Verdict(Kind.MALFORMED_RESPONSE if malformed else Kind.TRUNCATED_BODY, _POSSIBLE)


def _of_unnumbered(error: OSError) -> Verdict:
    """Errors that Python code raises as a bare OSError with a sentence in it."""
    text = _message(error)
    if text.startswith("Tunnel connection failed"):
        return Verdict(Kind.PROXY, _NOT_SENT)
    # requests, before it connects: a CA bundle, certificate or key that is not there.
    if text.startswith("Could not find"):
        return Verdict(Kind.INVALID_CALL, _NOT_SENT)
    return Verdict(Kind.NETWORK_OTHER, _POSSIBLE)


# --- the decision -------------------------------------------------------------------------


def _decide(chain: list[_Link]) -> tuple[_Link, Verdict]:
    """The first verdict that settles the matter, else the best guess of a wrapper."""
    guess: tuple[_Link, Verdict] | None = None
    for link in chain:
        verdict = _verdict(link.error)
        if not link.certain:
            verdict = verdict._replace(execution=_POSSIBLE)
        if verdict.settled:
            return link, verdict
        if guess is None or _weight(verdict) > _weight(guess[1]):
            guess = link, verdict
    return guess or (chain[0], _UNKNOWN)


def _weight(verdict: Verdict) -> int:
    """How much a guess says: a kind of its own, something with the network, or nothing."""
    return {Kind.INVALID_CALL: 0, Kind.NETWORK_OTHER: 1}.get(verdict.kind, 2)


_AMID_TLS = frozenset(
    {Kind.READ_TIMEOUT, Kind.CONNECTION_RESET, Kind.NETWORK_OTHER, Kind.MALFORMED_RESPONSE}
)


def _staged(verdict: Verdict, chain: list[_Link]) -> tuple[Kind, Execution]:
    """The verdict in the light of where in the exchange the error arose."""
    kind, execution = verdict.kind, verdict.execution
    if kind not in NETWORK_KINDS:
        return kind, execution
    stage = stage_of([link.error for link in chain if link.certain])
    if stage is Stage.TUNNEL:
        return Kind.PROXY, _NOT_SENT
    if stage is Stage.HANDSHAKE:
        return (Kind.TLS_HANDSHAKE if kind in _AMID_TLS else kind), _NOT_SENT
    if stage is Stage.CONNECT:
        return (Kind.CONNECT_TIMEOUT if kind is Kind.READ_TIMEOUT else kind), _NOT_SENT
    if kind is Kind.TLS_HANDSHAKE and stage is not None:
        # TLS broke on a connection that was already in use.
        kind = Kind.TRUNCATED_BODY if stage is Stage.BODY else Kind.CONNECTION_RESET
    if any(isinstance(link.error, _errors.ProtocolError) for link in chain):
        # urllib3 says so only of a connection in use, whatever its cause is called.
        execution = _POSSIBLE
    return kind, execution


_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b", re.ASCII)


def _tunnel_refused(kind: Kind, chain: list[_Link]) -> bool:
    """Whether a proxy refused the tunnel for a reason that will not go away."""
    if kind is not Kind.PROXY:
        return False
    for link in chain:
        found = _TUNNEL_STATUS.search(_message(link.error))
        if found is not None:
            return found[1].startswith("4") and found[1] not in ("408", "429")
    return False


_CREDENTIALS = re.compile(r"//[^/\s@]{1,512}@")
_QUERY = re.compile(r"\?[^\s'\")]{1,2048}")


def _message(error: BaseException) -> str:
    """The exception's text without credentials and queries of the URLs in it (rule O7)."""
    try:
        text = str(error)[: 4 * MAX_MESSAGE]
    except Exception:  # noqa: BLE001 - a foreign exception's __str__ may do anything
        return type(error).__qualname__
    return printable(_QUERY.sub("?…", _CREDENTIALS.sub("//", text)), MAX_MESSAGE)
