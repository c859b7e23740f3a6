"""How to log in: the one way that the settings name, in the official SDK's order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from pydantic import SecretStr

from wx_integrations.core import token_sources as sources
from wx_integrations.core.environment import env_name
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.hosts import AWS, IAM, Hosts

AuthType = Literal["iam", "aws", "cp4d", "cp4d_iam", "zen"]


class Login(Protocol):
    """What of a Connection says how to log in."""

    @property
    def hosts(self) -> Hosts: ...
    @property
    def api_key(self) -> SecretStr | None: ...
    @property
    def token(self) -> SecretStr | None: ...
    @property
    def token_function(self) -> Callable[[], Any] | None: ...
    @property
    def atoken_function(self) -> Callable[[], Awaitable[Any]] | None: ...
    @property
    def trusted_profile_id(self) -> str | None: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> SecretStr | None: ...
    @property
    def account_id(self) -> str | None: ...
    @property
    def zen_api_key(self) -> SecretStr | None: ...
    @property
    def auth_type(self) -> AuthType | None: ...
    @property
    def bedrock_url(self) -> str | None: ...
    @property
    def auth_url(self) -> str | None: ...
    @property
    def missing_secrets(self) -> tuple[str, ...]: ...


def token_source(c: Login) -> sources.Source:
    """Return the one way to log in that the settings name, in the official SDK's order."""
    if c.missing_secrets:
        return sources.Missing(c.missing_secrets)
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
            return sources.Iam(_iam_url(c), None, _profile(c), c.token)
        return sources.Fixed(sources.bearer(c.token))
    if c.token_function is not None or c.atoken_function is not None:
        return sources.Called(c.token_function, c.atoken_function)
    if c.zen_api_key is not None:
        return sources.Fixed(sources.zen_header(c.zen_api_key))
    return _exchange_source(c)


def _exchange_source(c: Login) -> sources.Source:
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
        return sources.ApiKeyService(_token_url(c, "/api/2.0/apikeys/token", AWS), c.api_key)
    return sources.Iam(_iam_url(c), c.api_key, _profile(c))


def _iam_url(c: Login) -> str:
    return _token_url(c, "/identity/token", IAM)


def _profile(c: Login) -> str | None:
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


def _check_place(c: Login, kind: str) -> None:
    """Refuse to send one cloud's secrets to another's token host."""
    elsewhere = {"iam": ("aws", "gov"), "aws": ("ibm",)}.get(kind, ("ibm", "aws", "gov"))
    if c.hosts.cloud in elsewhere and (not c.auth_url or kind not in ("iam", "aws")):
        raise ConfigurationError(
            f"auth_type {kind!r} does not fit {c.hosts.ml}",
            hint="Leave auth_type out, or check url (WATSONX_URL)",
            field="auth_type",
        )


def _software_source(c: Login, kind: str) -> sources.Source:
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
        return sources.Fixed(sources.zen_header(c.api_key, c.username))
    if kind == "cp4d_iam":
        if c.password is None or not c.bedrock_url:
            raise ConfigurationError(
                "auth_type 'cp4d_iam' needs username, password and bedrock_url", field="bedrock_url"
            )
        url = _token_url(c, "/idprovider/v1/auth/identitytoken", c.bedrock_url)
        return sources.SoftwareIam(url, c.hosts.ml, c.username, c.password, c.account_id)
    if c.password is None and c.api_key is None:
        raise ConfigurationError(
            "username is set without password or api_key",
            hint="Give password (WATSONX_PASSWORD) or api_key (WATSONX_API_KEY)",
            field="password",
            env="WATSONX_PASSWORD",
        )
    # The second port is the one that serves tokens, as in the official SDK.
    url = _token_url(c, "/icp4d-api/v1/authorize", c.hosts.ml.replace(":31002", ":31843"))
    return sources.Software(url, c.username, c.password, c.api_key, c.account_id)


def _token_url(c: Login, path: str, usual: str) -> str:
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
