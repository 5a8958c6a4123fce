"""The session: what only a session can do for a call.

One call around all hops of a redirect, per-call options, default timeouts, and environment
settings that are not scanned when there is nothing in them. All else is the adapter's.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import copy
from typing import TYPE_CHECKING, Any

import requests
from requests import PreparedRequest, Request, Response
from requests.sessions import merge_setting as _untyped_merge
from requests.utils import get_auth_from_url

from weatherglass.adapter import Adapter
from weatherglass.call import Call, current_call, run_call
from weatherglass.callbacks import Callbacks
from weatherglass.decide.breaker import Refusal as BreakerRefusal
from weatherglass.decide.breakers import Breakers
from weatherglass.errors import InvalidPolicy
from weatherglass.layers import warn_of_mounted_retry
from weatherglass.options import OPTION_NAMES, current_options, options
from weatherglass.origins import origin_of
from weatherglass.policy import Policy
from weatherglass.runtime import SYSTEM, Runtime
from weatherglass.telemetry.recorder import Recorder
from weatherglass.tokens import TokenManager, TokenSource

_UNSET: Any = object()

_AS_IT_IS = nullcontext()


class _OwnDefault(tuple[float | None, float | None]):
    """The session's own default timeout, which gives way to that of another adapter's policy."""

    __slots__ = ()


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()

_merged: Callable[[Any, Any], Any] = _untyped_merge

_scans_cheaply = os.supports_bytes_environ and sys.platform not in ("darwin", "win32")


class Session(requests.Session):
    """A ``requests.Session`` that gets its calls through bad weather (rule D1).

    Everything that ``requests.Session`` has works as it does there. Beside its own arguments,
    ``request`` and the verbs take those of :class:`~weatherglass.CallOptions`, such as
    ``deadline=`` and ``raise_failures=``.

    Args:
        policy: what it goes by; the defaults are sensible.
        tokens: where the bearer token comes from; it is sent to the origins it names, no other.
        callbacks: functions that are told what happens (rule R6).
        runtime: clock, sleep and random, for tests and simulations.
        recorder: where telemetry goes; by default to OpenTelemetry's global providers.

    Raises:
        InvalidPolicy: when a setting makes no sense.
    """

    __attrs__ = [*requests.Session.__attrs__, "adapter"]

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        tokens: TokenSource | None = None,
        callbacks: Callbacks | None = None,
        runtime: Runtime = SYSTEM,
        recorder: Recorder | None = None,
        pool_connections: int = 10,
        pool_maxsize: int = 10,
        pool_block: bool = False,
    ) -> None:
        if tokens is not None and not getattr(tokens, "origins", "unknown"):
            raise InvalidPolicy(
                "tokens.origins is empty, but must name the origins that may receive the token,"
                ' such as ["https://api.example.com"]'
            )
        super().__init__()
        self.adapter = Adapter(
            policy=policy,
            tokens=tokens,
            callbacks=callbacks,
            runtime=runtime,
            recorder=recorder,
            pool_connections=pool_connections,
            pool_maxsize=pool_maxsize,
            pool_block=pool_block,
        )
        self.mount("https://", self.adapter)
        self.mount("http://", self.adapter)
        _sessions.add(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]  # missing in the stubs
        _sessions.add(self)

    def __getstate__(self) -> dict[str, Any]:
        # A subclass's own __attrs__ may be made of those that requests has.
        state: dict[str, Any] = super().__getstate__()  # type: ignore[misc]  # missing in the stubs
        return {**state, "adapter": self.adapter}

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.adapter.policy

    @property
    def breakers(self) -> Breakers:
        """The circuit breakers; see :attr:`weatherglass.Adapter.breakers` (rule B8)."""
        return self.adapter.breakers

    def close(self) -> None:
        """Close every adapter once, and with them the session; sleeping calls give up (D14)."""
        # Ours is mounted on two prefixes, or more.
        for adapter in {id(adapter): adapter for adapter in self.adapters.values()}.values():
            adapter.close()

    def mount(self, prefix: Any, adapter: Any) -> None:
        """Register an adapter for a prefix; see ``requests.Session.mount``."""
        super().mount(prefix, adapter)
        if isinstance(adapter, Adapter):
            adapter.bind(str(prefix))
        elif "adapter" in self.__dict__:
            warn_of_mounted_retry(self, self.adapter)

    def request(
        self,
        method: str | bytes,
        url: str | bytes,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        cookies: Any = None,
        files: Any = None,
        auth: Any = None,
        timeout: Any = _UNSET,
        allow_redirects: bool = True,
        proxies: Any = None,
        hooks: Any = None,
        stream: bool | None = None,
        verify: Any = None,
        cert: Any = None,
        json: Any = None,
        **overrides: Any,
    ) -> Response:
        """Send a request; see ``requests.Session.request`` and :class:`~weatherglass.CallOptions`.

        ``timeout`` is that of each attempt, in seconds; when it is not given, the policy's
        holds, and ``None`` means none (rule D8).
        """
        if auth is not None:
            overrides["own_auth"] = True
        with options(**overrides) if overrides else _AS_IT_IS:
            refused = self._refused(method, url)
            if refused is not None:
                adapter, answer = refused
                asked = Request(
                    str(method).upper(), url, headers, files, data, params, auth, cookies
                )
                return adapter.refuse(asked, answer)
            if timeout is _UNSET:
                timeout = self._default_timeout()
            return super().request(
                method, url, params, data, headers, cookies, files, auth, timeout,
                allow_redirects, proxies, hooks, stream, verify, cert, json,
            )  # fmt: skip

    if TYPE_CHECKING:
        # The verbs are those of requests; type checkers must know that they take more here.
        def get(self, url: Any, params: Any = None, **kwargs: Any) -> Response: ...
        def options(self, url: Any, **kwargs: Any) -> Response: ...
        def head(self, url: Any, **kwargs: Any) -> Response: ...
        def post(self, url: Any, data: Any = None, json: Any = None, **kwargs: Any) -> Response: ...
        def put(self, url: Any, data: Any = None, **kwargs: Any) -> Response: ...
        def patch(self, url: Any, data: Any = None, **kwargs: Any) -> Response: ...
        def delete(self, url: Any, **kwargs: Any) -> Response: ...

    def _refused(
        self, method: str | bytes, url: str | bytes
    ) -> tuple[Adapter, BreakerRefusal] | None:
        """Whether an open breaker refuses the call, and which: found before it is prepared (B6).

        To prepare a request costs more than all that is left to do for a refused one.
        """
        if not self.adapter.live.breakers.any_shut or current_options().policy is not None:
            return None
        if not isinstance(url, str) or not isinstance(method, str):
            return None
        if type(self).prepare_request is not Session.prepare_request:
            return None  # a subclass may send it somewhere else
        try:
            adapter = self.get_adapter(url=url)
        except requests.exceptions.InvalidSchema:
            # Preparing may yet make something of it; else requests says what is wrong.
            return None
        if not isinstance(adapter, Adapter):
            return None
        answer = adapter.refusal(method.upper(), url)
        return None if answer is None else (adapter, answer)

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Send a prepared request; see ``requests.Session.send`` and ``request``."""
        if not kwargs.keys().isdisjoint(OPTION_NAMES):
            overrides = {name: kwargs.pop(name) for name in OPTION_NAMES & kwargs.keys()}
            with options(**overrides):
                return self.send(request, **kwargs)
        if "timeout" not in kwargs:
            kwargs["timeout"] = self._default_timeout()
        call = current_call()
        if call is not None and call.redirecting:
            return super().send(request, **kwargs)
        # By keyword, as requests calls it: there are overrides that take nothing else.
        prepared = isinstance(request, PreparedRequest)
        adapter = self.get_adapter(url=request.url or "") if prepared else None
        if not isinstance(adapter, Adapter):
            return super().send(request, **kwargs)
        if adapter is not self.adapter and isinstance(kwargs["timeout"], _OwnDefault):
            kwargs["timeout"] = _timeouts_of(adapter.policy)
        send = super().send
        return run_call(
            adapter,
            request,
            lambda _: send(request, **kwargs),
            by_session=True,
            own_auth=self.auth is not None,
        )

    def _default_timeout(self) -> tuple[float | None, float | None]:
        chosen = current_options().policy
        if chosen is not None:
            return _timeouts_of(chosen)
        return _OwnDefault(_timeouts_of(self.adapter.policy))

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Follow redirects as hops of the call that is under way (rule D15)."""
        hops = super().resolve_redirects(*args, **kwargs)
        call = current_call()
        return hops if call is None else _as_hops(call, hops)

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Prepare a request; where our token goes, ``.netrc`` has no say (rule T11)."""
        tokens = self.adapter.live.tokens
        if tokens is not None and self.trust_env and not request.auth and not self.auth:
            url = request.url
            # Credentials in the URL are the caller's own, and stay.
            if isinstance(url, str) and _serves(tokens, url) and not any(get_auth_from_url(url)):
                request = copy(request)
                request.auth = _leave_as_it_is
        return super().prepare_request(request)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Take the authentication along to a redirect's target, or not; likewise (rule T11)."""
        tokens, target = self.adapter.live.tokens, prepared_request.url or ""
        if tokens is None or not _serves(tokens, target):
            super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]  # in the stubs
        elif self.should_strip_auth(response.request.url or "", target):  # type: ignore[no-untyped-call]  # likewise
            prepared_request.headers.pop("Authorization", None)

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Merge settings with the environment's; see ``requests``.

        ``requests`` looks through the whole environment for proxies several times per call.
        Where it holds none at all, the result is the same without.
        """
        if proxies or not self.trust_env or not _scans_cheaply or _environment_has_proxies():
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        if verify is True or verify is None:
            bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
            verify = bundle or verify
        return {
            "proxies": _merged(proxies, self.proxies) if self.proxies else OrderedDict(),
            "stream": self.stream if stream is None else stream,
            "verify": self.verify if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }


def _environment_has_proxies() -> bool:
    """Whether any variable is a proxy setting by ``urllib.request.getproxies``'s rule."""
    # Names as the system gave them, in one piece: to decode and look at each costs more than
    # all the rest of our work on a call.
    raw = getattr(os.environ, "_data", None)
    # Something else in the place of os.environ is left to requests.
    return not isinstance(raw, dict) or b"_proxy" in b"\0".join(raw).lower()


def _serves(tokens: TokenManager, url: str) -> bool:
    try:
        return tokens.serves(origin_of(url).name)
    except requests.exceptions.InvalidURL:
        return False


def _timeouts_of(policy: Policy) -> tuple[float | None, float | None]:
    return (policy.timeout.connect, policy.timeout.read)


def _leave_as_it_is(request: PreparedRequest) -> PreparedRequest:
    """An authentication that adds nothing."""
    return request


def _as_hops(call: Call, hops: Iterator[Any]) -> Iterator[Any]:
    """Mark the call while ``requests`` sends the next hop, and only then."""
    while True:
        call.redirecting = True
        try:
            hop = next(hops)
        except StopIteration:
            return
        finally:
            call.redirecting = False
        yield hop


def _renew_cookie_locks() -> None:
    """In a forked child: a thread that is not here may hold the lock of a cookie jar (D13)."""
    for session in list(_sessions):
        if hasattr(session.cookies, "_cookies_lock"):
            session.cookies._cookies_lock = threading.RLock()  # noqa: SLF001 - no other way


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_cookie_locks)
