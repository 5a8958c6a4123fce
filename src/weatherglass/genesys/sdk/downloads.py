"""Binary downloads: what the SDK returns for the type ``file``, byte for byte."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

_FILENAME = re.compile(r"filename=['\"]?([^'\"\s]+)['\"]?")

_LONGEST_NAME = 255
"""Bytes, as most file systems have it."""


def saved(content: bytes, content_disposition: str | None, folder: str | None) -> str:
    """Save a body in the folder, under the name that the server gives it; returns the path.

    A name that is taken is replaced, as the SDK does it. Folders in a name are left out: where
    files go is not the server's to say.
    """
    handle, temporary = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    name = _name(content_disposition)
    if name is None:
        return temporary
    path = Path(temporary).with_name(name)
    # Not opened by its name, behind which somebody may have put a link.
    Path(temporary).replace(path)
    return str(path)


def _name(content_disposition: str | None) -> str | None:
    found = _FILENAME.search(content_disposition or "")
    name = re.split(r"[/\\]", found[1])[-1] if found else ""
    usable = name.strip(".") and name.isprintable() and len(name.encode()) <= _LONGEST_NAME
    return name if usable else None
