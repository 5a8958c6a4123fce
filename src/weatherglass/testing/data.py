"""Frozen records to plain JSON types and back, for faults and fault plans.

A field at its default is left out; an unknown one is refused by name, so that a misspelt fault
does not silently become no fault at all.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from weatherglass.vocabulary import Word

_Record = TypeVar("_Record")
_Word = TypeVar("_Word", bound=Word)


def to_plain(record: Any) -> dict[str, Any]:
    """The record's fields that differ from their defaults, as JSON types."""
    plain = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value != field.default:
            plain[field.name] = _plain(value)
    return plain


def from_plain(cls: type[_Record], plain: Mapping[str, Any]) -> _Record:
    """The record that :func:`to_plain` was given; nested ones are the record's own business.

    Raises:
        ValueError: for a field that the record does not have.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"a {cls.__name__} is {plain!r}, but must be a mapping")  # noqa: TRY004 - bad data, whatever its type
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type] # a record
    for name in plain:
        if name not in known:
            raise ValueError(f"{cls.__name__} has no field {name!r}; there are {', '.join(known)}")
    return cls(**plain)


def to_word(words: type[_Word], name: str, value: Any) -> _Word:
    """The member of a closed set that has this spelling.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    try:
        return words(value)
    except ValueError:
        allowed = ", ".join(str(word) for word in words)
        raise ValueError(f"{name} is {value!r}, but must be one of {allowed}") from None


def to_record(cls: type[_Record], name: str, value: Any) -> _Record:
    """The record itself, or the one that a mapping describes.

    Raises:
        ValueError: for anything else, naming the field.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {value!r}, but must be a {cls.__name__}")  # noqa: TRY004 - bad data, whatever its type
    return from_plain(cls, value)


def to_bytes(value: Any) -> bytes | None:
    """A body as bytes: from bytes, text (UTF-8) or ``{"base64": …}``."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, Mapping):
        return base64.b64decode(value["base64"])
    return None if value is None else bytes(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
