"""Bounded maps from what happens to labels, so that no input makes series without end (rule O6).

Each label set is built once and reused. All maps of one meter provider share the bounds of a
label, so that 100 origins are 100 in all metrics together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Attribute, Metric
from weatherglass.telemetry.locks import ForkSafeLock

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

Labels = dict[str, str | bool | int]
"""The attributes of one series; shared, so never to be changed."""

_LONGEST: Final = 200


_lock: Final = ForkSafeLock()
"""Taken when a value is seen for the first time, and not after."""


class Memo(dict[_Key, _Value], Generic[_Key, _Value]):
    """What was computed from keys before; forgets everything when it is full.

    ``memo[key]`` of a key that was seen before never leaves the dictionary's own code. Nothing
    depends on what is forgotten, so races only cost a second computation.
    """

    def __init__(self, make: Callable[[_Key], _Value], limit: int = 1000) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, key: _Key) -> _Value:
        value = self._make(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value


class BoundedValues:
    """The values of an open label: the first ones as they are, all others as ``_OTHER``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str | int] = set()

    def admits(self, value: str | int) -> bool:
        """Whether the value may stand as it is, now and always."""
        if value in self._known:
            return True
        with _lock:
            if len(self._known) < self._limit:
                self._known.add(value)
        return value in self._known


class LabelBounds:
    """The bounds of every label, for all metrics of one meter provider."""

    def __init__(self) -> None:
        self._open: dict[str, BoundedValues] = {}

    def bounded(self, attribute: Attribute, value: Any) -> str | bool | int | None:
        """The value as it may stand in a label; ``None`` for a number beyond the bound."""
        if isinstance(value, Enum):
            value = value.value
        if attribute.type is bool:
            return bool(value)
        if attribute.values:
            return value if value in attribute.values else registry.OTHER
        if attribute.type is int:
            return int(value) if self._values(attribute).admits(value) else None
        text = str(value)[:_LONGEST]
        return text if self._values(attribute).admits(text) else registry.OTHER

    def _values(self, attribute: Attribute) -> BoundedValues:
        found = self._open.get(attribute.name)
        if found is None:
            found = self._open.setdefault(attribute.name, BoundedValues(attribute.limit or 0))
        return found


class Series(Memo[tuple[Any, ...], Labels]):
    """The label sets of one metric, by the values of its attributes in the registry's order.

    ``None`` leaves an attribute out. At most ``fine_series`` sets are told apart; what comes
    after them has its open labels replaced, so that the metric never exceeds ``most_series``.
    """

    def __init__(self, metric: Metric, bounds: LabelBounds) -> None:
        super().__init__(self._admit, limit=2 * metric.most_series)
        self._metric = metric
        self._bounds = bounds
        self._admitted: set[tuple[Any, ...]] = set()

    def _admit(self, key: tuple[Any, ...]) -> Labels:
        labels = self._labels(key)
        identity = tuple(labels.items())
        if identity not in self._admitted:
            with _lock:
                if len(self._admitted) < self._metric.fine_series:
                    self._admitted.add(identity)
        return labels if identity in self._admitted else self._coarse(labels)

    def _labels(self, key: tuple[Any, ...]) -> Labels:
        labels: Labels = {}
        for attribute, value in zip(self._metric.attributes, key, strict=True):
            if value is not None:
                bounded = self._bounds.bounded(attribute, value)
                if bounded is not None:
                    labels[attribute.name] = bounded
        return labels

    def _coarse(self, labels: Labels) -> Labels:
        return {
            a.name: labels[a.name] if a.is_closed else registry.OTHER
            for a in self._metric.attributes
            if a.name in labels and (a.is_closed or a.type is str)
        }
