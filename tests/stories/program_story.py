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


def raised_by(session: weatherglass.Session, url: str) -> BaseException | None:
    try:
        session.get(url, timeout=5)
    except weatherglass.CallFailed as error:
        return error
    return None


def live(server: str) -> list[Memory]:
    """Calls in good and bad weather; what became of each."""
    reports: list[weatherglass.CallReport] = []
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
    errors = [raised_by(session, server + "/api/v2/routing/queues") for _ in range(6)]
    session.close()
    return list(zip(reports, errors, strict=True))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pickle.dumps(live(sys.argv[1])))
