"""The core knows no vendor's words: they come with a profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import weatherglass

PACKAGE = Path(weatherglass.__file__).parent

OUTSIDE = ("genesys", "testing", "demo", "cli", "__init__.py")
"""The profile itself; and what plays its server, shows it, or lets one ask for it by name."""

# "inin" also stands in words such as "remaining".
WORDS = re.compile(
    r"(?<![a-z])inin(?![a-z])|genesys|purecloud|duplicate.name|ip.not.authorized", re.IGNORECASE
)


def core() -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in OUTSIDE:
            yield path


def test_the_core_has_no_word_of_the_genesys_cloud() -> None:
    """G1: names, texts, docs and comments alike: what is Genesys' comes with its profile."""
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in core()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if WORDS.search(line)
    ]

    assert found == []


def test_the_search_would_find_them() -> None:
    """G1: the profile that is left out has all of the words, in several spellings."""
    own = "\n".join(p.read_text(encoding="utf-8") for p in (PACKAGE / "genesys").rglob("*.py"))
    found = {word.lower() for word in WORDS.findall(own)}

    assert found >= {"inin", "genesys", "purecloud", "duplicate.name", "ip.not.authorized"}
    assert WORDS.findall("remaining ININ-Correlation-Id DUPLICATE_NAME") == [
        "ININ",
        "DUPLICATE_NAME",
    ]
