"""Where the parts of ``make stack`` listen: at the usual ports, or at free ones."""

from __future__ import annotations

import socket
from dataclasses import astuple, dataclass

from stack.processes import HOST, free_ports


class Taken(Exception):
    """Somebody listens at one of the ports already."""


@dataclass(frozen=True)
class Ports:
    """One port for each purpose; those that are usual for it by default."""

    otlp_http: int = 4318
    otlp_grpc: int = 4317
    prometheus: int = 9090
    health: int = 13133
    collector_metrics: int = 8888


PURPOSES = (
    "OTLP over HTTP",
    "OTLP over gRPC",
    "Prometheus",
    "the Collector's health check",
    "the Collector's own metrics",
)


def any_free() -> Ports:
    """Ports that nobody listens on now."""
    return Ports(*free_ports(len(PURPOSES)))


def require_free(ports: Ports) -> None:
    """Make sure that all of them can be had.

    Raises:
        Taken: naming every port that cannot.
    """
    taken = [
        f"port {port}, for {purpose}, is taken"
        for purpose, port in zip(PURPOSES, astuple(ports), strict=True)
        if not _is_free(port)
    ]
    if taken:
        raise Taken("; ".join(taken))


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        # As the servers themselves do: connections of an earlier run that linger are no obstacle.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError:
            return False
    return True
