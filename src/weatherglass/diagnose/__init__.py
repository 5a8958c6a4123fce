"""What happened to an attempt: pure functions from answers and exceptions to failures.

Nothing here decides what to do about a failure, does I/O or reads a clock.
"""

from weatherglass.diagnose.bodies import ErrorBody, read_error
from weatherglass.diagnose.classify import classify_response, escalated, normalise
from weatherglass.diagnose.network import classify_exception
from weatherglass.diagnose.rules import GENERIC

__all__ = [
    "GENERIC",
    "ErrorBody",
    "classify_exception",
    "classify_response",
    "escalated",
    "normalise",
    "read_error",
]
