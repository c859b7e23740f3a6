"""From connection settings to httpx transports: TLS, proxies, pools."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import ssl
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.pools import ShardedTransport, TidyTransport

POOLS = 1024
"""Pools of a transport without a limit: so many calls at a time have a connection each, and one for themselves."""
FEW_POOLS = 16
"""Pools of a transport with a limit: who waits for a connection should have several to wait for."""
DEFAULT_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=POOLS, keepalive_expiry=30.0)
Verify = bool | str | ssl.SSLContext | None

TransportT = TypeVar("TransportT", httpx.BaseTransport, httpx.AsyncBaseTransport)


def ssl_context(verify: Verify, *, plain: bool = False) -> ssl.SSLContext:
    """Return the TLS settings: verification on unless `verify` is False.

    Args:
        verify: True or None for the system's or certifi's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` count),
            a path to a CA file or folder, or a ready context.
        plain: nobody is asked over TLS. Then the usual roots, which take 15 ms to read, are not, and nobody is trusted.

    Raises:
        ConfigurationError: no such CA file, or not one.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is False:
        warnings.warn(
            "TLS verification is off (verify=False): anyone on the way can read the token", UserWarning, stacklevel=2
        )
        return httpx.create_ssl_context(verify=False)
    named = "verify"
    try:
        if verify is None or verify is True:
            named = "SSL_CERT_FILE or SSL_CERT_DIR"
            return ssl.create_default_context(capath=os.devnull) if plain else httpx.create_ssl_context()
        path = Path(verify)
        return _trusting_folder(path) if path.is_dir() else ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{named}: not a usable CA file ({error.__class__.__name__})",
            hint="Give the path of a PEM file with the certificates to trust",
            field="verify",
        ) from None


def _trusting_folder(path: Path) -> ssl.SSLContext:
    """Trust what is in a folder: OpenSSL reads files named by hash by itself, the others are read here."""
    context = ssl.create_default_context(capath=str(path))
    for file in sorted(path.iterdir()):
        if file.suffix in (".pem", ".crt", ".cer"):
            context.load_verify_locations(cafile=str(file))
    return context


def environment_proxies() -> dict[str, str | None]:
    """Return httpx mount patterns for the proxy variables of the environment; None means direct.

    They mean what they mean to httpx, and exceptions it cannot read are read as they are meant.
    """
    found = urllib.request.getproxies()
    mounts: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if found.get(scheme):
            url = found[scheme] if "://" in found[scheme] else f"http://{found[scheme]}"
            if not is_proxy(url):
                name = f"{scheme.upper()}_PROXY"
                raise ConfigurationError(
                    f"{name}: not the URL of a proxy",
                    hint="Give something like http://proxy.example.com:3128, or unset it",
                    field="proxies",
                    env=name,
                )
            mounts[f"{scheme}://"] = url
    if not mounts:
        return {}
    for name in found.get("no", "").split(","):
        host = name.strip()
        if host == "*":
            return {}
        pattern = _exception(host) if host else None
        if pattern:
            mounts[pattern] = None
    return mounts


def _exception(host: str) -> str | None:
    """Return the mount pattern of one entry of NO_PROXY; None for what can be no host."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](:\d+)?", host)
    address, port = bracketed.groups("") if bracketed else (host.split("/")[0], "")
    pattern = f"all://*{host.removeprefix('*')}"
    if "://" in host:
        pattern = host
    elif host.lower() == "localhost":
        pattern = f"all://{host}"
    else:
        with contextlib.suppress(ValueError):
            version = ipaddress.ip_address(address).version
            pattern = f"all://[{address}]{port}" if version == 6 else f"all://{address}"
    with contextlib.suppress(ValueError, httpx.InvalidURL):
        if not pattern.isascii():
            pattern = pattern.replace(host, host.encode("idna").decode())
        httpx.URL(pattern)
        return pattern
    return None


def is_proxy(url: Any) -> bool:
    """Whether httpx takes this as a proxy's URL."""
    try:
        httpx.Proxy(url)
    except (ValueError, TypeError, httpx.InvalidURL):
        return False
    return True


def explicit_proxies(proxies: Mapping[str, str]) -> dict[str, str | None]:
    """Return httpx mount patterns for `{"https": url}` as the official SDK takes it, or for httpx patterns."""
    return {name if "://" in name else f"{name}://": url for name, url in proxies.items()}


def build_mounts(
    proxies: Mapping[str, str] | None,
    make: Callable[[str | None], TransportT],
    *,
    trust_env: bool = True,
) -> dict[str, TransportT]:
    """Return a transport per proxy pattern; the proxy variables count when no proxies are given."""
    patterns = explicit_proxies(proxies) if proxies is not None else environment_proxies() if trust_env else {}
    made: dict[str | None, TransportT] = {}
    mounts = {}
    for pattern, url in patterns.items():
        if url not in made:
            try:
                made[url] = make(url)
            except ImportError:
                raise ConfigurationError(
                    "proxies: SOCKS needs another package", hint="pip install 'httpx[socks]'", field="proxies"
                ) from None
        mounts[pattern] = made[url]
    return mounts


def sync_transport(context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None = None) -> httpx.HTTPTransport:
    """Return one pool; httpcore's synchronous pool stays cheap with many threads."""
    return TidyTransport(verify=context, limits=limits, proxy=proxy)


def async_transport(
    context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None = None
) -> httpx.AsyncBaseTransport:
    """Return a transport that makes pools as it needs them; together they keep the limits."""
    from wx_integrations.core.network import AsyncioBackend  # needs httpcore, which httpx imports as late

    backend = AsyncioBackend()
    count = POOLS if limits.max_connections is None else max(1, min(FEW_POOLS, limits.max_connections))

    def make(place: int) -> httpx.AsyncHTTPTransport:
        shard = httpx.AsyncHTTPTransport(verify=context, limits=_share(limits, count, place), proxy=proxy)
        shard._pool._network_backend = backend
        return shard

    return ShardedTransport(make, count, limits.keepalive_expiry)


def _share(limits: httpx.Limits, count: int, place: int) -> httpx.Limits:
    def part(total: int | None) -> int | None:
        return None if total is None else total // count + (1 if place < total % count else 0)

    return httpx.Limits(
        max_connections=part(limits.max_connections),
        max_keepalive_connections=part(limits.max_keepalive_connections),
        keepalive_expiry=limits.keepalive_expiry,
    )


class BorrowedTransport(httpx.BaseTransport):
    """Sends through the user's own client, with its hooks, proxies and pools; never closes it."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.client.is_closed:
            raise _closed("httpx_client")
        try:
            response = self.client.send(_merged(self.client, request), stream=True, auth=None, follow_redirects=False)
        except httpx.HTTPStatusError as error:
            response = error.response
        return _reread(response) if response.is_closed else response


class AsyncBorrowedTransport(httpx.AsyncBaseTransport):
    """Sends through the user's own client, with its hooks, proxies and pools; never closes it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.client.is_closed:
            raise _closed("async_httpx_client")
        sent = _merged(self.client, request)
        try:
            response = await self.client.send(sent, stream=True, auth=None, follow_redirects=False)
        except httpx.HTTPStatusError as error:
            response = error.response
        return _reread(response) if response.is_closed else response


def _closed(name: str) -> ConfigurationError:
    return ConfigurationError(f"{name} was closed", hint="Keep your client open as long as it is used", field=name)


def _merged(client: httpx.Client | httpx.AsyncClient, request: httpx.Request) -> httpx.Request:
    """Return the request with the client's own headers, cookies and parameters; ours win."""
    sent = client.build_request(
        request.method,
        request.url,
        headers=request.headers,
        params=request.url.params if client.params else None,
        content=request.content or None,
        extensions=request.extensions,
    )
    if "content-length" not in request.headers:
        sent.headers.pop("content-length", None)
    return sent


def _reread(response: httpx.Response) -> httpx.Response:
    """Return an answer that a hook of the user's client has read, or left unread, as if it were still to come."""
    headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    try:
        content = response.content
    except httpx.ResponseNotRead:
        content = b""
    return httpx.Response(response.status_code, headers=headers, content=content)
