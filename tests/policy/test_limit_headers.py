"""Families of rate limit headers, as data of a policy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import LimitHeaders, PacingPolicy, Policy, load_policy

FILE = """
[[limit_headers]]
name = "vendor"
limit = "X-Allowed"
used = "X-Count"
reset = "X-Reset"
"""
VENDOR = LimitHeaders(name="vendor", limit="x-allowed", used="x-count", reset="x-reset")


def test_names_are_the_same_in_any_case() -> None:
    """G4: names of headers are kept in lower case."""
    assert LimitHeaders(name="v", remaining="X-Left").remaining == "x-left"
    assert pickle.loads(pickle.dumps(VENDOR)) == VENDOR  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "a family's name is ''"),
        ({"name": 5}, "a family's name is 5"),
        ({"name": "v"}, "limit_headers.v does not say how much is left"),
        ({"name": "v", "limit": "x"}, "remaining, or limit and used"),
        ({"name": "v", "used": "x", "reset": "y"}, "remaining, or limit and used"),
        ({"name": "v", "remaining": "x left"}, "limit_headers.v.remaining is 'x left'"),
        ({"name": "v", "remaining": "x", "reset": 5}, "limit_headers.v.reset is 5"),
        ({"name": "v", "remaining": ""}, "must be the name of a header"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], words: str) -> None:
    """D16, G4: a family must say how much is left, in headers that can be."""
    with pytest.raises(InvalidPolicy) as caught:
        LimitHeaders(**fields)
    assert words in str(caught.value)


def test_a_policy_has_families_only() -> None:
    """D16: something else among them is refused by name."""
    wrong: Any = ("x-ratelimit-remaining",)
    with pytest.raises(InvalidPolicy, match="limit_headers has 'x-ratelimit-remaining'"):
        Policy(limit_headers=wrong)


def test_files_have_them(tmp_path: Path) -> None:
    """D17: a file's families come before the policy's, whose own of the same name they replace."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(FILE, encoding="utf-8")
    other = LimitHeaders(name="other", remaining="x-other")
    base = Policy(limit_headers=(LimitHeaders(name="vendor", remaining="x-old"), other))
    loaded = load_policy(file, {}, base)
    assert loaded.policy.limit_headers == (VENDOR, other)
    assert loaded.origins["limit_headers"] == f"file {file} and policy default"


def test_they_print_back(tmp_path: Path) -> None:
    """D17: what is printed as a file leads to the same policy, and is seen by a person."""
    policy = Policy(limit_headers=(VENDOR,), pacing=PacingPolicy(enabled=True, start=0.8))
    loaded = load_policy(environ={}, base=policy)
    file = tmp_path / "printed.toml"
    file.write_text(loaded.to_toml(), encoding="utf-8")
    assert load_policy(file, {}).policy == policy
    assert "limit headers: 1, policy default\n  vendor" in loaded.render()
    assert loaded.to_dict()["limit_headers"]["value"] == [
        {
            "name": "vendor",
            "limit": "x-allowed",
            "remaining": None,
            "used": "x-count",
            "reset": "x-reset",
        }
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limit_headers = 'x'", "[[limit_headers]]"),
        ("[[limit_headers]]\nremaining = 'x'", "limit_headers[0] has no name"),
        ("[[limit_headers]]\nname = 'v'\nremain = 'x'", "the nearest are remaining"),
    ],
)
def test_files_are_held_against_it(tmp_path: Path, text: str, words: str) -> None:
    """D17: what is wrong in a file is named, with what is near."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidPolicy) as caught:
        load_policy(file, {})
    assert words in str(caught.value)


def test_no_environment_variable_has_them() -> None:
    """D17: a variable for them is refused with a word on where they can be given."""
    with pytest.raises(InvalidPolicy, match="limit headers can be given in a file or in Python"):
        load_policy(environ={"WEATHERGLASS_LIMIT_HEADERS": "x"})


def test_pacing_is_off_unless_asked_for() -> None:
    """G4: pacing is a choice."""
    assert Policy().pacing == PacingPolicy(enabled=False, start=0.5, max_wait=60.0)
    loaded = load_policy(environ={"WEATHERGLASS_PACING_ENABLED": "yes"})
    assert loaded.policy.pacing.enabled
