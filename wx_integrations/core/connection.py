"""A Connection: where the service is, who asks, for which project, and how.

Frozen settings without any live part: building one touches no network, file
or clock. Equal connections share one session.
"""

from __future__ import annotations

import datetime
import difflib
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import httpx
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from wx_integrations.core import auth
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.hosts import AWS, IAM, Hosts, base_url, hosts_of, region_url
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.secrets import SECRETS as SECRETS
from wx_integrations.core.secrets import (
    flaw,
    guarded,
    header_flaw,
    opened,
    seal,
    secret_header,
    secret_proxy,
    unguarded,
)
from wx_integrations.core.transport import is_proxy

API_VERSION = "2024-03-14"
"""The active version date of the API reference."""
DEFAULT_TIMEOUT = httpx.Timeout(connect=10.0, read=600.0, write=60.0, pool=None)

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
_LIVE = ("httpx_client", "async_httpx_client")
_SCOPES = ("project_id", "space_id")
_ACCOUNT = ("url", *SECRETS, "token_function", "atoken_function", "username", "trusted_profile_id", "auth_type", *_LIVE)
_POLICY = ("retry_total", "retry_backoff_factor", "retry_status_forcelist", "retry_max_wait", "retry_time_budget")
_TIMEOUTS = ("connect", "read", "write", "pool")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SOFTWARE_VERSION = re.compile(r"\d+(\.\d+){1,3}")

AuthType = Literal["iam", "aws", "cp4d", "cp4d_iam", "zen"]


def env_name(field: str) -> str | None:
    """Return the environment variable that sets a field, if there is one."""
    return ENVIRONMENT[field][0] if field in ENVIRONMENT else None


