"""What may be told of URLs, messages and codes that others wrote (rules C10 and O7).

URLs follow the HTTP conventions' rules for ``url.full``: credentials become
``REDACTED:REDACTED@`` and the values of secret parameters ``REDACTED``. More parameters count as
secret here than the conventions list, and their names are compared without regard to case and
separators (the conventions ask for case): telling too little is the lesser evil. The fragment is
kept, as the conventions want it, and redacted like a query.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus

from weatherglass.errors import CallFailed
from weatherglass.report import Failure
from weatherglass.telemetry.bounds import Memo
from weatherglass.telemetry.registry import OTHER, REDACTED
from weatherglass.vocabulary import NETWORK_KINDS, Kind

SECRET_PARAMETERS: Final = frozenset(
    {
        # The conventions' own.
        "xamzsignature",
        "xamzcredential",
        "xamzsecuritytoken",
        "xgoogsignature",
        "sig",
        "awsaccesskeyid",
        "signature",
        # OAuth 2, OpenID Connect and SAML.
        "accesstoken",
        "refreshtoken",
        "idtoken",
        "idtokenhint",
        "clientsecret",
        "clientassertion",
        "assertion",
        "code",
        "codeverifier",
        "samlrequest",
        "samlresponse",
        # What APIs without a standard use.
        "token",
        "apitoken",
        "authtoken",
        "sessiontoken",
        "csrftoken",
        "xcsrftoken",
        "jwt",
        "key",
        "apikey",
        "xapikey",
        "accesskey",
        "secretkey",
        "privatekey",
        "subscriptionkey",
        "ocpapimsubscriptionkey",
        "secret",
        "apisecret",
        "password",
        "passwd",
        "passphrase",
        "pass",
        "pwd",
        "auth",
        "authorization",
        "credential",
        "credentials",
        "session",
        "sessionid",
        "otp",
        "xgoogcredential",
    }
)
"""Names of parameters whose values are secret, lower-case and without separators."""

_SEPARATORS: Final = str.maketrans("", "", "-_. []$")
_USERINFO: Final = f"{REDACTED}:{REDACTED}@"
_AUTHORITY_END: Final = re.compile(r"[/?#\\]")
_PARAMETER_BORDER: Final = re.compile("([&;#])")

_TEXT_USERINFO: Final = re.compile(r"//[^\s'\"<>]*@")
_TEXT_QUERY: Final = re.compile(r"[?#]\S+")
_TEXT_SCHEME: Final = re.compile(r"\b(bearer|basic|digest|token)\s+\S+", re.IGNORECASE)
_LONGEST_TEXT: Final = 256

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/~-]{0,99}")
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=|~-]{0,127}")
_LONGEST_RAW: Final = 64

_TELLING: Final = NETWORK_KINDS | {
    Kind.CIRCUIT_OPEN,
    Kind.MAINTENANCE,
    Kind.DEADLINE,
    Kind.CLOSED,
}


def redact_url(url: str) -> str:
    """The URL as it may be shown: in reports, on spans, in logs. Redacting twice changes nothing.

    An ordinary URL is returned as it is, after a look at its parameters' names.
    """
    if "@" in url:
        url = _without_userinfo(url)
    if "?" in url:
        base, mark, query = url.partition("?")
    elif "#" in url:
        base, mark, query = url.partition("#")
    else:
        return url
    simple = ";" not in query and "#" not in query
    for part in query.split("&") if simple else _PARAMETER_BORDER.split(query):
        name, equals, _ = part.partition("=")
        if equals and _secret_names[name]:
            break
    else:
        return url
    return base + mark + "".join(map(_parameter, _PARAMETER_BORDER.split(query)))


def _without_userinfo(url: str) -> str:
    scheme, slashes, rest = url.partition("//")
    if not slashes or "@" in scheme:
        scheme, slashes, rest = "", "", url
    end = _AUTHORITY_END.search(rest)
    authority = rest[: end.start()] if end else rest
    if "@" not in authority:
        port = authority.rpartition("]")[2].rpartition(":")
        if not port[1] or port[2].isdigit() or not port[2]:
            return url
        # "https://user:se/cret@host": the "port" is the beginning of a password that was not
        # escaped, and everything up to the last @ is more of it.
        authority = rest
    return f"{scheme}{slashes}{_USERINFO}{rest[authority.rindex('@') + 1 :]}"


def _parameter(part: str) -> str:
    name, equals, value = part.partition("=")
    return f"{name}={REDACTED}" if value and equals and _secret_names[name] else part


def _is_secret(name: str) -> bool:
    return unquote_plus(name).lower().translate(_SEPARATORS) in SECRET_PARAMETERS


_secret_names: Final[Memo[str, bool]] = Memo(_is_secret)
"""The same parameters come again and again: their names are remembered, their values never."""


def redact_text(text: str) -> str:
    """A message of another library without credentials, and without any query or fragment.

    Such messages hold URLs cut in ways that nobody promised, so nothing of a query is kept.
    """
    text = _TEXT_USERINFO.sub(f"//{_USERINFO}", text[: 16 * _LONGEST_TEXT])
    text = _TEXT_QUERY.sub(f"?{REDACTED}", text)
    text = _TEXT_SCHEME.sub(rf"\1 {REDACTED}", text)
    return text[:_LONGEST_TEXT]


def exception_message(error: BaseException, failure: Failure | None) -> str | None:
    """What may be told of an exception's message; ``None`` if nothing.

    Messages of network failures name the host and are told, redacted, and so are those of our
    own refusals. All others may quote a header, a body or a server's words, and are not told.
    """
    if failure is None or failure.kind not in _TELLING:
        return None
    if not failure.is_network and not isinstance(error, CallFailed):
        return None
    return redact_text(str(error))


def safe_code(code: str) -> str:
    """An error code as it may be told; ``_OTHER`` for what is rather a sentence than a code.

    Some servers put a message where a code belongs, and messages may name persons.
    """
    return code if _CODE.fullmatch(code) else OTHER


def safe_identifier(value: str) -> str | None:
    """A server's correlation id, if it looks like one."""
    return value if _IDENTIFIER.fullmatch(value) else None


def safe_raw(value: str) -> str:
    """A Retry-After value as received: printable and at most 64 characters."""
    return "".join(each if each.isprintable() else "?" for each in value[:_LONGEST_RAW])
