"""The documentation is complete: what the code has, the pages name, and what they name, it has."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from doc_pages import ROOT, Page, page, pages

import weatherglass
from weatherglass import cli, errors, vocabulary
from weatherglass.callbacks import Callbacks
from weatherglass.diagnose import GENERIC
from weatherglass.diagnose.delay_sources import read
from weatherglass.diagnose.rules import CLIENT_ERROR, SERVER_ERROR, STATUSES
from weatherglass.options import OPTION_NAMES
from weatherglass.policy.rule import Rule
from weatherglass.policy.settings import SETTINGS
from weatherglass.report import Attempt, CallReport, Failure, RetryAfter, Wait
from weatherglass.telemetry import prometheus, registry
from weatherglass.testing import faults
from weatherglass.vocabulary import (
    NETWORK_KINDS,
    Disposition,
    Execution,
    GiveUpReason,
    Kind,
    RetryAfterSource,
    RetryAfterVariant,
    Word,
)

PAGES = pages()

RULE_IDS = [
    f"{section}{number}"
    for section, numbers in {
        "D": range(1, 19),
        "C": range(1, 11),
        "N": range(1, 5),
        "R": range(1, 8),
        "A": range(1, 10),
        "T": range(1, 12),
        "B": range(1, 10),
        "M": range(1, 6),
        "I": range(1, 7),
        "G": range(1, 5),
        "O": range(1, 9),
        "S": range(1, 3),
    }.items()
    for number in numbers
]
"""The rules of the behaviour contract that hold in this release."""

START = 1_767_225_600.0
"""Midnight, 1 January 2026, UTC: where the clock of the examples of Retry-After stands."""


def first_cells(rows: list[list[str]]) -> list[str]:
    """What stands in the first column, without its marks."""
    return [row[0].strip("`") for row in rows]


def row_of(rows: list[list[str]], name: str) -> list[str]:
    found = [row for row in rows if row[0] == f"`{name}`"]
    assert len(found) == 1, f"{name} has {len(found)} rows"
    return found[0]


# What the code has, the pages name ----------------------------------------------------------


def test_every_rule_is_documented_once_and_in_order() -> None:
    """Every id of the contract has its rule on the page of behaviour, with an anchor."""
    behaviour = page("behaviour.md")

    assert re.findall(r'^<a id="(\w+)"></a>', behaviour.text, re.MULTILINE) == [
        each.lower() for each in RULE_IDS
    ]
    assert re.findall(r"</a>\*\*([A-Z]\d+)\. ", behaviour.text) == RULE_IDS


def test_rules_that_tests_prove_are_documented() -> None:
    """No test proves a rule that the page does not have."""
    claimed: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        text = file.read_text("utf-8")
        for ids in re.findall(r'"""((?:[A-Z]\d{1,2}(?:\W+(?:and )?)?)+):', text):
            claimed.update(re.findall(r"[A-Z]\d{1,2}", ids))

    assert claimed - set(RULE_IDS) == set()


_KINDS = list(Kind)
KIND_TABLES = {
    "From an answer": _KINDS[: _KINDS.index(Kind.DNS)],
    "From the network": [kind for kind in Kind if kind in NETWORK_KINDS],
    "From the call itself": [Kind.INVALID_CALL],
    "Refused, nothing sent": _KINDS[_KINDS.index(Kind.CIRCUIT_OPEN) :],
}


def test_every_kind_is_documented() -> None:
    """C1: every kind has a row of its own, in the order of the vocabulary."""
    kinds = page("kinds.md")
    documented = [name for heading in KIND_TABLES for name in first_cells(kinds.rows(heading)[1:])]

    assert documented == [str(kind) for kind in Kind]
    for heading, members in KIND_TABLES.items():
        assert first_cells(kinds.rows(heading)[1:]) == [str(kind) for kind in members]


EXECUTED = {"no": {True}, "perhaps": {False}}


