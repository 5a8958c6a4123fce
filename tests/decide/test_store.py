"""The store that keeps states in memory."""

from __future__ import annotations

import threading

import pytest

from weatherglass.decide.store import MemoryStore


def put(store: MemoryStore[int], key: str, value: int) -> None:
    store.update(key, lambda _: (value, None))


def test_a_transition_sees_the_state_and_its_result_is_returned() -> None:
    """B9: an update replaces the state by what the transition makes of it."""
    store: MemoryStore[int] = MemoryStore()
    put(store, "a", 1)
    assert store.update("a", lambda state: ((state or 0) + 1, "done")) == "done"
    assert store.read("a") == 2
    assert store.read("b") is None
    assert store.items() == [("a", 2)]


def test_none_forgets_a_key() -> None:
    """A8: a transition to nothing leaves nothing behind, known before or not."""
    store: MemoryStore[int] = MemoryStore()
    put(store, "a", 1)
    assert store.update("a", lambda _: (None, 7)) == 7
    assert store.update("b", lambda _: (None, 8)) == 8
    assert store.items() == []


def test_a_transition_that_raises_changes_nothing() -> None:
    """D13: an error inside an update leaves the state alone and the lock free."""
    store: MemoryStore[int] = MemoryStore()
    put(store, "a", 1)

    def fail(_: int | None) -> tuple[int, None]:
        raise LookupError

    with pytest.raises(LookupError):
        store.update("a", fail)
    assert store.read("a") == 1
    put(store, "a", 2)
    assert store.read("a") == 2


def test_the_least_recently_changed_key_makes_room() -> None:
    """B5: the map is bounded, and what was not changed for longest goes first."""
    store: MemoryStore[int] = MemoryStore(limit=2)
    put(store, "a", 1)
    put(store, "b", 1)
    put(store, "a", 2)
    put(store, "c", 1)
    assert dict(store.items()) == {"a": 2, "c": 1}


def test_unforgettable_states_are_never_dropped() -> None:
    """B5: when nothing may be forgotten, the new key is not kept and its caller goes on."""
    store: MemoryStore[int] = MemoryStore(limit=2, forgettable=lambda state: state == 0)
    put(store, "a", 1)
    put(store, "b", 0)
    put(store, "c", 1)
    committed: list[str] = []
    assert store.update("d", lambda _: (0, "answer"), committed.append) == "answer"
    assert dict(store.items()) == {"a": 1, "c": 1}
    assert committed == []


def test_what_is_committed_is_told_in_the_order_of_the_states() -> None:
    """B8: results are handed over in the order in which the states came to stand."""
    store: MemoryStore[int] = MemoryStore()
    order: list[int] = []
    start = threading.Barrier(8)

    def count() -> None:
        start.wait(30)
        for _ in range(50):
            store.update("a", lambda state: ((state or 0) + 1, (state or 0) + 1), order.append)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert order == list(range(1, 401))


def test_a_lock_held_across_a_fork_does_not_hold_up_the_child() -> None:
    """D13: after a fork the store works, although a thread of the parent held its lock."""
    store: MemoryStore[int] = MemoryStore()
    held, finish = threading.Event(), threading.Event()

    def hold(state: int | None) -> tuple[int, None]:
        held.set()
        finish.wait(30)
        return state or 0, None

    holder = threading.Thread(target=store.update, args=("a", hold))
    holder.start()
    try:
        assert held.wait(30)
        # In the child the holder does not exist; here it still stands in the old lock.
        store.reset_after_fork()
        put(store, "b", 1)
        assert store.read("b") == 1
    finally:
        finish.set()
        holder.join(30)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_store_that_can_hold_nothing_is_refused(limit: int) -> None:
    """D16: a limit below one is refused by an error that names it."""
    with pytest.raises(ValueError, match=f"limit is {limit}"):
        MemoryStore(limit=limit)
