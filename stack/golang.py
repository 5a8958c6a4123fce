"""Building Go programs from pinned modules: which Go is there, downloads with retries, builds.

What is built, and where it is kept, is ``stack.binaries``' matter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

# Small programs that name no folder of this machine.
OPTIONS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w")
TRIES = 4
PAUSE = 5  # seconds, times the number of the try

# The Go that is installed and no other, no C compiler, no workspace around us: a build depends on
# the pinned files and the version of Go alone. Whence modules come is left to the environment.
_SETTINGS = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off"}
_WORD = re.compile(r"^go (\d+(?:\.\d+)*)", re.MULTILINE)


class Unavailable(Exception):
    """A part can neither be found nor built here; the message says why."""


@cache
def version() -> str:
    """The version of the Go that is installed, such as ``1.26.8``.

    Raises:
        Unavailable: if there is none.
    """
    if shutil.which("go") is None:
        raise Unavailable("there is no go on the PATH")
    answer = _go(["env", "GOVERSION"], Path.cwd())
    if answer.returncode:
        raise Unavailable(f"go does not work: {_last_lines(answer.stderr)}")
    return answer.stdout.strip().removeprefix("go")


def require(mod_file: Path) -> None:
    """Make sure that the Go that is installed is as new as a ``go.mod`` demands.

    Raises:
        Unavailable: if it is not.
    """
    needed = _WORD.search(mod_file.read_text(encoding="utf-8"))
    if needed is not None and _order(version()) < _order(needed[1]):
        raise Unavailable(
            f"Go {version()} is too old: {mod_file.parent.name} needs Go {needed[1]} or later"
        )


def module(name: str, pinned_sum: str) -> Path:
    """The source of a module, ``path@version``, in Go's own module cache.

    Raises:
        Unavailable: if it cannot be downloaded, or is not what was pinned.
    """
    found = json.loads(_retried(["mod", "download", "-json", name], Path.cwd()))
    if found["Sum"] != pinned_sum:
        raise Unavailable(f"{name} has the sum {found['Sum']}, but {pinned_sum} is pinned")
    return Path(found["Dir"])


def build(folder: Path, package: str, target: Path, *, tags: str = "") -> None:
    """Build one program of the module in ``folder``, exactly as its ``go.sum`` has it.

    Raises:
        Unavailable: if it cannot be built; with the end of what Go says.
    """
    chosen = f"-tags={tags}"
    # Listing downloads what is needed. It can be tried again; a build that fails is wrong.
    _retried(["list", "-deps", "-mod=readonly", chosen, package], folder)
    answer = _go(["build", *OPTIONS, chosen, "-o", str(target), package], folder)
    if answer.returncode:
        raise Unavailable(f"{package} cannot be built: {_last_lines(answer.stderr)}")


def _retried(arguments: Sequence[str], folder: Path) -> str:
    """Downloads fail now and then."""
    for number in range(1, TRIES + 1):
        answer = _go(arguments, folder)
        if answer.returncode == 0:
            break
        if number < TRIES:
            time.sleep(PAUSE * number)
    else:
        raise Unavailable(
            f"go {' '.join(arguments[:2])} failed {TRIES} times: {_last_lines(answer.stderr)}"
        )
    return answer.stdout


def _go(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - fixed words and pinned names
        ["go", *arguments],  # noqa: S607 - whichever Go the developer has chosen
        cwd=folder,
        env={**os.environ, **_SETTINGS},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _last_lines(output: str) -> str:
    return "; ".join(output.strip().splitlines()[-5:])


def _order(release: str) -> tuple[int, ...]:
    """``1.26rc1`` counts as 1.26: what is wrong with it, if anything, the build will say."""
    digits = re.match(r"\d+(?:\.\d+)*", release)
    return tuple(int(part) for part in digits[0].split(".")) if digits else ()
