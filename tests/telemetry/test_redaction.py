"""What is told of URLs, messages and codes that others wrote."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import InvalidHeader
from telemetry_harness import failure, report

from weatherglass.errors import CircuitOpen, ReauthenticationRequired
from weatherglass.telemetry import redact
from weatherglass.vocabulary import Kind

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com:8443/a/b;c/d",
        "https://api.example.com/a?pageSize=25&pageNumber=2",
        "https://api.example.com/a?monkey=1&keyboard=2&passenger=3&decoder=4",
        "https://api.example.com/a?q=a%20b&sort=-name&empty=&flag",
        "https://api.example.com/users/ann@example.com/queues",
        "https://api.example.com/a?mail=ann@example.com",
        "https://api.example.com/a#section-2",
        "https://[2001:db8::1]:8443/a@b",
        "https://api.example.com/a?token=",
        "",
        "not a url",
    ],
)
def test_ordinary_urls_stay_as_they_are(url: str) -> None:
    """O7: a URL without credentials and secret parameters is told as it is."""
    assert redact.redact_url(url) == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://ann:s3cr3t@h/a", "https://REDACTED:REDACTED@h/a"),
        ("https://ann@h/a", "https://REDACTED:REDACTED@h/a"),
        ("https://ann:s3@cr3t@h:8443/a@b", "https://REDACTED:REDACTED@h:8443/a@b"),
        ("https://ann:s3cr3t@h?b=c", "https://REDACTED:REDACTED@h?b=c"),
        ("https://ann:s3/cr3t@h/a", "https://REDACTED:REDACTED@h/a"),
        ("//ann:s3cr3t@h/a", "//REDACTED:REDACTED@h/a"),
        ("ann:s3cr3t@h/a", "REDACTED:REDACTED@h/a"),
        ("https://h/a?color=blue&sig=s3cr3t", "https://h/a?color=blue&sig=REDACTED"),
        ("https://h/a?sig=s3cr3t&color=blue", "https://h/a?sig=REDACTED&color=blue"),
        ("https://h/a?AWSAccessKeyId=s3cr3t", "https://h/a?AWSAccessKeyId=REDACTED"),
        ("https://h/a?X-Amz-Signature=s3cr3t", "https://h/a?X-Amz-Signature=REDACTED"),
        ("https://h/a?X-Goog-Signature=s3cr3t", "https://h/a?X-Goog-Signature=REDACTED"),
        ("https://h/a?access_token=s3cr3t", "https://h/a?access_token=REDACTED"),
        ("https://h/a?accessToken=s3cr3t", "https://h/a?accessToken=REDACTED"),
        ("https://h/a?API-KEY=s3cr3t", "https://h/a?API-KEY=REDACTED"),
        ("https://h/a?access%5Ftoken=s3cr3t", "https://h/a?access%5Ftoken=REDACTED"),
        ("https://h/a?user[password]=s3cr3t", "https://h/a?user[password]=s3cr3t"),
        ("https://h/a?password[]=s3cr3t", "https://h/a?password[]=REDACTED"),
        ("https://h/a?a=b;token=s3cr3t", "https://h/a?a=b;token=REDACTED"),
        ("https://h/a?token=s3=cr3t", "https://h/a?token=REDACTED"),
        ("https://h/a?code=s3cr3t&state=x", "https://h/a?code=REDACTED&state=x"),
        ("https://h/a#access_token=s3cr3t&x=y", "https://h/a#access_token=REDACTED&x=y"),
        ("https://h/a?b=c#token=s3cr3t", "https://h/a?b=c#token=REDACTED"),
    ],
)
def test_secrets_in_urls_are_redacted(url: str, told: str) -> None:
    """O7: credentials and the values of secret parameters are replaced, their names are kept."""
    assert redact.redact_url(url) == told


@given(
    user=st.text(alphabet="abc:%2F.-_", min_size=1, max_size=8),
    name=st.sampled_from(sorted(redact.SECRET_PARAMETERS)),
    path=st.text(alphabet="abc/@:;.", max_size=8),
    before=st.sampled_from(["", "a=b&", "a&", "&&", "a=b;"]),
    after=st.sampled_from(["", "&a=b", ";a=b", "#a=b"]),
)
def test_no_secret_survives(user: str, name: str, path: str, before: str, after: str) -> None:
    """O7: wherever a secret stands in a URL, it is gone, and redacting twice changes nothing."""
    secret = quote(f"{SECRET}/+=")
    url = f"https://{user}:{SECRET}@h/{path}?{before}{name}={secret}{after}"

    told = redact.redact_url(url)

    assert SECRET not in told
    assert redact.redact_url(told) == told


@given(st.text(max_size=200))
def test_any_text_can_be_redacted(text: str) -> None:
    """O8: whatever is passed off as a URL or a message, redacting it raises nothing."""
    assert isinstance(redact.redact_url(text), str)
    assert len(redact.redact_text(text)) <= 256


@pytest.mark.parametrize(
    "text",
    [
        "Max retries exceeded with url: /a?access_token=s3cr3t (Caused by X)",
        "Failed to parse: https://ann:s3cr3t@h/a",
        "Cannot connect to proxy https://ann:s3@cr3t@proxy:3128",
        "url: /a?anything=s3cr3t",
        "url: /a#s3cr3t",
        "Invalid header: Bearer s3cr3t",
        "Authorization: basic s3cr3t",
    ],
)
def test_messages_lose_queries_and_credentials(text: str) -> None:
    """O7: what other libraries write into messages is told without what may be secret in it."""
    told = redact.redact_text(text)

    assert SECRET not in told
    assert "cr3t" not in told
    assert "REDACTED" in told


def test_messages_of_network_failures_are_told() -> None:
    """O7: the message of a network failure names the host, and is told, redacted."""
    error = RequestsConnectionError("HTTPSConnectionPool(host='h'): url: /a?b=s3cr3t (reset)")

    told = redact.exception_message(error, failure(Kind.CONNECTION_RESET, None))

    assert told == "HTTPSConnectionPool(host='h'): url: /a?REDACTED (reset)"


def test_messages_of_our_refusals_are_told() -> None:
    """O7: our own refusals say nothing secret."""
    refusal = failure(Kind.CIRCUIT_OPEN, None)
    error = CircuitOpen("the breaker is open", report=report(failure=refusal))

    assert redact.exception_message(error, refusal) == "the breaker is open"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidHeader("header value: 'Bearer s3cr3t'"), Kind.INVALID_CALL),
        (RuntimeError("s3cr3t"), Kind.CIRCUIT_OPEN),
        (ReauthenticationRequired("s3cr3t", report=report()), Kind.REAUTHENTICATION),
        (RuntimeError("s3cr3t"), None),
    ],
)
def test_other_messages_are_not_told(error: Exception, kind: Kind | None) -> None:
    """O7, C10: a message that may quote a header, a body or a server is not told at all."""
    found = None if kind is None else failure(kind, None)

    assert redact.exception_message(error, found) is None


@pytest.mark.parametrize(
    "code",
    ["GENERIC", "too.many.requests.retry.after", "E-42", "https://example.com/probs/out-of-credit"],
)
def test_codes_are_told(code: str) -> None:
    """C10: what looks like an error code is told."""
    assert redact.safe_code(code) == code


@pytest.mark.parametrize(
    "code",
    ["User ann@example.com is unknown", "ann@example.com", "", "x" * 101, "a?token=b", "a\nb"],
)
def test_sentences_are_no_codes(code: str) -> None:
    """C10: what a server puts in the place of a code is not told if it may name somebody."""
    assert redact.safe_code(code) == "_OTHER"


def test_correlation_ids_are_told_if_they_look_like_one() -> None:
    """C10: a header's value is told only in the form that it is expected to have."""
    assert redact.safe_identifier("0f5e2a-b1") == "0f5e2a-b1"
    assert redact.safe_identifier("Bearer s3cr3t") is None
    assert redact.safe_identifier("x" * 129) is None


def test_raw_values_are_short_and_printable() -> None:
    """O7: a Retry-After value is told in at most 64 printable characters."""
    assert redact.safe_raw("soon\r\n" + "x" * 100) == "soon??" + "x" * 58
