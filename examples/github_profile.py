"""A profile of GitHub's REST API: what weatherglass has to know of it, and nothing else.

Everything used here is public: a vendor that weatherglass does not know is taught in one file
like this. What it says stands on docs.github.com/rest ("Rate limits for the REST API",
"Troubleshooting the REST API") and on githubstatus.com.

    session = weatherglass.Session(policy=GITHUB.policy())
"""

from __future__ import annotations

from weatherglass import LimitHeaders, Profile, Rule, StatusFeed
from weatherglass.vocabulary import Execution, Kind

GITHUB = Profile(
    name="github",
    settings={
        # What GitHub's support asks for. A proxy on the way may add an X-Request-Id of its own.
        "correlation_headers": ("X-GitHub-Request-Id",),
        # Creating a label again is refused, since its name is taken; adding one to an issue that
        # has it changes nothing; rendering Markdown stores nothing.
        "retry.idempotent_routes": (
            "POST /repos/*/labels",
            "POST /markdown",
        ),
        # The code of a 422 that says "is there already"; after a replay, that may be our doing.
        "idempotency.done_codes": ("already_exists",),
        # "Continuing to make requests while you are rate limited may result in the banning of
        # your integration." GitHub's own client makes three retries.
        "retry.max_retries": 3,
    },
    rules=(
        # "403 or 429, and an error message that indicates that you exceeded a secondary limit."
        Rule(
            name="GitHub secondary rate limit",
            statuses=(403, 429),
            message=("secondary rate limit",),
            kind=Kind.RATE_LIMITED,
            transient=True,
            execution=Execution.REJECTED,
        ),
        # "403 or 429, and the x-ratelimit-remaining header will be 0."
        Rule(
            name="GitHub primary rate limit",
            statuses=(403, 429),
            headers=("x-ratelimit-remaining: 0",),
            kind=Kind.RATE_LIMITED,
            transient=True,
            execution=Execution.REJECTED,
        ),
        # GitHub's own client tries again after a 500. Requests that may have been executed are
        # still replayed only if that does no harm.
        Rule(name="GitHub server error", statuses=(500,), transient=True),
    ),
    limit_headers=(
        LimitHeaders(
            name="github",
            limit="x-ratelimit-limit",
            remaining="x-ratelimit-remaining",
            used="x-ratelimit-used",
            reset="x-ratelimit-reset",
        ),
    ),
    feeds=(
        StatusFeed(
            "https://www.githubstatus.com",
            name="github",
            components=("API Requests",),
            hosts=("api.github.com",),
        ),
    ),
)
