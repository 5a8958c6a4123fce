"""The files of the bulk import: bad ones are told clearly, and a journal outlives its process."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from bulk_runs import a_file, journal_of, named
from examples.bulk_import.bar import Bar
from examples.bulk_import.command import WRONG_INPUT, main
from examples.bulk_import.journal import Entry, Journal, State
from examples.bulk_import.progress import Lines
from examples.bulk_import.queues import differences
from examples.bulk_import.rows import COLUMNS, REJECT_COLUMNS, BadInput, read_rows
from examples.bulk_import.summary import check_place, write_rejects

from weatherglass.testing import VirtualClock

TARGET = "https://api.mypurecloud.ie"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the first line is empty"),
        ("name,descripton\nSales,x\n", "the first line is name, descripton"),
        ("description\nx\n", "name is required"),
        ("name,name\nSales,Sales\n", "once each"),
        ("name\n", "it has no rows"),
        ("name,description\nSales\n", "line 2 has 1 cells, but the first line names 2"),
        ("name,description\n,x\n", "line 2 has no name"),
        ("name\nSales\nService\nsales\n", "line 4 has the name 'sales', as line 2 has already"),
        ("name,skill_evaluation\nSales,SOME\n", "must be NONE, BEST, ALL"),
        ("name,wrapup_seconds\nSales,-1\n", "wrapup_seconds is '-1', but must be a whole number"),
        ('name\n"Sales\n', "is not a CSV file"),
        ("name\n" + "Sales\n" * 20, "and 9 more"),
    ],
)
def test_a_bad_file_is_told_before_anything_is_sent(tmp_path: Path, text: str, told: str) -> None:
    """Whatever is wrong with a file is said with its line, and nothing has been begun."""
    file = tmp_path / "queues.csv"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(BadInput) as caught:
        read_rows(file)

    assert told in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    """A name is not guessed at."""
    file = tmp_path / "queues.csv"
    file.write_bytes("name\nBüro\n".encode("latin-1"))

    with pytest.raises(BadInput, match="is not UTF-8"):
        read_rows(file)


def test_a_file_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    """A byte order mark, line ends of Windows and empty lines at the end are no mistakes."""
    file = tmp_path / "queues.csv"
    file.write_bytes(b"\xef\xbb\xbfname,wrapup_seconds\r\n Sales ,15\r\n,\r\n\r\n")

    (row,) = read_rows(file)

    assert row.payload() == {
        "name": "Sales",
        "acwSettings": {"wrapupPrompt": "MANDATORY_TIMEOUT", "timeoutMs": 15000},
    }


def test_what_was_left_open_is_no_difference() -> None:
    """A server adds defaults of its own; only what was wanted otherwise counts."""
    wanted = {"name": "Sales", "acwSettings": {"timeoutMs": 1000}}
    found = {"name": "Sales", "id": "1", "acwSettings": {"timeoutMs": 1000, "wrapupPrompt": "X"}}

    assert differences(wanted, found) == []
    assert differences({**wanted, "description": "x"}, found) == ["description"]
    assert differences(wanted, {**found, "acwSettings": None}) == ["acwSettings"]


def written(file: Path, clock: VirtualClock) -> bytes:
    """A journal with a few lines."""
    with closing(journal_of(file, TARGET, clock)) as journal:
        journal.write(Entry(name="Queue 1", state=State.SENDING))
        journal.write(Entry(name="Queue 1", state=State.CREATED, queue_id="1"))
        journal.write(Entry(name="Queue 2", state=State.SENDING))
        journal.write(Entry(name="Queue 2", state=State.IN_DOUBT, sent=True, message="ä"))
        return journal.file.read_bytes()


def test_a_journal_that_breaks_off_anywhere_is_gone_on_with(
    tmp_path: Path, clock: VirtualClock
) -> None:
    """A last line that was not written whole is taken off, and all before it is known."""
    file = a_file(tmp_path, named(2))
    place = file.with_suffix(".journal")
    whole = written(file, clock)

    for size in range(len(whole)):
        place.write_bytes(whole[:size])
        with closing(journal_of(file, TARGET, clock)) as journal:
            lines = whole[:size].count(b"\n")
            assert place.read_bytes().count(b"\n") == max(1, lines)
            assert (journal.last("Queue 1").state is State.CREATED) == (lines >= 3)
            journal.write(Entry(name="Queue 2", state=State.CREATED))
        with closing(journal_of(file, TARGET, clock)) as journal:
            assert journal.last("Queue 2").state is State.CREATED


def test_a_journal_says_again_what_was_written(tmp_path: Path, clock: VirtualClock) -> None:
    """What is read is what was written, in its last state."""
    file = a_file(tmp_path, named(3))
    written(file, clock)

    with closing(journal_of(file, TARGET, clock)) as journal:
        assert journal.last("Queue 1").queue_id == "1"
        assert journal.last("Queue 2").sent
        assert journal.last("Queue 2").message == "ä"
        assert journal.last("Queue 3").state is State.OPEN
        assert journal.counts() == {State.CREATED: 1, State.IN_DOUBT: 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole.replace(b'"created"', b'"creatd"'),
        lambda whole: whole.replace(b"sending", b"sending\n", 1),
        lambda whole: whole.replace(b'"name": "Queue 1", ', b"", 1),
        lambda whole: whole + b"[]\n",
        lambda whole: whole + b'{"name": [], "state": "open"}\n',
        lambda whole: whole + b"\xff\n",
        lambda whole: b"name,description\nSales,x\n" + whole,
        lambda _: b"name\nSales",
        lambda _: b"{}\n",
    ],
)
def test_a_file_that_is_no_journal_stays_as_it_is(
    tmp_path: Path, clock: VirtualClock, damage: object
) -> None:
    """What cannot be understood is told, and not a byte of it is changed."""
    assert callable(damage)
    file = a_file(tmp_path, named(2))
    damaged = damage(written(file, clock))
    place = file.with_suffix(".journal")
    place.write_bytes(damaged)

    with pytest.raises(BadInput, match=str(place)):
        journal_of(file, TARGET, clock)

    assert place.read_bytes() == damaged


def test_the_journal_of_another_import_is_not_used(tmp_path: Path, clock: VirtualClock) -> None:
    """Other rows or another server: the message says which, and what to do."""
    file = a_file(tmp_path, named(2))
    written(file, clock)

    with pytest.raises(BadInput, match=r"another import: it was made against target .*\.ie, not"):
        journal_of(file, "https://api.mypurecloud.de", clock)
    a_file(tmp_path, named(3))
    with pytest.raises(BadInput, match="give this import a journal of its own with --journal"):
        journal_of(file, TARGET, clock)


def test_two_runs_do_not_share_a_journal(tmp_path: Path, clock: VirtualClock) -> None:
    """A second run on a journal that is in use is refused, and the first goes on."""
    pytest.importorskip("fcntl")
    file = a_file(tmp_path, named(2))

    with closing(journal_of(file, TARGET, clock)) as journal:
        with pytest.raises(BadInput, match="is in use by another run"):
            journal_of(file, TARGET, clock)
        journal.write(Entry(name="Queue 1", state=State.CREATED))


def test_a_journal_that_cannot_be_written_is_told(tmp_path: Path, clock: VirtualClock) -> None:
    """Without a journal nothing is sent."""
    for place in (tmp_path, tmp_path / "none" / "journal", Path(os.devnull)):
        with pytest.raises(BadInput, match="cannot be written"):
            Journal(place, target=TARGET, digest="1", clock=clock)


def test_rejects_that_are_none_any_more_leave_no_file(tmp_path: Path, clock: VirtualClock) -> None:
    """The file of rejects is that of this journal, and not of an earlier one."""
    file = a_file(tmp_path, named(2))
    rejects = tmp_path / "rejects.csv"
    rejects.write_text(",".join((*COLUMNS, *REJECT_COLUMNS)) + "\nold\n", encoding="utf-8")
    check_place(rejects)

    with closing(journal_of(file, TARGET, clock)) as journal:
        assert write_rejects(rejects, read_rows(file), journal) == 0

    assert not rejects.exists()


def test_no_other_file_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no file of rejects and no journal is not touched, be it the CSV file itself."""
    monkeypatch.setenv("GENESYS_CLOUD_CLIENT_ID", "client")
    monkeypatch.setenv("GENESYS_CLOUD_CLIENT_SECRET", "secret")
    file = a_file(tmp_path, named(2))
    before = file.read_bytes()

    arguments = [str(file), "--region", "mypurecloud.ie", "--rejects"]
    assert main([*arguments, str(file)]) == WRONG_INPUT
    assert main([*arguments, str(tmp_path)]) == WRONG_INPUT
    assert main([*arguments, str(tmp_path / "none" / "rejects.csv")]) == WRONG_INPUT
    assert capsys.readouterr().err.count("rejects") >= 3
    other = tmp_path / "notes.txt"
    other.write_text("name\nSales\n", encoding="utf-8")
    assert main([*arguments, str(tmp_path / "rejects.csv"), "--journal", str(other)]) == WRONG_INPUT
    assert "is not a journal of a bulk import" in capsys.readouterr().err

    both = str(tmp_path / "both.csv")
    assert main([*arguments, both, "--journal", both]) == WRONG_INPUT
    assert "must be three files" in capsys.readouterr().err

    assert file.read_bytes() == before
    assert other.read_text(encoding="utf-8") == "name\nSales\n"


