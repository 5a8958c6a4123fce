"""Makes ``requests_mock`` work under weatherglass' machinery instead of in its place (rule D3).

``requests_mock`` answers by putting its own adapter where the session looks for one, so an
adapter of weatherglass, and all its retries and telemetry with it, would never be reached. Here
the session keeps its weatherglass adapter, and that adapter sends each attempt through the
mock; all other adapters are replaced as usual.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    import requests_mock


@contextlib.contextmanager
def mocked_below(
    adapter_class: type[Any], *, case_sensitive: bool = False
) -> Iterator[requests_mock.Mocker]:
    """A ``requests_mock`` mocker that answers below adapters of this class.

    The class needs an attribute ``inner: BaseAdapter | None`` that it looks up for each attempt
    and, if it is not ``None``, sends the attempt through in place of ``HTTPAdapter.send``, with
    the same keyword arguments. Sessions must find their adapters with
    ``requests.Session.get_adapter``.

    The mocker's ``real_http`` is not supported: nothing reaches the network.
    """
    import requests_mock  # noqa: PLC0415 - a tool that not every user has

    mock_adapter = requests_mock.Adapter(case_sensitive=case_sensitive)
    original = requests.Session.get_adapter
    lent: dict[int, tuple[Any, BaseAdapter | None]] = {}

    def get_adapter(session: requests.Session, url: Any) -> BaseAdapter:
        found: Any = original(session, url)
        if not isinstance(found, adapter_class):
            return mock_adapter
        if found.inner is not mock_adapter:
            lent[id(found)] = (found, found.inner)
            found.inner = mock_adapter
        return found  # type: ignore[no-any-return] # the class is only known to have inner

    requests.Session.get_adapter = get_adapter  # type: ignore[assignment] # that is the trick
    try:
        yield requests_mock.Mocker(adapter=mock_adapter)
    finally:
        requests.Session.get_adapter = original  # type: ignore[method-assign] # the way back
        for adapter, previous in lent.values():
            adapter.inner = previous
