"""Which settings are secret, and how they are kept out of sight.

Secrets are wrapped as soon as they come in, so that neither a traceback that
shows local variables nor a printed dictionary shows them; headers and proxy
URLs are treated likewise when they look as if they held one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

from pydantic import Secret, SecretStr
from pydantic_core import from_json

SECRETS = ("api_key", "token", "zen_api_key", "password", "projects_token")
URLS = ("url", "auth_url", "platform_url", "bedrock_url")
TOOL_SETTINGS = ("tool_config", "tool_configs")
HIDDEN = "**********"
_LOGIN = r"\s*([^/?#]*//)?[^/?#]*@"
_TELLING = r"auth|cookie|token|key|secret|passw|credential|session"
_SENDABLE_ONLY_ASCII = ("api_key", "token", "zen_api_key", "projects_token", "project_id", "space_id")
_SHORT = 6
"""Secrets shorter than this are not searched for in answers: they would match anything."""


def seal(settings: dict[str, Any]) -> None:
    """Wrap the secrets among a function's own keyword arguments, in place."""
    for name in (*SECRETS, "apikey"):
        if name in settings:
            settings[name] = sealed(settings[name])
    for name in URLS:
        if isinstance(settings.get(name), str) and _has_login(settings[name]):
            settings[name] = SecretStr(settings[name])
    for name in TOOL_SETTINGS:
        if isinstance(settings.get(name), Mapping):
            settings[name] = Guarded(settings[name])
    for name, is_secret in GUARDED.items():
        if settings.get(name) is not None:
            settings[name] = guarded(settings[name], is_secret)


def sealed(value: Any) -> Any:
    """Return a secret wrapped, and what should be none as well, for those who refuse it."""
    if isinstance(value, str):
        return SecretStr(value)
    return value if value is None or isinstance(value, bytes | SecretStr) else Secret(value)


def holds_login(url: Any) -> bool:
    """Whether a URL has a user name or a password in it, which `seal` has wrapped."""
    return isinstance(url, SecretStr) and _has_login(url.get_secret_value())


def _has_login(url: str) -> bool:
    return "@" in url and re.match(_LOGIN, url) is not None


def opened(value: Any) -> Any:
    """Return what a wrapper holds, or the value itself."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def secret_header(name: str, _: str) -> bool:
    """Whether a header's name says that its value is secret."""
    return re.search(_TELLING, name, re.IGNORECASE) is not None


def secret_proxy(_: str, url: str) -> bool:
    """Whether a proxy's URL holds a user name or password."""
    return "@" in url


def secret_part(name: str, value: str) -> bool:
    """Whether one of headers or proxies, whichever it is, may be secret."""
    return secret_header(name, value) or secret_proxy(name, value)


GUARDED: dict[str, Callable[[str, str], bool]] = {"headers": secret_header, "proxies": secret_proxy}
"""Settings that may hold secrets among others, and which of their values are."""


class Guarded(dict[str, Any]):
    """Headers, proxies or a tool's settings: a dictionary that prints without the values that may be secret."""

    def shown(self) -> dict[str, Any]:
        """Return what may be printed."""
        return {name: _shown(str(name), value) for name, value in self.items()}

    def __repr__(self) -> str:
        return repr(self.shown())

    def __rich_repr__(self) -> Iterable[Any]:
        yield self.shown()


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return Guarded(value).shown()
    return HIDDEN if secret_part(name, value if isinstance(value, str) else "") else value


def guarded(values: Mapping[str, Any], is_secret: Callable[[str, str], bool]) -> dict[str, Any]:
    """Return headers or proxies with those values wrapped that may be secret, and what should be neither."""
    if not isinstance(values, Mapping):
        return sealed(values)  # type: ignore[unreachable]  # for the check that follows to refuse
    return {
        name: value if isinstance(value, str) and not is_secret(str(name), value) else sealed(value)
        for name, value in values.items()
    }


def unguarded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return headers or proxies without wrappers."""
    return {name: opened(value) for name, value in values.items()}


def flaw(name: str, value: Any) -> str | None:
    """Return what is wrong with a setting's text, never the text."""
    text = opened(value)
    if not isinstance(text, str):
        return None
    if not text.strip():
        return "is empty"
    if text != text.strip() or not text.isprintable():
        return "has white space around it or characters that cannot be sent"
    if name in _SENDABLE_ONLY_ASCII and not text.isascii():
        return "holds characters other than ASCII"
    return None


def header_flaw(name: Any, value: Any) -> str | None:
    """Return what is wrong with a header, never its value (RFC 9110, section 5)."""
    text = opened(value)
    if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        return "a header's name must be a token of RFC 9110"
    if not isinstance(text, str):
        return f"{name}: the value must be text"
    if text != text.strip() or not text.isascii() or not text.isprintable():
        return f"{name}: the value has white space around it or characters that cannot be sent"
    return None


def sent_secrets(headers: Iterable[tuple[str, str]], form: bytes = b"") -> list[str]:
    """Return the secrets of a request: those of its headers, and of the body of a request for a token or to a tool."""
    found = [value for name, value in headers if secret_header(name, value)]
    found += [value.split(" ", 1)[1] for value in found if " " in value]
    try:
        fields = from_json(form) if form[:1] == b"{" else dict(parse_qsl(form.decode()))
    except ValueError:
        return found
    settings = fields.get("config")
    pairs = [*fields.items(), *(settings.items() if isinstance(settings, dict) else ())]
    return found + [value for name, value in pairs if secret_header(name, "") and isinstance(value, str)]


def redact(content: bytes, secrets: Iterable[str]) -> bytes:
    """Return a body without the secrets an echoing server put into it, as they are or URL-encoded."""
    for secret in secrets:
        if len(secret) < _SHORT:
            continue
        for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
            content = content.replace(form.encode(), HIDDEN.encode())
    return content
