"""Runs of the bulk import that are ended in the middle, and the practice run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from bulk_runs import PASSED_ON, a_file, a_session, imported, made, named
from examples.bulk_import.command import DONE, INCOMPLETE, INTERRUPTED, main
from examples.bulk_import.importer import Importer
from examples.bulk_import.journal import Journal
from examples.bulk_import.queues import QUEUES
from examples.bulk_import.rows import digest, read_rows

from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    FaultRule,
    OtlpReceiver,
    VirtualClock,
    faults,
)

ROOT = Path(__file__).resolve().parents[2]


class DyingJournal(Journal):
    """A journal whose process is killed in the middle of a line."""

    lines_left = 1

    def _append(self, plain: Mapping[str, object]) -> None:
        self.lines_left -= 1
        if self.lines_left < 0:
            os.write(self._stream.fileno(), b'{"name": "Queue')
            raise OSError("killed")
        super()._append(plain)


def dies_after(lines: int, server: FakeServer, file: Path, clock: VirtualClock) -> bool:
    """Import until so many lines are written; whether that was before the end."""
    rows = read_rows(file)
    place = file.with_suffix(".journal")
    with closing(DyingJournal(place, target=server.url, digest=digest(rows), clock=clock)) as known:
        known.lines_left = lines
        with a_session(server, clock) as session:
            try:
                Importer(session, known, clock=clock, workers=2).run(rows)
            except OSError:
                return True
    return False


def test_a_run_can_be_killed_at_any_line(tmp_path: Path) -> None:
    """S2: wherever the journal breaks off, what was under way is settled and nothing is doubled."""
    lines = 0
    killed = True
    while killed:
        clock = VirtualClock()
        folder = tmp_path / str(lines)
        folder.mkdir()
        file = a_file(folder, named(5))
        plan = FaultPlan.script(
            None, faults.lose(), faults.reset(), PASSED_ON, path=QUEUES, method="POST"
        )
        with FakeServer(plan, clock=clock, require_tokens=True) as server:
            killed = dies_after(lines, server, file, clock)
            done = imported(server, file, clock)
            assert done.code == DONE
            assert made(server) == dict.fromkeys(named(5), 1)
            # What we made is not taken for somebody else's.
            assert all(entry.state.made for entry in done.entries.values())
        lines += 1
    assert lines > 12


def command(server: FakeServer, file: Path, size: int | None = None) -> subprocess.Popen[str]:
    """The import as a process of its own; ``size`` is the most bytes that its files can have."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "GENESYS_CLOUD_CLIENT_ID": CLIENT_ID,
        "GENESYS_CLOUD_CLIENT_SECRET": CLIENT_SECRET,
    }
    urls = ["--api-url", server.url, "--login-url", server.url]
    limited = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({size}, {size})); "
    run = "from examples.bulk_import.command import main; raise SystemExit(main())"
    # With -B, since compiled modules would be cut off as well.
    program = ["-m", "examples.bulk_import"] if size is None else ["-B", "-c", limited + run]
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, *program, str(file), *urls],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_from_outside_is_gone_on_with(tmp_path: Path, end: int) -> None:
    """S2: however a process ends, the next one settles what was under way and makes no doubles."""
    file = a_file(tmp_path, named(60))
    slowly = faults.delay(0.05, after_execution=True)
    plan = FaultPlan(rules=(FaultRule(fault=slowly, method="POST", path=QUEUES),))
    with FakeServer(plan, require_tokens=True) as server:
        with command(server, file) as first:
            server.ledger.wait_until(20, path=QUEUES, method="POST", executed=True)
            first.send_signal(end)
            said, _ = first.communicate(timeout=20)
        assert len(made(server)) < 60
        if end == signal.SIGTERM:
            assert first.returncode == INTERRUPTED, said
            assert "interrupted; the same command goes on from here" in said
        with command(server, file) as second:
            said, _ = second.communicate(timeout=20)

        assert second.returncode == DONE, said
        assert made(server) == dict.fromkeys(named(60), 1)
        looked_up = server.ledger.requests(path=QUEUES, method="GET")
        assert len(looked_up) == (0 if end == signal.SIGTERM else len({e.query for e in looked_up}))


def test_a_full_disk_ends_a_run_and_the_next_goes_on(tmp_path: Path) -> None:
    """S2: when the journal cannot be written nothing more is sent, and all is summed up."""
    pytest.importorskip("resource")
    file = a_file(tmp_path, named(60))
    with FakeServer(require_tokens=True) as server:
        with command(server, file, size=4000) as first:
            said, _ = first.communicate(timeout=20)
        assert first.returncode == INCOMPLETE, said
        assert f"stopped, since {file.with_suffix('.journal')} cannot be written" in said
        assert "left to do" in said
        assert "Traceback" not in said
        assert 0 < len(made(server)) < 60
        with command(server, file) as second:
            said, _ = second.communicate(timeout=20)

        assert second.returncode == DONE, said
        assert made(server) == dict.fromkeys(named(60), 1)


def test_a_practice_run_is_settled_to_the_last_row(capsys: pytest.CaptureFixture[str]) -> None:
    """G4, M4, S2: killed in the middle, in all weathers, it makes each queue once, with no 429."""
    code = main(["--practice", "--plain", "--rows", "400", "--speed", "15"])

    said = capsys.readouterr().out
    assert code == DONE, said
    assert "the process was killed" in said
    assert "maintenance 'upgrade of the routing service': calls wait for its end" in said
    assert "Every queue of the journal was made, and was made once." in said


def test_a_practice_run_is_told_to_a_collector() -> None:
    """O1: with ``--otlp`` the run is seen from outside, under the policy's name."""
    line = ["--practice", "--plain", "--rows", "60", "--speed", "100", "--otlp"]
    with OtlpReceiver() as receiver:
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "examples.bulk_import", *line, receiver.url],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
            timeout=60,
        )

        calls = receiver.spans("weatherglass.call")
        assert {span.attributes["weatherglass.policy"] for span in calls} >= {"bulk-import"}
        assert receiver.points("weatherglass.attempts")
