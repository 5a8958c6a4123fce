"""The page on Genesys Cloud says what the profile has: regions, codes, names and settings."""

from __future__ import annotations

import re

import pytest
from doc_pages import page

from weatherglass import genesys
from weatherglass.genesys.codes import RULES
from weatherglass.policy import Rule

PAGE = page("genesys.md")


def quoted(cell: str) -> tuple[str, ...]:
    """What stands between backticks."""
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_every_region_is_documented() -> None:
    """G1: the table of regions is that of the code, in its order."""
    rows = [tuple(quoted(cell) for cell in row) for row in PAGE.rows("Regions")[1:]]

    assert rows == [((r.name,), (r.aws,), r.components) for r in genesys.REGIONS]


ROWS = list(zip(RULES, PAGE.rows("Codes")[1:], strict=True))


@pytest.mark.parametrize(("rule", "row"), ROWS, ids=[rule.name for rule in RULES])
def test_every_code_is_documented_as_it_is_judged(rule: Rule, row: list[str]) -> None:
    """C2: each row has a rule's codes and statuses, and says what the rule says."""
    codes, statuses, kind, transient, executed = row

    assert set(quoted(codes)) == set(rule.codes)
    said = {int(s[0]) if s.endswith("xx") else int(s) for s in re.findall(r"\dxx|\d{3}", statuses)}
    assert said == set(rule.statuses)
    assert quoted(kind) == (() if rule.kind is None else (str(rule.kind),))
    assert transient == ("yes" if rule.transient else "no")
    if rule.execution is not None:
        assert executed == ("no" if rule.execution.excluded else "perhaps")


def test_every_name_of_the_package_is_documented() -> None:
    """D16: whatever the package exports, the page names."""
    missing = [n for n in genesys.__all__ if not re.search(rf"\b{n}\b", PAGE.text)]

    assert missing == []


def test_what_the_profile_sets_is_documented() -> None:
    """G1: every setting that the profile brings has its place in the table."""
    rows = PAGE.rows("What the profile brings")
    named = {name for row in rows for name in quoted(row[0])}

    assert set(genesys.profile(client_id="me").settings) <= named
