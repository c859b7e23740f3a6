"""Settings as users give them, made the way a Connection holds them, or refused by name."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from wx_integrations.core.environment import env_name, url_of_region
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.hosts import base_url, region_url
from wx_integrations.core.retry import USUAL, RetryPolicy
from wx_integrations.core.secrets import (
    GUARDED,
    SECRETS,
    URLS,
    Guarded,
    flaw,
    header_flaw,
    holds_login,
    opened,
    seal,
    unguarded,
)
from wx_integrations.core.transport import is_proxy

_POLICY = ("retry_total", "retry_backoff_factor", "retry_status_forcelist", "retry_max_wait", "retry_time_budget")
_TIMEOUTS = ("connect", "read", "write", "pool")


_CREDENTIALS = "Give connection=, or the credentials themselves"
_OTHER_SDKS = {
    "watsonx_client": _CREDENTIALS,
    "api_client": _CREDENTIALS,
    "watsonx_embed": "Give model_id",
    "watsonx_embed_gateway": "Give model, the Model Gateway's name for it",
    "watsonx_rerank": "Give model_id",
}
"""Arguments of langchain-ibm's and llama-index-*-ibm's classes that hold objects of IBM's SDK."""


def unknown_argument(name: str, known: Iterable[str], owner: str) -> ConfigurationError:
    """Return the refusal of a name nobody knows, with what to give instead or the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = _OTHER_SDKS.get(name) or (f"Did you mean {near[0]!r}?" if near else None)
    return ConfigurationError(f"{owner} has no argument {name!r}", hint=hint, field=name)


_ALIASES = ("apikey", "region", "max_retries", *_POLICY, "retry_read_timeouts")


def tidied(settings: dict[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Return the settings with URLs normalised, aliases resolved and unknown names refused."""
    known = [*fields, *_ALIASES]
    for name in settings:
        if name not in known:
            raise unknown_argument(name, known, "Connection")
    tidy = dict(settings)
    seal(tidy)
    check_urls(tidy)
    if "apikey" in tidy:
        if tidy.get("api_key") is not None and tidy["apikey"] is not None:
            raise ConfigurationError("both api_key and apikey are set", hint="Give api_key only", field="apikey")
        old = tidy.pop("apikey")
        tidy["api_key"] = old if old is not None else tidy.get("api_key")
    for name in (*SECRETS, "username", "account_id", "project_id", "space_id", "trusted_profile_id"):
        check_text(name, tidy.get(name))
    if tidy.get("headers") is not None:
        check_headers(tidy["headers"])
    if tidy.get("proxies") is not None:
        _check_proxies(tidy["proxies"])
    if isinstance(tidy.get("verify"), Path):
        tidy["verify"] = str(tidy["verify"])
    if tidy.get("verify") == "":
        raise ConfigurationError("verify is empty", hint="Give a CA file, True or False", field="verify")
    _tidy_retry(tidy)
    _tidy_urls(tidy)
    for name in ("version", "username", "instance_id"):  # langchain-ibm types these as secrets
        tidy[name] = opened(tidy.get(name))
    # Last, so that no refusal above has them among its local variables.
    return tidy | {name: Guarded(unguarded(tidy[name])) for name in GUARDED if tidy.get(name) is not None}


def check_text(name: str, value: Any) -> None:
    """Refuse a text that is empty or cannot be sent; raises ConfigurationError, which does not show it."""
    fault = flaw(name, value)
    if fault is not None:
        env = env_name(name)
        raise ConfigurationError(
            f"{name}{f' ({env})' if env else ''} {fault}", hint="Set it, or leave it out", field=name, env=env
        )


def check_urls(settings: Mapping[str, Any]) -> None:
    """Refuse sealed URLs with a user name or password; raises ConfigurationError, which does not show them."""
    for name in URLS:
        if holds_login(settings.get(name)):
            raise ConfigurationError(
                f"{name}: holds a user name or password",
                hint="Use username and password",
                field=name,
                env=env_name(name),
            )


def check_headers(headers: Any) -> None:
    """Refuse headers that cannot be sent; raises ConfigurationError, which does not show their values."""
    if not isinstance(headers, Mapping):
        raise ConfigurationError("headers: not a mapping of names to values", field="headers")
    for name, value in headers.items():
        fault = header_flaw(name, value)
        if fault is not None:
            raise ConfigurationError(f"headers: {fault}", field="headers")


