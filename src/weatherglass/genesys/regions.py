"""The regions of Genesys Cloud: their domains, hosts, AWS names and parts of the status page.

An organisation lives in one region for good, and the region's domain names all of its hosts
(https://developer.genesys.cloud/platform/api/). A table, and the function that reads whatever
people have at hand as one of its rows. Hosts of one's own are in
:mod:`weatherglass.genesys.gateways`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.knobs import shown

STATUS_PAGE = "https://status.mypurecloud.com"
"""Where maintenance of all regions is announced (an Atlassian Statuspage)."""

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path, not a secret

_PREFIXES = ("api.", "login.", "apps.")
_LONGEST = 253
"""Characters of the longest host name there is (RFC 1035)."""


@dataclass(frozen=True, slots=True)
class Region:
    """One region of Genesys Cloud."""

    name: str
    """Its domain, such as ``mypurecloud.ie``."""
    aws: str
    """Its name at AWS, such as ``eu-west-1``."""
    components: tuple[str, ...] = ()
    """Its components on the status page, with ``*`` for any run of characters."""

    @property
    def api_host(self) -> str:
        """The host of the Platform API."""
        return f"api.{self.name}"

    @property
    def login_host(self) -> str:
        """The host of the OAuth token endpoint."""
        return f"login.{self.name}"

    @property
    def api_url(self) -> str:
        """What relative paths are put behind."""
        return f"https://{self.api_host}"

    @property
    def login_url(self) -> str:
        """The token endpoint's host as a URL."""
        return f"https://{self.login_host}"

    @property
    def token_url(self) -> str:
        """The token endpoint, for a grant of one's own."""
        return self.login_url + TOKEN_PATH

    def __str__(self) -> str:
        return self.name


def _table() -> Iterator[Region]:
    # The status page names its components as the login page names the regions, "Americas (US
    # East)". That is known for the older regions; whether São Paulo has its tilde, what the
    # sovereign regions are called and whether something is put before or behind the name is not.
    # So only the words that tell a region from the others are asked for. A glob that fits
    # nothing finds no windows, which is as if there were no feed.
    for name, aws, *components in (
        ("mypurecloud.com", "us-east-1", "*(US East)*"),
        ("use2.us-gov-pure.cloud", "us-east-2", "*US East 2*", "*FedRAMP*"),
        ("usw2.pure.cloud", "us-west-2", "*(US West)*"),
        ("cac1.pure.cloud", "ca-central-1", "*(Canada)*"),
        ("mxc1.pure.cloud", "mx-central-1", "*(Mexico)*"),
        ("sae1.pure.cloud", "sa-east-1", "*Paulo)*"),
        ("mypurecloud.ie", "eu-west-1", "*(Dublin)*", "*(Ireland)*"),
        ("euw2.pure.cloud", "eu-west-2", "*(London)*"),
        ("mypurecloud.de", "eu-central-1", "*(Frankfurt)*"),
        ("euc2.pure.cloud", "eu-central-2", "*(Zurich)*"),
        ("edee1.eusc-pure.cloud", "eusc-de-east-1", "*Sovereign*"),
        ("mec1.pure.cloud", "me-central-1", "*(UAE)*"),
        ("aps1.pure.cloud", "ap-south-1", "*(Mumbai)*"),
        ("apse1.pure.cloud", "ap-southeast-1", "*(Singapore)*"),
        ("mypurecloud.com.au", "ap-southeast-2", "*(Sydney)*"),
        ("mypurecloud.jp", "ap-northeast-1", "*(Tokyo)*"),
        ("apne2.pure.cloud", "ap-northeast-2", "*(Seoul)*"),
        ("apne3.pure.cloud", "ap-northeast-3", "*(Osaka)*"),
    ):
        yield Region(name, aws, tuple(components))


REGIONS: tuple[Region, ...] = tuple(_table())
"""All regions that are known."""

_BY_ALIAS = {alias: known for known in REGIONS for alias in (known.name, known.aws)}


def region(text: str | Region | Enum) -> Region:
    """The region that somebody means.

    ``mypurecloud.ie``, ``eu-west-1``, ``eu_west_1``, ``api.mypurecloud.ie`` and
    ``https://login.mypurecloud.ie/`` are the same one, in any case; so is the official SDK's
    ``PureCloudRegionHosts.eu_west_1``.

    Raises:
        InvalidPolicy: for anything else, with a list of the known.
    """
    if isinstance(text, Region):
        return text
    if isinstance(text, Enum):
        # The official SDK's have the API's URL for a value.
        text = text.value
    if not isinstance(text, str):
        raise InvalidPolicy(f"region is {shown(text)}, but must be a text such as 'mypurecloud.ie'")
    found = _BY_ALIAS.get(_alias(text))
    if found is None:
        raise InvalidPolicy(f"region is {_quotable(text)}, but must be one of {_known()}")
    return found


def _alias(text: str) -> str:
    """The text without what stands around a region's name in hosts and URLs."""
    # What is longer is none, and is not worth the work.
    plain = text.strip()[: 2 * _LONGEST].lower()
    host = plain.partition("://")[2] or plain
    for end in "/?#":
        host = host.partition(end)[0]
    host = host.removesuffix(":443").removesuffix(".")
    for prefix in _PREFIXES:
        if host.startswith(prefix):
            return host.removeprefix(prefix)
    # The official SDK spells AWS names with underscores, as names in Python must be.
    return host.replace("_", "-")


def _quotable(text: str) -> str:
    """The text for a message, without what can hold a password or a token."""
    if "@" in text:
        return "a text with an '@' in it"
    # An implicit grant leaves its token in the fragment of the address that people copy.
    return shown(re.split("[?#]", text, maxsplit=1)[0])


def _known() -> str:
    return ", ".join(f"{each.name} ({each.aws})" for each in REGIONS)
