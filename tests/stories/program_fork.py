"""A program that makes a call, forks, and makes a call on either side.

Started by ``test_stories_in_processes`` with the server's URL.
"""

from __future__ import annotations

import os
import sys

import weatherglass


def main(server: str) -> int:
    telemetry = weatherglass.telemetry.configure("forked", metric_export_interval=3600)
    with weatherglass.Session() as session:
        session.get(server + "/before", timeout=5)
        child = os.fork()
        if child == 0:
            session.get(server + "/child", timeout=5)
            # A child of a fork runs no exit handlers.
            os._exit(0 if telemetry.force_flush() else 3)
        session.get(server + "/parent", timeout=5)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
