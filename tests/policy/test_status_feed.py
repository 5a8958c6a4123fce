"""Status feeds as they stand in a policy."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import MaintenancePolicy, Policy, StatusFeed, load_policy

NOTHING: Mapping[str, str] = {}
PAGE = "https://status.example.com"

FILE = """
[maintenance]
file = "windows.toml"

[[maintenance.feeds]]
url = "https://status.example.com/"
components = ["Europe*", "Login"]
hosts = ["API.example.com"]
ttl = 60

[[maintenance.feeds]]
url = "https://status.example.org"
name = "other"
timeout = 2.5
"""


def test_a_feed_is_called_after_its_host_unless_it_has_a_name() -> None:
    """M1: the name that telemetry tells is the page's host, or what the user chose."""
    assert StatusFeed(PAGE).name == "status.example.com"
    assert StatusFeed(PAGE, name="vendor").name == "vendor"


def test_a_feed_is_kept_in_one_spelling() -> None:
    """M1: a slash at the end, one text instead of a list, and capitals make no difference."""
    feed = StatusFeed(PAGE + "/", components="Login", hosts="API.example.com")  # type: ignore[arg-type]

    assert feed == StatusFeed(PAGE, components=("Login",), hosts=("api.example.com",))
    assert pickle.loads(pickle.dumps(feed)) == feed  # noqa: S301 - what was pickled just now


@pytest.mark.parametrize(
    ("url", "fields", "named"),
    [
        ("http://status.example.com", {}, "must be https"),
        ("ftp://status.example.com", {}, "scheme"),
        ("status.example.com", {}, "no URL"),
        ("https://user:word@status.example.com", {}, "credentials"),
        (PAGE + "/?a=1", {}, "query"),
        (PAGE + "/#top", {}, "fragment"),
        (PAGE + "/api/v2/scheduled-maintenances.json", {}, f"address of the page: {PAGE}"),
        (PAGE + "/api/v2", {}, "path '/api/v2' of the page's API"),
        (PAGE + "/summary.json", {}, "path '/summary.json' of the page's API"),
        (PAGE, {"name": 3}, "name is 3"),
        (PAGE, {"name": "two\nlines"}, "can be printed"),
        (PAGE, {"ttl": 0.5}, "ttl is 0.5, but must be a finite number from 1"),
        (PAGE, {"timeout": 0}, "timeout is 0"),
        (PAGE, {"components": ("Eu*rope",)}, "either end only"),
        (PAGE, {"components": ("*",)}, "either end only"),
        (PAGE, {"components": (3,)}, "components is (3,)"),
        (PAGE, {"hosts": ("https://api.example.com",)}, "without scheme"),
        (PAGE, {"hosts": ("api.example.com:443",)}, "port"),
        (PAGE, {"hosts": ("*.example.com",)}, "*"),
        (PAGE, {"hosts": 3}, "without scheme"),
        (PAGE, {"allow_insecure": "yes"}, "allow_insecure is 'yes'"),
    ],
)
def test_feeds_that_make_no_sense_are_refused(url: str, fields: dict[str, Any], named: str) -> None:
    """D16, M1: a nonsense feed fails when it is made, and the message says what is wrong."""
    with pytest.raises(InvalidPolicy) as refused:
        StatusFeed(url, **fields)
    assert "maintenance.feeds" in str(refused.value)
    assert named in str(refused.value)
    assert "word" not in str(refused.value)


def test_tls_may_be_done_without_where_it_is_said() -> None:
    """S1: without TLS a page is read on loopback, or where the user allows it, and nowhere else."""
    StatusFeed("http://127.0.0.1:8000")
    StatusFeed("http://status.internal", allow_insecure=True)


@pytest.mark.parametrize("file", [None, "windows.toml"])
def test_feeds_of_one_name_are_refused(file: str | None) -> None:
    """D16: two feeds that telemetry could not tell apart are a mistake, the file's own included."""
    second = StatusFeed("https://status.example.org", name="file" if file else "status.example.com")
    with pytest.raises(InvalidPolicy, match="twice"):
        MaintenancePolicy(file=file, feeds=(StatusFeed(PAGE), second))


def test_a_file_has_feeds(tmp_path: Path) -> None:
    """D17, M1: feeds and the file of windows are set in TOML by their Python names."""
    path = tmp_path / "weatherglass.toml"
    path.write_text(FILE)
    maintenance = load_policy(path, NOTHING).policy.maintenance

    assert maintenance.file == "windows.toml"
    assert maintenance.feeds == (
        StatusFeed(PAGE, components=("Europe*", "Login"), hosts=("api.example.com",), ttl=60),
        StatusFeed("https://status.example.org", name="other", timeout=2.5),
    )


def test_feeds_of_a_file_join_those_of_the_policy(tmp_path: Path) -> None:
    """M1: feeds add up, and one of the same name is replaced."""
    path = tmp_path / "weatherglass.toml"
    path.write_text(FILE)
    base = Policy(
        maintenance=MaintenancePolicy(
            feeds=(
                StatusFeed("https://one.example.com"),
                StatusFeed("https://two.example.com", name="other"),
            )
        )
    )
    loaded = load_policy(path, NOTHING, base)

    assert [feed.url for feed in loaded.policy.maintenance.feeds] == [
        "https://one.example.com",
        PAGE,
        "https://status.example.org",
    ]
    assert loaded.origins["maintenance.feeds"] == f"file {path} and policy default"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[maintenance.feeds]]\nname = 'x'", "has no url"),
        ("[[maintenance.feeds]]\nurl = 'https://a.b'\ncomponent = 1", "components"),
        ("[maintenance]\nfeeds = [1]", "[[maintenance.feeds]]"),
        ("[[maintenance.feeds]]\nurl = 'http://a.b'", "must be https"),
    ],
)
def test_mistakes_in_feeds_of_a_file_are_named(tmp_path: Path, text: str, named: str) -> None:
    """D17: a feed in a file is held to the same rules, and the message names the file."""
    path = tmp_path / "weatherglass.toml"
    path.write_text(text)
    with pytest.raises(InvalidPolicy) as refused:
        load_policy(path, NOTHING)
    assert named in str(refused.value)
    assert str(path) in str(refused.value)


def test_feeds_are_printed_back(tmp_path: Path) -> None:
    """D17: what was loaded can be read by a person, and written to a file that means the same."""
    path = tmp_path / "weatherglass.toml"
    path.write_text(FILE)
    loaded = load_policy(path, NOTHING)

    assert "  other, https://status.example.org" in loaded.render().splitlines()
    assert loaded.to_dict()["maintenance.feeds"]["value"][1]["timeout"] == 2.5
    path.write_text(loaded.to_toml())
    assert load_policy(path, NOTHING).policy == loaded.policy


def test_the_environment_names_the_file_of_windows() -> None:
    """D17, M1: `WEATHERGLASS_MAINTENANCE_FILE` is the setting `maintenance.file`."""
    variables = {"WEATHERGLASS_MAINTENANCE_FILE": "/etc/windows.toml"}
    assert load_policy(environ=variables).policy.maintenance.file == "/etc/windows.toml"