def _check_proxies(proxies: Any) -> None:
    """Refuse proxies that httpx cannot use; raises ConfigurationError, which does not show their URLs."""
    if not isinstance(proxies, Mapping):
        raise ConfigurationError('proxies: not a mapping such as {"https": url}', field="proxies")
    for name, value in proxies.items():
        if not isinstance(name, str) or not (name in ("http", "https", "all") or "://" in name):
            raise ConfigurationError(
                f"proxies: {name!r} is neither http, https, all nor a URL pattern", field="proxies"
            )
        if not is_proxy(opened(value)):
            raise ConfigurationError(
                f"proxies: the value of {name!r} is not the URL of a proxy",
                hint="Give something like http://proxy.example.com:3128",
                field="proxies",
            )


def timeout_dict(timeout: float | httpx.Timeout) -> dict[str, float | None]:
    """Return a timeout as httpx's transports take it.

    Raises:
        ConfigurationError: not a number of seconds that can be waited.
    """
    parts: dict[str, Any] = timeout.as_dict() if isinstance(timeout, httpx.Timeout) else {}
    parts = parts or dict.fromkeys(_TIMEOUTS, timeout)
    for value in parts.values():
        if value is not None and not (isinstance(value, int | float) and 0 < value < 1e9):
            raise ConfigurationError(
                "timeout: must be more than 0 seconds",
                hint="Give seconds or httpx.Timeout; httpx.Timeout(None) waits for ever",
                field="timeout",
            )
    return parts


def is_version_date(version: str) -> bool:
    try:
        datetime.date.fromisoformat(version)
    except ValueError:
        return False
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}", version) is not None


def _tidy_retry(tidy: dict[str, Any]) -> None:
    parts = {name: tidy.pop(name) for name in (*_POLICY, "retry_read_timeouts") if name in tidy}
    parts = {name: value for name, value in parts.items() if value is not None}
    most = tidy.pop("max_retries", None)
    if most is not None:
        if "retry_total" in parts:
            raise ConfigurationError("both max_retries and retry_total are set", field="max_retries")
        parts["retry_total"] = most
    if tidy.get("retry") is None:
        tidy["retry"] = RetryPolicy(**parts) if parts else USUAL
    elif parts:
        raise ConfigurationError(
            f"both retry and {', '.join(parts)} are set", hint="Put them into the RetryPolicy", field="retry"
        )


def _tidy_urls(tidy: dict[str, Any]) -> None:
    allow_http = tidy.get("allow_http") is True
    url, region = tidy.get("url"), tidy.get("region")
    url = opened(url)  # langchain-ibm types it as a secret
    if isinstance(url, str) and url.strip():
        url = url_of_region(url)
        tidy["url"] = base_url(url, allow_http=allow_http)
        if isinstance(region, str) and region_url(region) != tidy["url"].replace("//private.", "//", 1):
            raise ConfigurationError(
                f"url and region differ: {tidy['url']} is not {region}", hint="Give one of them", field="region"
            )
    elif isinstance(region, str):
        tidy["url"] = region_url(region)
    else:
        raise ConfigurationError(
            "url is not set",
            hint="Give url (WATSONX_URL), such as https://us-south.ml.cloud.ibm.com, or region (WATSONX_REGION)",
            field="url",
            env="WATSONX_URL",
        )
    tidy.pop("region", None)  # the URL says it, and equal places must be equal
    for name in ("platform_url", "bedrock_url"):
        if tidy.get(name) is not None:
            tidy[name] = base_url(str(tidy[name]), field=name, env=env_name(name), allow_http=allow_http)
    if tidy.get("auth_url") is not None:
        whole = str(tidy["auth_url"]).strip().rstrip("/")
        base = base_url(whole, field="auth_url", env=env_name("auth_url"), allow_http=allow_http)
        path = "/" + whole.split("://", 1)[-1].split("/", 1)[1] if "/" in whole.split("://", 1)[-1] else ""
        origin = "/".join(base.split("/")[:3])
        tidy["auth_url"] = origin + path
