"""Hosts of one's own in place of a region's: an API gateway, or a server for tests.

Only says where things are; it opens no connection. Proxies are another matter, and are set as
for any ``requests.Session``.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from weatherglass.errors import InvalidPolicy
from weatherglass.genesys.regions import TOKEN_PATH, Region, region
from weatherglass.origins import checked_url, origin_of


@dataclass(frozen=True, slots=True)
class Gateway:
    """An API gateway through which Genesys Cloud is reached.

    ``Gateway(api="https://gw.example.com/genesys", login="https://gw.example.com/login")``

    Raises:
        InvalidPolicy: for a URL that is none, or is neither HTTPS nor loopback.
    """

    api: str
    """What stands before ``/api/v2/…``: scheme, host, and perhaps a port and a path."""
    login: str | None = None
    """What stands before ``/oauth/token``; none where the token comes from elsewhere."""
    region: Region | str | None = None
    """The region behind it, whose maintenance the status page announces; none: no feed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "api", base_url(self.api, "gateway.api"))
        if self.login is not None:
            object.__setattr__(self, "login", base_url(self.login, "gateway.login"))
        if self.region is not None:
            object.__setattr__(self, "region", region(self.region))


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an organisation's API and token endpoint are."""

    region: Region | None
    api_url: str
    login_url: str | None

    @property
    def token_url(self) -> str | None:
        """The token endpoint, if it is known where that is."""
        return None if self.login_url is None else self.login_url + TOKEN_PATH

    @property
    def api_origin(self) -> str:
        """The one origin that gets the token (rule T11)."""
        return origin_of(self.api_url).name

    @property
    def loopback(self) -> bool:
        """Whether the API is on this machine, as a server for tests is."""
        return origin_of(self.api_url).loopback

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that a maintenance of the region concerns."""
        urls = (self.api_url, self.login_url)
        return tuple(dict.fromkeys(origin_of(url).host for url in urls if url is not None))


def endpoints(
    area: Region | str | None,
    gateway: Gateway | None,
    api_url: str | None,
    login_url: str | None,
) -> Endpoints:
    """What the arguments of a session say about where things are.

    Raises:
        InvalidPolicy: when they say nothing, or two things.
    """
    if gateway is not None:
        return _of_gateway(area, gateway, api_url, login_url)
    known = None if area is None else region(area)
    if api_url is None and known is None:
        raise InvalidPolicy(
            "region is missing: give region=, such as region='mypurecloud.ie', set the environment"
            " variable GENESYS_CLOUD_REGION, or give gateway= or api_url="
        )
    api = known.api_url if api_url is None and known else base_url(api_url, "api_url")
    if login_url is not None:
        login: str | None = base_url(login_url, "login_url")
    else:
        login = known.login_url if known else None
    return Endpoints(known, api, login)


def _of_gateway(
    area: Region | str | None, gateway: Gateway, api_url: str | None, login_url: str | None
) -> Endpoints:
    if not isinstance(gateway, Gateway):
        raise InvalidPolicy(f"gateway is a {type(gateway).__name__}, but must be a Gateway")
    if area is not None:
        raise InvalidPolicy(
            "region and gateway are both given, but a gateway stands in a region's place; the"
            " region behind it is said with Gateway(..., region=...)"
        )
    if api_url is not None or login_url is not None:
        raise InvalidPolicy(
            "gateway is given together with api_url or login_url, but must be given alone: it has"
            " both URLs"
        )
    known = None if gateway.region is None else region(gateway.region)
    return Endpoints(known, gateway.api, gateway.login)


def base_url(given: str | None, where: str) -> str:
    """A URL that paths are put behind: normalised, without a slash at its end.

    Raises:
        InvalidPolicy: naming ``where``, when it is none, holds credentials, a query or a
            fragment, or is neither HTTPS nor loopback (rule T9).
    """
    # Its own check of the scheme, since the shared one offers a switch that is not here.
    origin = checked_url(given, where, allow_insecure=True)  # type: ignore[arg-type]  # it checks
    if origin.scheme != "https" and not origin.loopback:
        raise InvalidPolicy(
            f"{where} is {origin}, but must be https; only a loopback host may do without it"
        )
    parts = urlsplit(str(given))
    if parts.query or not parts.path.isprintable() or " " in parts.path:
        raise InvalidPolicy(
            f"{where} has a query or white space behind {origin}, but must have at most a path"
        )
    base = origin.name + parts.path.rstrip("/")
    for end in ("/api/v2", TOKEN_PATH):
        if base.endswith(end):
            raise InvalidPolicy(
                f"{where} ends with {end}, but must be what stands before it:"
                f" {base.removesuffix(end)}"
            )
    return base
