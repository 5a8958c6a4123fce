"""The official Python SDK, ``PureCloudPlatformClientV2``, on a weatherglass session (rule G2).

One call puts our HTTP client into the SDK's ``ApiClient``. Nothing is imported from the SDK
before that: it takes seconds and starts threads. Regions and credentials are the session's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from weatherglass.errors import InvalidPolicy
from weatherglass.session import Session

if TYPE_CHECKING:
    from weatherglass.genesys.sdk.installation import Installed

__all__ = ["install"]

_SDK = "PureCloudPlatformClientV2"


def install(api_client: Any, session: Session) -> Installed:
    """Make the SDK's ``ApiClient`` send everything through a session; returns our HTTP client.

    Typed models come back as before, and failures as the SDK's ``ApiException`` with the call's
    report on it. Hooks, gateway, proxy and TLS settings of the SDK are honoured. With
    :class:`weatherglass.genesys.Session`, the API's URL is the session's as well. The session
    stays the caller's to close.

    Raises:
        ImportError: without the extra: ``pip install 'weatherglass[genesys]'``.
        InvalidPolicy: when the session's token does not go to where the SDK sends, or when the
            SDK would have to renew a token by itself.
    """
    try:
        home = import_module(f"{__name__}.installation")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(_SDK):
            raise
        raise ImportError(
            f"{error.name} is missing; the Genesys Cloud SDK comes with"
            " pip install --upgrade 'weatherglass[genesys]'",
            name=error.name,
        ) from error
    if not isinstance(session, Session):
        raise InvalidPolicy(
            f"session is a {type(session).__name__}, but must be a weatherglass.Session, such as"
            " weatherglass.genesys.Session(region=...)"
        )
    client: Installed = home.put_in(api_client, session)
    return client
