"""Runs the test suites of ``requests`` and ``responses`` with our session in the place of theirs.

Each suite is that of the version installed beside this command. It runs once with the original
class and once with each of ours, and the outcomes are compared test by test (rules D1 to D3).
Everything that is needed is fetched by package name and kept for the next time. Usage::

    python tools/requests_conformance.py [requests] [responses]

Ends with 0 when there is no difference but the known ones, which are below with their reasons.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOME = Path(__file__).resolve().parent.parent
PLUGIN = HOME / "tests" / "conformance"
CACHE = HOME / ".cache" / "conformance"

TRIES = 4
"""How often a download is tried; the pauses between the tries grow by :data:`PAUSE` seconds."""
PAUSE = 5
LIMIT = 420
"""Seconds that one run of a suite may take."""
TOGETHER = 3
"""Runs at a time: they mostly wait for their own servers' timeouts."""
SOUND = 0.9
"""The share of tests that must pass with the original, or the comparison proves nothing."""

Outcomes = Mapping[str, Sequence[str]]
"""Each test's outcome and what it said, by its node id."""

ORIGINAL = "original"
NEVER_RETRIES = "session-without-retries"
RETRYING = ("session", "adapter")
SIDES = (ORIGINAL, *RETRYING, NEVER_RETRIES)


@dataclass(frozen=True)
class Suite:
    """Somebody else's tests, and what is known about how ours must differ in them."""

    package: str
    requirements: tuple[str, ...]
    options: tuple[str, ...]
    known: Mapping[str, str] = field(default_factory=dict)
    """Why tests of ours fail where sessions retry; without retries there must be no difference."""


_ONE_ANSWER = (
    "its server breaks one answer and is gone; a GET is sent again after that (R3, D10), and the"
    " refusal of the last attempt is what is raised (D5)"
)

SUITES = {
    "requests": Suite(
        package="requests",
        requirements=(
            "pytest<10",
            "pytest-httpbin==2.1.0",
            "httpbin~=0.10.0",
            "pytest-mock",
            "trustme",
            "PySocks>=1.5.6",
        ),
        options=("tests",),
        known={
            "tests/test_lowlevel.py::test_chunked_encoding_error": _ONE_ANSWER,
            "tests/test_lowlevel.py::test_conflicting_content_lengths": _ONE_ANSWER,
        },
    ),
    "responses": Suite(
        package="responses",
        requirements=("pytest<10", "pytest-asyncio", "pytest-httpserver", "pyyaml", "tomli-w"),
        # That suite takes every warning for a failure; that of a second retry layer is wanted (D4).
        options=(
            "responses/tests",
            "--asyncio-mode=auto",
            "-W",
            "default::weatherglass.SecondRetryLayerWarning",
        ),
        known={
            "responses/tests/test_responses.py::test_connection_error": (
                "it counts the calls of a GET that looks like a refused connection, which is sent"
                " again (R3); the library sees every attempt (D3)"
            ),
        },
    ),
}

# What could make a run depend on where it takes place.
_FOREIGN = re.compile(
    r"(PYTEST|PYTHON|OTEL|WEATHERGLASS|HTTPBIN|COVERAGE)_?.*|.*_(CA_BUNDLE|PROXY)", re.IGNORECASE
)


class ConformanceError(Exception):
    """The suites cannot be run here."""


# --- what is needed -----------------------------------------------------------------------


