"""What a token source is, and the one for any function that knows how to get a token (rule T1).

A source says how a token is asked for. When it is asked, by which thread and what becomes of
the answer is decided by :mod:`weatherglass.tokens.manager`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from weatherglass.errors import InvalidPolicy
from weatherglass.origins import declared_origins
from weatherglass.tokens.endpoint import InvalidToken, IssuedToken, Transport, failure_of
from weatherglass.tokens.errors import TokenEndpointError
from weatherglass.tokens.secret import lost, travels

CallbackError: TypeAlias = Callable[[str, BaseException], object]
"""Told the name of a callback that raised, and what it raised (rule R6)."""

_LONGEST_NAME = 64


class TokenSource(Protocol):
    """What the manager needs of a source; implement it for a grant that is not here."""

    @property
    def name(self) -> str:
        """The credential's name in reports and telemetry."""
        ...

    @property
    def origins(self) -> frozenset[str] | None:
        """The names of the only origins that may receive the token (rule T11).

        ``None``: whatever the session or adapter is bound to.
        """
        ...

    def fetch(
        self, transport: Transport, timeout: float, callback_error: CallbackError
    ) -> IssuedToken:
        """Get a new token, within ``timeout`` seconds as far as that is possible.

        Raises:
            TokenEndpointError: when there is none.
        """
        ...


Fetched: TypeAlias = "str | tuple[str, float | None] | IssuedToken"
"""A token, a token with the seconds it has to live, or all that is known of it."""


class CallableTokens:
    """Tokens from a function, so that google-auth, MSAL, Authlib and the like fit (rule T1).

    ``fetch`` takes no arguments and returns a :data:`Fetched`. It is called by one thread at a
    time and must bound its own time: a function cannot be interrupted, only waited for no
    longer. It may raise :class:`~weatherglass.tokens.TokenEndpointError` to say that its failure
    is terminal or transient; network errors count as transient, all else as permanent.

    Raises:
        InvalidPolicy: as :class:`ClientCredentials` does.
    """

    def __init__(
        self,
        fetch: Callable[[], Fetched],
        *,
        origins: str | Iterable[str] | None = None,
        allow_insecure: bool = False,
        name: str = "callable",
    ) -> None:
        if not callable(fetch):
            raise InvalidPolicy(
                f"CallableTokens.fetch is a {type(fetch).__name__}, but must be a function"
            )
        self._fetch: Callable[[], Fetched] | None = fetch
        self.origins = declared_origins(
            origins, "CallableTokens.origins", allow_insecure=allow_insecure
        )
        self.name = checked_name(name, "CallableTokens")

    def fetch(
        self,
        transport: Transport,  # noqa: ARG002 - the function has its own
        timeout: float,  # noqa: ARG002 - likewise
        callback_error: CallbackError,  # noqa: ARG002 - there is no callback
    ) -> IssuedToken:
        """Call the function; see :meth:`TokenSource.fetch`."""
        if self._fetch is None:
            raise lost("CallableTokens.fetch")
        try:
            issued = _issued(self._fetch())
        except TokenEndpointError:
            raise
        except Exception as error:
            raise failure_of("the token function", error) from error
        if issued is None:
            raise TokenEndpointError(
                "the token function returned something else than a usable token, a pair of token"
                " and seconds to live, or an IssuedToken",
                transient=False,
            )
        return issued

    def __repr__(self) -> str:
        return f"CallableTokens(name={self.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        # The function's object may hold anything; only what pickles by name travels.
        return self.__dict__ | ({} if travels(self._fetch) else {"_fetch": None})


def _issued(fetched: object) -> IssuedToken | None:
    if isinstance(fetched, IssuedToken):
        return fetched
    value, seconds = (
        fetched if isinstance(fetched, tuple) and len(fetched) == 2 else (fetched, None)
    )
    try:
        return IssuedToken(value, seconds)  # type: ignore[arg-type]  # it checks for itself
    except InvalidToken:
        return None


def checked_text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidPolicy(f"{where} is {value!r}, but must be a text that is not empty")
    return value


def checked_name(value: object, what: str) -> str:
    name = checked_text(value, f"{what}.name")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidPolicy(
            f"{what}.name is {name[:_LONGEST_NAME]!r}, but must be printable and at most"
            f" {_LONGEST_NAME} characters long: it is a label in telemetry"
        )
    return name
