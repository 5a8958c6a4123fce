"""The programs of the stack: built once from pinned Go modules, and kept between runs.

Each of ``collector``, ``prometheus``, ``promtool`` and ``dashboard_linter`` gives the path of a
program: the one that its environment variable names (``STACK_COLLECTOR`` and so on), else the one
in the cache, else one that is built now with the Go that is installed. ``python -m stack.binaries``
builds whatever is missing.

What is pinned lies beside this file. ``builder/`` is the Collector's own builder; ``collector/``
holds the builder's manifest, and the ``go.mod`` and ``go.sum`` that hold the build to exact
versions; ``prometheus/`` both programs of Prometheus; ``linter/`` see its README. How they are
run is ``stack.processes``' matter.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import golang
from stack.golang import Unavailable

__all__ = ["Unavailable", "collector", "dashboard_linter", "prometheus", "promtool"]

_HERE = Path(__file__).parent
_PROMETHEUS = "github.com/prometheus/prometheus/cmd/"
_BUILDER = "go.opentelemetry.io/collector/cmd/builder"
# Prometheus without its service discoveries: half of the build, and no use on one machine.
_WITHOUT_DISCOVERY = "remove_all_sd"


@dataclass(frozen=True)
class _Program:
    name: str
    variable: str
    pinned: tuple[str, ...]
    """The folders whose files decide what is built."""
    build: Callable[[Path, Path], None]
    """Builds into the second path, with the first as scratch space."""


def collector() -> Path:
    """An OpenTelemetry Collector with the components that our configurations use.

    Raises:
        Unavailable: as does each of these functions, if there is none and none can be built.
    """
    return _find(_COLLECTOR)


def prometheus() -> Path:
    """A Prometheus server, without service discoveries other than static ones."""
    return _find(_SERVER)


def promtool() -> Path:
    """Prometheus' tool, which checks and tests rules."""
    return _find(_PROMTOOL)


def dashboard_linter() -> Path:
    """Grafana's linter of dashboards in the classic schema."""
    return _find(_LINTER)


def _build_collector(scratch: Path, target: Path) -> None:
    """Generate the sources with the Collector's builder, hold them to our versions, and build."""
    golang.require(_HERE / "builder" / "go.mod")
    golang.require(_HERE / "collector" / "go.mod")
    builder = scratch / "builder"
    golang.build(_HERE / "builder", _BUILDER, builder)
    shutil.copy(_HERE / "collector" / "builder.yaml", scratch)
    generated = subprocess.run(  # noqa: S603 - built just now
        [builder, "--config=builder.yaml", "--skip-compilation", "--skip-get-modules"],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if generated.returncode:
        raise Unavailable(f"the Collector's builder failed: {generated.stderr[-500:]}")
    for pinned in ("go.mod", "go.sum"):
        shutil.copy(_HERE / "collector" / pinned, scratch / "otelcol")
    golang.build(scratch / "otelcol", ".", target)


def _build_of_prometheus(name: str) -> Callable[[Path, Path], None]:
    def build(_scratch: Path, target: Path) -> None:
        golang.require(_HERE / "prometheus" / "go.mod")
        golang.build(_HERE / "prometheus", _PROMETHEUS + name, target, tags=_WITHOUT_DISCOVERY)

    return build


def _build_linter(scratch: Path, target: Path) -> None:
    """Copy the module, which Go keeps read-only, and put our stand-ins into the copy."""
    pin = json.loads((_HERE / "linter" / "pin.json").read_text(encoding="utf-8"))
    copy = scratch / "linter"
    shutil.copytree(golang.module(pin["module"], pin["sum"]), copy, copy_function=shutil.copyfile)
    for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    shutil.copytree(_HERE / "linter" / "lint", copy / "lint", dirs_exist_ok=True)
    golang.require(copy / "go.mod")
    golang.build(copy, ".", target)


_COLLECTOR = _Program(
    "otelcol-weatherglass",
    "STACK_COLLECTOR",
    ("builder", "collector"),
    _build_collector,
)
_SERVER = _Program(
    "prometheus", "STACK_PROMETHEUS", ("prometheus",), _build_of_prometheus("prometheus")
)
_PROMTOOL = _Program(
    "promtool", "STACK_PROMTOOL", ("prometheus",), _build_of_prometheus("promtool")
)
_LINTER = _Program("dashboard-linter", "STACK_DASHBOARD_LINTER", ("linter",), _build_linter)


def _find(program: _Program) -> Path:
    given = os.environ.get(program.variable)
    if given:
        path = Path(given)
        if not os.access(path, os.X_OK) or path.is_dir():
            raise Unavailable(f"{program.variable} is {given}, which is no program")
        return path
    try:
        kept = _cache() / _fingerprint(program) / program.name
        if not kept.exists():
            _build(program, kept)
    except Unavailable as reason:
        raise Unavailable(
            f"{program.name}: {reason}; {program.variable} may name a program instead"
        ) from None
    return kept


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "weatherglass" / "stack"


def _fingerprint(program: _Program) -> str:
    """Of all that decides what is built: Go's version, how we build, and the pinned files."""
    how = (golang.version(), *golang.OPTIONS, _WITHOUT_DISCOVERY)
    digest = hashlib.sha256(" ".join(how).encode())
    pinned = [path for folder in program.pinned for path in (_HERE / folder).rglob("*")]
    for path in sorted(path for path in pinned if path.is_file()):
        digest.update(f"{path.relative_to(_HERE).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(program: _Program, kept: Path) -> None:
    with _alone(kept.parent.parent):
        if kept.exists():
            return
        sys.stderr.write(
            f"building {program.name} with Go {golang.version()}: once, it takes minutes\n"
        )
        began = time.monotonic()
        kept.parent.mkdir(parents=True, exist_ok=True)
        # In the cache's own file system, so that the renaming is one step.
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="building-") as folder:
            scratch = Path(folder)
            program.build(scratch, scratch / program.name)
            (scratch / program.name).replace(kept)
        sys.stderr.write(f"built {program.name} in {time.monotonic() - began:.0f} s\n")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One build at a time on this machine: each takes all its cores and much memory."""
    import fcntl  # noqa: PLC0415 - Windows has none, and imports this module all the same

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _main() -> int:
    return max(_told(find) for find in (collector, prometheus, promtool, dashboard_linter))


def _told(find: Callable[[], Path]) -> int:
    try:
        sys.stdout.write(f"{find()}\n")
    except Unavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
