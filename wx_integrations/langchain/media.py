"""Fetching media that messages link to, for `media_urls="fetch"`.

Only public `http(s)` addresses are asked, because links may come from the
people who write the messages; every redirect is checked as well. Nothing of
the connection's credentials goes along.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Iterable, Sequence

import httpx

from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, ConnectionFailed
from wx_integrations.core.retry import cut_short, without_traceback
from wx_integrations.core.transport import build_mounts, ssl_context

MOST_BYTES = 20 * 1024 * 1024
_MOST_REDIRECTS = 3
_TIMEOUT = httpx.Timeout(30.0)
_KINDS = ("image/", "video/", "audio/")


def fetch(urls: Iterable[str], connection: Connection) -> dict[str, str]:
    """Return each URL's content as a `data:` URL.

    Raises:
        ConfigurationError: an address is not public, or what it gives is no media or too large.
        ConnectionFailed: it cannot be reached.
    """
    with _client(connection) as client:
        return {url: _fetched(client, url) for url in urls}


async def afetch(urls: Sequence[str], connection: Connection) -> dict[str, str]:
    """Return each URL's content as a `data:` URL; see `fetch`."""
    async with _async_client(connection) as client:
        contents = await asyncio.gather(*(_afetched(client, url) for url in urls))
    return dict(zip(urls, contents, strict=True))


def _client(connection: Connection) -> httpx.Client:
    context = ssl_context(connection.verify)
    if not connection.proxies:
        return httpx.Client(verify=context, timeout=_TIMEOUT)
    mounts = build_mounts(connection.proxies, lambda proxy: httpx.HTTPTransport(verify=context, proxy=proxy))
    return httpx.Client(verify=context, timeout=_TIMEOUT, mounts=mounts, trust_env=False)


def _async_client(connection: Connection) -> httpx.AsyncClient:
    context = ssl_context(connection.verify)
    if not connection.proxies:
        return httpx.AsyncClient(verify=context, timeout=_TIMEOUT)
    mounts = build_mounts(connection.proxies, lambda proxy: httpx.AsyncHTTPTransport(verify=context, proxy=proxy))
    return httpx.AsyncClient(verify=context, timeout=_TIMEOUT, mounts=mounts, trust_env=False)


def _fetched(client: httpx.Client, url: str) -> str:
    place = httpx.URL(url)
    for _ in range(_MOST_REDIRECTS + 1):
        _check_public(place)
        try:
            with client.stream("GET", place) as response:
                if response.next_request is None:
                    _check_answer(response, url)
                    data = bytearray()
                    for piece in response.iter_bytes():
                        _grow(data, piece, url)
                    return _as_data_url(response, bytes(data))
                place = response.next_request.url
        except httpx.HTTPError as error:
            raise _unreachable(url, error) from without_traceback(error)
        except BaseException as error:
            cut_short(error)
            raise
    raise _refused(url, "it redirects too often")


async def _afetched(client: httpx.AsyncClient, url: str) -> str:
    place = httpx.URL(url)
    for _ in range(_MOST_REDIRECTS + 1):
        await asyncio.to_thread(_check_public, place)
        try:
            async with client.stream("GET", place) as response:
                if response.next_request is None:
                    _check_answer(response, url)
                    data = bytearray()
                    async for piece in response.aiter_bytes():
                        _grow(data, piece, url)
                    return _as_data_url(response, bytes(data))
                place = response.next_request.url
        except httpx.HTTPError as error:
            raise _unreachable(url, error) from without_traceback(error)
        except BaseException as error:
            cut_short(error)
            raise
    raise _refused(url, "it redirects too often")


def _check_public(place: httpx.URL) -> None:
    """Refuse addresses that are not public.

    Raises:
        ConfigurationError: the host is one of this machine's or network's.
        ConnectionFailed: the host has no address.
    """
    if place.scheme not in ("http", "https"):
        raise _refused(str(place), "only http and https are fetched")
    try:
        found = socket.getaddrinfo(place.host, place.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _unreachable(str(place), error) from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            raise _refused(str(place), "its address is not public")


def _check_answer(response: httpx.Response, url: str) -> None:
    if not response.is_success:
        raise ConnectionFailed(f"{_place(url)} answered HTTP {response.status_code} instead of media")
    kind = response.headers.get("content-type", "")
    if not kind.lower().startswith(_KINDS):
        raise _refused(url, f"it gives {kind or 'an unnamed type'}, not an image, a video or audio")


def _grow(data: bytearray, piece: bytes, url: str) -> None:
    data += piece
    if len(data) > MOST_BYTES:
        raise _refused(url, f"it is larger than {MOST_BYTES // 1024 // 1024} MiB")


def _as_data_url(response: httpx.Response, data: bytes) -> str:
    kind = response.headers["content-type"].partition(";")[0].strip().lower()
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _refused(url: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{_place(url)} is not fetched: {why}", hint="Send the media as base64", field="media_urls"
    )


def _unreachable(url: str, error: Exception) -> ConnectionFailed:
    return ConnectionFailed(f"{_place(url)} cannot be fetched ({type(error).__name__})")


def _place(url: str) -> str:
    """Return a URL without its query, which may hold a signature."""
    return url.partition("?")[0].partition("#")[0]
