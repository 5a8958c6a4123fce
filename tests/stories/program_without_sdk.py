"""A program where no SDK can be imported: calls work, and what happens is logged.

Started by ``test_stories_in_processes`` with the server's URL; prints its log records as JSON.
"""

from __future__ import annotations

import json
import logging
import sys


def main(server: str) -> None:
    for name in ("opentelemetry.sdk", "opentelemetry.exporter"):
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to forbid it
    import weatherglass  # noqa: PLC0415 - what is forbidden must be so before
    from weatherglass.testing import VirtualClock  # noqa: PLC0415 - likewise

    def status(session: weatherglass.Session, url: str) -> int | None:
        try:
            return session.get(url, timeout=5).status_code
        except weatherglass.CallFailed:
            return None

    records: list[logging.LogRecord] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logging.getLogger("weatherglass").addHandler(Kept())
    logging.getLogger("weatherglass").setLevel(logging.INFO)
    policy = weatherglass.Policy().new(breaker={"consecutive_failures": 3})
    with weatherglass.Session(policy=policy, runtime=VirtualClock()) as session:
        statuses = [status(session, server + "/echo") for _ in range(2)]
    told = [
        {name: value for name, value in vars(record).items() if "." in name}
        | {"level": record.levelname}
        for record in records
    ]
    print(json.dumps({"statuses": statuses, "told": told}))  # noqa: T201 - the result


if __name__ == "__main__":
    main(sys.argv[1])
