"""``weatherglass config``: the policy in force and where each value comes from (rule D17)."""

from __future__ import annotations

import argparse
import json
from typing import Any

from weatherglass.cli import profiles
from weatherglass.policy import load_policy

_EXAMPLES = """\
examples:
  weatherglass config
  weatherglass config --file weatherglass.toml --json
  WEATHERGLASS_RETRY_MAX_RETRIES=2 weatherglass config
  weatherglass config --toml > weatherglass.toml    # a file to begin with
  weatherglass config --profile genesys

Defaults are overruled by the profile, the profile by the file, and the file by
WEATHERGLASS_* variables. WEATHERGLASS_CONFIG names the file where --file does not.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "config",
        help="print the policy in force, and where each value comes from",
        description="Prints every setting with its value, its origin and its meaning.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--file", metavar="F", help="the policy file (TOML)")
    profiles.add_option(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--toml", action="store_true", help="print a policy file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the policy.

    Raises:
        WrongUsage: when there is no such profile.
        CommandFailed: when its module cannot be imported.
        InvalidPolicy: when file or environment hold something that makes no sense.
    """
    loaded = load_policy(arguments.file, profile=profiles.chosen(arguments.profile))
    if arguments.json:
        print(json.dumps(loaded.to_dict(), indent=2))
    elif arguments.toml:
        print(loaded.to_toml(), end="")
    else:
        print(loaded.render())
    return 0
