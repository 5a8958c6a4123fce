"""A short story in which everything happens that a recorder can tell of.

For those who ask what becomes of the story when one thing is left out. Every kind of fault, each
in all its forms, is in ``catalogue``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from theatre import Theatre

import weatherglass
from weatherglass.testing import TOKEN_PATH, FaultPlan, IdempotencyMode, Maintenance, faults

QUEUES = "/api/v2/routing/queues"


def play(theatre: Theatre) -> None:
    """All acts."""
    for act in ACTS:
        act(theatre)


def good_weather(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.script(faults.answer(200), method="PURGE")
    session = stage.session()
    stage.get(session, "/status/200", url_template="/status/{code}")
    stage.get(session, "/status/204")
    stage.play(session, "PURGE", "/echo")


def retries(theatre: Theatre) -> None:
    stage = theatre.stage()
    session = stage.session(raise_failures=True, retry={"max_retries": 2})
    stage.script(
        faults.answer(503, retry_after=2),
        faults.answer(429, code="too.many.requests", retry_after="unparseable"),
        None,
        *[faults.answer(502)] * 3,
        faults.answer(404),
    )
    for _ in range(3):
        stage.get(session)


def network(theatre: Theatre) -> None:
    stage = theatre.stage()
    session = stage.session(retry={"max_retries": 1})
    stage.script(faults.reset(), None)
    stage.get(session)
    stage.get(session, stage.server.refused_url() + "/")


def redirects(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.get(stage.session(), f"/redirect?to={stage.server.other_url}/echo")


def breaker(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.script(*[faults.answer(503)] * 2)
    session = stage.session(breaker={"consecutive_failures": 2}, retry={"max_retries": 0})
    for _ in range(3):
        stage.get(session)
    theatre.clock.advance(70)
    stage.get(session)


def windows(theatre: Theatre) -> None:
    plan = FaultPlan(
        maintenance=[
            Maintenance(name="spring cleaning", start=100, end=700),
            Maintenance(name="summer cleaning", start=1000, end=1100),
        ]
    )
    stage = theatre.stage(plan)
    session = stage.session(maintenance={"windows": stage.server.maintenance_windows()})
    for passed in (0, 150, 1, 600):
        theatre.clock.advance(passed)
        stage.get(session)
    # The second window is in force when all is exported.
    theatre.clock.advance(300)
    stage.get(session)


def tokens(theatre: Theatre) -> None:
    stage = theatre.stage(require_tokens=True)
    session = stage.session(token_source=stage.client_credentials())
    stage.script(faults.answer(503), path=TOKEN_PATH)
    stage.get(session, QUEUES)
    stage.server.revoke_tokens()
    stage.get(session, QUEUES)
    stage.server.revoke_tokens()
    stage.script(*[faults.answer(503)] * 3, path=TOKEN_PATH)
    stage.get(session, QUEUES)


def waiters(theatre: Theatre) -> None:
    """Two threads, of which one waits for the other's token."""
    stage = theatre.stage(require_tokens=True)
    stage.script(faults.hold("token"), path=TOKEN_PATH)
    session = stage.session(token_source=stage.client_credentials())
    theatre.clock.asked.clear()

    def conduct() -> None:
        assert theatre.clock.asked.wait(30)
        stage.server.release("token")

    conductor = threading.Thread(target=conduct)
    conductor.start()
    theatre.clock.run_together([lambda: stage.get(session, QUEUES)] * 2)
    conductor.join(30)


def keys(theatre: Theatre) -> None:
    stage = theatre.stage(FaultPlan.script(faults.lose(), idempotency=IdempotencyMode.STRIPE))
    session = stage.session(idempotency={"key": "deterministic", "honours_keys": True})
    stage.play(session, "POST", QUEUES, json={"name": "one"})
    stage.play(session, "POST", "/echo", data=b"x")


def escalation(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.script(*[faults.answer(429, retry_after=1)] * 3, faults.answer(403))
    stage.get(stage.session())


def callbacks(theatre: Theatre) -> None:
    def broken(_: object) -> None:
        raise LookupError("of the application")

    stage = theatre.stage()
    stage.script(faults.answer(503))
    stage.get(stage.session(callbacks={"on_failure": broken}))


def observing(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.script(faults.answer(503, retry_after=2))
    session = stage.session(mode="observe")
    stage.get(session)


def feeds(theatre: Theatre) -> None:
    """A status page that cannot be read, and then announces a window."""
    window = Maintenance(name="announced", start=100, end=700)
    stage = theatre.stage()
    page = weatherglass.StatusFeed(url=stage.url, name="page", hosts=("127.0.0.1",), ttl=86_400)
    session = stage.session(maintenance={"feeds": (page,)})
    stage.script(faults.answer(404), path="/api/v2/scheduled-maintenances/*")
    stage.read_feeds(session)
    stage.server.plan = FaultPlan(maintenance=[window])
    stage.read_feeds(session)
    for passed in (0, 150):
        theatre.clock.advance(passed)
        stage.get(session)
    # What is closed reads no more, however late it is when all is exported.
    session.close()


ACTS: tuple[Callable[[Theatre], None], ...] = (
    good_weather,
    retries,
    network,
    redirects,
    breaker,
    windows,
    tokens,
    waiters,
    keys,
    escalation,
    callbacks,
    observing,
    feeds,
)
