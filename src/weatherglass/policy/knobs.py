"""How a policy's fields are declared: one description serves checks, loading and docs.

A field declared with :func:`knob` carries its meaning, unit and allowed range. :func:`check`
holds a record against them and names field, value and range when one does not fit (rule D16).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.errors import InvalidPolicy

_KEY = "weatherglass.knob"


@dataclass(frozen=True, slots=True)
class Knob:
    """What is known of one field of a policy."""

    help: str
    type: type
    """``float`` (seconds or a ratio), ``int``, ``bool``, ``str`` or ``tuple`` (of strings)."""
    minimum: float | None = None
    above: float | None = None
    """Like ``minimum``, but the value itself is not allowed."""
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    """Whether ``None`` is allowed; the help says what it means."""

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.choices:
            words = "one of " + ", ".join(self.choices)
        elif self.type is bool:
            words = "true or false"
        elif self.type is str:
            words = "a text that is not empty"
        elif self.type is tuple:
            words = "a list of texts"
        else:
            words = "a whole number" if self.type is int else "a finite number"
            if self.above is not None:
                words += f" above {self.above:g}"
            if self.minimum is not None:
                words += f" from {self.minimum:g}"
            if self.maximum is not None:
                words += f" up to {self.maximum:g}"
        return words + (", or none" if self.optional else "")


def knob(
    default: Any,
    help: str,  # noqa: A002 - the word that every reader knows
    *,
    type: type,  # noqa: A002 - likewise
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    optional: bool = False,
) -> Any:
    """A dataclass field with a description; see :class:`Knob`."""
    described = Knob(help, type, minimum, above, maximum, choices, optional)
    return dataclasses.field(default=default, metadata={_KEY: described})


def knob_of(field: dataclasses.Field[Any]) -> Knob | None:
    """The description of a dataclass field, or ``None`` if it is not a knob."""
    found = field.metadata.get(_KEY)
    return found if isinstance(found, Knob) else None


def check(record: Any, section: str) -> None:
    """Hold every knob of a frozen dataclass against its description, normalising harmless types.

    Whole numbers become floats where floats are meant, lists become tuples.

    Raises:
        InvalidPolicy: naming the field as ``section.field``, its value and what is allowed.
    """
    for field in dataclasses.fields(record):
        described = knob_of(field)
        if described is None:
            continue
        value = getattr(record, field.name)
        fitted = _fit(described, value)
        if fitted is _UNFIT:
            name = f"{section}.{field.name}" if section else field.name
            raise InvalidPolicy(f"{name} is {value!r}, but must be {described.allowed}")
        if fitted is not value:
            object.__setattr__(record, field.name, fitted)


_UNFIT: Any = object()


def _fit(described: Knob, value: Any) -> Any:
    """The value in its proper type, or ``_UNFIT``."""
    if value is None:
        return None if described.optional else _UNFIT
    if described.type in (int, float):
        return _fit_number(described, value)
    if described.type is bool:
        return value if isinstance(value, bool) else _UNFIT
    if described.type is tuple:
        return _fit_texts(value)
    if not isinstance(value, str) or not value.strip():
        return _UNFIT
    return value if not described.choices or value in described.choices else _UNFIT


def _fit_number(described: Knob, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _UNFIT
    if not math.isfinite(value) or (described.type is int and not isinstance(value, int)):
        return _UNFIT
    if described.above is not None and not value > described.above:
        return _UNFIT
    if described.minimum is not None and value < described.minimum:
        return _UNFIT
    if described.maximum is not None and value > described.maximum:
        return _UNFIT
    return float(value) if described.type is float and isinstance(value, int) else value


def _fit_texts(value: Any) -> Any:
    if isinstance(value, (str, bytes, Mapping)):
        return _UNFIT
    try:
        texts = tuple(value)
    except TypeError:
        return _UNFIT
    if not all(isinstance(text, str) and text for text in texts):
        return _UNFIT
    return value if isinstance(value, tuple) else texts
