"""Regions, their aliases and hosts, and hosts of one's own in their place."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
import responses
from genesys_scenes import USERS_ME, travelled

from weatherglass import InvalidPolicy
from weatherglass.genesys import REGIONS, Gateway, Region, Session, region

DOMAINS = {
    "mypurecloud.com": "us-east-1",
    "mypurecloud.ie": "eu-west-1",
    "mypurecloud.com.au": "ap-southeast-2",
    "mypurecloud.jp": "ap-northeast-1",
    "mypurecloud.de": "eu-central-1",
    "usw2.pure.cloud": "us-west-2",
    "cac1.pure.cloud": "ca-central-1",
    "apne2.pure.cloud": "ap-northeast-2",
    "euw2.pure.cloud": "eu-west-2",
    "aps1.pure.cloud": "ap-south-1",
    "sae1.pure.cloud": "sa-east-1",
    "mec1.pure.cloud": "me-central-1",
    "apne3.pure.cloud": "ap-northeast-3",
    "euc2.pure.cloud": "eu-central-2",
    "mxc1.pure.cloud": "mx-central-1",
    "apse1.pure.cloud": "ap-southeast-1",
    "use2.us-gov-pure.cloud": "us-east-2",
    "edee1.eusc-pure.cloud": "eusc-de-east-1",
}
"""All regions, written down once more."""

LOGIN_PAGE_NAMES = {
    "mypurecloud.com": "Americas (US East)",
    "use2.us-gov-pure.cloud": "Americas (US East 2)",
    "usw2.pure.cloud": "Americas (US West)",
    "cac1.pure.cloud": "Americas (Canada)",
    "mxc1.pure.cloud": "Americas (Mexico)",
    "sae1.pure.cloud": "Americas (S\u00e3o Paulo)",
    "mypurecloud.ie": "EMEA (Dublin)",
    "euw2.pure.cloud": "EMEA (London)",
    "mypurecloud.de": "EMEA (Frankfurt)",
    "euc2.pure.cloud": "EMEA (Zurich)",
    "mec1.pure.cloud": "EMEA (UAE)",
    "aps1.pure.cloud": "Asia Pacific (Mumbai)",
    "apse1.pure.cloud": "Asia Pacific (Singapore)",
    "mypurecloud.com.au": "Asia Pacific (Sydney)",
    "mypurecloud.jp": "Asia Pacific (Tokyo)",
    "apne2.pure.cloud": "Asia Pacific (Seoul)",
    "apne3.pure.cloud": "Asia Pacific (Osaka)",
}


def made(**arguments: Any) -> Session:
    with Session(**{"client_id": "me", "client_secret": "mine", **arguments}) as session:
        return session


def test_all_regions_are_there() -> None:
    """G1: the table has every region there is, with its name at AWS."""
    assert {each.name: each.aws for each in REGIONS} == DOMAINS


@pytest.mark.parametrize(("name", "aws"), DOMAINS.items())
def test_region_goes_by_many_names(name: str, aws: str) -> None:
    """G1: a domain, a name at AWS, a host or its URL, in any case, all mean the region."""
    names = (
        name,
        aws,
        aws.replace("-", "_"),
        f"api.{name}",
        f"login.{name}",
        f"apps.{name}",
        f"https://api.{name}",
        f"https://login.{name}/oauth/token?x=1#y",
        f"HTTPS://API.{name}:443/api/v2/users/me".upper(),
        f"  {name.title()}\n",
        f"{name}.",
    )
    assert {region(text).name for text in names} == {name}
    assert region(region(name)) is region(name)


@pytest.mark.parametrize("name", DOMAINS)
def test_region_has_its_hosts(name: str) -> None:
    """G1: API and token endpoint are at the hosts of the region's domain, by HTTPS."""
    known = region(name)

    assert (known.api_url, known.login_url) == (f"https://api.{name}", f"https://login.{name}")
    assert known.token_url == f"https://login.{name}/oauth/token"


def test_components_of_a_region_are_no_other_regions() -> None:
    """M1: each region's patterns fit its own name on the status page, and no other region's."""
    for each in REGIONS:
        fitting = {
            name
            for name, component in LOGIN_PAGE_NAMES.items()
            if any(fnmatchcase(component, pattern) for pattern in each.components)
        }
        assert fitting == {each.name} & LOGIN_PAGE_NAMES.keys()
        assert each.components


