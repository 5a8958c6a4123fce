"""Asking a Prometheus, or what answers like one, by its HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from weatherglass.cli.doctor.clocks import Reading
from weatherglass.cli.doctor.network import NoAnswer, Reply, ask
from weatherglass.telemetry.redact import redact_text, redact_url

_Read = TypeVar("_Read")

_NOT_PROMETHEUS = (
    "give the base URL of a Prometheus, such as http://localhost:9090, with its prefix if it has"
    " one"
)
_CREDENTIALS = "give credentials in the URL (http://user:password@host), or in a netrc file"


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one moment."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """A group of rules."""

    name: str
    broken: tuple[str, ...]
    """The rules that cannot be evaluated, each with its error."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server."""

    url: str
    timeout: float

    @property
    def shown(self) -> str:
        """Its URL without credentials."""
        return redact_url(self.url)

    def query(self, expression: str) -> list[Sample]:
        """The series of an instant query, now.

        Raises:
            NoAnswer: when there is none, or it is not one of Prometheus.
        """
        return self._get("query", {"query": expression}, _samples)

    def clock(self) -> Reading:
        """Its clock; raises as :meth:`query`."""
        reply = self._ask("query", {"query": "time()"})
        theirs = self._data("query", reply, lambda data: float(data["result"][1]))
        return Reading("Prometheus", theirs, 0.001, reply.sent_at, reply.received_at)

    def names(self, selector: str, since: float) -> list[str]:
        """The names of all metrics that fit; raises as :meth:`query`."""
        wanted = {"match[]": selector, "start": f"{since:.3f}"}
        return self._get("label/__name__/values", wanted, lambda data: [str(n) for n in data])

    def version(self) -> str:
        """Its version; empty if it does not say; raises as :meth:`query`."""
        return self._get("status/buildinfo", {}, lambda data: str(data.get("version") or ""))

    def flags(self) -> Mapping[str, str]:
        """The flags that it was started with; none if it does not say."""
        try:
            return self._get("status/flags", {}, lambda data: {**data})
        except NoAnswer:
            return {}

    def rule_groups(self) -> list[RuleGroup]:
        """The groups of rules that it evaluates; raises as :meth:`query`."""
        return self._get("rules", {}, lambda data: [_group(each) for each in data["groups"]])

    def _get(self, path: str, params: Mapping[str, str], read: Callable[[Any], _Read]) -> _Read:
        return self._data(path, self._ask(path, params), read)

    def _ask(self, path: str, params: Mapping[str, str]) -> Reply:
        return ask("GET", f"{self.url.rstrip('/')}/api/v1/{path}", self.timeout, params)

    def _data(self, path: str, reply: Reply, read: Callable[[Any], _Read]) -> _Read:
        response = reply.response
        where = f"{self.shown} answers {path} with {response.status_code}"
        if response.status_code in (401, 403):
            raise NoAnswer(where, _CREDENTIALS)
        try:
            body = response.json()
            if body["status"] == "success":
                return read(body["data"])
            said = redact_text(str(body["error"]))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise NoAnswer(f"{where}, which is no answer of Prometheus", _NOT_PROMETHEUS) from None
        raise NoAnswer(f"{where}: {said}", "look at its logs")


def _samples(data: Any) -> list[Sample]:
    return [Sample({**each["metric"]}, float(each["value"][1])) for each in data["result"]]


def _group(group: Any) -> RuleGroup:
    broken = [
        f"{rule['name']}: {redact_text(str(rule.get('lastError', '')))}"
        for rule in group["rules"]
        if rule.get("health") == "err"
    ]
    return RuleGroup(str(group["name"]), tuple(broken))
