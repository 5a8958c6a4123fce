"""The pages of the documentation, taken apart: headings, links, tables and examples.

An example is a fenced block. HTML comments right above it, which readers do not see, say how it
is tried (see ``test_examples.py``):

``<!-- faults: a, b -->``
    The requests to the example's hosts meet these faults, one after the other; the names are
    those of :mod:`weatherglass.testing`.
``<!-- plan: FaultPlan(...) -->``
    Likewise, with a whole plan.
``<!-- continued -->``
    It goes on in the names of the example before it.
``<!-- output -->``
    It is what the example before it prints. Numbers with a decimal point, and times of day, may
    differ.
``<!-- pytest -->``
    It is a test file.
``<!-- not run: why -->``
    It is only compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^( *)```(\w*)\s*$")
_COMMENT = re.compile(r"^<!-- (.*) -->$")
_HEADING = re.compile(r"^(#{1,6}) (.+)$")
_ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
_LINK = re.compile(r"\]\(([^)\s]+)\)", re.DOTALL)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Example:
    """A fenced block."""

    page: str
    line: int
    """The line of its first line of text."""
    language: str
    text: str
    notes: dict[str, str] = field(default_factory=dict)
    """What the comments above it say."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Page:
    """A page in Markdown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")

    def __str__(self) -> str:
        return self.name

    @cached_property
    def examples(self) -> list[Example]:
        """The fenced blocks, in their order."""
        return list(self._examples())

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        lines: list[str] = []
        fenced = False
        for line in self.text.splitlines():
            if _FENCE.match(line):
                fenced = not fenced
            elif not fenced:
                lines.append(line)
        return "\n".join(lines)

    @property
    def links(self) -> list[str]:
        """Where its links lead to, other sites left out."""
        found = _LINK.findall(self.prose)
        return [target for target in found if "://" not in target]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link can lead to inside the page."""
        found = set(_ANCHOR.findall(self.prose))
        for line in self.prose.splitlines():
            heading = _HEADING.match(line)
            if heading is not None:
                found.add(slug(heading[2]))
        return found

    def rows(self, heading: str) -> list[list[str]]:
        """The cells of all tables between this heading and the next, head lines included."""
        inside = False
        rows: list[list[str]] = []
        for line in self.prose.splitlines():
            found = _HEADING.match(line)
            if found is not None:
                inside = found[2] == heading
            elif inside and line.startswith("|") and not line.startswith("|---"):
                rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        return rows

    def _examples(self) -> Iterator[Example]:
        notes: dict[str, str] = {}
        block: list[str] | None = None
        language, began = "", 0
        for number, line in enumerate(self.text.splitlines(), start=1):
            fence, comment = _FENCE.match(line), _COMMENT.match(line)
            if block is None and fence is not None:
                block, language, began = [], fence[2], number + 1
            elif block is None and comment is not None:
                word, _, rest = comment[1].partition(": ")
                notes[word] = rest
            elif block is None:
                notes = {}
            elif fence is not None:
                yield Example(self.name, began, language, "\n".join(block) + "\n", notes)
                block, notes = None, {}
            else:
                block.append(line)


def slug(heading: str) -> str:
    """The anchor that a heading gets where pages are usually shown."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return _NOT_IN_ANCHORS.sub("", plain).replace(" ", "-")


def pages() -> list[Page]:
    """README, changelog, and all that is in docs."""
    return [
        Page(path)
        for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md")))
    ]


def page(name: str) -> Page:
    """A page of docs."""
    return Page(ROOT / "docs" / name)