@pytest.mark.parametrize(
    "text",
    ["", " ", "mypurecloud", "mypurecloud.io", "eu-west-9", "https://", "api.", "x" * 10_000, "\0"],
)
def test_unknown_region_fails_with_the_list_of_the_known(text: str) -> None:
    """G1: an unknown region is refused, and the message names those that are known."""
    with pytest.raises(InvalidPolicy, match=r"region is .*, but must be one of ") as caught:
        region(text)

    assert all(f"{name} ({aws})" in str(caught.value) for name, aws in DOMAINS.items())
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@example.com",
        "https://example.com/#access_token=hunter2",
        "https://example.com/?token=hunter2",
    ],
)
def test_region_with_a_secret_is_not_quoted(text: str) -> None:
    """T9: a URL with credentials in the place of a region does not end up in the message."""
    with pytest.raises(InvalidPolicy) as caught:
        region(text)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("thing", [None, 7, b"mypurecloud.ie", ["mypurecloud.ie"]])
def test_region_must_be_a_text(thing: Any) -> None:
    """G1: what is no text is refused as such."""
    with pytest.raises(InvalidPolicy, match=r"must be a text such as 'mypurecloud\.ie'"):
        region(thing)


def test_session_is_at_its_regions_hosts() -> None:
    """G1: by construction a session talks to the API of its region, and to nobody else."""
    session = made(region="EU-WEST-1")

    assert session.api_url == "https://api.mypurecloud.ie"
    assert session.token_url == "https://login.mypurecloud.ie/oauth/token"
    assert session.url(USERS_ME) == "https://api.mypurecloud.ie/api/v2/users/me"
    assert session.url("api/v2/users/me") == "https://api.mypurecloud.ie/api/v2/users/me"
    assert session.url("https://example.com/x") == "https://example.com/x"
    assert session.url("/x?to=https://y") == "https://api.mypurecloud.ie/x?to=https://y"
    source: Any = session.adapter.token_source
    assert source.origins == {"https://api.mypurecloud.ie"}
    assert (source.token_url, source.name) == (session.token_url, "genesys")


@pytest.mark.parametrize("name", DOMAINS)
def test_calls_go_to_the_real_hosts(name: str) -> None:
    """G1: the secret goes to the region's login host and the token to its API host, by HTTPS."""
    token_url, users_url = f"https://login.{name}/oauth/token", f"https://api.{name}{USERS_ME}"
    session = Session(region=name, client_id="me", client_secret="mine", status_feed=False)
    with session, responses.RequestsMock() as world:
        world.post(token_url, json={"access_token": "t-1", "expires_in": 86399})
        world.get(users_url, json={"id": "u-1"})
        assert session.get(USERS_ME).json() == {"id": "u-1"}

        sent = [(c.request.url, c.request.headers["Authorization"]) for c in world.calls]
    assert sent == [(token_url, "Basic bWU6bWluZQ=="), (users_url, "Bearer t-1")]


def test_region_can_come_from_the_environment(bare_environment: pytest.MonkeyPatch) -> None:
    """G1: without an argument the region is that of the environment, and an argument wins."""
    bare_environment.setenv("GENESYS_CLOUD_REGION", "mypurecloud.de")

    assert made().region == region("mypurecloud.de")
    assert made(region="mypurecloud.jp").region == region("mypurecloud.jp")
    assert made(gateway=Gateway("https://gw.example.com", "https://gw.example.com")).region is None


def test_wrong_region_of_the_environment_names_the_variable(
    bare_environment: pytest.MonkeyPatch,
) -> None:
    """G1: whoever mistyped the variable is told which one."""
    bare_environment.setenv("GENESYS_CLOUD_REGION", "ireland")

    with pytest.raises(InvalidPolicy, match=r"GENESYS_CLOUD_REGION: region is 'ireland', but"):
        made()


