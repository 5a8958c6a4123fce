"""Route patterns against regular expressions that say the same."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.decide.routes import matches


@given(st.text("ab/.*", max_size=8), st.text("ab/.\n", max_size=10))
def test_patterns_mean_what_they_look_like(pattern: str, path: str) -> None:
    """R3: a star is any run of characters, and everything else is itself."""
    pattern, path = "/" + pattern, "/" + path
    said = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path, re.DOTALL)
    assert matches((f"POST {pattern}",), "POST", path) == (said is not None)
