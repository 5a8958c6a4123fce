"""The error codes of the Genesys Cloud Platform API, as rules (rules C5, C6 and C8).

Each code stands here once, dotted and in lower case, as the ``code`` of an answer has it. The
``errorCode`` of older answers and of ``details`` is the same in upper case with underscores
(``INTERNAL_DEPENDENCY_ERROR``); rules are compared without regard to case and to what separates
the words, so each of them matches both.

Where nothing better is known, kind and execution are those of the status, which are on the safe
side: any 5xx may have been executed, since a gateway can stand before a server that acted.
Codes that say no more than their status does are here all the same, since a code counts under
any status that it comes with.
"""

from __future__ import annotations

from weatherglass.policy.rule import Rule
from weatherglass.vocabulary import Execution, Kind

RULES: tuple[Rule, ...] = (
    # --- tokens ---
    Rule(
        name="Genesys: token not accepted",
        statuses=(401,),
        codes=("bad.credentials", "authentication.required", "credentials.expired"),
        kind=Kind.UNAUTHORIZED,
        transient=False,
        execution=Execution.REJECTED,
        needs_token=True,
    ),
    # The organisation lets in certain networks only: no token is good from anywhere else.
    Rule(
        name="Genesys: network not allowed",
        statuses=(401, 403),
        codes=("ip.not.authorized",),
        transient=False,
        execution=Execution.REJECTED,
        needs_token=False,
    ),
    # --- rate limits, some of them in disguise ---
    Rule(
        name="Genesys: rate limit",
        codes=(
            "too.many.requests",
            "too.many.requests.retry.after",
            "voicemailservice.toomanyrequests",
        ),
        kind=Kind.RATE_LIMITED,
        transient=True,
        execution=Execution.REJECTED,
        needs_token=False,
    ),
    # --- what passes ---
    # The request did not arrive whole, so nothing was done: 408's meaning under another status.
    Rule(
        name="Genesys: request did not arrive",
        statuses=(400, 408),
        codes=("client.failed.request", "client.timeout"),
        kind=Kind.REQUEST_TIMEOUT,
        transient=True,
        execution=Execution.REJECTED,
    ),
    # Under 503 it may be a service further behind that is too busy, so execution is the status'.
    Rule(
        name="Genesys: server too busy",
        statuses=(400, 5),
        codes=("*.server.too.busy",),
        kind=Kind.UNAVAILABLE,
        transient=True,
    ),
    Rule(
        name="Genesys: concurrent change",
        statuses=(409,),
        codes=(
            "transaction.conflict",
            "wfm.transaction.conflict",
            "architect.operation.already.in.progress",
        ),
        kind=Kind.CONFLICT,
        transient=True,
        execution=Execution.REJECTED,
    ),
    # What the server did before its database or neighbour failed is not known.
    Rule(
        name="Genesys: dependency failed",
        statuses=(5,),
        codes=(
            "architect.database.throughput.exceeded",
            "architect.external.call.failure",
            "internal.dependency.error",
            "resource.unavailable",
        ),
        transient=True,
        execution=Execution.POSSIBLE,
    ),
    Rule(
        name="Genesys: service unavailable",
        statuses=(5,),
        codes=("service.unavailable", "postino.error.temporarily.unavailable"),
        kind=Kind.UNAVAILABLE,
        transient=True,
        execution=Execution.POSSIBLE,
    ),
    Rule(
        name="Genesys: request timed out",
        statuses=(504,),
        codes=("request.timeout",),
        kind=Kind.GATEWAY_TIMEOUT,
        transient=True,
        execution=Execution.POSSIBLE,
    ),
    # Who may do what is asked before anything is done.
    Rule(
        name="Genesys: authorisation timed out",
        statuses=(504,),
        codes=("authentication.request.timeout", "division.authorization.timeout"),
        kind=Kind.GATEWAY_TIMEOUT,
        transient=True,
        execution=Execution.REJECTED,
        needs_token=False,
    ),
    # --- what stays, whatever the status says ---
    # 400 in most of the operations that say it, 409 in some.
    Rule(
        name="Genesys: name taken",
        statuses=(400, 409),
        codes=("duplicate.name",),
        kind=Kind.CONFLICT,
        transient=False,
        execution=Execution.REJECTED,
    ),
    Rule(
        name="Genesys: forbidden",
        statuses=(5,),
        codes=("forbidden",),
        kind=Kind.FORBIDDEN,
        transient=False,
    ),
    Rule(
        name="Genesys: not found",
        statuses=(5,),
        codes=(
            "flows.datatables.table.not.found",
            "jid.not.found",
            "quality.evaluation.form.doesnt.exist",
        ),
        kind=Kind.NOT_FOUND,
        transient=False,
    ),
    Rule(
        name="Genesys: request at fault",
        statuses=(5,),
        codes=(
            "architect.flow.data.invalid.format",
            "invalid.substitution",
            "max.response.size.reached",
            "providerapi.error.phone.no.active.edge",
        ),
        kind=Kind.INVALID_REQUEST,
        transient=False,
    ),
    Rule(
        name="Genesys: internal error",
        statuses=(500,),
        codes=("internal.server.error",),
        kind=Kind.SERVER_ERROR,
        transient=False,
        execution=Execution.POSSIBLE,
    ),
)
"""The rules, in the order in which they are asked."""

ALREADY_DONE = ("duplicate.name",)
"""Codes that, to a request which was sent before, mean that it was done then (rule I5)."""