class Connection(BaseModel):
    """How to reach one watsonx.ai and on whose behalf.

    Give `url` or `region`; one way to log in (`api_key`; `token`;
    `token_function`; `username` with `password` or `api_key`;
    `zen_api_key`); and `project_id` or `space_id` unless only deployments
    are used. Every field of the official SDK's `Credentials` is accepted.

    Attributes:
        url: the region's or installation's URL; a path of an operation is cut off.
        region: instead of `url`: "us-south", "eu-de", ... or the city.
        api_key: IBM Cloud API key; with `username`, a Cloud Pak for Data API key.
        token: a ready-made access token; never renewed.
        token_function: returns a token (str), or (token, seconds it lives), whenever one is needed.
        atoken_function: the same for asynchronous calls.
        trusted_profile_id: a trusted profile to assume with the API key's token, or with `token`.
        username: Cloud Pak for Data only, as are `password` and `account_id` (of a tenant).
        zen_api_key: Cloud Pak for Data's ready-made base64 of "user:key".
        auth_type: overrides how to log in; usually found from the other fields.
        bedrock_url: Cloud Pak for Data's IAM host; with `password` it turns integrated IAM on.
        auth_url: overrides the token URL.
        platform_url: overrides the platform host.
        project_id, space_id: what the work is billed to; exactly one of them.
        version: the API's version date (YYYY-MM-DD); a Cloud Pak for Data version ("5.2") is accepted and not needed.
        verify: TLS verification: True, a CA file or folder, an SSLContext, or False at your own risk.
        proxies: `{"https": url}`; replaces the proxy variables of the environment.
        headers: extra headers for every request, merged last, so they can replace Authorization.
        timeout: seconds, or httpx.Timeout (default: connect 10, read 600).
        limits: httpx.Limits (default: no bound on connections).
        retry: the RetryPolicy; its fields are accepted here as well (`retry_total`, ...), and `max_retries`.
        httpx_client, async_httpx_client: your own clients; they are used as they are and never closed.
        allow_http: accept plain http beyond this machine.
        use_private_token_url: GovCloud: ask the private network's token host.
        pickle_secrets: ship the secrets in pickles; by default the other side takes them from its environment.
        name, instance_id, iam_serviceid_crn, projects_token: accepted for the official SDK's sake, without effect.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True, populate_by_name=True
    )

    url: str
    api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("api_key", "apikey"))
    token: SecretStr | None = None
    token_function: Callable[[], Any] | None = Field(default=None, repr=False)
    atoken_function: Callable[[], Awaitable[Any]] | None = Field(default=None, repr=False)
    trusted_profile_id: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    account_id: str | None = None
    zen_api_key: SecretStr | None = None
    auth_type: AuthType | None = None
    bedrock_url: str | None = None
    auth_url: str | None = None
    platform_url: str | None = None
    project_id: str | None = None
    space_id: str | None = None
    version: str | None = None
    verify: bool | str | ssl.SSLContext | None = None
    proxies: Mapping[str, str] | None = Field(default=None, repr=False, exclude=True)
    headers: Mapping[str, str] | None = Field(default=None, repr=False, exclude=True)
    timeout: float | httpx.Timeout | None = None
    limits: httpx.Limits | None = None
    retry: RetryPolicy = RetryPolicy()
    httpx_client: httpx.Client | None = Field(default=None, repr=False)
    async_httpx_client: httpx.AsyncClient | None = Field(default=None, repr=False)
    allow_http: bool = False
    use_private_token_url: bool = False
    pickle_secrets: bool = False
    name: str | None = None
    instance_id: str | None = None
    iam_serviceid_crn: str | None = None
    projects_token: SecretStr | None = None
    missing_secrets: tuple[str, ...] = Field(default=(), repr=False)
    """Secrets that stayed behind when this was pickled; set by unpickling only."""

    def __init__(self, **settings: Any) -> None:
        seal(settings)
        try:
            super().__init__(**_tidied(settings))
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, "connection") from None
        self._check()

    # ------------------------------------------------------------------ other ways in and out

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """Build a connection from WATSONX_* variables; settings given here win.

        Raises:
            ConfigurationError: something is missing or contradicts; names the variable.
        """
        seal(settings)
        return cls(**fill_from_environment(settings, os.environ if environ is None else environ))

    @classmethod
    def from_dict(cls, credentials: Mapping[str, Any]) -> Self:
        """Build a connection from a dictionary such as the official SDK's `Credentials.from_dict` takes."""
        return cls(**{str(name): value for name, value in credentials.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """Return what was set, for `from_dict`; secrets stay wrapped, so that printing shows none."""
        found = {name: value for name in type(self).model_fields if (value := getattr(self, name)) != _default(name)}
        for name, is_secret in _GUARDED.items():
            if name in found:
                found[name] = guarded(found[name], is_secret)
        return found

    # ------------------------------------------------------------------ what follows from the settings

    @cached_property
    def hosts(self) -> Hosts:
        """The ml, platform and token hosts."""
        hosts = hosts_of(self.url, platform_url=self.platform_url, token_url=self.auth_url)
        if self.use_private_token_url and hosts.token_private and not self.auth_url:
            return Hosts(hosts.ml, hosts.platform, hosts.token_private, hosts.cloud, hosts.token_private)
        return hosts

    @property
    def version_date(self) -> str:
        """The `version` query parameter."""
        return self.version if self.version and _DATE.fullmatch(self.version) else API_VERSION

    @property
    def httpx_timeout(self) -> httpx.Timeout:
        """The timeout as httpx has it."""
        if self.timeout is None:
            return DEFAULT_TIMEOUT
        return self.timeout if isinstance(self.timeout, httpx.Timeout) else httpx.Timeout(self.timeout)

    @cached_property
    def token_source(self) -> auth.Source:
        """How to log in; raises ConfigurationError when nothing says how, or too much does."""
        return _token_source(self)

    def scope(self) -> dict[str, str]:
        """Return the project or the space.

        Raises:
            ConfigurationError: neither is set.
        """
        if self.project_id:
            return {"project_id": self.project_id}
        if self.space_id:
            return {"space_id": self.space_id}
        raise ConfigurationError(
            "neither project_id nor space_id is set",
            hint="Give project_id (WATSONX_PROJECT_ID) or space_id (WATSONX_SPACE_ID)",
            field="project_id",
            env="WATSONX_PROJECT_ID",
        )

    def _check(self) -> None:
        if self.project_id and self.space_id:
            raise ConfigurationError(
                "both project_id and space_id are set",
                hint="Give one of them: project_id (WATSONX_PROJECT_ID) or space_id (WATSONX_SPACE_ID)",
                field="space_id",
                env="WATSONX_SPACE_ID",
            )
        if self.version and not (_is_date(self.version) or _SOFTWARE_VERSION.fullmatch(self.version)):
            raise ConfigurationError(
                f"version: {self.version!r} is neither a date (YYYY-MM-DD) nor a software version",
                hint=f"Leave it out for {API_VERSION}",
                field="version",
                env="WATSONX_VERSION",
            )
        if self.timeout is not None:
            timeout_dict(self.timeout)
        if self.limits is not None and self.limits.max_connections is not None and self.limits.max_connections < 1:
            raise ConfigurationError("limits: max_connections must be 1 or more, or None for no bound", field="limits")
        _ = self.hosts, self.token_source

    # ------------------------------------------------------------------ identity and copies

    @cached_property
    def login_key(self) -> tuple[Any, ...]:
        """What must be equal for two connections to share a session: all but the project or space."""
        return tuple(_hashable(getattr(self, name)) for name in type(self).model_fields if name not in _SCOPES)

    @cached_property
    def account_key(self) -> tuple[Any, ...]:
        """What must be equal for two connections to share the service's limits: who asks whom, and through what."""
        return tuple(_hashable(getattr(self, name)) for name in _ACCOUNT)

    @property
    def _key(self) -> tuple[Any, ...]:
        return (self.project_id, self.space_id, *self.login_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        settings = self.shipped()
        return (_restored, (settings, settings.pop("missing_secrets")))

    def shipped(self) -> dict[str, Any]:
        """Return the settings that a pickle carries; `missing_secrets` names those that stay behind.

        Raises:
            ConfigurationError: something live cannot be pickled.
        """
        settings = self.to_dict()
        for name in _LIVE:
            if name in settings:
                raise ConfigurationError(f"{name}: an open client cannot be pickled", field=name)
        if isinstance(self.verify, ssl.SSLContext):
            raise ConfigurationError(
                "verify: an SSLContext cannot be pickled", hint="Give the path of the CA file instead", field="verify"
            )
        left_behind = list(settings.pop("missing_secrets", ()))
        if not self.pickle_secrets:
            for name in [name for name in SECRETS if name in settings]:
                left_behind.append(name)
                del settings[name]
            for name in [name for name in _GUARDED if name in settings]:
                plain = {key: value for key, value in settings[name].items() if not isinstance(value, SecretStr)}
                if len(plain) < len(settings[name]):
                    left_behind.append(name)
                    settings[name] = plain
        return {**settings, "missing_secrets": tuple(left_behind)}


_GUARDED = {"headers": secret_header, "proxies": secret_proxy}


def _default(name: str) -> Any:
    return Connection.model_fields[name].default


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping) and not callable(value):
        return tuple(sorted(value.items()))
    if isinstance(value, httpx.Timeout):
        return tuple(value.as_dict().items())
    if isinstance(value, httpx.Limits):
        return (value.max_connections, value.max_keepalive_connections, value.keepalive_expiry)
    if isinstance(value, httpx.Client | httpx.AsyncClient | ssl.SSLContext) or type(value).__hash__ is None:
        return ("object", id(value))
    return value


def _restored(settings: dict[str, Any], left_behind: tuple[str, ...]) -> Connection:
    found = {}
    for name in left_behind:
        for variable in ENVIRONMENT.get(name, ()):
            if os.environ.get(variable):
                found[name] = SecretStr(os.environ[variable])
                break
    missing = tuple(name for name in left_behind if name not in found and name != "projects_token")
    return Connection(**{**settings, **found, "missing_secrets": missing})


# --------------------------------------------------------------------------- reading the settings


def unknown_argument(name: str, known: Iterable[str], owner: str) -> ConfigurationError:
    """Return the refusal of a name nobody knows, with the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return ConfigurationError(
        f"{owner} has no argument {name!r}", hint=f"Did you mean {near[0]!r}?" if near else None, field=name
    )


_ALIASES = ("apikey", "region", "max_retries", *_POLICY, "retry_read_timeouts")


def _tidied(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with URLs normalised, aliases resolved and unknown names refused."""
    known = [*Connection.model_fields, *_ALIASES]
    for name in settings:
        if name not in known:
            raise unknown_argument(name, known, "Connection")
    tidy = dict(settings)
    seal(tidy)
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
    return tidy | {name: unguarded(tidy[name]) for name in _GUARDED if tidy.get(name) is not None}


def check_text(name: str, value: Any) -> None:
    """Refuse a text that is empty or cannot be sent; raises ConfigurationError, which does not show it."""
    fault = flaw(name, value)
    if fault is not None:
        env = env_name(name)
        raise ConfigurationError(
            f"{name}{f' ({env})' if env else ''} {fault}", hint="Set it, or leave it out", field=name, env=env
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


def _is_date(version: str) -> bool:
    try:
        datetime.date.fromisoformat(version)
    except ValueError:
        return False
    return _DATE.fullmatch(version) is not None


def _tidy_retry(tidy: dict[str, Any]) -> None:
    parts = {name: tidy.pop(name) for name in (*_POLICY, "retry_read_timeouts") if name in tidy}
    parts = {name: value for name, value in parts.items() if value is not None}
    most = tidy.pop("max_retries", None)
    if most is not None:
        if "retry_total" in parts:
            raise ConfigurationError("both max_retries and retry_total are set", field="max_retries")
        parts["retry_total"] = most
    if tidy.get("retry") is None:
        tidy["retry"] = RetryPolicy(**parts)
    elif parts:
        raise ConfigurationError(
            f"both retry and {', '.join(parts)} are set", hint="Put them into the RetryPolicy", field="retry"
        )


def _tidy_urls(tidy: dict[str, Any]) -> None:
    allow_http = tidy.get("allow_http") is True
    url, region = tidy.get("url"), tidy.get("region")
    url = opened(url)  # langchain-ibm types it as a secret
    if isinstance(url, str) and url.strip():
        url = _url_of_region(url)
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


def _url_of_region(url: str) -> str:
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
                filled[name] = SecretStr(environ[variable]) if name in SECRETS else environ[variable]

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
    return filled


def _is_cloud(settings: Mapping[str, Any]) -> bool:
    """Whether the settings name IBM Cloud, AWS or GovCloud, where user names do not count."""
    if "url" not in settings:
        return "region" in settings
    try:
        url = base_url(_url_of_region(str(opened(settings["url"]))), allow_http=True)
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


# --------------------------------------------------------------------------- how to log in


def _token_source(connection: Connection) -> auth.Source:
    """Return the one way to log in that the settings name, in the official SDK's order."""
    c = connection
    if c.missing_secrets:
        return auth.Missing(c.missing_secrets)
    ways = [
        name
        for name in ("token", "token_function", "api_key", "password", "zen_api_key")
        if getattr(c, name) is not None or (name == "token_function" and c.atoken_function is not None)
    ]
    if len(ways) > 1:
        raise ConfigurationError(
            f"{' and '.join(ways)} are set, which are different ways to log in",
            hint="Give one of them" + (" (" + " or ".join(filter(None, map(env_name, ways))) + ")"),
            field=ways[-1],
        )
    if not ways:
        raise ConfigurationError(
            "no credentials: api_key is not set",
            hint="Give api_key (WATSONX_API_KEY) or token (WATSONX_TOKEN); "
            "for Cloud Pak for Data username and password or api_key",
            field="api_key",
            env="WATSONX_API_KEY",
        )
    if c.trusted_profile_id and ways[0] not in ("token", "api_key"):
        raise ConfigurationError("trusted_profile_id needs api_key or token", field="trusted_profile_id")
    if c.token is not None:
        if c.trusted_profile_id:
            return auth.Iam(_iam_url(c), None, _profile(c), c.token)
        return auth.Fixed(auth.bearer(c.token))
    if c.token_function is not None or c.atoken_function is not None:
        return auth.Called(c.token_function, c.atoken_function)
    if c.zen_api_key is not None:
        return auth.Fixed(auth.zen_header(c.zen_api_key))
    return _exchange_source(c)


def _exchange_source(c: Connection) -> auth.Source:
    hosts = c.hosts
    cloud = hosts.cloud
    kind = c.auth_type
    if kind is None:
        if c.username is not None or c.password is not None:
            kind = "cp4d_iam" if c.bedrock_url and c.password is not None else "cp4d"
        elif cloud in ("aws", "gov"):
            kind = "aws"
        elif cloud == "software" and not c.auth_url:
            raise ConfigurationError(
                f"{hosts.ml} is not IBM Cloud, so api_key needs a username",
                hint="Give username (WATSONX_USERNAME) for Cloud Pak for Data, or check url (WATSONX_URL)",
                field="username",
                env="WATSONX_USERNAME",
            )
        else:
            kind = "iam"
    if kind in ("cp4d", "cp4d_iam", "zen"):
        return _software_source(c, kind)
    if c.api_key is None:
        raise ConfigurationError(f"auth_type {kind!r} needs api_key", field="api_key", env="WATSONX_API_KEY")
    _check_place(c, kind)
    if kind == "aws":
        _ = _profile(c)
        return auth.ApiKeyService(_token_url(c, "/api/2.0/apikeys/token", AWS), c.api_key)
    return auth.Iam(_iam_url(c), c.api_key, _profile(c))


def _iam_url(c: Connection) -> str:
    return _token_url(c, "/identity/token", IAM)


def _profile(c: Connection) -> str | None:
    """Return the trusted profile; raises ConfigurationError where there are none."""
    elsewhere = ("aws", "gov") if c.auth_url or c.auth_type == "iam" else ("aws", "gov", "software")
    if c.trusted_profile_id and (c.hosts.cloud in elsewhere or c.auth_type == "aws"):
        raise ConfigurationError(
            "trusted_profile_id is for IBM Cloud only",
            hint=f"Leave it out (WATSONX_TRUSTED_PROFILE_ID) for {c.hosts.ml}",
            field="trusted_profile_id",
            env="WATSONX_TRUSTED_PROFILE_ID",
        )
    return c.trusted_profile_id


def _check_place(c: Connection, kind: str) -> None:
    """Refuse to send one cloud's secrets to another's token host."""
    elsewhere = {"iam": ("aws", "gov"), "aws": ("ibm",)}.get(kind, ("ibm", "aws", "gov"))
    if c.hosts.cloud in elsewhere and (not c.auth_url or kind not in ("iam", "aws")):
        raise ConfigurationError(
            f"auth_type {kind!r} does not fit {c.hosts.ml}",
            hint="Leave auth_type out, or check url (WATSONX_URL)",
            field="auth_type",
        )


def _software_source(c: Connection, kind: str) -> auth.Source:
    if c.username is None:
        raise ConfigurationError(
            "password is set without username",
            hint="Give username (WATSONX_USERNAME)",
            field="username",
            env="WATSONX_USERNAME",
        )
    if c.hosts.cloud not in ("software", "loopback") and c.auth_type is None:
        raise ConfigurationError(
            f"username is for Cloud Pak for Data, but {c.hosts.ml} is IBM Cloud",
            hint="Leave username out, or check url (WATSONX_URL)",
            field="username",
            env="WATSONX_USERNAME",
        )
    _check_place(c, kind)
    if c.trusted_profile_id:
        raise ConfigurationError("trusted_profile_id is for IBM Cloud only", field="trusted_profile_id")
    if kind == "zen":
        if c.api_key is None:
            raise ConfigurationError("auth_type 'zen' needs username and api_key", field="api_key")
        return auth.Fixed(auth.zen_header(c.api_key, c.username))
    if kind == "cp4d_iam":
        if c.password is None or not c.bedrock_url:
            raise ConfigurationError(
                "auth_type 'cp4d_iam' needs username, password and bedrock_url", field="bedrock_url"
            )
        url = _token_url(c, "/idprovider/v1/auth/identitytoken", c.bedrock_url)
        return auth.SoftwareIam(url, c.hosts.ml, c.username, c.password, c.account_id)
    if c.password is None and c.api_key is None:
        raise ConfigurationError(
            "username is set without password or api_key",
            hint="Give password (WATSONX_PASSWORD) or api_key (WATSONX_API_KEY)",
            field="password",
            env="WATSONX_PASSWORD",
        )
    # The second port is the one that serves tokens, as in the official SDK.
    url = _token_url(c, "/icp4d-api/v1/authorize", c.hosts.ml.replace(":31002", ":31843"))
    return auth.Software(url, c.username, c.password, c.api_key, c.account_id)


def _token_url(c: Connection, path: str, usual: str) -> str:
    """Return the full URL of the token endpoint.

    Args:
        c: whose `auth_url` wins; without a path of its own it gets the usual one.
        path: the usual path.
        usual: the URL, or the host in front of that path, where nothing else says so.
    """
    url = c.auth_url or c.hosts.token
    if url:
        return url if url.count("/") > 2 else url + path
    if c.hosts.cloud == "loopback" and usual in (IAM, AWS):
        usual = c.hosts.ml
    return usual if usual.endswith(path) else usual + path
