"""The programs of the stack as running processes, for tests and ``make stack``.

A ``Collector`` and a ``Prometheus`` are context managers: ready when entered, gone when left,
on free ports of the loopback interface. What they log is kept, and shown when they do not start.
Where the programs come from is ``stack.binaries``' matter.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import requests
import yaml

from stack import binaries

HOST = "127.0.0.1"
FEATURES = "exemplar-storage,created-timestamp-zero-ingestion"
"""Of Prometheus: see ``prometheus.yaml`` for what they are good for."""

_CONFIGURATION = Path(__file__).parent / "prometheus.yaml"
_PATIENCE = 60.0  # seconds until ready: generous, because tests share the machine with builds
_LOOK = 0.05  # seconds between looks
_NOTHING: Mapping[str, str] = {}
_Self = TypeVar("_Self", bound="_Process")


class NotStarted(Exception):
    """A process ended at once or did not become ready; the message holds what it logged."""


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on now, all of them different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class _Process:
    """A program that runs until its context is left."""

    def __init__(self, log: Path | None) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="weatherglass-stack-")
        self.folder = Path(self._scratch.name)
        self.log_file = log or self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = requests.Session()
        self._http.trust_env = False  # what is on this machine is not reached through a proxy

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Ask it to end, which lets it send what it holds, and see that it does."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self: _Self) -> _Self:  # noqa: PYI019 - Self needs Python 3.11
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._http.close()
        self._scratch.cleanup()

    def _start(self) -> None:
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of the stack
                self._command(),
                env={**os.environ, **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None:
                raise NotStarted(f"ended with {self._process.returncode}:\n{self.log[-5000:]}")
            if time.monotonic() > deadline:
                raise NotStarted(f"not ready after {_PATIENCE:.0f} s:\n{self.log[-5000:]}")
            time.sleep(_LOOK)

    def _answers(self) -> bool:
        try:
            return self._http.get(self._ready_url(), timeout=5).ok
        except requests.RequestException:
            return False

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> Mapping[str, str]:
        return {}

    def _ready_url(self) -> str:
        raise NotImplementedError


class Collector(_Process):
    """An OpenTelemetry Collector with one of our configurations.

    Args:
        config: one file, or several that are merged, the last one winning.
        env: environment variables besides those for the addresses, which are set to free ports.
        set: further settings of the form ``exporters::otlp_grpc::endpoint=127.0.0.1:14317``.
        log: where to log to; by default a file that is gone with the Collector.
    """

    def __init__(
        self,
        config: Path | Sequence[Path],
        *,
        env: Mapping[str, str] = _NOTHING,
        set: Sequence[str] = (),  # noqa: A002 - the name that the Collector gives it
        log: Path | None = None,
    ) -> None:
        super().__init__(log)
        self._configs = [config] if isinstance(config, Path) else list(config)
        self._settings = list(set)
        names = ("COLLECTOR_OTLP_GRPC", "COLLECTOR_OTLP_HTTP", "COLLECTOR_HEALTH",
                 "COLLECTOR_SCRAPE", "COLLECTOR_METRICS_PORT")  # fmt: skip
        ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
        addresses = {
            name: port if name == "COLLECTOR_METRICS_PORT" else f"{HOST}:{port}"
            for name, port in ports.items()
        }
        self._variables = {**addresses, **env}

    @property
    def otlp_grpc(self) -> str:
        """Host and port for OTLP over gRPC."""
        return self._variables["COLLECTOR_OTLP_GRPC"]

    @property
    def otlp_http_url(self) -> str:
        """What ``OTEL_EXPORTER_OTLP_ENDPOINT`` is to be set to."""
        return f"http://{self._variables['COLLECTOR_OTLP_HTTP']}"

    @property
    def health_url(self) -> str:
        return f"http://{self._variables['COLLECTOR_HEALTH']}/"

    @property
    def scrape_target(self) -> str:
        """Host and port of ``/metrics``, with the configuration that has one."""
        return self._variables["COLLECTOR_SCRAPE"]

    @property
    def own_metrics_url(self) -> str:
        """What the Collector tells of itself, in Prometheus' format."""
        return f"http://{HOST}:{self._variables['COLLECTOR_METRICS_PORT']}/metrics"

    def _command(self) -> list[str]:
        configs = [f"--config=file:{path}" for path in self._configs]
        settings = [f"--set={setting}" for setting in self._settings]
        return [str(binaries.collector()), *configs, *settings]

    def _environment(self) -> Mapping[str, str]:
        return self._variables

    def _ready_url(self) -> str:
        return self.health_url


