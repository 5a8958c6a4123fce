"""In which headers a server tells of its rate limit, as data (rule G4).

The families that weatherglass knows of itself stand in :mod:`weatherglass.diagnose.headroom`;
those of a policy are asked before them, in their order.
"""

from __future__ import annotations

from dataclasses import dataclass

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.knobs import TOKEN, shown

_FIELDS = ("limit", "remaining", "used", "reset")
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHeaders:
    """The names of the headers in which a server tells of one rate limit.

    Either ``remaining``, or ``limit`` and ``used`` together; pacing needs ``reset`` as well.
    Names of headers are the same in any case, and are kept in lower case.

    Raises:
        InvalidPolicy: when a name cannot be one, or too little is named.
    """

    name: str
    """Names the family, for those who read the policy."""

    limit: str | None = None
    """Its value: requests that a window allows."""
    remaining: str | None = None
    """Its value: requests that are left."""
    used: str | None = None
    """Its value: requests that were made, this one included."""
    reset: str | None = None
    """When requests are allowed again: in seconds from now, or as any time that is understood in
    ``Retry-After``, such as seconds since the epoch."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidPolicy(
                f"limit_headers: a family's name is {shown(self.name)}, but must be a text"
            )
        for field in _FIELDS:
            value = getattr(self, field)
            if value is None:
                continue
            fits = isinstance(value, str) and len(value) <= _LONGEST and TOKEN.fullmatch(value)
            if not fits:
                raise InvalidPolicy(
                    f"limit_headers.{self.name}.{field} is {shown(value)}, but must be the name"
                    " of a header"
                )
            object.__setattr__(self, field, value.lower())
        if self.remaining is None and (self.limit is None or self.used is None):
            raise InvalidPolicy(
                f"limit_headers.{self.name} does not say how much is left: it must have"
                " remaining, or limit and used"
            )
