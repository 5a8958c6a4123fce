"""What the registry's entries are made of, and the number of series that follows from them.

The shapes only; the names are in :mod:`weatherglass.telemetry.registry`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Final

SERIES: Final = 2000
"""The most series that one metric may have in one process."""


def words(values: type[Enum] | tuple[str, ...]) -> tuple[str, ...]:
    """The spellings of a closed set."""
    return values if isinstance(values, tuple) else tuple(str(each.value) for each in values)


def known_methods(default: Iterable[str]) -> tuple[str, ...]:
    """The HTTP methods that are told as they are.

    The conventions want the list to be replaceable by an environment variable.
    """
    listed = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "").split(",")
    return tuple(filter(None, map(str.strip, listed))) or tuple(default)


class Instrument(Enum):
    """The kinds of OpenTelemetry instruments that are used."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    OBSERVABLE_GAUGE = "observable gauge"
    OBSERVABLE_UP_DOWN_COUNTER = "observable up-down counter"

    @property
    def is_observed(self) -> bool:
        """Whether its values are asked for at export, rather than recorded as they happen."""
        return self in (Instrument.OBSERVABLE_GAUGE, Instrument.OBSERVABLE_UP_DOWN_COUNTER)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name and what can stand under it."""

    name: str
    meaning: str
    type: type
    values: tuple[str, ...]
    """The closed set of its values; empty if they are open."""
    limit: int | None
    """As a label: how many distinct values it takes in one process before ``_OTHER``."""

    @property
    def is_closed(self) -> bool:
        """Whether all possible values are known beforehand."""
        return bool(self.values) or self.type is bool

    @property
    def label_values(self) -> int:
        """How many values it can have as a label, ``_OTHER`` included.

        Raises:
            ValueError: when it is not fit to be a label.
        """
        if self.type is bool:
            return 2
        if self.values:
            return len(self.values)
        if self.limit is None:
            raise ValueError(f"{self.name} has no bound and cannot be a label")
        return self.limit + 1


@dataclass(frozen=True, slots=True)
class Metric:
    """An instrument and the labels of its series."""

    name: str
    instrument: Instrument
    unit: str
    meaning: str
    attributes: tuple[Attribute, ...]
    optional: tuple[str, ...]
    """The labels that are not on every series."""
    buckets: tuple[float, ...]

    @property
    def combinations(self) -> int:
        """How many label combinations there could be."""
        return prod(a.label_values + (a.name in self.optional) for a in self.attributes)

    @property
    def coarse_series(self) -> int:
        """How many there are when only the closed labels are told apart.

        An open text is then ``_OTHER``, an open number is left out.
        """
        return prod(
            (a.label_values if a.is_closed else 1) + (a.name in self.optional and a.type is str)
            for a in self.attributes
        )

    @property
    def most_series(self) -> int:
        """The most series that the metric ever has in one process."""
        return min(self.combinations, SERIES)

    @property
    def fine_series(self) -> int:
        """How many may be told apart by all their labels; those that follow become coarse."""
        if self.combinations <= SERIES:
            return self.combinations
        return SERIES - self.coarse_series


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at one moment of a call, or outside of any."""

    name: str
    text: str
    """Its name in log messages."""
    meaning: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time."""

    name: str
    kind: str
    meaning: str
    start: tuple[Attribute, ...]
    """Set when it starts, so that samplers see them."""
    end: tuple[Attribute, ...]
    """Set when it ends, where they apply."""
