"""What has become of each row, on disk: an append-only file of JSON lines.

What is about to be sent is written, and on the disk, before it is sent; what came of it is written
before anything else is done. So whenever a run ends, however it ends, the next one knows what is
done, what is not, and what was under way.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from weatherglass.runtime import Runtime

from .rows import BadInput

try:
    import fcntl
except ImportError:  # Windows: two runs at once are for its user to avoid.
    fcntl = None  # type: ignore[assignment]

_FORMAT = "weatherglass bulk import 1"


class State(str, Enum):
    """What is known of a row. What is not final is gone on with, in this run or the next."""

    OPEN = "open"
    """Not sent; or sent and certainly not executed."""
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    """Sent, and perhaps executed."""
    TAKEN = "taken"
    """The name exists; what stands under it is still to be looked at."""
    CREATED = "created"
    CONFIRMED = "confirmed"
    """The answer was lost or doubtful, and the queue was found as it was wanted."""
    EXISTS = "exists"
    """It was there already, as it is wanted."""
    CONFLICT = "conflict"
    """It was there already, with other settings."""
    REJECTED = "rejected"
    """The server does not want it; trying again is of no use."""

    @property
    def final(self) -> bool:
        """Whether nothing is left to do for the row."""
        return self in _FINAL

    @property
    def made(self) -> bool:
        """Whether the queue is there, and by us, as far as can be known."""
        return self in (State.CREATED, State.CONFIRMED)


_FINAL = {State.CREATED, State.CONFIRMED, State.EXISTS, State.CONFLICT, State.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the journal; whatever does not apply is ``None``."""

    name: str
    state: State
    at: float = 0.0
    """Seconds since the epoch."""
    sent: bool = False
    """Whether it was sent before, so that a queue of its name can be ours."""
    queue_id: str | None = None
    reason: str | None = None
    """Why: a kind of failure or a reason for giving up, in weatherglass' words."""
    code: str | None = None
    message: str | None = None
    correlation_id: str | None = None
    transient: bool | None = None
    """Whether sending it again can help, should it turn out that nothing was executed."""
    maintenance: str | None = None
    """The maintenance window that the call ran into."""


class Journal:
    """The journal of one import, open for writing; safe for threads.

    Raises:
        BadInput: when the file cannot be written or is another import's.
    """

    def __init__(self, file: Path, *, target: str, digest: str, clock: Runtime) -> None:
        self.file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, Entry] = {}
        self._stream = _open(file)
        try:
            self._take_up({"journal": _FORMAT, "target": target, "rows": digest})
        except BaseException:
            self._stream.close()
            raise

    def last(self, name: str) -> Entry:
        """What is known of a row."""
        return self._last.get(name) or Entry(name=name, state=State.OPEN)

    def counts(self) -> Counter[State]:
        """How many rows are known in each state."""
        with self._lock:
            return Counter(entry.state for entry in self._last.values())

    def entries(self) -> Mapping[str, Entry]:
        """The last entry of each row that has one."""
        with self._lock:
            return dict(self._last)

    def write(self, entry: Entry) -> None:
        """Put an entry on the disk.

        Raises:
            OSError: when that fails; then nothing more must be sent.
        """
        entry = replace(entry, at=round(self._clock.time(), 3))
        plain = {key: value for key, value in asdict(entry).items() if value is not None}
        if not entry.sent:
            del plain["sent"]
        with self._lock:
            self._append(plain)
            self._last[entry.name] = entry

    def close(self) -> None:
        """Close the file. What a full disk has kept from it is lost, and was not gone by."""
        with suppress(OSError):
            self._stream.close()

    def _append(self, plain: Mapping[str, object]) -> None:
        self._stream.write(_line(plain))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _take_up(self, header: Mapping[str, str]) -> None:
        """Read what there is, and take off a last line that was not written whole."""
        self._stream.seek(0)
        *lines, torn = self._stream.read().split(b"\n")
        if lines:
            self._check(lines[0], header)
        elif not _line(header).startswith(torn):
            raise BadInput(f"{self.file} is not a journal of a bulk import; name another file")
        for number, line in enumerate(lines[1:], start=2):
            entry = _entry(self.file, number, line)
            self._last[entry.name] = entry
        if torn:
            # Nobody has gone by it: one goes on only when a line is on the disk.
            self._stream.truncate(self._stream.tell() - len(torn))
        if not lines:
            self._append(header)

    def _check(self, line: bytes, header: Mapping[str, str]) -> None:
        try:
            found = _parsed(self.file, 1, line)
        except BadInput:
            found = {}
        if found.get("journal") != _FORMAT:
            raise BadInput(f"{self.file} is not a journal of a bulk import; name another file")
        for key, meaning in (("target", "was made against"), ("rows", "belongs to the rows with")):
            if found.get(key) != header[key]:
                raise BadInput(
                    f"{self.file} is the journal of another import: it {meaning} {key}"
                    f" {found.get(key)}, not {header[key]};\n"
                    "give this import a journal of its own with --journal; or, if the CSV file"
                    " was changed meanwhile, import what was added as a file of its own."
                )


def _open(file: Path) -> BinaryIO:
    if file.exists() and not file.is_file():
        raise BadInput(f"the journal {file} cannot be written: it is no ordinary file")
    try:
        stream = file.open("a+b")
    except OSError as error:
        why = error.strerror or error
        raise BadInput(f"the journal {file} cannot be written: {why}") from error
    if fcntl is not None:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.close()
            raise BadInput(f"the journal {file} is in use by another run") from error
    return stream


def _line(plain: Mapping[str, object]) -> bytes:
    return json.dumps(plain, ensure_ascii=False).encode() + b"\n"


def _entry(file: Path, number: int, line: bytes) -> Entry:
    plain = _parsed(file, number, line)
    if not isinstance(plain.get("name"), str):
        raise BadInput(f"{file}: line {number} is no entry of a journal: it names no row")
    try:
        return Entry(**{**plain, "state": State(plain["state"])})  # type: ignore[arg-type]  # checked by use
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{file}: line {number} is no entry of a journal: {error}") from error


def _parsed(file: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        plain = json.loads(line)
    except ValueError as error:
        raise BadInput(f"{file}: line {number} is damaged: {error}") from error
    if not isinstance(plain, dict):
        raise BadInput(f"{file}: line {number} is no entry of a journal")
    return plain