@pytest.mark.parametrize("status", [*STATUSES, 418, 500])
def test_kinds_of_answers_are_documented_as_they_are_classified(status: int) -> None:
    """C2, C4: for each status, the table says what classification says."""
    meaning = STATUSES.get(status, CLIENT_ERROR if status < 500 else SERVER_ERROR)
    row = row_of(page("kinds.md").rows("From an answer"), str(meaning.kind))
    _, statuses, transient, executed, _ = row

    named = str(status) in re.findall(r"\d{3}", statuses) or "every other" in statuses
    assert named
    assert transient == ("yes" if meaning.transient else "no")
    if status in (501, 505, 511):
        assert f"{status}" in page("kinds.md").prose
        assert meaning.execution.excluded
    else:
        assert meaning.execution.excluded in EXECUTED[executed]


def test_every_built_in_rule_is_documented_in_order() -> None:
    """C6: the table of rules is the table that is asked."""
    rows = page("kinds.md").rows("What the table knows")[1:]

    assert first_cells(rows) == [rule.name for rule in GENERIC]
    for rule, row in zip(GENERIC, rows, strict=True):
        if rule.kind is not None:
            assert f"`{rule.kind}`" in row[2]
        for status in rule.statuses:
            assert f"{status}" in row[1]


def test_every_reason_is_documented() -> None:
    """R2: every reason for giving up has a row of its own."""
    rows = page("kinds.md").rows("Why a call gave up")[1:]

    assert first_cells(rows) == [str(reason) for reason in GiveUpReason]


@pytest.mark.parametrize("variant", list(RetryAfterVariant), ids=str)
def test_every_variant_is_documented_with_an_example(variant: RetryAfterVariant) -> None:
    """A1: every variant has an example that is understood as the table says."""
    rows = page("kinds.md").rows("What a server says on when to come back")
    _, example, seconds = row_of(rows, str(variant))
    name, _, value = example.strip("`").partition(": ")
    headers = {} if variant is RetryAfterVariant.MISSING else {name.lower(): value}

    found = read(headers, 429, "", START)

    assert found is not None
    assert found.variant is variant
    assert found.seconds == (None if seconds == "none" else float(seconds))


def test_sources_and_dispositions_are_documented() -> None:
    """A3: where a delay stood and what was done with it."""
    kinds = page("kinds.md")
    rows = kinds.rows("What a server says on when to come back")

    assert {str(word) for word in Disposition} <= set(first_cells(rows))
    assert all(f"`{source}`" in kinds.prose for source in RetryAfterSource)


def other_words() -> list[type[Word]]:
    own = {Kind, GiveUpReason, RetryAfterVariant, RetryAfterSource, Disposition, Word}
    return [
        member
        for member in vars(vocabulary).values()
        if isinstance(member, type) and issubclass(member, Word) and member not in own
    ]


@pytest.mark.parametrize("words", other_words(), ids=lambda words: words.__name__)
def test_every_other_set_of_words_is_documented(words: type[Word]) -> None:
    """Every closed set is on the page, with all of its words and no other."""
    _, _, listed = row_of(page("kinds.md").rows("The other words"), words.__name__)

    assert listed.replace("`", "").split(", ") == [str(word) for word in words]


def exceptions() -> list[type[errors.CallFailed]]:
    return [
        member
        for member in vars(errors).values()
        if isinstance(member, type) and issubclass(member, errors.CallFailed)
    ]


@pytest.mark.parametrize("error", exceptions(), ids=lambda error: error.__name__)
def test_every_exception_is_documented(error: type[errors.CallFailed]) -> None:
    """D6: every exception is on the page, with the one of requests that it also is."""
    _, base, _, carries = row_of(page("kinds.md").rows("Exceptions"), error.__name__)

    assert base.strip("`") in {each.__name__ for each in error.__mro__[1:]}
    own = set(inspect.signature(error.__init__).parameters)
    for name in ("next_probe_in", "retry_after"):
        assert (name in own) == (f"`{name}`" in carries)


def test_other_errors_are_documented() -> None:
    """D16, D4: what is raised and warned of beside calls."""
    prose = page("kinds.md").prose

    assert "`InvalidPolicy`" in prose
    assert "`SecondRetryLayerWarning`" in prose


