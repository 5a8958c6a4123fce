"""How a policy's fields are declared: one description serves checks, loading and docs.

A field declared with :func:`knob` carries its meaning, unit and allowed range. :func:`check`
holds a record against them and names field, value and range when one does not fit (rule D16).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from weatherglass.errors import InvalidPolicy

_KEY = "weatherglass.knob"

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What methods and names of headers are made of (RFC 9110, section 5.6.2)."""

_Record = TypeVar("_Record")


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
                words += f" above {self.above:.10g}"
            if self.minimum is not None:
                words += f" from {self.minimum:.10g}"
            if self.maximum is not None:
                words += f" up to {self.maximum:.10g}"
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
        fitting = fitted(described, value, f"{section}.{field.name}" if section else field.name)
        if fitting is not value:
            object.__setattr__(record, field.name, fitting)


def records(values: Any, wanted: type[_Record], name: str) -> tuple[_Record, ...]:
    """The values as a tuple of records.

    Raises:
        InvalidPolicy: if they are not iterable, or one of them is something else.
    """
    try:
        found = tuple(values)
    except TypeError:
        raise InvalidPolicy(
            f"{name} is {shown(values)}, but must be a list of {wanted.__name__} objects"
        ) from None
    for value in found:
        if not isinstance(value, wanted):
            raise InvalidPolicy(
                f"{name} has {shown(value)}, but must have {wanted.__name__} objects"
            )
    return found


def fitted(described: Knob, value: Any, name: str) -> Any:
    """The value in the knob's proper type.

    Raises:
        InvalidPolicy: if it does not fit; ``name`` is what the message calls the field.
    """
    fitting = _fit(described, value)
    if fitting is _UNFIT:
        raise InvalidPolicy(f"{name} is {shown(value)}, but must be {described.allowed}")
    return fitting


_UNFIT: Any = object()
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_SHOWN = 200


def shown(value: Any) -> str:
    """The value for a message, which an enormous one must not flood."""
    try:
        text = repr(value)
    except ValueError:  # a whole number with more digits than Python is willing to write
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


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
    if not _is_text(value):
        return _UNFIT
    return value if not described.choices or value in described.choices else _UNFIT


def _fit_number(described: Knob, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _UNFIT
    if described.type is int:
        return value if isinstance(value, int) and _in_range(described, value) else _UNFIT
    try:
        value = float(value)
    except OverflowError:
        return _UNFIT
    return value if math.isfinite(value) and _in_range(described, value) else _UNFIT


def _in_range(described: Knob, value: float) -> bool:
    return (
        (described.above is None or value > described.above)
        and (described.minimum is None or value >= described.minimum)
        and (described.maximum is None or value <= described.maximum)
    )


def _fit_texts(value: Any) -> Any:
    if isinstance(value, (str, bytes, Mapping)):
        return _UNFIT
    try:
        texts = tuple(value)
    except TypeError:
        return _UNFIT
    if not all(_is_text(text) for text in texts):
        return _UNFIT
    return value if isinstance(value, tuple) else texts


def _is_text(value: Any) -> bool:
    """Whether it can be printed and exported; half a surrogate pair cannot."""
    return isinstance(value, str) and bool(value.strip()) and not _SURROGATE.search(value)
