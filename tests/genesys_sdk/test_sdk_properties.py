"""What holds for any body, charset and name of a file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.genesys.sdk.downloads import saved
from weatherglass.genesys.sdk.payload import on_the_wire

LETTERS = st.text(alphabet="ab/\\.\"'; \n\0ä☃😀", max_size=40)

CHARSETS = st.sampled_from(["utf-8", "latin-1", "cp1252", "utf-16", "idna", "rot13", "hex", ""])


@pytest.mark.usefixtures("sdk")
@given(st.binary(max_size=200), CHARSETS | LETTERS)
def test_any_body_becomes_text(body: bytes, charset: str) -> None:
    """G2: no body and no declared charset raises; UTF-8 comes back as it was."""
    from weatherglass.genesys.sdk.answers import text_of  # noqa: PLC0415 - after the fixture

    text = text_of(body, f"text/plain; charset={charset}")

    assert isinstance(text, str)
    if text_of(body, None).encode("utf-8", "surrogatepass") != body:
        assert text_of(body, None).encode("latin-1") == body


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize("charset", ["unicode_escape", "raw-unicode-escape", "punycode", "IDNA"])
def test_codecs_of_pythons_own_are_no_charsets(charset: str) -> None:
    """S1: a server's name for a charset reaches none of Python's codecs for other things."""
    from weatherglass.genesys.sdk.answers import text_of  # noqa: PLC0415 - after the fixture

    body = b"\xff\\u0041-bcher-kva"

    assert text_of(body, f"text/plain; charset={charset}") == body.decode("latin-1")


@given(LETTERS | st.just("../../x") | st.just("/etc/passwd"), st.binary(max_size=50))
def test_a_download_stays_in_its_folder(name: str, body: bytes) -> None:
    """S1: whatever name a server gives, the file is in the folder, with its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = saved(body, f"attachment; filename={name}", folder)

        assert Path(path).parent == Path(folder)
        assert Path(path).read_bytes() == body
        assert os.listdir(folder) == [Path(path).name]  # noqa: PTH208 - names are what is asked


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | LETTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["POST", "PUT", "PATCH", "OPTIONS"]), JSON)
def test_any_json_is_sent_as_it_is(method: str, body: Any) -> None:
    """G2: a JSON body reads back as what was given, and is pure ASCII."""
    wire = on_the_wire(
        SimpleNamespace(
            method=method, url="/", query_params={}, headers={}, post_params={}, body=body
        )
    )

    assert wire.body is not None
    assert json.loads(wire.body.decode("ascii")) == body
    assert wire.headers == {"Content-Type": "application/json"}