def test_every_setting_is_documented() -> None:
    """D16, D17: every setting has its row, under its group, with default and variable."""
    policy = page("policy.md")
    for setting in SETTINGS.values():
        heading = f"`[{setting.section}]`" if setting.section else "At the top"
        row = row_of(policy.rows(heading), setting.field)
        assert setting.knob.allowed in row
        assert f"`{setting.variable}`" in row


GENERATORS = sorted((ROOT / "tools").glob("generate_*.py"))


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda path: path.name)
def test_what_is_generated_is_up_to_date(generator: Path) -> None:
    """Every generator finds its page as it would write it."""
    checked = subprocess.run(  # noqa: S603 - our own tool
        [sys.executable, str(generator), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(weatherglass.__file__).parents[1])},
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_argument_of_a_call_is_documented() -> None:
    """D16: what a call can be told stands in the policy's page, and nothing else does."""
    assert set(first_cells(page("policy.md").rows("Per call")[1:])) == OPTION_NAMES


def test_every_field_of_a_rule_is_documented() -> None:
    """C6: a rule's fields are those of the page, in their order."""
    rows = page("policy.md").rows("Rules")[1:]

    assert first_cells(rows) == [field.name for field in dataclasses.fields(Rule)]


def test_every_callback_is_documented() -> None:
    """R6: every callback has its row."""
    rows = page("observing.md").rows("Callbacks")[1:]

    assert first_cells(rows) == [field.name for field in dataclasses.fields(Callbacks)]


@pytest.mark.parametrize("record", [CallReport, Attempt, Wait, Failure, RetryAfter])
def test_every_field_of_a_report_is_documented(record: type[Any]) -> None:
    """D7: whatever a report holds is named on the page of observing."""
    prose = page("observing.md").prose

    assert f"`{record.__name__}`" in prose
    names: tuple[str, ...] = getattr(record, "_fields", None) or tuple(
        field.name for field in dataclasses.fields(record)
    )
    for name in names:
        assert f"`{name}`" in prose, name


def test_every_public_name_is_documented() -> None:
    """Everything that ``weatherglass`` offers is named in the documentation."""
    everything = "\n".join(each.text for each in PAGES)

    missing = [n for n in weatherglass.__all__ if not re.search(rf"\b{n}\b", everything)]
    assert missing == ["__version__"]


def test_every_testing_name_is_documented() -> None:
    """Everything that ``weatherglass.testing`` offers is named on its page."""
    import weatherglass.testing  # noqa: PLC0415 - its names are fetched on demand

    testing = page("testing.md").text
    records = {"Action", "BodyForm", "Fault", "Ledger", "LogRecord", "MetricPoint", "MetricTotal"}
    records |= {"Span", "Spelling"}  # what one meets as results, not to be made

    missing = [n for n in weatherglass.testing.__all__ if not re.search(rf"\b{n}\b", testing)]
    assert set(missing) <= records


def test_every_fault_is_documented() -> None:
    """Every function that makes a fault is on the page of testing."""
    made = [
        name
        for name, member in vars(faults).items()
        if inspect.isfunction(member)
        and not name.startswith("_")
        and get_type_hints(member).get("return") is faults.Fault
    ]
    documented = " ".join(row[0] for row in page("testing.md").rows("Faults"))

    assert sorted(made) == sorted(re.findall(r"`(\w+)\(", documented))


def test_every_fixture_is_documented() -> None:
    """Every pytest fixture is on the page of testing."""
    plugin = (Path(weatherglass.__file__).parent / "testing" / "plugin.py").read_text("utf-8")
    fixtures = re.findall(r"@pytest\.fixture\ndef (\w+)", plugin)

    assert first_cells(page("testing.md").rows("With pytest")[1:]) == fixtures


def test_every_command_and_option_is_documented() -> None:
    """Every command has a section, and each of its options a place in it."""
    commands = page("cli.md")
    listed = " ".join(first_cells(commands.rows("Command line")))
    for module in cli.COMMANDS:
        name = module.__name__.rpartition(".")[2]
        assert f"weatherglass {name}" in listed
        documented = " ".join(row[0] for row in commands.rows(name))
        for option in _options(module.add_parser):
            assert f"`{option}" in documented, f"{name} {option}"


