"""Whatever stands in the place of a region, it is one or it is refused (rule G1)."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from weatherglass import InvalidPolicy
from weatherglass.genesys import REGIONS, Gateway, Region, region

NAMES = st.sampled_from([name for each in REGIONS for name in (each.name, each.aws)])
AROUND = st.sampled_from(["", " ", "api.", "login.", "https://", "https://api.", "/", ":443", "@"])
ANYTHING = st.one_of(
    st.text(),
    st.builds("".join, st.lists(st.one_of(NAMES, AROUND, st.text(max_size=3)), max_size=5)),
    st.none(),
    st.integers(),
    st.binary(),
    st.lists(st.text()),
)


@given(ANYTHING)
def test_region_is_total(thing: Any) -> None:
    """G1: any value is a known region or raises ``InvalidPolicy``, and nothing else."""
    with contextlib.suppress(InvalidPolicy):
        assert region(thing) in REGIONS


@given(NAMES, st.sampled_from(["", "api.", "login."]), st.booleans(), st.data())
def test_case_does_not_matter(name: str, prefix: str, as_url: bool, data: st.DataObject) -> None:
    """G1: an alias in any mixture of cases, with a host's prefix or as a URL, is the region."""
    wanted = region(name)
    text = prefix + (wanted.name if prefix else name)
    mixed = "".join(data.draw(st.sampled_from((char.lower(), char.upper()))) for char in text)

    assert region(f"https://{mixed}/" if as_url else mixed) is wanted


@given(ANYTHING, st.one_of(st.none(), ANYTHING))
def test_gateway_is_https_or_refused(api: Any, login: Any) -> None:
    """T9: whatever is given, a gateway is HTTPS or on loopback, or it is not made."""
    with contextlib.suppress(InvalidPolicy):
        gateway = Gateway(api, login)
        for url in (gateway.api, gateway.login):
            assert url is None or url.startswith(("https://", "http://localhost", "http://127."))
            assert url is None or not url.endswith("/")
        assert isinstance(gateway.region, (Region, type(None)))
