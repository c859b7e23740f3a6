"""Where tokens come from: each way to log in as a generator of requests, the same for both colours."""

import base64
import binascii
import contextlib
import math
import time
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr
from pydantic_core import from_json, to_json

from wx_integrations import __version__
from wx_integrations.core import errors
from wx_integrations.core.errors import ConfigurationError, UnexpectedResponse
from wx_integrations.core.retry import FAILURE, connection_error, noted, without_traceback
from wx_integrations.core.secrets import flaw, opened, redact, sent_secrets

API_KEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
ASSUME_GRANT = "urn:ibm:params:oauth:grant-type:assume"
USER_AGENT = f"wx-integrations/{__version__}"
_COMMON = {b"Accept": b"application/json", b"Accept-Encoding": b"gzip, deflate", b"User-Agent": USER_AGENT.encode()}
FORM = {**_COMMON, b"Content-Type": b"application/x-www-form-urlencoded"}
JSON = {**_COMMON, b"Content-Type": b"application/json"}

IAM_TOKEN = ("access_token",)
"""Where IBM Cloud IAM (`POST /identity/token`) has its token; it alone says how many seconds it lives."""
PLATFORM_TOKEN = ("token",)
"""Where Cloud Pak for Data (`/icp4d-api/v1/authorize`), AWS and GovCloud have it."""
VALIDATED_TOKEN = ("accessToken", "token")
"""Where Cloud Pak for Data's answer to `GET /v1/preauth/validateAuth` has it."""


class Token(NamedTuple):
    """An access token and how long it lives (seconds), if known."""

    value: SecretStr
    lifetime: float | None = None


Exchange: TypeAlias = Generator[httpx.Request, httpx.Response, Token]
TokenFunction: TypeAlias = Callable[[], Any]
AsyncTokenFunction: TypeAlias = Callable[[], Awaitable[Any]]


class TokenSource(Protocol):
    """Where tokens come from: an exchange of requests, the same for both colours."""

    def exchange(self) -> Exchange:
        """Yield requests, receive their answers (read), return the token."""


class Iam(NamedTuple):
    """IBM Cloud IAM: an API key for a token, and that (or a given one) for a trusted profile's if one is named."""

    url: str
    api_key: SecretStr | None
    profile_id: str | None = None
    token: SecretStr | None = None

    def exchange(self) -> Exchange:
        found = Token(self.token) if self.token is not None else None
        if found is None:
            form = {"grant_type": API_KEY_GRANT, "apikey": self.api_key}
            found = _read((yield _post_form(self.url, form)), IAM_TOKEN)
        if self.profile_id:
            form = {"grant_type": ASSUME_GRANT, "access_token": found.value, "profile_id": self.profile_id}
            found = _read((yield _post_form(self.url, form)), IAM_TOKEN)
        return found


class ApiKeyService(NamedTuple):
    """AWS and GovCloud: an API key for a token."""

    url: str
    api_key: SecretStr

    def exchange(self) -> Exchange:
        return _read((yield _post_json(self.url, {"apikey": self.api_key})), PLATFORM_TOKEN)


class Software(NamedTuple):
    """Cloud Pak for Data: a user name with its password or API key."""

    url: str
    username: str
    password: SecretStr | None = None
    api_key: SecretStr | None = None
    account_id: str | None = None

    def exchange(self) -> Exchange:
        secret = {"password": self.password} if self.password is not None else {"api_key": self.api_key}
        tenant = {"account_id": self.account_id} if self.account_id else {}
        body = {"username": self.username, **secret, **tenant}
        return _read((yield _post_json(self.url, body)), PLATFORM_TOKEN)


class SoftwareIam(NamedTuple):
    """Cloud Pak for Data with integrated IAM: Bedrock's token, then the platform's."""

    bedrock_url: str
    url: str
    username: str
    password: SecretStr
    account_id: str | None = None

    def exchange(self) -> Exchange:
        form = {"grant_type": "password", "username": self.username, "password": self.password, "scope": "openid"}
        if self.account_id:
            form["account_id"] = self.account_id
        first = _read((yield _post_form(self.bedrock_url, form)), IAM_TOKEN)
        # As bytes: a name may have letters that headers normally have not.
        headers = {b"username": self.username.encode(), b"iam-token": first.value.get_secret_value().encode()}
        request = httpx.Request("GET", f"{self.url}/v1/preauth/validateAuth", headers={**_COMMON, **headers})
        del headers
        found = _read((yield request), VALIDATED_TOKEN)
        return Token(found.value, found.lifetime or first.lifetime)


class Fixed(NamedTuple):
    """A token or header the user gave; it is never renewed."""

    header: SecretStr


class Called(NamedTuple):
    """A function of the user's that returns a token, sync, async or one of each."""

    function: TokenFunction | None = None
    afunction: AsyncTokenFunction | None = None


class Missing(NamedTuple):
    """Credentials that stayed behind when the connection was pickled."""

    fields: tuple[str, ...]


Source: TypeAlias = Iam | ApiKeyService | Software | SoftwareIam | Fixed | Called | Missing


