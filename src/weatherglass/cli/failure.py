"""How a command says that it cannot go on; what went wrong is the message."""

from __future__ import annotations


class CommandFailed(Exception):
    """The command was right and did not succeed: exit code 1."""


class WrongUsage(Exception):
    """The command was given something that it cannot work with: exit code 2."""
