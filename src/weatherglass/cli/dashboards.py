"""``weatherglass dashboards export``: dashboards, rules and collector files, to be deployed."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from weatherglass.cli.failure import CommandFailed, WrongUsage
from weatherglass.cli.picture import is_dashboard, picture

_EXAMPLES = """\
examples:
  weatherglass dashboards export ./monitoring
  weatherglass dashboards export ./monitoring --datasource my-prometheus
  weatherglass dashboards export ./monitoring --force    # after an update of weatherglass

A file that is there already and differs is not overwritten without --force: then nothing is
written at all.
"""

_NEXT = """\
next, in that folder:
  docker compose -f stack/compose.yaml up
                            to see all of it on this machine; or one by one:
  dashboards/*.json         import them in Grafana, or let it read dashboards/provisioning
  dashboards/rules/*.yaml   name them under rule_files in prometheus.yml
  otel-collector.yaml       otelcol --config otel-collector.yaml; collector/ has its variants

  weatherglass doctor --otlp URL --prometheus URL
                            says whether they work together
"""

_SHOWN = 5
"""How many files a message names before it counts the rest."""


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "dashboards",
        help="write dashboards, alert rules and collector files to a folder",
        description="Writes the Grafana dashboards, the Prometheus rules and the collector files\n"
        "that belong to this version of weatherglass.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="export", required=True)
    export = actions.add_parser(
        "export",
        help="write the files to a folder",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("folder", metavar="DIR", help="where to; it is made if it is not there")
    export.add_argument(
        "--datasource",
        metavar="UID_OR_NAME",
        help="the Prometheus data source that the dashboards begin with",
    )
    export.add_argument("--force", action="store_true", help="overwrite files that differ")
    export.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export the files.

    Raises:
        WrongUsage: when the folder is a file, or the data source has no name.
        CommandFailed: when the files cannot be written, or would overwrite others.
    """
    folder = Path(arguments.folder)
    if not arguments.folder or (folder.exists() and not folder.is_dir()):
        raise WrongUsage(f"DIR is {arguments.folder!r}, but must be a folder, there or to be made")
    contents = picture()
    if arguments.datasource is not None:
        if not arguments.datasource.strip():
            raise WrongUsage("--datasource is empty, but must be a data source's uid or name")
        contents = _preselected(contents, arguments.datasource.strip())
    try:
        written, same = export(contents, folder, force=arguments.force)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise CommandFailed(f"cannot write{where}: {error.strerror or error}") from error
    for name in written:
        print(f"wrote {folder / name}")
    if same:
        print(f"{len(same)} of {len(contents)} files were there already, just so")
    print()
    print(_NEXT, end="")
    return 0


def export(
    contents: Mapping[str, bytes], folder: Path, *, force: bool
) -> tuple[list[str], list[str]]:
    """Write files; returns those that were written, and those that were there already.

    Raises:
        CommandFailed: when others are there and ``force`` is not given; nothing is written then.
        OSError: when something cannot be read or written; files that are there stay whole.
    """
    present = {name: _present(folder / name) for name in contents}
    other = [name for name, there in present.items() if there not in (None, contents[name])]
    if other and not force:
        more = len(other) - _SHOWN
        raise CommandFailed(
            f"{', '.join(str(folder / name) for name in other[:_SHOWN])}"
            f"{f' and {more} more' if more > 0 else ''}"
            f" {'is' if len(other) == 1 else 'are'} there already, with other contents; nothing"
            " was written: choose another folder, or overwrite with --force"
        )
    wanted = [name for name, there in present.items() if there != contents[name]]
    for name in wanted:
        _write(folder / name, contents[name])
    return wanted, [name for name in contents if name not in wanted]


def _present(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step: whoever reads it finds the old or the new contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _preselected(contents: Mapping[str, bytes], datasource: str) -> dict[str, bytes]:
    """The files, with dashboards that begin with this data source; another can be chosen."""
    return {
        name: _with_datasource(data, datasource) if is_dashboard(name) else data
        for name, data in contents.items()
    }


def _with_datasource(data: bytes, datasource: str) -> bytes:
    dashboard = json.loads(data)
    for variable in dashboard.get("templating", {}).get("list", ()):
        if variable.get("type") == "datasource" and variable.get("query") == "prometheus":
            # Grafana looks for the value among the uids, then for the text among the names.
            variable["current"] = {"selected": True, "text": datasource, "value": datasource}
    return (json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n").encode()
