"""The adapter: weatherglass as a ``requests`` transport, mountable on any session (rule D2).

It holds the policy, the token source and the state that its calls share, and gives each send to
the attempt loop. Each attempt goes through ``HTTPAdapter.send``, so that whatever wraps or
replaces that sees every one of them (rule D3).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from requests import PreparedRequest, Request, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidURL
from urllib3 import PoolManager
from urllib3.util import Retry

from weatherglass.call import Call, current_call, run_call
from weatherglass.callbacks import Callbacks
from weatherglass.conclusion import breaker_refusal, refuse
from weatherglass.decide.breaker import Refusal as BreakerRefusal
from weatherglass.decide.breaker import Transition
from weatherglass.decide.breakers import Breakers
from weatherglass.errors import InvalidPolicy
from weatherglass.exchange import Transfer
from weatherglass.feed_endpoint import FEED_POLICY, feeds_of, has_feeds
from weatherglass.feeds import FeedReading, Feeds
from weatherglass.layers import retries_by_itself, second_retries
from weatherglass.live import LiveState
from weatherglass.loop import AttemptLoop
from weatherglass.origins import origin_of
from weatherglass.policy import Policy
from weatherglass.policy.knobs import shown
from weatherglass.report import CallReport
from weatherglass.runtime import SYSTEM, Runtime
from weatherglass.telemetry.recorder import Recorder
from weatherglass.token_endpoint import RefreshWatch, TokenTransport, endpoint_policy
from weatherglass.tokens import TokenManager, TokenSource
from weatherglass.vocabulary import BreakerState

_adapters: weakref.WeakSet[Adapter] = weakref.WeakSet()


class Adapter(HTTPAdapter):
    """A ``requests`` adapter that retries, waits, authenticates and refuses by a policy.

    ``plain_session.mount("https://", weatherglass.Adapter())``

    Args:
        policy: what it goes by; the defaults are sensible.
        tokens: where the bearer token for the API comes from, if weatherglass is to send one.
        callbacks: functions that are told what happens (rule R6).
        runtime: clock, sleep and random, for tests and simulations.
        recorder: where telemetry goes; by default to OpenTelemetry's global providers.
        inner: an adapter that performs each attempt instead of ``HTTPAdapter.send``; for tools
            that replace adapters altogether.
        pool_connections, pool_maxsize, pool_block: as for ``requests.adapters.HTTPAdapter``.

    Raises:
        InvalidPolicy: for ``max_retries``, which would multiply ours (rule D4).
    """

    __attrs__ = [*HTTPAdapter.__attrs__, "policy", "token_source", "callbacks", "bound_origins"]

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        tokens: TokenSource | None = None,
        callbacks: Callbacks | None = None,
        runtime: Runtime = SYSTEM,
        recorder: Recorder | None = None,
        inner: HTTPAdapter | None = None,
        pool_connections: int = 10,
        pool_maxsize: int = 10,
        pool_block: bool = False,
        max_retries: Any = None,
    ) -> None:
        if max_retries is not None:
            raise second_retries(max_retries)
        self.policy = checked_policy(policy)
        self.token_source = _checked_tokens(tokens)
        self.bound_origins: frozenset[str] = frozenset()
        """Origins of the prefixes that a token source without origins is mounted on (T11)."""
        self.callbacks = _checked(callbacks, Callbacks, "callbacks") or Callbacks()
        super().__init__(
            pool_connections=pool_connections,
            pool_maxsize=pool_maxsize,
            max_retries=Retry(0, read=False, respect_retry_after_header=False),
            pool_block=pool_block,
        )
        self._come_alive(runtime, recorder, inner)

    def _come_alive(
        self, runtime: Runtime, recorder: Recorder | None, inner: HTTPAdapter | None
    ) -> None:
        """Everything that neither pickles nor forks."""
        self.runtime = runtime
        self.recorder = recorder if recorder is not None else Recorder(runtime=runtime)
        self.inner = inner
        self.token_transport: TokenTransport | None = None
        self.live = LiveState(self)
        _adapters.add(self)
        self.recorder.register(self)

    def __setattr__(self, name: str, value: Any) -> None:
        # Where applications are used to set it on an adapter that is mounted already.
        if name == "max_retries" and retries_by_itself(value):
            raise second_retries(value)
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]  # missing in the stubs
        self._come_alive(SYSTEM, None, None)

    def make_token_manager(self) -> TokenManager | None:
        """The manager of the token source's token, reaching its endpoint through a copy of us."""
        if self.token_source is None:
            return None
        endpoint = Adapter(
            policy=endpoint_policy(self.policy.tokens),
            runtime=self.runtime,
            recorder=self.recorder,
        )
        self.token_transport = TokenTransport(endpoint, self)
        return TokenManager(
            self.token_source,
            self.policy.tokens,
            transport=self.token_transport,
            observer=RefreshWatch(self),
            runtime=self.runtime,
            bound_to=lambda origin: origin in self.bound_origins,
        )

    def make_feeds(self, live: LiveState) -> Feeds | None:
        """What reads the policy's status feeds and file of windows, through a copy of us."""
        if not has_feeds(self.policy.maintenance):
            return None
        # Its runtime is the machine's: a virtual clock must not be waited on by a thread that
        # nobody waits for.
        recorder = self.recorder.without_metrics(SYSTEM)
        return feeds_of(self, live, Adapter(policy=FEED_POLICY, recorder=recorder))

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send a request and see it through the weather; see ``HTTPAdapter.send``.

        Raises:
            requests.exceptions.RequestException: as ``requests`` would after the last attempt,
                or one of :mod:`weatherglass.errors` where nothing could be sent.
        """
        if self.token_source is not None and not (self.token_source.origins or self.bound_origins):
            raise InvalidPolicy(
                "tokens.origins is missing, but must name the origins that may receive the token,"
                ' such as ["https://api.example.com"]: an adapter cannot see what it is mounted on'
            )
        transfer = Transfer(stream, timeout, verify, cert, proxies)
        call = current_call()
        if call is not None and call.joins(self):
            return AttemptLoop(self, call, request, transfer).run()
        return run_call(
            self,
            request,
            lambda call: AttemptLoop(self, call, request, transfer).run(),
            by_session=False,
        )

    def refusal(self, method: str, url: str) -> BreakerRefusal | None:
        """The breaker's refusal that a call would meet now, found before it is prepared (B6).

        ``None`` where the call must be made to know: the breaker may admit it, the policy
        waits for the end of a window, or nothing is refused in observe mode.
        """
        if self.policy.observing or self.policy.maintenance.mode == "wait":
            return None
        try:
            target = self.live.target_of(origin_of(url), method)
        except InvalidURL:
            return None
        answer = self.live.breakers.refusal(target.breaker)
        if answer is None:
            return None
        if self.live.feeds is not None:
            self.live.feeds.nudge()
        return self.live.laid_to_window(answer, target.host)

    def refuse(self, request: Request, answer: BreakerRefusal) -> Response:
        """A whole call that ends with the breaker's refusal, without preparing a request.

        Raises:
            CircuitOpen: always; inside a window, its subclass ``MaintenanceInProgress``.
        """

        def end(call: Call) -> Response:
            self.recorder.breaker_refused(answer.name)
            call.maintenance = answer.maintenance
            return refuse(call, request, breaker_refusal(answer))

        return run_call(self, request, end, by_session=True)

    def send_once(
        self,
        wire: PreparedRequest,
        stream: bool,
        timeout: Any,
        verify: Any,
        cert: Any,
        proxies: Any,
    ) -> Response:
        """One attempt, through ``HTTPAdapter.send`` or what stands in for it."""
        send = super().send if self.inner is None else self.inner.send
        return send(wire, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)

    def close(self) -> None:
        """Wake sleeping calls, which give up as ``closed``, and close all connections (D14)."""
        self.live.interrupt()
        if self.token_transport is not None:
            self.token_transport.close()
        # HTTPAdapter only drops its pools, whose connections stay open for as long as anybody
        # keeps an exception that came from one.
        managers: list[Any] = [self.poolmanager, *self.proxy_manager.values()]
        # Managers of another kind, a subclass's own, are left to it.
        ours = [manager.pools for manager in managers if isinstance(manager, PoolManager)]
        # Not a dict: these pools cannot be iterated over.
        found = [pools.get(key) for pools in ours for key in pools.keys()]  # noqa: SIM118
        super().close()
        for pool in found:
            if pool is not None:
                pool.close()

    @property
    def breakers(self) -> Breakers:
        """The circuit breakers: to read, force open, close or disable (rule B8).

        A breaker's name is the origin (``https://api.example.com``), or what the policy's
        ``breaker_key`` makes of it. A forked child begins with breakers of its own.
        """
        return self.live.breakers

    def bind(self, prefix: str) -> None:
        """Bind a token source that names no origins to the origin of a mount prefix (T11)."""
        if self.token_source is None or self.token_source.origins is not None:
            return
        if prefix.partition("://")[2].strip("/"):
            self.bound_origins |= {origin_of(prefix).name}
            self.live.forget_targets()

    def replace_tokens(self, tokens: TokenSource) -> None:
        """Go on with new credentials, after ``ReauthenticationRequired`` (rule T7)."""
        if tokens.origins is None and self.token_source is not None:
            # It takes over those of the source in whose place it comes.
            self.bound_origins |= self.token_source.origins or frozenset()
        self.token_source = tokens
        if self.live.tokens is None:
            self.live.tokens = self.make_token_manager()
        else:
            self.live.tokens.replace_credentials(tokens)
        self.live.forget_targets()

    def notify(self, name: str, subject: Any) -> None:
        """Tell the application's callback, which cannot change a call's result (rule R6)."""
        callback = getattr(self.callbacks, name)
        if callback is None:
            return
        try:
            with self.recorder.user_code(self.recorder.ambient()):
                callback(subject)
        except Exception as error:  # noqa: BLE001 - a callback never changes a call's result
            self.recorder.callback_failed(name, error)

    def notify_end(self, report: CallReport) -> None:
        """Tell the callbacks for ended calls."""
        if report.give_up_reason is not None:
            self.notify("on_give_up", report)
        self.notify("on_call", report)

    def notify_transition(self, transition: Transition) -> None:
        """Emit a breaker's transition and tell the callback."""
        self.recorder.breaker_moved(transition)
        self.notify("on_transition", transition)

    # What telemetry asks for at each export (see weatherglass.telemetry.observables.Source).

    def breaker_states(self) -> Mapping[str, BreakerState]:
        """States by the breaker's name; none where the policy has no breakers."""
        return self.live.breakers.states() if self.policy.breaker.enabled else {}

    def token_ttls(self) -> Mapping[str, float]:
        """Seconds until the token expires, by its source's name."""
        tokens = self.live.tokens
        left = None if tokens is None else tokens.ttl()
        return {} if tokens is None or left is None else {tokens.name: left}

    def budget_levels(self) -> Iterable[tuple[str, str, float]]:
        """Host, ``retry`` or ``network``, and tokens left."""
        for name, budget in (
            ("retry", self.live.retry_budget),
            ("network", self.live.network_budget),
        ):
            lowest: dict[str, float] = {}
            for origin, level in budget.levels().items():
                host = origin_of(origin).host
                lowest[host] = min(level, lowest.get(host, level))
            for host, level in lowest.items():
                yield host, name, level

    def ratelimit_remaining(self) -> Iterable[tuple[str, str, float]]:
        """Host, the credential's name, and requests left."""
        for (host, credential), left in list(self.live.headroom.items()):
            yield host, credential, left

    def maintenance_windows(self) -> Iterable[tuple[str, str, float, float]]:
        """Window, host, and seconds to the window's start and its end, negative when past."""
        return self.live.maintenance_windows()

    def feed_ages(self) -> Mapping[str, float]:
        """Seconds since the last good reading by feed; since the first try while there was none.

        Has read what is due, in the background.
        """
        return {} if self.live.feeds is None else self.live.feeds.ages()

    def read_feeds(self) -> Mapping[str, FeedReading]:
        """Read all status feeds, and the file of windows, now and in this thread.

        For batch jobs that want to know all windows before their first call. What cannot be read
        raises nothing: see :attr:`FeedReading.error`. It waits for a reading that is under way,
        and takes at most the feeds' timeouts, one after the other.
        """
        return {} if self.live.feeds is None else self.live.feeds.read()

    def reset_after_fork(self) -> None:
        """In a forked child: drop inherited sockets, locks and refreshes in flight (rule D13)."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            _unlock_pools(manager)
        # What HTTPAdapter itself does when it is unpickled.
        super().__setstate__(self.__getstate__())  # type: ignore[misc,attr-defined]  # missing in the stubs
        self.live.reset_after_fork()
        self.live = LiveState(self)


_Part = TypeVar("_Part")


def _checked(given: _Part | None, wanted: type[_Part], what: str) -> _Part | None:
    if given is not None and not isinstance(given, wanted):
        raise InvalidPolicy(
            f"{what} is a {type(given).__name__}, but must be a weatherglass.{wanted.__name__}"
        )
    return given


def checked_policy(policy: Policy | None) -> Policy:
    """The policy, or the default one.

    Raises:
        InvalidPolicy: when it is something else.
    """
    hint = "; the policy of a LoadedPolicy is its .policy" if hasattr(policy, "origins") else ""
    if policy is not None and not isinstance(policy, Policy):
        raise InvalidPolicy(f"policy is {shown(policy)}, but must be a weatherglass.Policy{hint}")
    return policy or Policy()


def _checked_tokens(tokens: TokenSource | None) -> TokenSource | None:
    if tokens is None or (hasattr(tokens, "fetch") and hasattr(tokens, "origins")):
        return tokens
    # The value is not shown: it may be a token.
    raise InvalidPolicy(
        f"tokens is a {type(tokens).__name__}, but must be a token source, such as"
        " weatherglass.ClientCredentials(...) or, for a function,"
        " weatherglass.CallableTokens(function, origins=[...])"
    )


def _unlock_pools(manager: Any) -> None:
    """Give a child's inherited pools locks that nobody holds.

    urllib3 takes them when it collects a pool, and a thread of the parent that held one at the
    fork is not there to let go of it.
    """
    manager.pools.lock = threading.RLock()
    for key in manager.pools.keys():  # noqa: SIM118 - not a dict, and not iterable
        idle = getattr(manager.pools.get(key), "pool", None)
        if idle is not None:
            idle.mutex = threading.Lock()
            idle.not_empty = threading.Condition(idle.mutex)
            idle.not_full = threading.Condition(idle.mutex)
            idle.all_tasks_done = threading.Condition(idle.mutex)


def _reset_all_after_fork() -> None:
    for adapter in list(_adapters):
        adapter.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_after_fork)
