"""Putting our HTTP client into the SDK's ``ApiClient``, and taking it out again."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from PureCloudPlatformClientV2.api_client import ApiClient
from PureCloudPlatformClientV2.configuration import Configuration
from PureCloudPlatformClientV2.rest import ApiException

from weatherglass.adapter import Adapter
from weatherglass.call import attach
from weatherglass.errors import InvalidPolicy
from weatherglass.genesys.sdk.client import HttpClient, token_goes_to
from weatherglass.genesys.sdk.downloads import saved
from weatherglass.genesys.session import Session as GenesysSession
from weatherglass.options import options
from weatherglass.origins import origin_of
from weatherglass.report import CallReport
from weatherglass.session import Session

_REPLACED = ("call_api", "deserialize", "handle_expired_access_token")
"""The methods of the SDK's that are replaced, on this one object."""


class Installed(HttpClient):
    """Our HTTP client, and the way back."""

    def __init__(self, api_client: Any, session: Session, host: str) -> None:
        super().__init__(api_client, session)
        self._host = host
        """Where the ``ApiClient`` sends from now on."""
        before = api_client.http_client
        if before is not None:
            # Hooks are the application's, which may have set them before it came here.
            self.pre_hook, self.post_hook = before.pre_hook, before.post_hook
        if isinstance(before, Installed) and before._api_client is api_client:  # noqa: SLF001 - one of us
            # The way back leads to before the first one.
            self._before: tuple[str, Any] = before._before  # noqa: SLF001 - likewise
        else:
            self._before = (api_client.host, before)

    def uninstall(self) -> None:
        """Leave the ``ApiClient`` as it was found; the session stays open.

        Nothing happens where another client has taken the place since.
        """
        client = self._api_client
        if client.http_client is not self:
            return
        for name in _REPLACED:
            vars(client).pop(name, None)
        host, client.http_client = self._before
        # One that was set since then is meant.
        if client.host == self._host:
            client.host = host


def put_in(api_client: Any, session: Session) -> Installed:
    """See :func:`weatherglass.genesys.install`."""
    if not isinstance(api_client, ApiClient):
        raise InvalidPolicy(
            f"api_client is a {type(api_client).__name__}, but must be an ApiClient of"
            " PureCloudPlatformClientV2"
        )
    gateway = api_client.gateway_configuration
    through_gateway = gateway is not None and bool(gateway.host)
    host = api_client.host
    if isinstance(session, GenesysSession) and not through_gateway:
        host = session.api_url
    _check(api_client, session, host, through_gateway=through_gateway)
    client = Installed(api_client, session, host)
    api_client.host = host
    api_client.set_http_client(client)
    _replace_methods(api_client)
    return client


def _check(api_client: Any, session: Session, host: str, *, through_gateway: bool) -> None:
    """What must be so before anything is changed.

    Raises:
        InvalidPolicy: saying what is not.
    """
    where = "the SDK's gateway" if through_gateway else "api_client.host"
    url = api_client.get_conf_url("api", host)
    try:
        origin, reached = origin_of(url).name, token_goes_to(session, url)
    except ValueError:
        raise InvalidPolicy(
            f"{where} is no URL with scheme and host, but must be one, like"
            " 'https://api.mypurecloud.com'"
        ) from None
    if _has_tokens(session, url):
        if not reached:
            raise InvalidPolicy(
                f"{where} is {origin}, to which the session's token does not go; name it in the"
                " origins of the token source"
                + (", or give the session the same gateway" if through_gateway else "")
            )
    elif api_client.refresh_token:
        raise InvalidPolicy(
            "api_client has a refresh token and the session has no token source, but the SDK's"
            " own refresh does not run here: give the session"
            " tokens=weatherglass.RefreshToken(..., refresh_token=...)"
        )


def _has_tokens(session: Session, url: str) -> bool:
    adapter = session.get_adapter(url=url)
    sources = [session.adapter.token_source]
    if isinstance(adapter, Adapter):
        sources.append(adapter.token_source)
    return any(source is not None for source in sources)


def _deserialized(api_client: Any, response: Any, response_type: Any) -> Any:
    """The SDK's models; where it cannot read a date, say, the call's report is on its error."""
    try:
        return type(api_client).deserialize(api_client, response, response_type)
    except ApiException as error:
        report = getattr(response, "report", None)
        if isinstance(report, CallReport):
            attach(error, report)
        raise


def _replace_methods(api_client: Any) -> None:
    kind = type(api_client)

    def call_api(resource_path: str, *args: Any, **kwargs: Any) -> Any:
        # The one place in which the route is known: spans are named after it (rule O6).
        with options(url_template=resource_path):
            return kind.call_api(api_client, resource_path, *args, **kwargs)

    def deserialize(response: Any, response_type: Any) -> Any:
        content = getattr(response, "content", None)
        if response_type != "file" or not isinstance(content, bytes):
            return _deserialized(api_client, response, response_type)
        # The SDK would write text.
        folder = Configuration().temp_folder_path
        return saved(content, response.getheader("Content-Disposition"), folder)

    def handle_expired_access_token() -> NoReturn:
        # Called by the SDK when a 401 reaches it and it has a refresh token, before it begins
        # anew, without end. A 401 that gets there has had its refresh: it stands (rule T4).
        error = sys.exc_info()[1]
        if error is None:
            raise InvalidPolicy("the token is refreshed by the session's token source alone")
        raise error

    for replacement in (call_api, deserialize, handle_expired_access_token):
        setattr(api_client, replacement.__name__, replacement)