class Prometheus(_Process):
    """A Prometheus server that takes OTLP, and scrapes what it is told to.

    Args:
        folder: where its data is kept.
        rules: rule files, or folders of them.
        scrape: what to scrape, as host and port.
        evaluation_interval: how often rules are evaluated.
        scrape_interval: how often targets are scraped.
        port: where to listen; by default wherever there is room.
        log: where to log to; by default a file that is gone with the server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rules: Sequence[Path] = (),
        scrape: Sequence[str] = (),
        evaluation_interval: str = "1s",
        scrape_interval: str = "1s",
        port: int | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(log)
        self._data = folder
        self._address = f"{HOST}:{free_ports(1)[0] if port is None else port}"
        self._configuration = _configuration(rules, scrape, evaluation_interval, scrape_interval)

    @property
    def url(self) -> str:
        return f"http://{self._address}"

    @property
    def otlp_endpoint(self) -> str:
        """Where an exporter of OTLP over HTTP adds ``/v1/metrics`` to."""
        return f"{self.url}/api/v1/otlp"

    def query(self, expr: str, time: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query, as the API gives it.

        Raises:
            ValueError: if the query is refused, with Prometheus' reason.
        """
        return self._results("query", {"query": expr, "time": time})

    def wait_for(self, expr: str, *, patience: float = _PATIENCE) -> list[dict[str, Any]]:
        """Wait until an instant query gives something; returns what it gives.

        Raises:
            TimeoutError: when it does not after ``patience`` seconds.
        """
        give_up_at = time.monotonic() + patience
        while not (found := self.query(expr)):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{expr} has given nothing for {patience:g} s")
            time.sleep(_LOOK)
        return found

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The result of a range query, as the API gives it."""
        return self._results(
            "query_range", {"query": expr, "start": start, "end": end, "step": step}
        )

    def exemplars(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        """The exemplars of the series that an expression selects."""
        found = self._api("query_exemplars", {"query": expr, "start": start, "end": end})
        return list(found)

    def rules(self) -> list[dict[str, Any]]:
        """All rules of all groups, with their state."""
        groups = self._api("rules", {})["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts that are pending or firing."""
        return list(self._api("alerts", {})["alerts"])

    def reload(self) -> None:
        """Read the rules again."""
        answer = self._http.post(f"{self.url}/-/reload", timeout=30)
        if not answer.ok:
            raise ValueError(answer.text)

    def _results(self, path: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return list(self._api(path, parameters)["result"])

    def _api(self, path: str, parameters: Mapping[str, Any]) -> Any:
        given = {name: value for name, value in parameters.items() if value is not None}
        answer = self._http.get(f"{self.url}/api/v1/{path}", params=given, timeout=30).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters.get('query', path)}: {answer['error']}")
        return answer["data"]

    def _command(self) -> list[str]:
        file = self.folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump(self._configuration), encoding="utf-8")
        return [
            str(binaries.prometheus()),
            f"--config.file={file}",
            f"--storage.tsdb.path={self._data}",
            f"--web.listen-address={self._address}",
            "--web.enable-otlp-receiver",
            "--web.enable-lifecycle",
            f"--enable-feature={FEATURES}",
        ]

    def _ready_url(self) -> str:
        return f"{self.url}/-/ready"


def _configuration(
    rules: Sequence[Path], scrape: Sequence[str], evaluation_interval: str, scrape_interval: str
) -> dict[str, Any]:
    """Our own ``prometheus.yaml``, in other places and at another pace."""
    configuration: dict[str, Any] = yaml.safe_load(_CONFIGURATION.read_text(encoding="utf-8"))
    configuration["global"] = {
        "evaluation_interval": evaluation_interval,
        "scrape_interval": scrape_interval,
        "scrape_timeout": scrape_interval,
    }
    configuration["rule_files"] = [
        str((path / "*.yaml" if path.is_dir() else path).resolve()) for path in rules
    ]
    applications, _ = configuration["scrape_configs"]
    applications["static_configs"] = [{"targets": list(scrape)}]
    configuration["scrape_configs"] = [applications] if scrape else []
    return configuration
