"""From connection settings to httpx transports: TLS, proxies, pools.

httpcore 1.0's asynchronous pool walks all its connections at the start and
the end of every request, which is quadratic in the number of live
connections. `ShardedTransport` spreads requests over small pools by least
load, which keeps each walk short.
"""

from __future__ import annotations

import ssl
import urllib.request
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import httpx

from wx_integrations.core.errors import ConfigurationError

SHARDS = 16
DEFAULT_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=128, keepalive_expiry=30.0)
Verify = bool | str | ssl.SSLContext | None

TransportT = TypeVar("TransportT", httpx.BaseTransport, httpx.AsyncBaseTransport)


def ssl_context(verify: Verify) -> ssl.SSLContext:
    """Return the TLS settings: verification on unless `verify` is False.

    Args:
        verify: True or None for the system's or certifi's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` count),
            a path to a CA file or folder, or a ready context.

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
    if verify is None or verify is True:
        return httpx.create_ssl_context()
    path = Path(verify)
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"verify: {verify!r} is not a usable CA file ({error.__class__.__name__})",
            hint="Give the path of a PEM file with the certificates to trust",
            field="verify",
        ) from None


def environment_proxies() -> dict[str, str | None]:
    """Return httpx mount patterns for the proxy variables of the environment; None means direct."""
    found = urllib.request.getproxies()
    mounts: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if found.get(scheme):
            url = found[scheme]
            mounts[f"{scheme}://"] = url if "://" in url else f"http://{url}"
    if not mounts:
        return {}
    for name in found.get("no", "").split(","):
        host = name.strip().lower()
        if host == "*":
            return {}
        if not host:
            continue
        if "://" in host:
            mounts[host] = None
        elif ":" in host and not host.startswith("["):
            mounts[f"all://{host}" if host.count(":") == 1 else f"all://[{host}]"] = None
        elif host.replace(".", "").isdigit() or host == "localhost":
            mounts[f"all://{host}"] = None
        else:
            mounts[f"all://*{host}"] = None
    return mounts


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
            made[url] = make(url)
        mounts[pattern] = made[url]
    return mounts


def sync_transport(context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None = None) -> httpx.HTTPTransport:
    """Return one pool; httpcore's synchronous pool stays cheap with many threads."""
    return httpx.HTTPTransport(verify=context, limits=limits, proxy=proxy)


def async_transport(
    context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None = None
) -> httpx.AsyncBaseTransport:
    """Return pools enough for the limits: one per allowed connection, `SHARDS` at most."""
    most = limits.max_connections
    count = SHARDS if most is None else max(1, min(SHARDS, most))
    shards = [
        httpx.AsyncHTTPTransport(verify=context, limits=_share(limits, count, place), proxy=proxy)
        for place in range(count)
    ]
    return shards[0] if count == 1 else ShardedTransport(shards)


def _share(limits: httpx.Limits, count: int, place: int) -> httpx.Limits:
    def part(total: int | None) -> int | None:
        return None if total is None else total // count + (1 if place < total % count else 0)

    return httpx.Limits(
        max_connections=part(limits.max_connections),
        max_keepalive_connections=part(limits.max_keepalive_connections),
        keepalive_expiry=limits.keepalive_expiry,
    )


class ShardedTransport(httpx.AsyncBaseTransport):
    """Several pools behind one transport; each request goes to the least loaded one.

    Among equally loaded pools the first wins, so that few requests at a time
    stay on few connections.
    """

    def __init__(self, shards: list[httpx.AsyncHTTPTransport]) -> None:
        self.shards = shards
        self.load = [0] * len(shards)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        place = self.load.index(min(self.load))
        self.load[place] += 1
        try:
            response = await self.shards[place].handle_async_request(request)
        except BaseException:
            self.load[place] -= 1
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _CountedStream(response.stream, self.load, place)
        return response

    async def aclose(self) -> None:
        for shard in self.shards:
            await shard.aclose()


class _CountedStream(httpx.AsyncByteStream):
    """A body that lowers its pool's load once, when it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, load: list[int], place: int) -> None:
        self.inner = inner
        self.load = load
        self.place = place
        self.open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.inner:
            yield piece

    async def aclose(self) -> None:
        if self.open:
            self.open = False
            self.load[self.place] -= 1
        await self.inner.aclose()


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
