"""Breaking off a reading from another thread."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from weatherglass.feeds.flight import Flight


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection."""
    near, far = socket.socketpair()
    with near, far:
        far.settimeout(5)
        yield near, far


def test_what_is_held_is_shut_down(pair: tuple[socket.socket, socket.socket]) -> None:
    """D14: whoever waits for a socket of the flight is woken."""
    near, far = pair
    flight = Flight()
    flight.hold(near)
    assert not flight.stopped
    flight.stop()
    assert flight.stopped
    assert far.recv(1) == b""
    flight.land()


def test_what_is_connected_too_late_is_shut_down(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """D14: a connection that is made while the flight is broken off does not go on."""
    near, far = pair
    flight = Flight()
    flight.stop()
    flight.hold(near)
    assert far.recv(1) == b""
    flight.land()


def test_what_has_landed_leaves_sockets_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    """D14: a flight that is over holds nothing, and breaks nothing off."""
    near, far = pair
    flight = Flight()
    flight.hold(near)
    flight.land()
    flight.stop()
    near.sendall(b"x")
    assert far.recv(1) == b"x"
    assert flight.landed.is_set()
