"""Finding what the application has made: a session, a profile, named as ``module:attribute``."""

from __future__ import annotations

import importlib
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

from weatherglass.cli.failure import CommandFailed, WrongUsage
from weatherglass.telemetry.redact import redact_text

FORM = "MODULE:ATTRIBUTE"

_Wanted = TypeVar("_Wanted")


def found(
    option: str, named: str, wanted: type[_Wanted], noun: str, *, form: str = FORM
) -> _Wanted:
    """What ``module:attribute`` names, or what the function there makes.

    Args:
        option: The option that named it, for messages.
        named: Its value.
        wanted: What it must be.
        noun: The same in words: ``a requests.Session``.
        form: The forms that the option takes, in words.

    Raises:
        WrongUsage: when nothing is named, or something else.
        CommandFailed: when the module cannot be imported, or the function fails.
    """
    module, colon, attribute = named.partition(":")
    if not (module and colon and attribute):
        raise WrongUsage(f"{option} is {named!r}, but must be {form}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # where an application is started, it is found
    try:
        with redirect_stdout(sys.stderr):  # standard output holds the findings, perhaps as JSON
            thing = _had(module, attribute, wanted)
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {redact_text(str(error))}"
        raise CommandFailed(f"{option} {named} cannot be had: {what}") from error
    if not isinstance(thing, wanted):
        raise WrongUsage(
            f"{option} {named} is a {type(thing).__name__}, but must be {noun}, or a function"
            " that makes one"
        )
    return thing


def _had(module: str, attribute: str, wanted: type[Any]) -> Any:
    thing: Any = importlib.import_module(module)
    for part in attribute.split("."):
        thing = getattr(thing, part)
    if not isinstance(thing, wanted) and callable(thing):
        thing = thing()
    return thing
