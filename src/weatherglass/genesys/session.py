"""A session for Genesys Cloud: a :class:`weatherglass.Session` that knows where and who.

It puts region, credentials and profile together, and relative paths behind the API's URL. How
calls are made is all the core's; what is particular to Genesys Cloud is data of the profile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from requests import Response

from weatherglass.errors import InvalidPolicy
from weatherglass.genesys.credentials import credentials, region_of_environment
from weatherglass.genesys.gateways import Endpoints, Gateway, endpoints
from weatherglass.genesys.profile import FEED_NAME, NAME
from weatherglass.genesys.profile import profile as profile_of
from weatherglass.genesys.regions import STATUS_PAGE, Region
from weatherglass.policy import LoadedPolicy, Policy, Profile
from weatherglass.session import Session as CoreSession
from weatherglass.tokens import CallableTokens, ClientCredentials, TokenSource
from weatherglass.tokens.secret import SecretValue
from weatherglass.tokens.sources import Fetched

_PATHS = ("/", "api/v2/")
"""How the paths begin that are put behind the API's URL; all else is for ``requests`` to judge."""


class Session(CoreSession):
    """A session for the Genesys Cloud Platform API, ready for use (rule G1).

    ``Session(region="mypurecloud.ie", client_id="…", client_secret="…").get("/api/v2/users/me")``

    Args:
        region: where the organisation lives: a domain, an AWS name, a host or its URL. By
            default the environment variable ``GENESYS_CLOUD_REGION``.
        client_id, client_secret: of an OAuth client with the client credentials grant. By
            default ``GENESYS_CLOUD_CLIENT_ID`` and ``GENESYS_CLOUD_CLIENT_SECRET``. The secret
            may be a function that returns it.
        policy: settings of one's own; what they leave at its default is the profile's.
        tokens: another source of tokens in place of the client credentials, such as
            :class:`weatherglass.RefreshToken`, or a function that returns a token.
        gateway: hosts of one's own in the region's place.
        api_url, login_url: likewise one by one, beside a region or without.
        status_feed: whether maintenance is read from the status page; or its URL. A server on
            loopback is none of Genesys', so for one the page is read only if its URL is given.
        others: whatever :class:`weatherglass.Session` takes, such as ``callbacks=``.

    Raises:
        InvalidPolicy: for what is missing, unknown, contradictory or makes no sense; the message
            says what, and where it can come from.
    """

    def __init__(
        self,
        *,
        region: Region | str | None = None,
        client_id: str | None = None,
        client_secret: SecretValue | None = None,
        policy: Policy | LoadedPolicy | None = None,
        tokens: TokenSource | Callable[[], Fetched] | None = None,
        gateway: Gateway | None = None,
        api_url: str | None = None,
        login_url: str | None = None,
        status_feed: bool | str = True,
        **others: Any,
    ) -> None:
        if region is None and gateway is None and api_url is None:
            region = region_of_environment()
        where = endpoints(region, gateway, api_url, login_url)
        source = _source(where, client_id, client_secret, tokens)
        if status_feed is True and where.loopback:
            status_feed = False
        profile = profile_of(
            where.region,
            client_id or _client_of(source),
            hosts=where.hosts,
            status_feed=status_feed,
        )
        self._endpoints = where
        # What is no source at all is the core's to refuse.
        bound = getattr(source, "origins", ()) is not None
        laid = laid_under(policy, profile)
        if status_feed is False:
            laid = _without_the_page(laid)
        super().__init__(policy=laid, tokens=source if bound else None, **others)
        if not bound:
            # The source itself, and no copy that names the origin: sessions that share a source
            # share its token, and a refresh token that rotates must not be spent twice.
            self.adapter.replace_tokens(source)
            self.adapter.bind(where.api_url)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_endpoints": self._endpoints}

    @property
    def region(self) -> Region | None:
        """The region, if there is one that is known."""
        return self._endpoints.region

    @property
    def api_url(self) -> str:
        """What relative paths are put behind, without a slash at its end."""
        return self._endpoints.api_url

    @property
    def login_url(self) -> str | None:
        """What ``/oauth/token`` stands behind, if that is known."""
        return self._endpoints.login_url

    @property
    def token_url(self) -> str | None:
        """The token endpoint, if it is known where that is."""
        return self._endpoints.token_url

    def url(self, path: str) -> str:
        """A path of the API as a URL; a URL stays as it is."""
        if path.startswith("/"):
            # Whatever is in it: ``//host`` or ``/…/https://host`` leads to no other server.
            return self.api_url + path
        return path if "://" in path.partition("?")[0] else f"{self.api_url}/{path}"

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> Response:
        """Send a request; see :meth:`weatherglass.Session.request`.

        A path such as ``/api/v2/users/me`` or ``api/v2/users/me`` is one of the API.
        """
        if isinstance(url, str) and url.startswith(_PATHS):
            url = self.url(url)
        return super().request(method, url, *args, **kwargs)

    def __repr__(self) -> str:
        area = None if self.region is None else self.region.name
        return f"{type(self).__name__}(region={area!r}, api_url={self.api_url!r})"


