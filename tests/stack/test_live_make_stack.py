"""``python -m stack``, as somebody uses it who wants to see the weather."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from live_boards import ROOT
from stack.addresses import Ports, Taken, any_free, require_free
from stack.processes import HOST

_PATIENCE = 60.0

pytestmark = pytest.mark.usefixtures("collector_binary", "prometheus_binary")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "stack", *arguments]


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own
        _command(*arguments),
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )


def _urls(said: str) -> list[str]:
    """The addresses of the parts, without the links below them."""
    return re.findall(r"^(?:OTLP|Prometheus|Collector).*?(http://\S+)", said, re.MULTILINE)


def _listens(url: str) -> bool:
    port = urlsplit(url).port
    assert port is not None
    with socket.socket() as one:
        return one.connect_ex((HOST, port)) == 0


def test_once_sends_the_weather_and_ends() -> None:
    """With --once it sums up what has arrived, ends with 0, and leaves nobody behind."""
    ended = _run("--once", "--free-ports", "--quick", "--seed", "3")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    arrived = re.search(r"arrived in Prometheus: (\d+) attempts, in (\d+) series", ended.stdout)
    assert arrived is not None, ended.stdout
    assert all(int(number) > 100 for number in arrived.groups())
    healthy = re.search(r"rules: (\d+) of (\d+) are healthy", ended.stdout)
    assert healthy is not None
    assert healthy[1] == healthy[2] != "0"
    urls = _urls(ended.stdout)
    assert len(urls) == 4
    assert not any(map(_listens, urls))


@contextmanager
def _started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - our own
        _command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_until(process: subprocess.Popen[str], word: str) -> str:
    """What the process says, until it has said the word; the pipe is read as it fills."""
    assert process.stdout is not None
    pipe, said, deadline = process.stdout.fileno(), "", time.monotonic() + _PATIENCE
    while word not in said:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"not said in time: {word!r}; but {said}"
        part = os.read(pipe, 65536)
        assert part, f"ended without saying {word!r}: {said}"
        said += part.decode()
    return said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_a_signal_ends_all_of_it(number: signal.Signals, tmp_path: Path) -> None:
    """It stays until it is interrupted, then leaves no process behind, and keeps --data."""
    arguments = ("--free-ports", "--weather", "none", "--data", str(tmp_path / "kept"))
    with _started(*arguments) as process:
        said = _read_until(process, "Ctrl-C")
        urls = _urls(said)
        assert all(map(_listens, urls))
        process.send_signal(number)
        _read_until(process, "Everything is stopped.")
        assert process.wait(_PATIENCE) == 0
        assert not any(map(_listens, urls))
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"prometheus", "prometheus.log", "collector.log"} <= kept


def test_links_hold_queries_that_prometheus_understands() -> None:
    """What is printed to be clicked on are queries of metrics that exist."""
    with _started("--free-ports", "--weather", "none") as process:
        said = _read_until(process, "Ctrl-C")
        process.send_signal(signal.SIGINT)
        process.wait(_PATIENCE)
    links = re.findall(r"/query\?g0\.expr=(\S+?)&", said)
    assert len(links) == 5
    assert all("weatherglass_" in link or "http_client_" in link for link in links)


def test_usual_ports_are_the_standard_ones() -> None:
    """Without --free-ports it is found where OTLP exporters and people look by themselves."""
    usual = Ports()
    found = (usual.otlp_http, usual.otlp_grpc, usual.prometheus, usual.health)
    assert found == (4318, 4317, 9090, 13133)


def test_a_taken_port_is_named() -> None:
    """A port that somebody listens on is named, with what it was meant for."""
    ports = any_free()
    require_free(ports)
    with socket.create_server((HOST, ports.prometheus)), pytest.raises(Taken) as refused:
        require_free(ports)
    assert str(refused.value) == f"port {ports.prometheus}, for Prometheus, is taken"


def test_a_missing_program_is_named() -> None:
    """What is missing is said in one plain sentence, and the exit code is not 0."""
    ended = _run("--once", "--free-ports", STACK_COLLECTOR=str(ROOT / "nowhere"))
    assert ended.returncode == 1
    assert "STACK_COLLECTOR" in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("--weather", "stormy"), "stormy"),
        (("--seed", "-1"), "-1"),
        (("--data", str(ROOT / "Makefile")), "must be a folder"),
    ],
    ids=["weather", "seed", "data"],
)
def test_wrong_arguments_are_named(arguments: tuple[str, str], wrong: str) -> None:
    """An argument that makes no sense is named, and nothing is started."""
    ended = _run("--once", "--free-ports", *arguments)
    assert ended.returncode in (1, 2)
    assert wrong in ended.stderr
    assert "The stack is up" not in ended.stdout
