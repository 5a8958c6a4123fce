"""The HTTP client that stands in for the SDK's own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import requests
from PureCloudPlatformClientV2.abstract_http_client import (
    AbstractHttpClient,
)
from PureCloudPlatformClientV2.configuration import Configuration
from PureCloudPlatformClientV2.http_request_options import (
    HttpRequestOptions,
)
from urllib3.exceptions import HTTPError

from weatherglass.adapter import Adapter
from weatherglass.genesys.regions import TOKEN_PATH
from weatherglass.genesys.sdk.answers import SUCCESSES, Answer, failed_answer, failed_call
from weatherglass.genesys.sdk.connecting import applied, connecting
from weatherglass.genesys.sdk.payload import Wire, on_the_wire
from weatherglass.options import current_options
from weatherglass.origins import origin_of
from weatherglass.session import Session

UNSET_TIMEOUT = 16000
"""The SDK's default, in milliseconds, which the SDK itself never applies."""


class HttpClient(AbstractHttpClient):  # type: ignore[misc]  # the SDK has no types
    """Sends what the SDK asks for through a session; one serves any number of threads.

    Made by :func:`weatherglass.genesys.install`.
    """

    def __init__(self, api_client: Any, session: Session) -> None:
        super().__init__()
        self.session = session
        """What everything goes through."""
        self._api_client = api_client
        self._timeout_chosen = False

    def set_timeout(self, timeout: float) -> None:
        """Bound connecting and each wait for data, in milliseconds, in the policy's place."""
        super().set_timeout(timeout)
        self._timeout_chosen = True

    def request(self, http_request_options: Any) -> Any:
        """Send one request of the SDK's, with its hooks around it.

        Raises:
            ApiException: for every failure, with the call's report on it.
            ValueError: for options that the SDK would not send either.
        """
        options = http_request_options
        if not isinstance(options, HttpRequestOptions):
            raise ValueError("httpRequestOptions must be an instance of HttpRequestOptions")  # noqa: TRY004 - the SDK's own error
        if self.pre_hook:
            options = self.pre_hook(options)
        answer: Any = self._send(on_the_wire(options), self._timeout(options))
        return self.post_hook(answer) if self.post_hook else answer

    def _send(self, wire: Wire, timeout: float | None) -> Answer:
        try:
            response = self._exchange(wire, timeout)
        except (OSError, HTTPError) as error:
            # All of requests' errors are the former; a bad path of a certificate is so, too.
            raise failed_call(error) from error
        answer = Answer(response)
        if answer.status not in SUCCESSES:
            raise failed_answer(answer)
        return answer

    def _exchange(self, wire: Wire, timeout: float | None) -> requests.Response:
        settings = connecting(Configuration(), self.session)
        arguments = settings.arguments() | self._authentication(wire)
        if timeout is not None:
            arguments["timeout"] = timeout
        policy = current_options().policy or self.session.policy
        if wire.url.endswith(TOKEN_PATH) and policy.idempotency.key is not None:
            # Asking for a token twice must give two.
            arguments["policy"] = policy.new(idempotency={"key": None})
        needed = settings.needs_transport
        with applied(settings, self.session, wire.url) if needed else nullcontext():
            return self.session.request(
                wire.method, wire.url, headers=wire.headers, data=wire.body, **arguments
            )

    def _authentication(self, wire: Wire) -> dict[str, Any]:
        """What is told of the request's authentication; takes the SDK's empty one off it.

        The SDK puts a bearer token on every call of the API, even if it has none. Where the
        session has one, that is sent; any other authentication is the caller's own (rule T11).
        """
        name = next((name for name in wire.headers if name.lower() == "authorization"), None)
        given = None if name is None else wire.headers[name]
        if name is not None and given in self._placeholders():
            if token_goes_to(self.session, wire.url):
                del wire.headers[name]
                return {}
            if given == "Bearer ":
                del wire.headers[name]
        # Else requests would look into .netrc, even over a header that is there.
        return {} if self.session.auth else {"auth": _leave_as_it_is}

    def _placeholders(self) -> tuple[str, ...]:
        """The headers that the SDK makes of the token that it has, or has not."""
        token, common = self._api_client.access_token, Configuration().access_token
        return ("Bearer ", f"Bearer {token}", f"Bearer {common}")

    def _timeout(self, options: Any) -> float | None:
        """Seconds, if anybody has set a timeout."""
        if options.timeout and options.timeout != UNSET_TIMEOUT:
            return float(options.timeout) / 1000
        chosen = self._timeout_chosen or self.timeout != UNSET_TIMEOUT
        return float(self.timeout) / 1000 if chosen and self.timeout else None


def token_goes_to(session: Session, url: str) -> bool:
    """Whether the session sends a token of its own to this URL.

    Raises:
        requests.exceptions.InvalidURL: when it has no scheme or no host.
        requests.exceptions.InvalidSchema: when no adapter serves it.
    """
    adapter = session.get_adapter(url=url)
    tokens = adapter.live.tokens if isinstance(adapter, Adapter) else None
    return tokens is not None and tokens.serves(origin_of(url).name)


def _leave_as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that adds nothing."""
    return request
