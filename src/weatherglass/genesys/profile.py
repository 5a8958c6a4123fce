"""What Genesys Cloud does differently from other servers, as a profile and nothing else.

All of it is data that weatherglass' core goes by: codes, header names, keys, the status page.
Where things are, and who calls, is the session's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.genesys.codes import ALREADY_DONE, RULES
from weatherglass.genesys.regions import STATUS_PAGE, Region
from weatherglass.genesys.regions import region as region_of
from weatherglass.policy import Profile
from weatherglass.policy.feed import StatusFeed
from weatherglass.policy.limit_headers import LimitHeaders

NAME = "genesys"
FEED_NAME = f"{NAME} status page"

CORRELATION_HEADER = "ININ-Correlation-Id"

LIMIT_HEADERS = LimitHeaders(
    name=NAME,
    limit="inin-ratelimit-allowed",
    used="inin-ratelimit-count",
    reset="inin-ratelimit-reset",
)

HONOURING_ROUTES = ("POST */api/v2/quality/conversations/*/evaluations",)
"""The one operation that declares the header, "for request deduplication"; the star in front
stands for a gateway's path."""


def profile(
    region: Region | str | None = None,
    client_id: str | None = None,
    *,
    hosts: Iterable[str] = (),
    status_feed: bool | str = True,
) -> Profile:
    """The profile of Genesys Cloud, for a region or for none in particular.

    Args:
        region: whose maintenance counts; none: no status feed, unless its URL is given.
        client_id: told apart in idempotency keys, so that two clients never share one.
        hosts: the hosts that the region's maintenance concerns; by default the region's own.
        status_feed: whether the status page is read; or its URL.

    Raises:
        InvalidPolicy: for an unknown region, or a URL that is none.
    """
    known = None if region is None else region_of(region)
    settings: dict[str, Any] = {
        "correlation_headers": (CORRELATION_HEADER,),
        "idempotency.key": "deterministic",
        # The operation that declares the header wants a UUID.
        "idempotency.key_format": "uuid",
        "idempotency.honouring_routes": HONOURING_ROUTES,
        "idempotency.done_codes": ALREADY_DONE,
    }
    if client_id is not None:
        settings["idempotency.client_id"] = client_id
    return Profile(
        name=NAME,
        settings=settings,
        rules=RULES,
        limit_headers=(LIMIT_HEADERS,),
        feeds=_feeds(known, tuple(hosts), status_feed),
    )


def _feeds(
    known: Region | None, hosts: tuple[str, ...], wanted: bool | str
) -> tuple[StatusFeed, ...]:
    if not isinstance(wanted, (bool, str)):
        raise InvalidPolicy(
            f"status_feed is a {type(wanted).__name__}, but must be true, false or a URL"
        )
    if wanted is False or (wanted is True and known is None):
        return ()
    if not hosts and known is not None:
        hosts = (known.api_host, known.login_host)
    feed = StatusFeed(
        url=STATUS_PAGE if wanted is True else str(wanted),
        name=FEED_NAME,
        components=known.components if known is not None else (),
        hosts=hosts,
    )
    return (feed,)
