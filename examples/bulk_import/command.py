"""The command line of the import."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import weatherglass
from weatherglass import MaintenancePolicy, PacingPolicy, Policy
from weatherglass.genesys import Session
from weatherglass.runtime import SYSTEM, Runtime

from .importer import Importer
from .journal import Journal, State
from .progress import Notes, Progress, progress
from .rows import BadInput, Row, digest, read_rows
from .summary import check_place, summary, write_rejects
from .way import Stopped

DONE, INCOMPLETE, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

POLICY = Policy(
    name="bulk-import",
    # A batch job has nothing better to do than to wait until the server is back.
    maintenance=MaintenancePolicy(mode="wait"),
    # It is the one that would use the limit up, for itself and for all others of the client.
    pacing=PacingPolicy(enabled=True),
)

_EXPLANATION = """\
Each queue of the file is created exactly once. What became of it is written into the journal, so
an import that was interrupted goes on where it was when it is started again.

The file's first line names its columns: name, description, skill_evaluation, wrapup_seconds.
Credentials come from the environment: GENESYS_CLOUD_CLIENT_ID and GENESYS_CLOUD_CLIENT_SECRET.

Exit codes: 0, all queues are there; 1, some are not: see the rejects, or start it again; 2, nothing
was begun; 130, interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if (asked.csv is None) != asked.practice:
        parser.error("name a CSV file, or --practice, and not both")
    # Whoever ends the process is to be answered like Ctrl-C.
    before = signal.signal(signal.SIGTERM, _interrupt)
    telemetry = None
    try:
        if asked.log is not None:
            _log_to(asked.log)
        if asked.otlp is not None:
            interval = 1.0 if asked.practice else None
            telemetry = weatherglass.telemetry.configure(
                "bulk-import", endpoint=asked.otlp, metric_export_interval=interval
            )
        if asked.practice:
            from .practice import practise  # noqa: PLC0415 - a server that real imports do not need

            return practise(
                asked.rows,
                seed=asked.seed,
                speed=asked.speed,
                plain=asked.plain,
                keep=asked.keep,
            )
        return _import(asked)
    except (BadInput, weatherglass.InvalidPolicy) as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if telemetry is not None:
            telemetry.shutdown()
        signal.signal(signal.SIGTERM, before)


def _import(asked: argparse.Namespace) -> int:
    rows = read_rows(asked.csv)
    place = asked.journal or asked.csv.with_suffix(".journal")
    rejects = asked.rejects or asked.csv.with_suffix(".rejects.csv")
    files = (asked.csv, place, rejects)
    if len({file.resolve() for file in files}) < len(files):
        raise BadInput(
            "CSV file, journal and rejects must be three files: one would destroy another"
        )
    check_place(rejects)
    where = {"region": asked.region, "api_url": asked.api_url, "login_url": asked.login_url}
    with progress(len(rows), plain=asked.plain) as shown, session_for(shown, **where) as session:
        about = {"target": session.api_url, "digest": digest(rows)}
        with closing(Journal(place, clock=SYSTEM, **about)) as journal:
            announce(session, shown)
            importer = Importer(session, journal, clock=SYSTEM, workers=asked.workers)
            return run(importer, journal, rows, shown, rejects)


def session_for(shown: Progress, *, clock: Runtime = SYSTEM, **where: Any) -> Session:
    """The one session of an import; ``where`` is what a session of Genesys Cloud is told."""
    return Session(policy=POLICY, callbacks=Notes(shown).callbacks(), runtime=clock, **where)


def announce(session: Session, shown: Progress) -> None:
    """Read the status page, and say which maintenance is ahead.

    The session would read it by itself, in the background; but then its first calls would not
    know of it.
    """
    now = datetime.fromtimestamp(session.adapter.runtime.time(), tz=timezone.utc)
    for feed in session.adapter.read_feeds().values():
        if not feed.good:
            shown.note(f"{feed.name} cannot be read ({feed.error}): maintenance would surprise us")
        for window in feed.windows:
            if window.end > now:
                start, end = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (window.start, window.end))
                shown.note(f"maintenance announced: {window.name!r}, {start} to {end}")


def run(
    importer: Importer,
    journal: Journal,
    rows: Sequence[Row],
    shown: Progress,
    rejects: Path | None = None,
) -> int:
    """Import, and say what came of it; returns the exit code. Without a file, no rejects."""
    code = DONE
    try:
        importer.run(rows, lambda: shown.show(journal.counts()))
    except KeyboardInterrupt:
        code = INTERRUPTED
        shown.note("interrupted; the same command goes on from here")
    except Stopped as stopped:
        code = INCOMPLETE
        shown.note(f"stopped, since no row can succeed: {stopped}")
    except OSError as error:
        code = INCOMPLETE
        shown.note(f"stopped, since {journal.file} cannot be written: {error.strerror or error}")
    shown.show(journal.counts())
    for line in summary(rows, journal, importer.tally):
        shown.note(line)
    if rejects is not None:
        _keep_rejects(rejects, rows, journal, shown)
    there = {State.CREATED, State.CONFIRMED, State.EXISTS}
    complete = all(journal.last(row.name).state in there for row in rows)
    return code or (DONE if complete else INCOMPLETE)


def _keep_rejects(file: Path, rows: Sequence[Row], journal: Journal, shown: Progress) -> None:
    try:
        count = write_rejects(file, rows, journal)
    except OSError as error:
        # The journal has them; the next run writes the file.
        shown.note(f"rejects cannot be written to {file}: {error.strerror or error}")
        return
    if count:
        shown.note(f"{count:,} rows are in {file}, with the reasons")


def _log_to(file: Path) -> None:
    try:
        logging.basicConfig(
            filename=file, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
        )
    except OSError as error:
        raise BadInput(f"the log {file} cannot be written: {error.strerror or error}") from error


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bulk_import",
        description="Import queues into Genesys Cloud out of a CSV file.",
        epilog=_EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("csv", nargs="?", type=Path, help="the file")
    add("--region", help="such as mypurecloud.ie; by default GENESYS_CLOUD_REGION")
    add("--journal", type=Path, metavar="F", help="by default beside the CSV file")
    add("--rejects", type=Path, metavar="F", help="likewise")
    add("--workers", type=int, choices=range(1, 33), default=8, metavar="N", help="threads (8)")
    add("--api-url", metavar="URL", help="an API gateway in the region's place")
    add("--login-url", metavar="URL", help="likewise, for tokens")
    add("--otlp", metavar="URL", help="send telemetry to this collector")
    add("--log", type=Path, metavar="F", help="write what weatherglass logs to this file")
    add("--plain", action="store_true", help="print lines and draw no bar")
    add("--practice", action="store_true", help="import made-up rows into a fake server")
    add("--rows", type=int, default=2400, metavar="N", help="of a practice run (2400)")
    add("--seed", type=int, default=1, metavar="N", help="likewise, of its chance (1)")
    add("--speed", type=float, default=15.0, metavar="X", help="likewise, of its time (15)")
    add("--keep", type=Path, metavar="FOLDER", help="likewise: leave its files there")
    return parser
