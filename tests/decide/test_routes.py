"""Which requests are on which routes."""

from __future__ import annotations

import pytest

from weatherglass.decide.routes import matches, path_of


@pytest.mark.parametrize(
    ("route", "method", "path"),
    [
        ("POST /orders", "POST", "/orders"),
        ("post /orders", "POST", "/orders"),
        ("POST /orders", "post", "/orders"),
        ("POST /orders/*", "POST", "/orders/7"),
        ("POST /orders/*", "POST", "/orders/7/lines/2"),
        ("POST /orders/*", "POST", "/orders/"),
        ("POST /orders/*/lines", "POST", "/orders/7/lines"),
        ("POST *", "POST", "/anything"),
        ("* /orders", "PATCH", "/orders"),
        ("POST /*/b/*/b", "POST", "/a/b/c/b"),
        ("POST /a*a", "POST", "/aa"),
        ("GET /", "GET", ""),
    ],
)
def test_a_request_on_the_route_matches(route: str, method: str, path: str) -> None:
    """R3: a star stands for any run of characters, also an empty one."""
    assert matches((route,), method, path)


@pytest.mark.parametrize(
    ("route", "method", "path"),
    [
        ("POST /orders", "PUT", "/orders"),
        ("POST /orders", "POST", "/orders/7"),
        ("POST /orders", "POST", "/Orders"),
        ("POST /orders/*", "POST", "/orders"),
        ("POST /orders/*/lines", "POST", "/orders/7/lines/2"),
        ("POST /a*a", "POST", "/a"),
        ("POST /*b*b*", "POST", "/abc"),
        ("POST /orders.", "POST", "/orders7"),
    ],
)
def test_a_request_beside_the_route_does_not(route: str, method: str, path: str) -> None:
    """R3: everything but the star counts as it stands, from beginning to end."""
    assert not matches((route,), method, path)


def test_one_of_several_routes_is_enough() -> None:
    """R3: a request is declared idempotent by any of the routes, and by none if there are none."""
    routes = ("POST /a", "POST /b")
    assert matches(routes, "POST", "/b")
    assert not matches(routes, "POST", "/c")
    assert not matches((), "POST", "/a")


def test_a_hostile_path_is_matched_in_linear_time() -> None:
    """S1: many stars and a path made to fail at its very end do not blow up."""
    assert not matches(("POST /" + "*a" * 50 + "*b",), "POST", "/" + "a" * 20000)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.example.com/orders?x=/y#z", "/orders"),
        ("https://api.example.com", "/"),
        ("https://api.example.com/a%2Fb", "/a%2Fb"),
    ],
)
def test_the_path_of_a_url(url: str, path: str) -> None:
    """I4: routes are about paths as they are sent, without query and fragment."""
    assert path_of(url) == path
