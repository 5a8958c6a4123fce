"""Connection pools in a forked child: urllib3's own locks do not stop it (rule D13)."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from scenes import PATIENCE, in_child

from weatherglass import Session
from weatherglass.testing import FakeServer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # Python 3.12 and later warn of forks in programs with threads, which these are about.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def locks_of_pools(session: Session) -> list[Any]:
    pools: Any = session.adapter.poolmanager.pools
    found = [pools.get(key).pool.mutex for key in pools.keys()]  # noqa: SIM118 - not iterable
    return [*found, pools.lock]


@contextmanager
def pools_locked(session: Session) -> Iterator[None]:
    """Another thread is taking a connection out of each pool, and has not let go of its lock."""
    # Their locks alone: a pool that is still referred to would not be collected in the child.
    locks = locks_of_pools(session)
    assert len(locks) > 1
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            held.set()
            release.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    try:
        yield
    finally:
        release.set()
        thread.join()


def test_lock_of_a_pool_does_not_stop_the_child(server: FakeServer, session: Session) -> None:
    """D13: a child lets go of inherited pools though a thread of its parent holds their locks."""
    session.get(f"{server.url}/echo")

    def child() -> int:
        status = session.get(f"{server.url}/echo").status_code
        gc.collect()
        session.close()
        return status

    with pools_locked(session):
        assert in_child(child) == 200
    assert session.get(f"{server.url}/echo").status_code == 200
