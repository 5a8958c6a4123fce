"""Origins: scheme, host and port, in the one spelling by which everything else is keyed.

Breakers, gates, budgets and the binding of tokens (rule T11) all ask the same question, so it
is answered in one place. URLs are split as ``requests`` splits them to connect: the origin that
a token is bound to cannot differ from the host that receives it. Redaction is not done here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from requests import PreparedRequest
from requests.exceptions import InvalidURL

from weatherglass.errors import InvalidPolicy

__all__ = ["Origin", "checked_url", "declared_origins", "origin_of"]

_DEFAULT_PORTS = {"http": 80, "https": 443}

_SHORTEST = len("http://x")
"""No path of an HTTP URL begins before this index."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL (RFC 6454), normalised."""

    name: str
    """``https://api.example.com``: lower case, without the port if it is the scheme's own."""
    scheme: str
    host: str
    """Without the brackets of an IPv6 address."""
    port: int
    """The port that is connected to; 0 for a scheme that has none of its own."""

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine: ``localhost`` (RFC 6761) or a loopback address."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return self.name


def origin_of(url: str) -> Origin:
    """The origin of a URL.

    Equal origins are equal objects, whatever the spelling of their URLs.

    Raises:
        requests.exceptions.InvalidURL: (a ``ValueError``) when the URL names no scheme or host,
            or a port that is none.
    """
    # Only what stands before the path is looked up, so that many paths need one cache entry.
    end = url.find("/", _SHORTEST)
    return _origin(url if end < 0 else url[:end])


@lru_cache(maxsize=1024)
def _origin(url: str) -> Origin:
    try:
        parts = urlsplit(url if url.isascii() else _in_ascii(url))
        host, port = parts.hostname, parts.port
    except ValueError:
        # The parsers' own words quote the URL, which may hold a password.
        raise InvalidURL("the URL is malformed before its path") from None
    if not parts.scheme or not host:
        raise InvalidURL("the URL has no scheme or no host")
    scheme, host = parts.scheme, _host(host)
    own = _DEFAULT_PORTS.get(scheme, 0)
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != own:
        shown = f"{shown}:{port}"
    return Origin(f"{scheme}://{shown}", scheme, host, own if port is None else port)


def _in_ascii(url: str) -> str:
    """The URL with an internationalised host spelled as ``requests`` sends it (IDNA)."""
    prepared = PreparedRequest()
    prepared.prepare_url(url, None)
    return prepared.url or ""


def _host(host: str) -> str:
    if ":" not in host:
        return host
    try:
        return ipaddress.IPv6Address(host).compressed
    except ValueError:
        return host


def declared_origins(
    given: str | Iterable[str] | None, where: str, *, allow_insecure: bool
) -> frozenset[str] | None:
    """The names of the origins that somebody declared; ``None`` stays ``None``.

    Raises:
        InvalidPolicy: naming ``where``, for anything that is not a plain origin, or is neither
            HTTPS nor loopback unless that is allowed (rule T9).
    """
    if given is None:
        return None
    texts = (given,) if isinstance(given, str) else tuple(given)
    if not texts:
        raise InvalidPolicy(f"{where} is empty, but must have at least one origin, or be none")
    names = set()
    for text in texts:
        parts, origin = _checked(text, where, allow_insecure=allow_insecure)
        if parts.path not in ("", "/") or parts.query:
            raise InvalidPolicy(
                f"{where} has a path or query behind {origin}, but must have origins alone,"
                " like 'https://api.example.com'"
            )
        names.add(origin.name)
    return frozenset(names)


def checked_url(url: str, where: str, *, allow_insecure: bool) -> Origin:
    """The origin of a URL to which secrets are going to be sent.

    Raises:
        InvalidPolicy: naming ``where``, when the URL is malformed, holds credentials or a
            fragment, or is neither HTTPS nor loopback unless that is allowed (rule T9).
    """
    return _checked(url, where, allow_insecure=allow_insecure)[1]


def _checked(url: str, where: str, *, allow_insecure: bool) -> tuple[SplitResult, Origin]:
    # The value is never shown: it may hold the very credentials that are complained about.
    if not isinstance(url, str):
        raise InvalidPolicy(f"{where} is a {type(url).__name__}, but must be a text")
    try:
        origin, parts = origin_of(url), urlsplit(url)
    except ValueError:
        raise InvalidPolicy(
            f"{where} is no URL with scheme and host, but must be one, like"
            " 'https://api.example.com'"
        ) from None
    if "@" in parts.netloc:
        raise InvalidPolicy(f"{where} has credentials in the URL, where they must not stand")
    if parts.fragment:
        raise InvalidPolicy(f"{where} has a fragment, but must be a URL without one")
    if origin.scheme not in _DEFAULT_PORTS:
        raise InvalidPolicy(f"{where} has the scheme {origin.scheme!r}, but must be an https URL")
    if origin.scheme != "https" and not origin.loopback and not allow_insecure:
        raise InvalidPolicy(
            f"{where} is {origin}, but must be https; only a loopback host may do without it,"
            " or any host with allow_insecure=True"
        )
    return parts, origin
