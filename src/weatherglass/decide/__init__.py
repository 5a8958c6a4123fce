"""What now: decisions as pure functions, and small locked shells that hold their state.

Each part that remembers something has the same shape: an immutable state, pure transitions from
state to state, and a :class:`~weatherglass.decide.store.Store` that applies them. Nothing here
sends, sleeps or emits telemetry.
"""
