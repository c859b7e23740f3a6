"""A Connection: where the service is, who asks, for which project, and how.

Frozen settings without any live part: building one touches no network, file
or clock. Equal connections share one session.
"""

import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, Self

import httpx
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from wx_integrations.core import login
from wx_integrations.core.environment import ENVIRONMENT as ENVIRONMENT
from wx_integrations.core.environment import fill_from_environment as fill_from_environment
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.hosts import Hosts, hosts_of
from wx_integrations.core.login import AuthType
from wx_integrations.core.retry import USUAL, RetryPolicy
from wx_integrations.core.secrets import GUARDED, Guarded, guarded, seal, secret_part
from wx_integrations.core.secrets import SECRETS as SECRETS
from wx_integrations.core.settings import is_version_date, tidied, timeout_dict
from wx_integrations.core.token_sources import Source
from wx_integrations.core.wire.shapes import ON_FIRST_USE

API_VERSION = "2024-03-14"
"""The active version date of the API reference."""
DEFAULT_TIMEOUT = httpx.Timeout(connect=10.0, read=600.0, write=60.0, pool=None)

_LIVE = ("httpx_client", "async_httpx_client")
_SCOPES = ("project_id", "space_id")
_ACCOUNT = ("url", *SECRETS, "token_function", "atoken_function", "username", "trusted_profile_id", "auth_type", *_LIVE)


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
        limits: httpx.Limits (default: no bound on connections, which are kept for 30 seconds, 1,024 at most).
        retry: the RetryPolicy; its fields are accepted here as well (`retry_total`, ...), and `max_retries`.
        httpx_client, async_httpx_client: your own clients; they are used as they are and never closed.
        allow_http: accept plain http beyond this machine.
        use_private_token_url: GovCloud: ask the private network's token host.
        pickle_secrets: ship the secrets in pickles; by default the other side takes them from its environment.
        name, instance_id, iam_serviceid_crn, projects_token: accepted for the official SDK's sake, without effect.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        populate_by_name=True,
        defer_build=ON_FIRST_USE,
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
    retry: RetryPolicy = USUAL
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
            super().__init__(**tidied(settings, type(self).model_fields))
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, "connection") from None
        self._check()

    @classmethod
    def of_checked(cls, **settings: Any) -> "Connection":
        """Build a connection of settings that have their types, as an adapter's fields have; the rest is checked."""
        made = cls.model_construct(**tidied(settings, cls.model_fields))
        made._check()
        return made

    @field_validator(*GUARDED)
    @classmethod
    def _guarded(cls, value: Any) -> Any:
        return value if value is None else Guarded(value)

    # ------------------------------------------------------------------ other ways in and out

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """Build a connection from WATSONX_* variables; settings given here win.

        Args:
            environ: the variables; those of this process by default.
            **settings: as of the class.

        Raises:
            ConfigurationError: something is missing or contradicts; names the variable.
        """
        seal(settings)
        return cls(**fill_from_environment(settings, os.environ if environ is None else environ))

    @classmethod
    def from_dict(cls, credentials: Mapping[str, Any]) -> Self:
        """Build a connection from a dictionary.

        Args:
            credentials: settings by name, such as the official SDK's `Credentials.from_dict` takes; None gives nothing.

        Raises:
            ConfigurationError: a setting is unknown, wrong or missing.
        """
        return cls(**{str(name): value for name, value in credentials.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """Return what was set, for `from_dict`; secrets stay wrapped, so that printing shows none."""
        found = {name: value for name in type(self).model_fields if (value := getattr(self, name)) != _default(name)}
        for name, is_secret in GUARDED.items():
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
    def is_plain(self) -> bool:
        """Whether nobody is asked over TLS, as is usual with an emulator on this machine."""
        urls = (self.hosts.ml, self.hosts.platform, self.hosts.token, self.bedrock_url)
        return all(url is None or url.lower().startswith("http://") for url in urls)

    @property
    def version_date(self) -> str:
        """The `version` query parameter."""
        return self.version if self.version and is_version_date(self.version) else API_VERSION

    @property
    def httpx_timeout(self) -> httpx.Timeout:
        """The timeout as httpx has it."""
        if self.timeout is None:
            return DEFAULT_TIMEOUT
        return self.timeout if isinstance(self.timeout, httpx.Timeout) else httpx.Timeout(self.timeout)

    @cached_property
    def token_source(self) -> Source:
        """How to log in; raises ConfigurationError when nothing says how, or too much does."""
        return login.token_source(self)

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
        if self.version and not (is_version_date(self.version) or re.fullmatch(r"\d+(\.\d+){1,3}", self.version)):
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

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return this connection, or another with changed settings, checked like any.

        Args:
            update: settings by name.
            deep: without effect: what a connection holds does not change.
        """
        return type(self)(**{**self.to_dict(), **update}) if update else self

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
            for name in [name for name in GUARDED if name in settings]:
                plain = {key: value for key, value in settings[name].items() if not isinstance(value, SecretStr)}
                if len(plain) < len(settings[name]):
                    left_behind.append(name)
                    settings[name] = plain
        return {**settings, "missing_secrets": tuple(left_behind)}


def _default(name: str) -> Any:
    return Connection.model_fields[name].default


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping) and not callable(value):
        return tuple(sorted(guarded(value, secret_part).items()))
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
