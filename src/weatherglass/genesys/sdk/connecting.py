"""How the SDK is configured to connect: proxy, certificates, SSL context; asked for each request.

The SDK's ``Configuration`` is one object for the whole process and can change at any time. What
it says also holds for the token that a call needs, since the SDK alone would fetch it that way.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from weatherglass.adapter import Adapter
from weatherglass.errors import InvalidPolicy


@dataclass(frozen=True, slots=True)
class Connecting:
    """What the SDK's configuration says; whatever is empty is the session's business."""

    # With the proxy's password, so in no repr.
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool | str | None = None
    cert: tuple[str, str] | None = None
    context: ssl.SSLContext | None = None

    @property
    def needs_transport(self) -> bool:
        """Whether more is to be done than ``requests`` can be told of one request."""
        return bool(self.proxies or self.cert or self.context or isinstance(self.verify, str))

    def arguments(self) -> dict[str, Any]:
        """What ``requests`` is told of the request."""
        told: dict[str, Any] = {}
        if self.proxies:
            told["proxies"] = dict(self.proxies)
        if self.verify is not None:
            told["verify"] = self.verify
        if self.cert is not None:
            told["cert"] = self.cert
        return told


def connecting(configuration: Any, session: requests.Session) -> Connecting:
    """The settings in force, by the SDK's own rules."""
    proxies = _proxies(configuration)
    if not configuration.verify_ssl:
        return Connecting(proxies, verify=False)
    # Where the session itself was given certificates, it is these that its owner wants. An SSL
    # context may also be one that the SDK made, when another of its clients was used first.
    if configuration.ssl_context and session.verify is True and session.cert is None:
        return Connecting(proxies, context=configuration.ssl_context)
    files = configuration.cert_file, configuration.key_file
    return Connecting(
        proxies,
        verify=configuration.ssl_ca_cert or None,
        cert=files if all(files) else None,
    )


def _proxies(configuration: Any) -> dict[str, str]:
    proxy = configuration.proxy
    if not proxy:
        return {}
    user, password = configuration.proxy_username, configuration.proxy_password
    if user and password:
        auth = f"{quote(user, safe='')}:{quote(password, safe='')}"
        proxy = parse_url(proxy)._replace(auth=auth).url
    return {"http": proxy, "https": proxy}


_current: ContextVar[Connecting | None] = ContextVar("weatherglass.genesys.sdk", default=None)


@contextmanager
def applied(settings: Connecting, session: requests.Session, url: str) -> Iterator[None]:
    """Let the attempts made inside connect by these settings.

    Raises:
        InvalidPolicy: for an SSL context, when an adapter of another kind is mounted.
    """
    adapter = session.get_adapter(url=url)
    if not isinstance(adapter, Adapter):
        if settings.context is not None:
            raise InvalidPolicy(
                "the SDK's ssl_context needs a weatherglass.Adapter, but a"
                f" {type(adapter).__name__} is mounted for the API; give it the context itself"
            )
        yield
        return
    # Something else in there is a tool's that replaces adapters, and reaches no network.
    if adapter.inner is None:
        adapter.inner = Transport(adapter)
    token = _current.set(settings)
    try:
        yield
    finally:
        _current.reset(token)


class Transport(HTTPAdapter):
    """Performs the attempts of an adapter, and those of its token endpoint, on its own pools."""

    def __init__(self, outer: Adapter) -> None:
        # Not HTTPAdapter's: there are no pools here.
        self._outer = outer

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        settings = _current.get()
        adapter: HTTPAdapter = self._outer
        if settings is not None:
            if settings.context is not None:
                adapter = _WithContext(self._outer, settings.context)
            elif isinstance(settings.verify, str) and verify in (True, _bundle_of_environment()):
                # What was said to a token source stays; what the SDK was told beats the system.
                verify = settings.verify
            cert = cert or settings.cert
            proxies = {**(proxies or {}), **settings.proxies}
        # Through the class, as whatever replaces its method sees every attempt (rule D3).
        response = HTTPAdapter.send(
            adapter,
            request,
            stream=stream,
            timeout=timeout,
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        response.connection = self._outer
        return response

    def close(self) -> None:
        """There is nothing to close: the pools are the adapter's."""


def _bundle_of_environment() -> str | None:
    """The authorities that ``requests`` takes from the environment."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")


class _WithContext(HTTPAdapter):
    """An adapter's twin that connects with an SSL context, in pools apart from the others'."""

    def __init__(self, outer: Adapter, context: ssl.SSLContext) -> None:
        self._outer = outer
        self._context = context

    def __getattr__(self, name: str) -> Any:
        # Pools and settings: a forked child's adapter gets new ones.
        return getattr(self._outer, name)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context, "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Whom to trust is the context's: nothing is added to the user's own object."""