def test_a_practice_run_writes_over_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its made-up rows do not take the place of real ones that have the same file name."""
    file = a_file(tmp_path, named(2))
    before = file.read_bytes()

    assert main(["--practice", "--rows", "50", "--keep", str(tmp_path)]) == WRONG_INPUT
    assert f"{tmp_path} is not empty" in capsys.readouterr().err
    assert main(["--practice", "--rows", "50", "--keep", str(file)]) == WRONG_INPUT
    assert f"{file} cannot be made" in capsys.readouterr().err

    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.csv", "--region", "mypurecloud.ie"], "none.csv cannot be read: No such file"),
        (["queues.csv", "--region", "mypurecloud.nowhere"], "mypurecloud.ie (eu-west-1)"),
        (["queues.csv", "--region", "mypurecloud.ie"], "GENESYS_CLOUD_CLIENT_ID"),
        (["queues.csv"], "GENESYS_CLOUD_REGION"),
        (["--practice", "--rows", "3"], "has 50 rows or more"),
        (["--practice", "--speed", "0"], "speed from 1 to 100"),
    ],
)
def test_bad_usage_is_told_and_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    """What is missing or wrong is named, and no journal is begun."""
    for name in ("REGION", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"GENESYS_CLOUD_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    a_file(tmp_path, named(2))

    assert main(arguments) == WRONG_INPUT

    assert told in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["queues.csv"]


@pytest.mark.parametrize("arguments", [[], ["queues.csv", "--practice"], ["--workers", "0", "x"]])
def test_what_makes_no_sense_together_is_refused(arguments: list[str]) -> None:
    """A file and a practice run at once are one thing too many."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2


@pytest.mark.parametrize("kind", [Lines, Bar])
def test_progress_is_shown(kind: type[Lines | Bar], capsys: pytest.CaptureFixture[str]) -> None:
    """How many rows are done is seen, and what they came to; so are notes."""
    shown = kind(4)
    counts = Counter({State.CREATED: 3, State.REJECTED: 1})
    if isinstance(shown, Bar):
        with shown:
            shown.show(counts)
            shown.note("a note [with brackets]")
    else:
        shown.show(counts)
        shown.note("a note [with brackets]")

    said = capsys.readouterr().out
    assert "3 created, 1 rejected" in said
    assert "a note [with brackets]" in said