def _options(add_parser: Callable[[Any], None]) -> Iterator[str]:
    import argparse  # noqa: PLC0415 - for this test alone

    subparsers = argparse.ArgumentParser().add_subparsers()
    add_parser(subparsers)
    (parser,) = subparsers.choices.values()
    for action in parser._actions:
        yield from (option for option in action.option_strings if option not in ("-h", "--help"))


# What the pages name, the code has ----------------------------------------------------------


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_links_lead_somewhere(each: Page) -> None:
    """Every relative link leads to a file that is there, and to an anchor that it has."""
    for target in each.links:
        path, _, anchor = target.partition("#")
        file = (each.path.parent / path).resolve() if path else each.path
        assert file.exists(), target
        assert ROOT in file.parents, target
        if anchor:
            assert file.suffix == ".md", target
            assert anchor in Page(file).anchors, target


def test_every_page_is_in_the_index_and_in_the_readme() -> None:
    """Whoever begins at the beginning finds every page."""
    names = {path.name for path in ROOT.glob("docs/*.md")} - {"index.md"}
    index, readme = page("index.md"), Page(ROOT / "README.md")

    assert names <= set(index.links)
    assert {f"docs/{name}" for name in names} <= {link.partition("#")[0] for link in readme.links}


def telemetry_names() -> set[str]:
    return {*registry.ATTRIBUTES, *registry.METRICS, *registry.EVENTS, *registry.SPANS}


def python_name_exists(dotted: str) -> bool:
    """Whether a dotted name can be imported, or reached by attributes."""
    module, found = dotted, None
    while module:
        try:
            found = importlib.import_module(module)
            break
        except ImportError:
            module = module.rpartition(".")[0]
    for part in dotted[len(module) :].strip(".").split("."):
        if part and not hasattr(found, part):
            return False
        found = getattr(found, part) if part else found
    return found is not None


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_names_of_ours_exist(each: Page) -> None:
    """Whatever is called ``weatherglass.…`` is a name of telemetry or of Python."""
    written = set(re.findall(r"`(weatherglass\.[\w.]+\w)", each.prose))
    files = {name for name in written if name.endswith((".toml", ".py"))}

    unknown = {name for name in written - files - telemetry_names() if not python_name_exists(name)}
    assert unknown == set()


QUERIES = [
    pytest.param(example.text, id=str(example))
    for each in PAGES
    for example in each.examples
    if example.language == "promql"
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_ask_for_what_is_exported(query: str) -> None:
    """Every series and label of a query is one of the registry's."""
    series = {name for m in registry.METRICS.values() for name in prometheus.series_names(m)}
    labels = {prometheus.label_name(name) for name in registry.ATTRIBUTES}

    written = set(re.findall(r"\b(?:weatherglass|http)_\w+", query))

    assert written
    assert written <= series | labels


def enum_values() -> set[str]:
    return {
        str(member.value)
        for words in vars(vocabulary).values()
        if isinstance(words, type) and issubclass(words, Enum)
        for member in words
    }


def test_words_in_the_reason_column_exist() -> None:
    """What is put in code marks on the page of kinds, in lower case, is a word of a closed set."""
    kinds = page("kinds.md")
    for heading in ("From an answer", "From the network", "Refused, nothing sent"):
        for row in kinds.rows(heading)[1:]:
            for word in re.findall(r"`([a-z_]+)`", row[0]):
                assert word in enum_values()


def test_nothing_is_said_of_where_it_was_made() -> None:
    """No page names a folder of a machine, or the registry that it was installed from."""
    for each in PAGES:
        assert not re.search(r"/(?:work|root|tmp|home)/|pypi\.org", each.text), each


def test_executions_are_three() -> None:
    """C2: the page of behaviour names the three answers to whether it was executed."""
    assert all(f"`{word}`" in page("behaviour.md").prose for word in Execution)
