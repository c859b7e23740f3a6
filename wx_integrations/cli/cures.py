"""What to do about what `wx doctor` finds; pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from wx_integrations.cli.reach import Reached
from wx_integrations.core.advice import advice
from wx_integrations.core.connection import ENVIRONMENT, Connection
from wx_integrations.core.errors import ConfigurationError, ServiceError, Unauthorized, UnexpectedResponse, WatsonxError
from wx_integrations.core.hosts import TABLE
from wx_integrations.core.wire.models import ModelSpec

KEYS_PAGE = "https://cloud.ibm.com/iam/apikeys"
OF_OTHERS = ("WATSONX_MAX_RETRIES", "WATSONX_DELAY_TIME", "WATSONX_RETRY_STATUS_CODES")
"""Variables of IBM's SDK that this package does not read."""
_SAID_ENOUGH = (
    "no_associated_service_instance",
    "no_associated_service_instance_error",
    "token_quota_reached",
    "authentication_token_expired",
)
"""Refusals whose own hint is the cure."""
_WHERE = {
    "api_key": f"Create a key at {KEYS_PAGE}",
    "url": "The region stands in the address of your watsonx.ai pages; `wx serve` gives a local service without one",
    "project_id": "The id is shown in the project under Manage > General > Details",
}


def for_setting(error: ConfigurationError) -> str | None:
    """Return what to do about a setting: the error's own hint and where its value is found."""
    missing = "not set" in error.message or "neither" in error.message
    where = _WHERE.get(error.field or "") if missing else None
    return ". ".join(part for part in (error.hint, where) if part) or None


def public_of(url: str) -> str | None:
    """Return the public URL of a private one."""
    name = urlsplit(url).hostname or ""
    return url.replace("//private.", "//", 1) if name.startswith("private.") and "internal" not in name else None


def private_of(url: str) -> str | None:
    """Return the private URL of a public one."""
    found = url.replace("//", "//private.", 1)
    return found if any(hosts.ml == found for hosts in TABLE) else None


def mixed_hosts(connection: Connection) -> str | None:
    """Say whether private and public hosts are mixed, which no network can reach at once; None if not."""
    named = {"url": connection.hosts.ml, "platform_url": connection.platform_url, "auth_url": connection.auth_url}
    private = {name: _is_private(url) for name, url in named.items() if url}
    # Tokens come from the public host as well for private ml hosts.
    if private.get("auth_url") is False:
        del private["auth_url"]
    if len(set(private.values())) < 2:
        return None
    sides = {side: " and ".join(name for name in private if private[name] is side) for side in (True, False)}
    return f"{sides[True]} is private but {sides[False]} is public"


