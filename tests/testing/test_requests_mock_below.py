"""``requests_mock`` under an adapter that repeats attempts, in place of the adapter."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import requests_mock
from requests.adapters import BaseAdapter, HTTPAdapter

from weatherglass.testing.mocking import mocked_below

URL = "https://api.example.com/x"


class Repeating(HTTPAdapter):
    """The seam that weatherglass' adapter has, with the simplest machinery above it."""

    def __init__(self, inner: BaseAdapter | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.attempts = 0

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override] # whatever requests passes
        send = super().send if self.inner is None else self.inner.send
        while True:
            self.attempts += 1
            response = send(request, **how)
            if response.status_code != 503:
                return response


def session_with(adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    session.mount("https://", adapter)
    return session


def test_machinery_sees_every_attempt() -> None:
    """D3: the adapter stays in place and sends each of its attempts through the mock."""
    adapter = Repeating()
    with mocked_below(Repeating) as mocker, session_with(adapter) as session:
        mocker.get(URL, [{"status_code": 503}, {"status_code": 503}, {"text": "done"}])
        assert session.get(URL).text == "done"
        assert (adapter.attempts, mocker.call_count) == (3, 3)
    assert adapter.inner is None


def test_plain_sessions_are_mocked_as_usual() -> None:
    """Sessions without such an adapter find the mock in its place, as with requests_mock."""
    with mocked_below(Repeating) as mocker:
        mocker.get(URL, status_code=503)
        assert requests.get(URL, timeout=20).status_code == 503
        with pytest.raises(requests_mock.NoMockAddress):
            requests.get("https://elsewhere.example.com", timeout=20)
        assert mocker.called
        assert mocker.request_history[0].url == URL


def test_everything_is_put_back() -> None:
    """Afterwards sessions and adapters are what they were, an inner adapter included."""
    original = requests.Session.get_adapter
    inner = HTTPAdapter()
    adapter = Repeating(inner)
    with session_with(adapter) as session:
        with mocked_below(Repeating) as mocker:
            mocker.get(URL)
            session.get(URL)
            session.get(URL)
            assert adapter.inner is not inner
        assert adapter.inner is inner
    assert requests.Session.get_adapter is original


def test_case_of_urls_can_be_kept() -> None:
    """The mocker matches paths with regard to case when asked to."""
    with mocked_below(Repeating, case_sensitive=True) as mocker:
        mocker.get("https://api.example.com/Upper")
        assert requests.get("https://api.example.com/Upper", timeout=20).ok
        with pytest.raises(requests_mock.NoMockAddress):
            requests.get("https://api.example.com/upper", timeout=20)
