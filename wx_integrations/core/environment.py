"""WATSONX_* variables: which there are, and how they fill what the settings leave open."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.hosts import base_url, hosts_of, region_url
from wx_integrations.core.secrets import opened, seal

ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "url": ("WATSONX_URL",),
    "region": ("WATSONX_REGION",),
    "api_key": ("WATSONX_API_KEY", "WATSONX_APIKEY"),
    "token": ("WATSONX_TOKEN",),
    "zen_api_key": ("WATSONX_ZEN_API_KEY",),
    "username": ("WATSONX_USERNAME",),
    "password": ("WATSONX_PASSWORD",),
    "instance_id": ("WATSONX_INSTANCE_ID",),
    "trusted_profile_id": ("WATSONX_TRUSTED_PROFILE_ID",),
    "bedrock_url": ("WATSONX_BEDROCK_URL",),
    "platform_url": ("WATSONX_PLATFORM_URL",),
    "auth_url": ("WATSONX_AUTH_URL",),
    "project_id": ("WATSONX_PROJECT_ID",),
    "space_id": ("WATSONX_SPACE_ID",),
    "version": ("WATSONX_VERSION",),
    "use_private_token_url": ("WATSONX_USE_PRIVATE_TOKEN_URL",),
    "allow_http": ("WATSONX_ALLOW_HTTP",),
}


def env_name(field: str) -> str | None:
    """Return the environment variable that sets a field, if there is one."""
    return ENVIRONMENT[field][0] if field in ENVIRONMENT else None


def url_of_region(url: str) -> str:
    """Return the URL of a region given where its URL belongs; any other text as it is."""
    return url if re.search(r"[./:]", url) or url.strip().lower() == "localhost" else region_url(url)


def fill_from_environment(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings with what they leave open taken from WATSONX_* variables.

    A choice already made is not contradicted: a given token keeps the API
    key of the environment out, a given project its space, a given region its URL.
    """
    filled = {name: value for name, value in settings.items() if value is not None}

    def given(*names: str) -> bool:
        return any(name in filled for name in names)

    def take(name: str) -> None:
        for variable in ENVIRONMENT[name]:
            if name not in filled and environ.get(variable, "") != "":
                filled[name] = environ[variable]

    if not given("url", "region"):
        take("url")
        take("region")
    chosen = given("token", "token_function", "atoken_function", "zen_api_key", "username", "password")
    _take_credentials(given, take, on_cloud=_is_cloud(filled))
    if not given("project_id", "space_id"):
        take("project_id")
        take("space_id")
    for name in ("instance_id", "bedrock_url", "platform_url", "auth_url", "version"):
        take(name)
    if not chosen and given("api_key", "apikey", "token") and not given("username"):
        take("trusted_profile_id")
    for name in ("use_private_token_url", "allow_http"):
        take(name)
        if isinstance(filled.get(name), str):
            filled[name] = filled[name].strip().lower() in ("1", "true", "yes", "on")
    seal(filled)
    return filled


def _is_cloud(settings: Mapping[str, Any]) -> bool:
    """Whether the settings name IBM Cloud, AWS or GovCloud, where user names do not count."""
    if "url" not in settings:
        return "region" in settings
    try:
        url = base_url(url_of_region(str(opened(settings["url"]))), allow_http=True)
        return hosts_of(url, platform_url=settings.get("platform_url")).cloud in ("ibm", "aws", "gov")
    except ConfigurationError:
        return False


def _take_credentials(given: Callable[..., bool], take: Callable[[str], None], *, on_cloud: bool) -> None:
    if given("token", "token_function", "atoken_function", "zen_api_key"):
        return
    if given("api_key", "apikey"):
        return
    if given("username"):
        if not given("password"):
            take("password")
        if not given("password"):
            take("api_key")
        return
    if given("password"):
        take("username")
        return
    take("api_key")
    if given("api_key"):
        if not on_cloud:
            take("username")
        return
    take("token")
    if given("token"):
        return
    if not on_cloud:
        take("zen_api_key")
        if not given("zen_api_key"):
            take("username")
            take("password")
