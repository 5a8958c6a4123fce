"""A line of the classification table, as a user writes one (rule C6).

The table that weatherglass brings stands in :mod:`weatherglass.diagnose.rules`; the rules of a
policy are asked before it, in their order, and the first that matches decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.knobs import shown
from weatherglass.vocabulary import Execution, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What an HTTP error that looks like this means.

    All conditions that are given must hold; within one, any of its values is enough. A rule
    without any condition would match everything and is refused. Effects that are left out are
    those of the status alone.
    """

    name: str
    """Named in reports and by ``weatherglass explain``."""

    statuses: tuple[int, ...] = ()
    """HTTP statuses; a single digit (``5``) stands for its whole class (``5xx``)."""
    codes: tuple[str, ...] = ()
    """Error codes, compared without regard to case; ``*`` at either end matches the rest."""
    headers: tuple[str, ...] = ()
    """``name`` (present) or ``name: value`` (the value, without regard to case; ``*`` likewise)."""
    message: tuple[str, ...] = ()
    """Phrases of the error message, without regard to case."""

    kind: Kind | None = None
    transient: bool | None = None
    execution: Execution | None = None
    """Whether the server can have executed the request."""
    needs_token: bool | None = None
    """Whether a new token can help."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidPolicy(f"rules: a rule's name is {shown(self.name)}, but must be a text")
        self._take_tuples()
        self._take_words()
        if not (self.statuses or self.codes or self.headers or self.message):
            raise InvalidPolicy(
                f"rules.{self.name} has no condition, but must have at least one of"
                " statuses, codes, headers and message"
            )

    def _take_tuples(self) -> None:
        for field in ("statuses", "codes", "headers", "message"):
            value = getattr(self, field)
            if isinstance(value, (str, int)):
                value = (value,)
            wanted = int if field == "statuses" else str
            try:
                values = tuple(value)
            except TypeError:
                values = (None,)
            if not all(isinstance(v, wanted) and not isinstance(v, bool) and v for v in values):
                noun = "HTTP statuses" if wanted is int else "texts"
                raise InvalidPolicy(
                    f"rules.{self.name}.{field} is {shown(value)}, but must be a list of {noun}"
                )
            object.__setattr__(self, field, values)
        for status in self.statuses:
            if not (1 <= status <= 5 or 100 <= status <= 599):
                raise InvalidPolicy(
                    f"rules.{self.name}.statuses has {shown(status)}, but must have statuses"
                    " from 100 to 599, or a class from 1 to 5"
                )

    def _take_words(self) -> None:
        for field, words in (("kind", Kind), ("execution", Execution)):
            value = getattr(self, field)
            if value is None:
                continue
            try:
                object.__setattr__(self, field, words(value))
            except ValueError:
                allowed = ", ".join(str(word) for word in words)
                raise InvalidPolicy(
                    f"rules.{self.name}.{field} is {shown(value)}, but must be one of {allowed}"
                ) from None
        for field in ("transient", "needs_token"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, bool):
                raise InvalidPolicy(
                    f"rules.{self.name}.{field} is {shown(value)}, but must be true or false"
                )
