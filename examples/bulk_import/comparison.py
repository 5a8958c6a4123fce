"""The journal of an import, held against the ledger of the server that it went to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weatherglass.testing import Ledger

from .journal import Journal
from .queues import QUEUES
from .rows import Row
from .summary import counted


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the one says, and what the other."""

    journal: dict[str, int]
    """Numbers of rows."""
    ledger: dict[str, int]
    """Numbers of requests."""
    struck: dict[str, int]
    """How often each fault has struck."""
    mistakes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every row is settled, and every queue was made once."""
        return not self.mistakes

    def lines(self) -> Iterator[str]:
        """The two, side by side, and what follows."""
        left = [*self.journal.items()]
        right = [*self.ledger.items()]
        yield f"\n{'the journal says':<46}the server's ledger says"
        for number in range(max(len(left), len(right))):
            row = "".join(
                f"{side[number][1]:7,}  {side[number][0]:<37}" if number < len(side) else " " * 46
                for side in (left, right)
            )
            yield row.rstrip()
        yield "\nwhat went wrong on the way: " + ", ".join(
            f"{name} ({times})" for name, times in self.struck.items()
        )
        yield from (f"WRONG: {mistake}" for mistake in self.mistakes)
        if self.agrees:
            yield "\nEvery queue of the journal was made, and was made once."


def compare(
    ledger: Ledger, rows: Sequence[Row], journal: Journal, before: frozenset[str]
) -> Comparison:
    """Hold the two against each other; ``before`` are the names that were taken already.

    One of these counts as confirmed if it was asked for twice: that it is not ours nobody can see.
    """
    requests = ledger.requests(path=QUEUES)
    statuses = Counter(entry.status for entry in requests)
    posts = [entry for entry in requests if entry.method == "POST"]
    made = Counter(json.loads(entry.body)["name"] for entry in posts if entry.executed)
    ours = {row.name for row in rows if journal.last(row.name).state.made}
    open_rows = [row.name for row in rows if not journal.last(row.name).state.final]
    found = {
        "a queue was made more than once": [name for name, times in made.items() if times > 1],
        "made, but not in the journal": sorted(made.keys() - ours),
        "in the journal, but not made": sorted(ours - made.keys() - before),
        "not settled": open_rows,
    }
    mistakes = [f"{what}: {', '.join(names[:5])}" for what, names in found.items() if names]
    if statuses[429]:
        mistakes.append(f"the rate limit was overrun {statuses[429]} times, in spite of pacing")
    return Comparison(
        journal=counted(rows, journal),
        ledger={
            "queues made": len(made),
            "of them more than once": sum(times > 1 for times in made.values()),
            "POSTs received": len(posts),
            "look-ups received": len(requests) - len(posts),
            "answered 429": statuses[429],
            "answered 401": statuses[401],
            "answered 503": statuses[503],
            "not answered": statuses[None],
            "tokens granted": len(ledger.token_calls()),
        },
        struck=dict(sorted(Counter(e.fault for e in requests if e.fault is not None).items())),
        mistakes=tuple(mistakes),
    )