def with_retries(command: Sequence[str]) -> None:
    """Run a command that downloads, again when it fails.

    Raises:
        ConformanceError: when it failed each time.
    """
    for attempt in range(1, TRIES + 1):
        done = subprocess.run(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
        print(f"try {attempt} failed: {' '.join(command)}\n{done.stderr[-2000:]}", flush=True)
        if attempt < TRIES:
            time.sleep(PAUSE * attempt)
    raise ConformanceError(f"gave up after {TRIES} tries: {' '.join(command)}")


def own_requirements() -> list[str]:
    """What weatherglass itself needs, in the versions that are installed here."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        for requirement in project["dependencies"]
        if ";" not in requirement
    ]
    marked = [requirement for requirement in project["dependencies"] if ";" in requirement]
    return [f"{name}=={version(name)}" for name in names] + marked


def environment(suite: Suite) -> Path:
    """The Python of an environment that has all the suite needs; weatherglass is not in it."""
    wanted = [*own_requirements(), *suite.requirements]
    key = hashlib.sha256("\n".join([platform.python_version(), *wanted]).encode()).hexdigest()
    folder = CACHE / f"venv-{suite.package}-{key[:12]}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / ".ready"
    if not ready.exists():
        print(f"installing what the suite of {suite.package} needs", flush=True)
        venv.create(folder, clear=True, with_pip=False)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
        with_retries([*pip, "install", "--disable-pip-version-check", *wanted])
        ready.touch()
    return python


def source(suite: Suite) -> Path:
    """The source distribution of the installed version of the suite's package."""
    pinned = f"{suite.package}=={version(suite.package)}"
    folder = CACHE / "sdists"
    archive = folder / f"{pinned.replace('==', '-')}.tar.gz"
    if not archive.exists():
        print(f"fetching the source of {pinned}", flush=True)
        download = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps"]
        chosen = ["--no-binary", suite.package, "--dest", str(folder), pinned]
        with_retries([*download, "--disable-pip-version-check", *chosen])
    if not archive.exists():
        raise ConformanceError(f"pip has left no {archive.name} in {folder}")
    return archive


_HERE = "<here>"
"""Stands for the folder of a run in the names of tests."""


# --- a run --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """Where one suite can be run with any class."""

    suite: Suite
    python: Path
    archive: Path

    def run(self, side: str, tests: Sequence[str] = ()) -> Outcomes:
        """Run the suite, or some of its tests, with one class.

        Raises:
            ConformanceError: when pytest did not come to an end of its own.
        """
        # Each run has its own copy, for there are tests that write into the current folder; all
        # with paths of one length, by which pytest decides whether to name a test after one.
        folder = CACHE / "runs" / f"{self.suite.package}-{SIDES.index(side)}"
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(self.archive) as packed:
            packed.extractall(folder, filter="data")
        here = folder / self.archive.name.removesuffix(".tar.gz")
        outcomes, log = folder / "outcomes.json", folder / "log.txt"
        outcomes.unlink(missing_ok=True)
        everything, *options = self.suite.options
        chosen = [test.replace(_HERE, str(here)) for test in tests] or [everything]
        command = [str(self.python), "-m", "pytest", *chosen, *options, "-q"]
        command += ["-p", "no:cacheprovider", "-p", "conformance_plugin"]
        command += ["--session-class", side, "--outcomes", str(outcomes)]
        with log.open("w", encoding="utf-8") as output:
            code = _finish(command, here, output)
        if code not in (0, 1) or not outcomes.exists():
            said = log.read_text(encoding="utf-8")[-3000:]
            raise ConformanceError(f"the {side} run of {self.suite.package} broke off:\n{said}")
        found: Outcomes = json.loads(outcomes.read_text(encoding="utf-8"))
        # There are tests with their own path among their parameters.
        return {test.replace(str(here), _HERE): outcome for test, outcome in found.items()}

    def compare(self, side: str, tests: Sequence[str]) -> tuple[Outcomes, Outcomes]:
        """Run some tests with the original, and then with a class of ours."""
        return self.run(ORIGINAL, tests), self.run(side, tests)


def _finish(command: Sequence[str], folder: Path, output: object) -> int | None:
    """The exit code of a run, or none if it took too long."""
    clean = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    clean["PYTHONPATH"] = os.pathsep.join((str(HOME / "src"), str(PLUGIN)))
    clean["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=folder,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=output,  # type: ignore[call-overload] # a file, of whatever kind
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return int(done.returncode)


# --- the comparison -----------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A test that came out otherwise than with the original."""

    test: str
    original: str
    swapped: str
    said: str

    def __str__(self) -> str:
        said = f"\n      {self.said.splitlines()[0]}" if self.said else ""
        return f"{self.test}: {self.original} with the original, {self.swapped} with ours{said}"


_ABSENT = ("absent", "")


def differences(original: Outcomes, swapped: Outcomes) -> list[Difference]:
    """Every test with another outcome, those that only one of the runs has among them."""
    tests = sorted(original.keys() | swapped.keys())
    found = [(test, original.get(test, _ABSENT), swapped.get(test, _ABSENT)) for test in tests]
    return [
        Difference(test, before[0], after[0], after[1])
        for test, before, after in found
        if before[0] != after[0]
    ]


def unsound(original: Outcomes) -> str | None:
    """Why a comparison with this run of the original would prove nothing, if it would not."""
    counts = Counter(outcome for outcome, _ in original.values())
    ran = counts.total() - counts["skipped"]
    if ran and counts["passed"] >= SOUND * ran:
        return None
    return f"with the original, only {counts['passed']} of {ran} tests pass here"


def vanished(found: Iterable[Difference], known: Mapping[str, str]) -> list[str]:
    """Known differences that there are not, or no longer."""
    return sorted(known.keys() - {difference.test for difference in found})


def summary(outcomes: Outcomes) -> str:
    counts = Counter(outcome for outcome, _ in outcomes.values())
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))


