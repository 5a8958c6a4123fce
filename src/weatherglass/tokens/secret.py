"""A secret that can be used but not seen: not in a ``repr``, a pickle or an error (rule T9).

It hides what the application entrusted to weatherglass. It is no vault: whoever holds the
object in memory can read it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any, TypeAlias

from weatherglass.errors import InvalidPolicy
from weatherglass.tokens.errors import TokenEndpointError

SecretValue: TypeAlias = "str | Callable[[], str]"
"""A secret itself, or a function without arguments that returns it each time it is needed."""


class Secret:
    """A secret, or the function that knows it.

    A pickle carries a module-level function and nothing else: a plain text, a lambda or a bound
    method (whose object may hold anything) is dropped, and its use afterwards is a clear error.
    """

    __slots__ = ("_given", "_label")

    def __init__(self, label: str, given: SecretValue | None) -> None:
        if given is not None and not callable(given) and not (isinstance(given, str) and given):
            shown = "empty" if isinstance(given, str) else f"a {type(given).__name__}"
            raise InvalidPolicy(
                f"{label} is {shown}, but must be a text that is not empty, or a function"
                " without arguments that returns one"
            )
        self._label = label
        self._given = given

    def reveal(self) -> str:
        """The secret.

        Raises:
            TokenEndpointError: when the function failed (its own, if it raised one), or when a
                pickle dropped the secret.
        """
        given = self._given
        if given is None:
            raise lost(self._label)
        if isinstance(given, str):
            return given
        try:
            value = given()
        except TokenEndpointError:
            raise
        except Exception as error:
            raise TokenEndpointError(
                f"the function that knows {self._label} raised {type(error).__name__}",
                transient=isinstance(error, OSError),
            ) from error
        if not isinstance(value, str) or not value:
            shown = "an empty text" if isinstance(value, str) else f"a {type(value).__name__}"
            raise TokenEndpointError(
                f"the function that knows {self._label} returned {shown}", transient=False
            )
        return value

    def __repr__(self) -> str:
        return "<not carried by the pickle>" if self._given is None else "***"

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, (self._label, self._given if travels(self._given) else None)

    # Copies stay in this process and share what cannot be seen anyway.
    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self


def lost(label: str) -> TokenEndpointError:
    """The error of using what a pickle dropped."""
    return TokenEndpointError(
        f"{label} was not carried by the pickle; give it again with Adapter.replace_tokens(), or"
        " give a module-level function in its place, which pickles by its name",
        transient=False,
        terminal=True,
    )


def travels(given: Any) -> bool:
    """Whether a pickle can carry this by name alone, so that no secret goes with it."""
    if not isinstance(given, (FunctionType, BuiltinFunctionType)):
        return False
    found: Any = sys.modules.get(given.__module__ or "")
    for name in given.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is given


def refuse_to_pickle(thing: object) -> TypeError:
    """The error of pickling something that holds a token or a secret in the open."""
    return TypeError(f"a {type(thing).__name__} holds secrets and cannot be pickled")
