"""Genesys Cloud: a session that is ready for use, and the profile that it goes by (section G).

``weatherglass.genesys.Session(region="mypurecloud.ie", client_id="…", client_secret="…")``

Imported when it is asked for, and never by the core, which knows nothing of Genesys Cloud.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weatherglass.genesys.credentials import Credentials, credentials
from weatherglass.genesys.gateways import Gateway
from weatherglass.genesys.profile import profile
from weatherglass.genesys.regions import REGIONS, Region, region
from weatherglass.genesys.session import Session

if TYPE_CHECKING:
    from weatherglass.genesys.sdk.installation import Installed
    from weatherglass.session import Session as CoreSession

__all__ = [
    "REGIONS",
    "Credentials",
    "Gateway",
    "Region",
    "Session",
    "credentials",
    "install",
    "profile",
    "region",
]


def install(api_client: Any, session: CoreSession) -> Installed:
    """Make the official SDK's ``ApiClient`` send through a session; returns the client.

    Needs the extra ``genesys``. See :func:`weatherglass.genesys.sdk.install`.
    """
    # The SDK takes seconds to import and starts threads: only for those who use it.
    from weatherglass.genesys.sdk import install as put_in  # noqa: PLC0415

    return put_in(api_client, session)
