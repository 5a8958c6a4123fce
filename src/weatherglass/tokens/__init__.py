"""Access tokens: where they come from and how one serves all threads (section T)."""

from weatherglass.tokens.endpoint import InvalidToken, IssuedToken, TokenRequest, Transport
from weatherglass.tokens.errors import TokenEndpointError, TokenUnavailable, Unavailability
from weatherglass.tokens.flight import Token
from weatherglass.tokens.grants import ClientCredentials, RefreshToken
from weatherglass.tokens.manager import TokenManager
from weatherglass.tokens.observer import Observer, RefreshReport, SilentObserver, Waiter
from weatherglass.tokens.sources import CallableTokens, TokenSource

__all__ = [
    "CallableTokens",
    "ClientCredentials",
    "InvalidToken",
    "IssuedToken",
    "Observer",
    "RefreshReport",
    "RefreshToken",
    "SilentObserver",
    "Token",
    "TokenEndpointError",
    "TokenManager",
    "TokenRequest",
    "TokenSource",
    "TokenUnavailable",
    "Transport",
    "Unavailability",
    "Waiter",
]
