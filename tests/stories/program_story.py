"""A program for a process of its own: sets up telemetry, lives through some weather, and ends.

Started by ``test_stories_in_processes`` with the server's URL and the file for its memories. It
ends without flushing anything by hand, as applications do.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import weatherglass
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, TOKEN_PATH, VirtualClock

Memory = tuple[weatherglass.CallReport, "BaseException | None"]


def live(server: str) -> list[Memory]:
    """Calls in good and bad weather; what became of each."""
    reports: list[weatherglass.CallReport] = []
    errors: list[BaseException | None] = []
    session = weatherglass.Session(
        tokens=weatherglass.ClientCredentials(
            token_url=server + TOKEN_PATH,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            origins=[server],
        ),
        callbacks=weatherglass.Callbacks(on_call=reports.append),
        runtime=VirtualClock(),
    )
    # Set up after the session was made: it is found all the same.
    weatherglass.telemetry.configure("story", metric_export_interval=3600)
    for _ in range(6):
        try:
            session.get(server + "/api/v2/routing/queues", timeout=5)
        except weatherglass.CallFailed as error:
            errors.append(error)
        else:
            errors.append(None)
    session.close()
    return list(zip(reports, errors, strict=True))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pickle.dumps(live(sys.argv[1])))
