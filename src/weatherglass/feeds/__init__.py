"""Maintenance windows from status pages and files (rules M1 and M2).

What a page or a file says, when it is read again, and the one thread that reads. How a page is
reached is not here (:mod:`weatherglass.feed_endpoint`), and neither is what windows do
(:mod:`weatherglass.decide.maintenance`).
"""

from weatherglass.feeds.reader import Feeds
from weatherglass.feeds.reading import FeedReading, FeedUnreadable

__all__ = ["FeedReading", "FeedUnreadable", "Feeds"]
