"""Settings from environment variables (rule D17).

``WEATHERGLASS_<GROUP>_<FIELD>`` holds a number, a text, ``true`` or ``false`` (or 1, 0, yes, no,
on, off), or texts with commas between them; ``none`` stands for no value and for the empty list.
An empty variable counts as one that is not set, as OpenTelemetry's do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.knobs import Knob, fitted
from weatherglass.policy.settings import (
    BREAKER_KEY,
    CONFIG_VARIABLE,
    LIMIT_HEADERS,
    PREFIX,
    RULES,
    VARIABLES,
    WINDOWS,
    nearest,
)

_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_ELSEWHERE = {
    PREFIX + RULES.upper(): "rules can be given in a file or in Python",
    PREFIX + LIMIT_HEADERS.upper(): "limit headers can be given in a file or in Python",
    PREFIX + WINDOWS.replace(".", "_").upper(): "windows can be given in a file or in Python",
    PREFIX + BREAKER_KEY.upper(): "the breaker's key can be given in Python only",
}


def read_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """The settings that the environment holds: name to value and origin.

    Raises:
        InvalidPolicy: for a variable with our prefix that is no setting, naming the nearest
            ones, and for a value that does not fit.
    """
    found: dict[str, tuple[Any, str]] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        setting = VARIABLES.get(variable)
        if setting is None:
            raise InvalidPolicy(_unknown(variable))
        text = environ[variable]
        if not text.strip():
            continue
        origin = f"environment variable {variable}"
        try:
            value = fitted(setting.knob, _from_text(setting.knob, text), setting.name)
        except InvalidPolicy as error:
            raise InvalidPolicy(f"{error} ({origin})") from None
        found[setting.name] = value, origin
    return found


def _unknown(variable: str) -> str:
    if variable in _ELSEWHERE:
        return f"{variable} is not an environment variable of weatherglass: {_ELSEWHERE[variable]}"
    near = nearest(variable, [*VARIABLES, CONFIG_VARIABLE])
    return f"{variable[:200]} is not an environment variable of weatherglass; {near}"


def _from_text(knob: Knob, text: str) -> Any:
    """The value that a text stands for; what stands for none is left as it is, to be refused."""
    word = text.strip().lower()
    if word == "none" and knob.optional:
        return None
    if knob.type is bool:
        return _BOOLEANS.get(word, text)
    if knob.type is tuple:
        return () if word == "none" else tuple(part.strip() for part in text.split(","))
    if knob.type in (int, float):
        return _number(knob.type, text, word)
    return word if word in knob.choices else text


def _number(kind: type, text: str, word: str) -> Any:
    if len(word) > _LONGEST_NUMBER:
        return text
    if kind is int:
        return int(word) if _WHOLE.fullmatch(word) else text
    return float(word) if _DECIMAL.fullmatch(word) else text
