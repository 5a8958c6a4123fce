"""``--profile``: a vendor's profile for a command, built in or the application's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType

from weatherglass.cli import attributes
from weatherglass.policy import Profile


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let a command take a profile."""
    parser.add_argument(
        "--profile",
        metavar="P",
        help=f"a vendor's profile: {_names()}, or your own as {attributes.FORM}",
    )


def chosen(named: str | None) -> Profile | None:
    """The profile that was asked for.

    Raises:
        WrongUsage: when there is no such profile.
        CommandFailed: when its module cannot be imported.
    """
    if named is None:
        return None
    make = BUILT_IN.get(named.lower())
    if make is not None:
        return make()
    return attributes.found(
        "--profile",
        named,
        Profile,
        "a weatherglass.Profile",
        form=f"{_names()}, or {attributes.FORM}",
    )


def _genesys() -> Profile:
    from weatherglass import genesys  # noqa: PLC0415 - only those who ask for it pay for it

    return genesys.profile()


BUILT_IN: Mapping[str, Callable[[], Profile]] = MappingProxyType({"genesys": _genesys})
"""The profiles that weatherglass brings, by name."""


def _names() -> str:
    return ", ".join(sorted(BUILT_IN))
