"""Who calls: client id, client secret and region, from arguments or else from the environment.

Nothing is kept here, and no secret is put into a message; what is done with it is in
:mod:`weatherglass.tokens`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.genesys.regions import Region, region
from weatherglass.tokens.errors import TokenEndpointError
from weatherglass.tokens.secret import SecretValue, refuse_to_pickle

CLIENT_ID = "GENESYS_CLOUD_CLIENT_ID"
CLIENT_SECRET = "GENESYS_CLOUD_CLIENT_SECRET"  # noqa: S105 - a variable's name, not a secret
REGION = "GENESYS_CLOUD_REGION"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client's id and secret, of which the secret is never shown."""

    client_id: str
    client_secret: SecretValue = field(repr=False)
    """The secret, or a function without arguments that returns it."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise refuse_to_pickle(self)


def credentials(
    client_id: str | None = None,
    client_secret: SecretValue | None = None,
    environ: Mapping[str, str] | None = None,
) -> Credentials:
    """The client's credentials: what is given, and for what is not, the environment's.

    ``environ`` is the process's environment unless given. A secret from the process's
    environment is read anew for each refresh, and so travels with a pickled session.

    Raises:
        InvalidPolicy: naming what is missing or unusable, and where it can come from.
    """
    variables = os.environ if environ is None else environ
    found = _given(client_id, "client_id") or variables.get(CLIENT_ID) or None
    secret = _given(client_secret, "client_secret") or variables.get(CLIENT_SECRET) or None
    missing = [
        f"{name}= or the environment variable {variable}"
        for name, variable, value in (
            ("client_id", CLIENT_ID, found),
            ("client_secret", CLIENT_SECRET, secret),
        )
        if value is None
    ]
    if found is None or secret is None:
        raise InvalidPolicy(
            f"credentials are missing: give {', and '.join(missing)}; or give tokens=, a token"
            " source of your own"
        )
    _check_edges(found, "client_id")
    if isinstance(secret, str):
        _check_edges(secret, "client_secret")
    if client_secret is None and environ is None:
        secret = secret_of_environment
    return Credentials(found, secret)


def secret_of_environment() -> str:
    """The client secret as the environment has it now.

    A function of the module, so that a pickle carries its name and not the secret.

    Raises:
        TokenEndpointError: naming the variable, when it is gone, as in another process.
    """
    secret = os.environ.get(CLIENT_SECRET)
    if not secret:
        raise TokenEndpointError(
            f"the environment variable {CLIENT_SECRET}, from which the client's secret comes, is"
            " not set in this process",
            transient=False,
        )
    return secret


def region_of_environment(environ: Mapping[str, str] | None = None) -> Region | None:
    """The region that the environment names, if it does.

    Raises:
        InvalidPolicy: naming the variable, for a region that is none.
    """
    named = (os.environ if environ is None else environ).get(REGION)
    if not named:
        return None
    try:
        return region(named)
    except InvalidPolicy as error:
        raise InvalidPolicy(f"the environment variable {REGION}: {error}") from None


def _given(value: Any, name: str) -> Any:
    """An argument as it is; an empty one is a mistake and not a reason to look elsewhere."""
    if value is None:
        return None
    if callable(value) and name == "client_secret":
        return value
    if not isinstance(value, str) or not value:
        what = "empty" if isinstance(value, str) else f"a {type(value).__name__}"
        raise InvalidPolicy(f"{name} is {what}, but must be a text that is not empty")
    return value


def _check_edges(value: str, name: str) -> None:
    if value != value.strip():
        raise InvalidPolicy(
            f"{name} begins or ends with white space, but must not: was it read with its line end?"
        )
