"""The names, parameters and attributes of requests, all of them, on our classes."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from weatherglass import Adapter, Session

PAIRS: list[tuple[type[Any], type[Any]]] = [(requests.Session, Session), (HTTPAdapter, Adapter)]

METHODS = [
    pytest.param(original, ours, name, id=f"{original.__name__}.{name}")
    for original, ours in PAIRS
    for name, _ in inspect.getmembers(original, inspect.isfunction)
    if not name.startswith("_") or name in ("__enter__", "__exit__", "__getstate__", "__setstate__")
]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

# Rule D8: where requests has no timeout by default, ours has that of the policy.
_OTHER_DEFAULTS = {"timeout"}


def incompatibilities(original: Callable[..., Any], ours: Callable[..., Any]) -> list[str]:
    """Why a call that fits the original would not fit ours, or would mean something else."""
    before, after = inspect.signature(original).parameters, inspect.signature(ours).parameters
    kinds = {parameter.kind for parameter in after.values()}
    anything = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds
    wrong = []
    for parameter in before.values():
        if anything and parameter.name not in after:
            continue
        if parameter.kind not in _POSITIONAL and parameter.kind not in kinds:
            wrong.append(f"takes no {parameter}")
        elif parameter.kind in _POSITIONAL:
            wrong += _differences(parameter, after.get(parameter.name))
    positional = [name for name, parameter in before.items() if parameter.kind in _POSITIONAL]
    taken = [name for name, parameter in after.items() if parameter.kind in _POSITIONAL]
    if not anything and taken[: len(positional)] != positional:
        wrong.append(f"takes {taken} in the place of {positional}")
    return wrong + [
        f"{name} must be given"
        for name, parameter in after.items()
        if name not in before
        and parameter.default is parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]


def _differences(before: inspect.Parameter, after: inspect.Parameter | None) -> list[str]:
    if after is None:
        return [f"has no parameter {before.name}"]
    if before.name not in _OTHER_DEFAULTS and after.default != before.default:
        return [f"{before.name} is {after.default} by default, not {before.default}"]
    return []


@pytest.mark.parametrize(("original", "ours", "name"), METHODS)
def test_method_takes_what_the_original_takes(
    original: type[Any], ours: type[Any], name: str
) -> None:
    """D1, D2: every method is there, with the parameters of the original in their order."""
    assert incompatibilities(getattr(original, name), getattr(ours, name)) == []


def test_incompatible_signatures_are_found() -> None:
    """D1: what the test above goes by tells a signature that does not fit from one that does."""

    def original(url: str, data: Any = None, *, json: Any = None, **kwargs: Any) -> None: ...
    def renamed(uri: str, data: Any = None, *, json: Any = None, **kwargs: Any) -> None: ...
    def swapped(data: Any, url: Any = None, *, json: Any = None, **kwargs: Any) -> None: ...
    def closed(url: str, data: Any = None, *, json: Any = None) -> None: ...
    def demanding(url: str, data: Any = None, *, json: Any = None, key: str, **kw: Any) -> None: ...
    def wider(
        url: str, data: Any = None, more: int = 0, *, json: Any = None, **kw: Any
    ) -> None: ...

    for unfit in (renamed, swapped, closed, demanding):
        assert incompatibilities(original, unfit)
    assert incompatibilities(original, wider) == []


@pytest.mark.parametrize(("original", "ours"), PAIRS, ids=["Session", "Adapter"])
def test_names_of_the_original_are_there(original: type[Any], ours: type[Any]) -> None:
    """D1, D2: every class attribute of the original is there, and its pickled state is a part."""
    assert set(dir(original)) <= set(dir(ours))
    assert set(original.__attrs__) <= set(ours.__attrs__)


def test_attributes_of_a_session_have_the_values_of_the_original() -> None:
    """D1: every attribute of a fresh session is there, of the same type and with its default."""
    original, ours = requests.Session(), Session()
    for name, value in vars(original).items():
        own = getattr(ours, name)
        assert type(own) is type(value), name
        if name not in ("adapters", "cookies"):
            assert own == value, name
    assert list(ours.cookies) == list(original.cookies) == []


def test_adapters_of_a_session_are_kept_as_in_the_original() -> None:
    """D1: ``adapters`` is the ordered mapping that applications know, with the same prefixes."""
    original, ours = requests.Session(), Session()
    assert type(ours.adapters) is type(original.adapters) is OrderedDict
    assert list(ours.adapters) == list(original.adapters)
    assert all(isinstance(adapter, HTTPAdapter) for adapter in ours.adapters.values())


def test_attributes_of_an_adapter_are_there() -> None:
    """D2: what subclasses of HTTPAdapter find on themselves, they find on ours."""
    original, ours = HTTPAdapter(), Adapter()
    assert vars(original).keys() <= vars(ours).keys()
    assert type(ours.poolmanager) is type(original.poolmanager)
    assert ours.proxy_manager == original.proxy_manager == {}