def laid_under(policy: Policy | LoadedPolicy | None, profile: Profile) -> Policy:
    """The policy, with the profile where it sets nothing itself.

    What was loaded remembers what was said in it, even where that is weatherglass' default; of a
    plain policy nobody can tell. So one that has the profile in it already, or what was left of
    it, is taken as it is: ``policy=genesys.profile(…).policy().new(idempotency={"key": None})``.
    """
    if policy is not None and not isinstance(policy, (Policy, LoadedPolicy)):
        raise InvalidPolicy(
            f"policy is a {type(policy).__name__}, but must be a Policy or a LoadedPolicy"
        )
    if not isinstance(policy, Policy) or not _in_it(profile, policy):
        return profile.policy(policy)
    client_id = profile.settings.get("idempotency.client_id")
    if policy.idempotency.client_id is None and client_id is not None:
        # Made without one: still, two clients must not share a key (rule I2).
        return policy.new(idempotency={"client_id": client_id})
    return policy


def _in_it(profile: Profile, policy: Policy) -> bool:
    """Whether the policy was completed by the profile; rules may have been taken out since."""
    shared = (profile.rules, policy.rules), (profile.limit_headers, policy.limit_headers)
    return any(not set(mine).isdisjoint(theirs) for mine, theirs in shared)


def _without_the_page(policy: Policy) -> Policy:
    """The policy, without Genesys' status page, which a profile may have put into it before."""
    feeds = policy.maintenance.feeds
    kept = tuple(feed for feed in feeds if (feed.name, feed.url) != (FEED_NAME, STATUS_PAGE))
    return policy if kept == feeds else policy.new(maintenance={"feeds": kept})


def _client_of(source: TokenSource) -> str | None:
    """The client that a source is for: a code grant's has one as well, a function's has not."""
    found = getattr(source, "client_id", None)
    return found if isinstance(found, str) and found else None


def _source(
    where: Endpoints,
    client_id: str | None,
    client_secret: SecretValue | None,
    tokens: TokenSource | Callable[[], Fetched] | None,
) -> TokenSource:
    if tokens is None:
        return _client_credentials(where, client_id, client_secret)
    if client_secret is not None:
        raise InvalidPolicy(
            "client_secret and tokens are both given, but a token source has its own credentials"
        )
    origins = getattr(tokens, "origins", None)
    if origins is not None and where.api_origin not in origins:
        raise InvalidPolicy(
            f"tokens.origins is {', '.join(sorted(origins)) or 'empty'}, but must have"
            f" {where.api_origin}, which is where calls go"
        )
    if callable(tokens) and not hasattr(tokens, "fetch"):
        return CallableTokens(tokens, origins=where.api_origin, name=NAME)
    return cast("TokenSource", tokens)


def _client_credentials(
    where: Endpoints, client_id: str | None, client_secret: SecretValue | None
) -> TokenSource:
    if where.token_url is None:
        raise InvalidPolicy(
            "the login host is missing: give Gateway(..., login=), or login_url= beside api_url=;"
            " or give tokens=, a token source of your own"
        )
    client = credentials(client_id, client_secret)
    return ClientCredentials(
        token_url=where.token_url,
        client_id=client.client_id,
        client_secret=client.client_secret,
        origins=where.api_origin,
        name=NAME,
    )
