"""The fake server: a real HTTP server on loopback that fails as it is told to.

For tests of weatherglass, for its demo, and for tests of programs that use it. It guards
nothing and must not be reachable from elsewhere, so it listens on loopback only.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from datetime import datetime, timezone
from types import TracebackType

from weatherglass.policy.window import MaintenanceWindow
from weatherglass.runtime import SYSTEM, Runtime
from weatherglass.testing.bodies import error_answer
from weatherglass.testing.delivery import Delivery, ServerStopped
from weatherglass.testing.latches import Latches
from weatherglass.testing.ledger import Ledger
from weatherglass.testing.oauth import CLIENT_ID, CLIENT_SECRET, LIFETIME, Authority
from weatherglass.testing.pipeline import Pipeline
from weatherglass.testing.plan import TOKEN_PATH, FaultPlan
from weatherglass.testing.script import Script
from weatherglass.testing.sockets import HOST, DeadEnds, Listener
from weatherglass.testing.wire import BadRequest, Connection, render

_PLAIN_PLAN = FaultPlan()


class FakeServer:
    """A server for one test or one run; a context manager.

    ``with FakeServer(FaultPlan.script(answer(503), None)) as server: get(server.url + "/echo")``

    Args:
        plan: what goes wrong, and when.
        clock: gives the server its time and its waits; share it with the client under test so
            that both live in the same time.
        seed: of everything that is left to chance, and of ids.
        require_tokens: whether routes under ``/api/`` demand a valid bearer token, or the globs
            of the paths that do.
        clients: the secrets of the known clients; by default ``CLIENT_ID`` and its
            ``CLIENT_SECRET``.
        token_lifetime: seconds that an access token is good for.
        rotate_refresh_tokens: whether a refresh token is good for one grant only.
        tls: a server-side context, to speak HTTPS.
        port: where to listen; by default wherever there is room.
        keep: how many requests the ledger remembers; by default all.
    """

    def __init__(
        self,
        plan: FaultPlan = _PLAIN_PLAN,
        clock: Runtime = SYSTEM,
        seed: int = 0,
        *,
        require_tokens: bool | tuple[str, ...] = False,
        clients: Mapping[str, str] | None = None,
        token_lifetime: float = LIFETIME,
        rotate_refresh_tokens: bool = True,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        keep: int | None = None,
    ) -> None:
        self.clock = clock
        self.ledger = Ledger(keep=keep)
        """Every request and what became of it."""
        self._plan = plan
        self._seed = seed
        self._started = False
        self._latches = Latches()
        self._dead_ends = DeadEnds()
        self._authority = Authority(
            clock,
            clients={CLIENT_ID: CLIENT_SECRET} if clients is None else clients,
            lifetime=float(token_lifetime),
            rotate=rotate_refresh_tokens,
        )
        self._listener = Listener(self._serve, name="weatherglass-server", port=port, tls=tls)
        self._scheme = "http" if tls is None else "https"
        self._pipeline = Pipeline(
            clock,
            ledger=self.ledger,
            authority=self._authority,
            delivery=Delivery(clock, self._latches, self._listener.stopping),
            script=Script(plan, seed),
            seed=seed,
            guarded=_guarded(require_tokens),
            started_at=clock.time(),
        )

    def start(self) -> FakeServer:
        """Listen. A plan's times count from here."""
        if not self._started:
            self._started = True
            self._pipeline.started_at = self.clock.time()
        self._listener.start()
        return self

    def stop(self) -> None:
        """End at once, hung and held requests included; no thread or socket is left."""
        # Before the latches let anybody go: those released must see that it is the end.
        self._listener.stopping.set()
        self._latches.stop()
        self._listener.stop()
        self._dead_ends.close()

    def __enter__(self) -> FakeServer:  # noqa: PYI034 - Self needs Python 3.11
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def plan(self) -> FaultPlan:
        """What goes wrong; may be set at any time, and begins to count anew when it is."""
        return self._plan

    @plan.setter
    def plan(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._pipeline.script = Script(plan, self._seed)

    @property
    def port(self) -> int:
        """Where the server listens."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The origin: scheme, host and port, without a slash at the end."""
        return f"{self._scheme}://{HOST}:{self.port}"

    @property
    def other_url(self) -> str:
        """The same server under another host name, which makes it another origin to a client."""
        return f"{self._scheme}://localhost:{self.port}"

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return self.url + TOKEN_PATH

    @property
    def started_at(self) -> float:
        """Seconds since the epoch, on the server's clock: what a plan's times count from."""
        return self._pipeline.started_at

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._listener.accepted

    def maintenance_windows(self) -> tuple[MaintenanceWindow, ...]:
        """The plan's maintenance windows as a client's policy takes them."""
        return tuple(
            MaintenanceWindow(
                name=window.name,
                start=self._moment(window.start),
                end=self._moment(window.end),
                hosts=(HOST,),
            )
            for window in self._plan.maintenance
        )

    def _moment(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.started_at + seconds, tz=timezone.utc)

    def issue_token(
        self, client_id: str = CLIENT_ID, *, of_user: bool = False, lifetime: float | None = None
    ) -> str:
        """A valid access token, without the token endpoint."""
        return self._authority.issue(client_id, of_user=of_user, lifetime=lifetime)

    def issue_refresh_token(self, client_id: str = CLIENT_ID) -> str:
        """A valid refresh token."""
        return self._authority.issue_refresh_token(client_id)

    def revoke_tokens(self) -> None:
        """Make all access tokens issued so far invalid: 401 ``bad.credentials``."""
        self._authority.revoke()

    def expire_tokens(self) -> None:
        """Let all access tokens issued so far expire now: 401 ``bad.credentials``."""
        self._authority.expire()

    def revoke_refresh_tokens(self) -> None:
        """Make all refresh tokens issued so far invalid: 400 ``invalid_grant``."""
        self._authority.revoke_refresh_tokens()

    def release(self, latch: str) -> None:
        """Let the requests held on this latch go, and hold no more on it."""
        self._latches.release(latch)

    def close_latch(self, latch: str) -> None:
        """Make a released latch hold again."""
        self._latches.close(latch)

    def wait_held(self, latch: str, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until this many requests are held on the latch.

        Raises:
            TimeoutError: when there are still fewer after ``timeout`` seconds.
        """
        self._latches.wait_held(latch, count, timeout)

    def refuse(self) -> None:
        """Go down: cut all connections and refuse new ones, until :meth:`resume` is called."""
        self._listener.refuse()

    def resume(self) -> None:
        """Be there again after :meth:`refuse`."""
        self._listener.start()

    def refused_url(self) -> str:
        """The origin of another port, which refuses connections."""
        return f"{self._scheme}://{HOST}:{self._dead_ends.refused()}"

    def stalled_url(self, scheme: str = "https") -> str:
        """The origin of a port that accepts connections and never says a word (TLS stall)."""
        return f"{scheme}://{HOST}:{self._dead_ends.stalled()}"

    def unanswered_url(self) -> str:
        """The origin of a port to which connecting times out (on Linux)."""
        return f"{self._scheme}://{HOST}:{self._dead_ends.unanswered()}"

    def _serve(self, connection: Connection) -> None:
        with contextlib.suppress(ServerStopped):
            while not connection.aborted:
                try:
                    request = connection.read_request()
                except BadRequest as bad:
                    answer = error_answer(400, message=str(bad))
                    connection.send(render(answer, keep_alive=False))
                    return
                if request is None or not self._pipeline.handle(connection, request):
                    return


def _guarded(require_tokens: bool | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(require_tokens, bool):
        return ("/api/*",) if require_tokens else ()
    return tuple(require_tokens)