def test_missing_region_says_where_it_can_come_from() -> None:
    """G1: without any region the message names all the ways to say it."""
    with pytest.raises(
        InvalidPolicy,
        match=r"region is missing: .*region=.*GENESYS_CLOUD_REGION.*gateway=.*api_url",
    ):
        made()


def test_gateway_stands_in_the_regions_place() -> None:
    """G1: hosts of one's own, with paths and ports, take the place of a region's."""
    gateway = Gateway(
        api="HTTPS://GW.example.com:8443/genesys/", login="https://gw.example.com/login"
    )
    session = made(gateway=gateway)

    assert session.url(USERS_ME) == "https://gw.example.com:8443/genesys/api/v2/users/me"
    assert session.token_url == "https://gw.example.com/login/oauth/token"
    source: Any = session.adapter.token_source
    assert source.origins == {"https://gw.example.com:8443"}
    assert session.policy.maintenance.feeds == ()
    assert travelled(gateway) == gateway


def test_gateway_can_name_the_region_behind_it() -> None:
    """M1: the status page's news of the region behind a gateway concern the gateway's hosts."""
    gateway = Gateway("https://gw.example.com/a", "https://id.example.com", region="eu-west-1")

    (feed,) = made(gateway=gateway).policy.maintenance.feeds

    assert set(feed.hosts) == {"gw.example.com", "id.example.com"}
    assert feed.components == region("mypurecloud.ie").components


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            {"region": "mypurecloud.ie", "gateway": Gateway("https://g", "https://g")},
            "region and gateway are both given",
        ),
        (
            {"gateway": Gateway("https://g", "https://g"), "api_url": "https://h"},
            "gateway is given together with api_url or login_url",
        ),
        ({"gateway": Gateway("https://g")}, "the login host is missing"),
        ({"api_url": "https://g"}, "the login host is missing"),
        ({"gateway": "https://g"}, "gateway is a str, but must be a Gateway"),
        (
            {"api_url": "http://gw.example.com"},
            "api_url is http://gw.example.com, but must be https",
        ),
        (
            {"region": "eu-west-1", "login_url": "http://g"},
            "login_url is http://g, but must be https",
        ),
        ({"region": "eu-west-1", "api_url": "gw.example.com"}, "api_url is no URL"),
        ({"region": "eu-west-1", "api_url": "https://g/?a=b"}, "api_url has a query"),
        ({"region": "eu-west-1", "api_url": "https://g/a b"}, "api_url has a query or white space"),
        ({"region": "eu-west-1", "api_url": "https://u:p@g"}, "api_url has credentials"),
        (
            {"region": "eu-west-1", "api_url": "https://g/x/api/v2/"},
            "api_url ends with /api/v2, but must be what stands before it: https://g/x",
        ),
        (
            {"region": "eu-west-1", "login_url": "https://g/oauth/token"},
            "login_url ends with /oauth/token, but must be what stands before it: https://g",
        ),
        ({"region": "eu-west-1", "status_feed": 5}, "status_feed is a int, but must be"),
        ({"region": "eu-west-1", "status_feed": "http://g"}, "must be https"),
        ({"region": "eu-west-1", "policy": "strict"}, "policy is a str, but must be a Policy"),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: dict[str, Any], complaint: str) -> None:
    """G1: what is contradictory, incomplete or unsafe fails at once, and says what it is."""
    with pytest.raises(InvalidPolicy, match=re.escape(complaint)):
        made(**arguments)


@pytest.mark.parametrize("url", ["http://gw.example.com", "ftp://g", "gw", "", "https://g#x", 5])
@pytest.mark.parametrize("part", ["api", "login"])
def test_gateway_must_be_https(part: str, url: Any) -> None:
    """T9: a gateway without TLS is refused, unless it is on loopback."""
    with pytest.raises(InvalidPolicy, match=f"gateway.{part} "):
        Gateway(**{"api": "https://g", part: url})

    assert Gateway("http://127.0.0.1:80/x/").api == "http://127.0.0.1/x"


def test_regions_are_immutable_and_travel() -> None:
    """D16: a region is a value."""
    known = region("mypurecloud.ie")

    assert travelled(known) == known
    assert str(known) == "mypurecloud.ie"
    assert hash(known) == hash(Region(known.name, known.aws, known.components))
