"""How rules are held against an error: the table is compiled once and asked per failure (C6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from weatherglass.policy import Rule
from weatherglass.policy.codes import comparable


@dataclass(frozen=True, slots=True)
class Subject:
    """An error, as rules look at it."""

    status: int | None
    codes: tuple[str, ...]
    """In comparable form, see :func:`~weatherglass.policy.codes.comparable`."""
    headers: Mapping[str, str]
    """By lower-case name."""
    words: str
    """The messages, in lower case."""


_Test = Callable[[Subject], bool]


class Matcher:
    """A table of rules: the first that matches decides."""

    __slots__ = ("_by_status", "_rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [(rule, _tests(rule)) for rule in rules]
        self._by_status: dict[int | None, list[tuple[Rule, list[_Test]]]] = {}

    def find(self, subject: Subject) -> Rule | None:
        """The first rule whose conditions all hold."""
        for rule, tests in self._candidates(subject.status):
            if all(test(subject) for test in tests):
                return rule
        return None

    def _candidates(self, status: int | None) -> list[tuple[Rule, list[_Test]]]:
        known = self._by_status.get(status)
        if known is None:
            known = [entry for entry in self._rules if _has_status(entry[0], status)]
            # HTTP knows 500 error statuses; a server that invents others is not remembered.
            if status is None or 400 <= status < 600:
                self._by_status[status] = known
        return known


_COMPILED: dict[int, tuple[Sequence[Rule], Matcher]] = {}
_MAX_COMPILED = 64


def compiled(rules: Sequence[Rule]) -> Matcher:
    """The matcher of a policy's rules, made once per tuple of rules."""
    found = _COMPILED.get(id(rules))
    # The entry holds the tuple, so its id cannot have passed to another one meanwhile.
    if found is not None and found[0] is rules:
        return found[1]
    matcher = Matcher(rules)
    if isinstance(rules, tuple):
        if len(_COMPILED) >= _MAX_COMPILED:
            _COMPILED.clear()
        _COMPILED[id(rules)] = (rules, matcher)
    return matcher


def _has_status(rule: Rule, status: int | None) -> bool:
    if not rule.statuses:
        return True
    return status is not None and (status in rule.statuses or status // 100 in rule.statuses)


def _tests(rule: Rule) -> list[_Test]:
    """The conditions of a rule besides its statuses."""
    tests: list[_Test] = []
    if rule.codes:
        fits_code = _pattern_of(tuple(comparable(code) for code in rule.codes))
        tests.append(lambda subject: any(fits_code(code) for code in subject.codes))
    if rule.headers:
        conditions = [_header_test(text) for text in rule.headers]
        tests.append(lambda subject: any(test(subject) for test in conditions))
    if rule.message:
        phrases = tuple(phrase.lower() for phrase in rule.message)
        tests.append(lambda subject: any(phrase in subject.words for phrase in phrases))
    return tests


def _header_test(text: str) -> _Test:
    name, colon, wanted = text.partition(":")
    name = name.strip().lower()
    if not colon:
        return lambda subject: name in subject.headers
    fits = _pattern_of((wanted.strip().lower(),))
    return lambda subject: name in subject.headers and fits(subject.headers[name].strip().lower())


def _pattern_of(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """A test for any of several texts, each with an optional ``*`` at either end."""
    exact = frozenset(p for p in patterns if "*" not in (p[:1], p[-1:]))
    heads = tuple(p[:-1] for p in patterns if p.endswith("*") and not p.startswith("*"))
    tails = tuple(p[1:] for p in patterns if p.startswith("*") and not p.endswith("*"))
    parts = tuple(p.strip("*") for p in patterns if p.startswith("*") and p.endswith("*"))

    def fits(text: str) -> bool:
        return (
            text in exact
            or text.startswith(heads)
            or text.endswith(tails)
            or any(part in text for part in parts)
        )

    return fits