def bearer(token: SecretStr) -> SecretStr:
    """Return the Authorization value of a token; one that names its scheme is taken as it is."""
    text = token.get_secret_value()
    scheme = text.split(" ", 1)[0].lower() if " " in text else ""
    return token if scheme in ("bearer", "basic", "zenapikey") else SecretStr(f"Bearer {text}")


def zen_header(api_key: SecretStr, username: str | None = None) -> SecretStr:
    """Return Cloud Pak for Data's header of a user name and an API key, or of a ready-made key of both."""
    key = api_key.get_secret_value().removeprefix("ZenApiKey ")
    if username is not None:
        key = base64.b64encode(f"{username}:{key}".encode()).decode()
    return SecretStr(f"ZenApiKey {key}")


def lifetime_of(token: str) -> float | None:
    """Return a JWT's lifetime in seconds (`exp` - `iat`), or None when it says nothing.

    The difference is used, not `exp` itself, so a wrong local clock does no harm.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = from_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return _seconds(float(claims["exp"]) - float(claims["iat"]))
    except (ValueError, KeyError, TypeError, OverflowError, binascii.Error):
        return None


def _seconds(value: Any) -> float | None:
    """Return a lifetime that makes sense; anything else says nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def called_token(answer: Any) -> Token:
    """Return what a token function gave: a string, or an object with `token` and maybe `expires_in` (seconds).

    Raises:
        ConfigurationError: anything else.
    """
    value, lifetime = answer, None
    if isinstance(answer, tuple) and len(answer) == 2:
        value, lifetime = answer
    elif isinstance(answer, Mapping):
        value, lifetime = answer.get("token") or answer.get("access_token"), answer.get("expires_in")
    elif not isinstance(answer, str) and hasattr(answer, "token"):
        value, lifetime = answer.token, getattr(answer, "expires_in", None)
    value = opened(value)
    if not isinstance(value, str) or flaw("token", value):
        kind = type(answer).__name__
        del answer, value  # a traceback may show local variables
        raise ConfigurationError(
            f"token_function returned {kind}, not a token that can be sent",
            hint="Return the token as str, or (token, seconds it lives)",
            field="token_function",
        )
    return Token(SecretStr(value), _seconds(lifetime) or lifetime_of(value))


def _given(answer: Any, names: tuple[str, ...]) -> Token:
    """Return the token of an answer; raises ValueError when it has none that can be sent."""
    found = answer if isinstance(answer, dict) else {}
    value = next((found[name] for name in names if found.get(name)), None)
    if not isinstance(value, str) or flaw("token", value):
        raise ValueError("no token")
    lifetime = found.get("expires_in") if names == IAM_TOKEN else None
    if lifetime is not None and type(lifetime) not in (int, float):
        raise ValueError("a lifetime is no number")
    return Token(SecretStr(value), _seconds(lifetime) or lifetime_of(value))


def _post_form(url: str, form: Mapping[str, Any]) -> httpx.Request:
    content = urlencode({name: opened(value) for name, value in form.items()}).encode()
    return httpx.Request("POST", url, headers=FORM, content=content)


def _post_json(url: str, body: Mapping[str, Any]) -> httpx.Request:
    return httpx.Request("POST", url, headers=JSON, content=to_json({n: opened(v) for n, v in body.items()}))


def _read(response: httpx.Response, names: tuple[str, ...]) -> Token:
    """Read a token endpoint's answer, which has the token under one of these names.

    Raises:
        ServiceError: it says no; a 4xx is about the credentials.
        UnexpectedResponse: it is not a token answer.
    """
    request = response.request
    failure = response.extensions.get(FAILURE)
    if failure is not None:
        raise connection_error(failure, request) from without_traceback(failure)
    if not response.is_success:
        raise _refusal(response)
    with contextlib.suppress(ValueError):
        return _given(from_json(response.content.removeprefix(BOM_UTF8), allow_inf_nan=False), names)
    # The body may hold a token, so no excerpt.
    raise noted(
        UnexpectedResponse(
            f"{request.url.host} answered without a token",
            status=response.status_code,
            hint="Check url and auth_url (WATSONX_AUTH_URL), and any proxy in between",
        ),
        request,
    )


def _refusal(response: httpx.Response) -> errors.ServiceError:
    request, status = response.request, response.status_code
    host = request.url.host
    refused = 400 <= status < 500 and status not in (404, 408, 429)
    error = errors.from_response(
        status,
        response.headers,
        redact(response.content, sent_secrets(request.headers.items(), request.content)),
        now=time.time(),
        kind=errors.Unauthorized if refused else None,
    )
    error.message = f"no token from {host}: {error.message}"
    if refused and (not error.hint or error.code is None):
        error.hint = "Check the credentials (WATSONX_API_KEY, or WATSONX_USERNAME and WATSONX_PASSWORD) and url"
    elif status == 404:
        error.hint = f"Check url and auth_url: {host} has no token endpoint at {request.url.path}"
    return noted(error, request)