def _is_private(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    return name.startswith(("private.", "internal.")) or ".private." in name


def unread_variables(environ: Iterable[str]) -> list[str]:
    """Return sentences about WATSONX_* variables that nobody reads but that look as if they were meant to be."""
    known = {name for names in ENVIRONMENT.values() for name in names}
    found = []
    for name in sorted(environ):
        if name.startswith("WATSONX_") and name not in known and name not in OF_OTHERS:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            if near:
                found.append(f"{name} is not read; did you mean {near[0]}?")
    return found


def two_keys(environ: Mapping[str, str]) -> str | None:
    """Say whether two variables for the same setting differ; None if not."""
    for names in ENVIRONMENT.values():
        given = {name: environ[name] for name in names if environ.get(name)}
        if len(set(given.values())) > 1:
            return f"{' and '.join(given)} differ; {next(iter(given))} is used"
    return None


# --------------------------------------------------------------------------- network


def for_network(reached: Reached, connection: Connection, role: str) -> str:
    """Return what to do about a host that cannot be reached.

    Args:
        role: "url", "platform_url" or "auth_url": the setting behind the host.
    """
    setting = f"{role} (WATSONX_{role.upper()})"
    public = public_of(reached.origin)
    match reached.trouble:
        case "proxy":
            return (
                f"Check HTTPS_PROXY and HTTP_PROXY (or proxies=): {reached.proxy} does not work. "
                f"Without a proxy unset them; NO_PROXY={urlsplit(reached.origin).hostname} goes around it"
            )
        case "proxy_refuses":
            credentials = "http://user:password@host:port" if "407" in reached.reason else None
            return (
                f"The proxy wants a login: HTTPS_PROXY={credentials}"
                if credentials
                else f"Have {reached.host} allowed in the proxy {reached.proxy}, or go around it with NO_PROXY"
            )
        case "certificate":
            return _for_certificate(reached, setting)
        case "tls":
            return f"Check the port and the scheme in {setting}: what listens there does not speak TLS as expected"
        case "name" | "timeout" | "refused" if public is not None:
            return (
                f"Private hosts can be reached from IBM Cloud's private network only; "
                f"from elsewhere use {public} (WATSONX_URL)"
            )
        case "name":
            return f"Check the spelling of {setting}, the network, and whether a proxy is needed (HTTPS_PROXY)"
        case "timeout":
            return f"Check the firewall, whether a proxy is needed (HTTPS_PROXY), and {setting}"
        case _:
            return f"Check host and port of {setting} and that the service is up"


def _for_certificate(reached: Reached, setting: str) -> str:
    reason = reached.reason.lower()
    if "expired" in reason or "not yet valid" in reason:
        return "Check the clock of this machine; if it is right, the server's certificate must be renewed"
    if "mismatch" in reason or "doesn't match" in reason or "not valid for" in reason:
        return f"Use the name that the certificate was issued for in {setting}"
    return (
        "Make its authority known: SSL_CERT_FILE=/path/to/ca.pem, or verify='/path/to/ca.pem' in code. "
        "Behind a proxy that looks into TLS it is your company's authority"
    )


# --------------------------------------------------------------------------- answers that say no


def for_answer(
    error: WatsonxError,
    connection: Connection,
    *,
    account: str | None = None,
    logged_in: bool = True,
    model_id: str | None = None,
    function: str = "text_chat",
    specs: Sequence[ModelSpec] = (),
) -> str | None:
    """Return what to do about an answer that says no, or about none.

    Args:
        account: the account that the token is for.
        logged_in: whether there is a token, so that a refusal is about what it may do.
        model_id: the model that was asked for.
        function: what it should have done.
        specs: the model list.
    """
    if "can not call public host" in error.message.lower():
        private = private_of(connection.hosts.ml)
        return f"The instance is private: set WATSONX_URL={private}" if private else error.hint
    if isinstance(error, ServiceError) and model_id is not None and error.status in (400, 404):
        found = advice(model_id, specs, function=function)
        if found:
            return f"{found}{'' if found.endswith('?') else '.'} `wx models` lists what there is"
    if isinstance(error, Unauthorized) and not logged_in:
        return f"{error.hint}. Keys are made at {KEYS_PAGE}" if _takes_keys(connection) else error.hint
    if isinstance(error, Unauthorized) and error.code not in _SAID_ENOUGH:
        return for_stranger(connection, account)
    if isinstance(error, UnexpectedResponse):
        return error.hint or "Check url (WATSONX_URL) and any proxy or log-in page in between"
    return error.hint


def _takes_keys(connection: Connection) -> bool:
    return connection.api_key is not None and connection.username is None


def for_stranger(connection: Connection, account: str | None) -> str:
    """Return what to do when good credentials may not use the project or space."""
    scope = "project" if connection.project_id else "space"
    whose = f" (account {account})" if account else ""
    return (
        f"The login works, but this user{whose} may not use the {scope}: create the API key in the account that "
        f"owns the {scope} ({KEYS_PAGE}), or add this user there (Manage > Access control). "
        f"Check the region (WATSONX_URL) too"
    )


def for_unknown_scope(connection: Connection, *, searched: bool, found_in: str | None) -> str:
    """Return what to do when the platform does not know the project or space."""
    kind = "project" if connection.project_id else "space"
    variable = f"WATSONX_{kind.upper()}_ID"
    if found_in:
        return f"The {kind} is in another region: set WATSONX_URL={found_in}"
    where = "" if kind == "space" else " (shown in the project under Manage > General > Details)"
    text = f"Check {variable}{where}, and that the key is of the account that owns the {kind}"
    if connection.hosts.cloud not in ("ibm", "aws"):
        return text
    if searched:
        return f"{text}; no other region knows it either"
    return f"{text}; it may be in another region: `wx doctor --search-regions` looks there"


__all__ = [
    "for_answer",
    "for_network",
    "for_setting",
    "for_stranger",
    "for_unknown_scope",
    "mixed_hosts",
    "private_of",
    "public_of",
    "two_keys",
    "unread_variables",
]