def judge(
    original: Outcomes,
    swapped: Outcomes,
    known: Mapping[str, str],
    look_again: Callable[[Sequence[str]], tuple[Outcomes, Outcomes]],
) -> list[str]:
    """What is wrong with a class of ours; tells of what is not.

    A difference counts if it is there in a second run of its tests as well: the suites are full
    of short timeouts, and the machine may be busy.
    """
    found = differences(original, swapped)
    for difference in found:
        if difference.test in known:
            print(f"    known: {difference.test}: {known[difference.test]}")
    unknown = [difference.test for difference in found if difference.test not in known]
    again = differences(*look_again(unknown)) if unknown else []
    for test in sorted(set(unknown) - {difference.test for difference in again}):
        print(f"    differed once, but not again: {test}")
    return [str(difference) for difference in again] + [
        f"{test}: does not differ, and must not be listed as if it did"
        for test in vanished(found, known)
    ]


def prove(benches: Sequence[Bench]) -> list[str]:
    """Run every suite with every class; returns what is wrong."""
    wrong = []
    with ThreadPoolExecutor(TOGETHER) as pool:
        runs = {
            (bench.suite.package, side): pool.submit(bench.run, side)
            for bench in benches
            for side in SIDES
        }
        for bench in benches:
            package = bench.suite.package
            original = runs[package, ORIGINAL].result()
            print(f"{package} {version(package)}\n  {ORIGINAL}: {summary(original)}", flush=True)
            reason = unsound(original)
            if reason is not None:
                raise ConformanceError(f"{package}: {reason}")
            for side in SIDES[1:]:
                swapped = runs[package, side].result()
                print(f"  {side}: {summary(swapped)}", flush=True)
                known = bench.suite.known if side in RETRYING else {}
                found = judge(original, swapped, known, partial(bench.compare, side))
                wrong += [f"{side}: {line}" for line in found]
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all")
    chosen = parser.parse_args(arguments).suites or list(SUITES)
    for name in chosen:
        if name not in SUITES:
            parser.error(f"there is no suite {name!r}, only {', '.join(SUITES)}")
    began = time.monotonic()
    try:
        suites = [SUITES[name] for name in chosen]
        benches = [Bench(suite, environment(suite), source(suite)) for suite in suites]
        wrong = prove(benches)
    except ConformanceError as error:
        print(error, file=sys.stderr)
        return 2
    for line in wrong:
        print(f"  DIFFERENT {line}")
    verdict = f"{len(wrong)} unknown difference(s)" if wrong else "no difference but the known"
    print(f"{verdict}, after {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
