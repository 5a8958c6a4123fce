"""Instructions that a client executes per call, counted by callgrind.

Counts, unlike times, repeat to within a percent on a noisy machine. Two runs of different
length are compared, so that start-up drops out. Usage::

    python benchmarks/instructions.py [KIND ...] [--calls N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from client import CLIENTS

HERE = Path(__file__).resolve().parent
SHORT = 5
VARIABLES = 40
"""Size of the environment: requests looks through all of it for proxies, on every call."""

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
    b"X-RateLimit-Remaining: 299\r\nDate: Tue, 24 Nov 2026 08:00:00 GMT\r\n\r\n"
    b'{"entity": 1}'
)


class Server:
    """Answers every request alike, with as little as HTTP asks for; the client is measured."""

    def __enter__(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/api/v2/users/me"

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
                while (end := received.find(b"\r\n\r\n")) >= 0:
                    received = received[end + 4 :]
                    connection.sendall(_ANSWER)


def environment() -> dict[str, str]:
    """An environment of a fixed size, without proxies."""
    wanted = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    kept |= {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    filler = {f"FILLER_{n:02d}": "x" * 30 for n in range(VARIABLES - len(kept))}
    return kept | filler


def executed(kind: str, url: str, calls: int, folder: str) -> int:
    """Instructions of a whole run."""
    out = Path(folder) / f"callgrind.{kind}.{calls}"
    command = [
        "valgrind",
        "--tool=callgrind",
        f"--callgrind-out-file={out}",
        sys.executable,
        str(HERE / "client.py"),
        kind,
        url,
        str(calls),
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0 or f"{calls} calls done" not in done.stdout:
        raise SystemExit(f"{kind}: the client failed\n{done.stdout}\n{done.stderr}")
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise SystemExit(f"{kind}: callgrind counted nothing\n{done.stderr}")
    return int(found.group(1))


def per_call(kind: str, url: str, calls: int) -> int:
    """Instructions of one call."""
    with tempfile.TemporaryDirectory() as folder:
        # Compiles what is imported, so that neither of the counted runs has to.
        executed(kind, url, 1, folder)
        short = executed(kind, url, SHORT, folder)
        long = executed(kind, url, SHORT + calls, folder)
    return (long - short) // calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(CLIENTS), metavar="KIND")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed; nothing was measured")
    counts: dict[str, int] = {}
    with Server() as url:
        for kind in given.kinds:
            counts[kind] = per_call(kind, url, given.calls)
            ratio = counts[kind] / counts["plain"] if "plain" in counts else float("nan")
            line = f"{kind:20} {counts[kind]:>10,} instructions per call, {ratio:.3f} of plain"
            print(line, flush=True)
    if given.json:
        given.json.write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    main()
