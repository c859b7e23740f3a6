"""Whether a host can be reached, by which way, and if not, where it fails: name, proxy, connection or TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from wx_integrations.core.connection import Connection
from wx_integrations.core.retry import causes
from wx_integrations.core.transport import DEFAULT_LIMITS, build_mounts, ssl_context, sync_transport

Trouble = Literal["name", "proxy", "proxy_refuses", "refused", "certificate", "tls", "timeout", "broken"]
_TIMEOUTS = (httpx.ConnectTimeout, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Reached:
    """What became of one request to a host.

    Attributes:
        origin: scheme, host and port.
        seconds: until the answer's headers, or the failure.
        proxy: the proxy's scheme, host and port, if one is in the way.
        trouble: where it failed; None when any answer came.
        reason: the failure in the words of the layer below.
        status: of the answer.
        tls: the protocol and who issued the certificate.
    """

    origin: str
    seconds: float
    proxy: str | None = None
    trouble: Trouble | None = None
    reason: str = ""
    status: int | None = None
    tls: str | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.origin).netloc


class _Way(httpx.BaseTransport):
    """One way out, that notes when it is taken."""

    def __init__(self, inner: httpx.BaseTransport, proxy: str | None, taken: dict[str, str | None]) -> None:
        self._inner = inner
        self._proxy = proxy
        self._taken = taken

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._taken[request.url.host] = self._proxy
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class Ways:
    """The connection's ways out: its TLS settings and proxies, without its retries and its token.

    Args:
        connection: whose.
        timeout: seconds for each step of a request.
    """

    def __init__(self, connection: Connection, *, timeout: float, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._taken: dict[str, str | None] = {}
        self.context = ssl_context(connection.verify)

        def make(proxy: str | None) -> httpx.BaseTransport:
            return _Way(sync_transport(self.context, DEFAULT_LIMITS, proxy), proxy, self._taken)

        self.http = httpx.Client(
            transport=make(None),
            mounts=build_mounts(connection.proxies, make),
            trust_env=False,
            timeout=timeout,
        )

    def proxy_to(self, host: str) -> str | None:
        """Return the proxy that the last request to a host went through, without its password."""
        proxy = self._taken.get(host)
        if proxy is None:
            return None
        parts = urlsplit(proxy)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}"

    def reach(self, origin: str) -> Reached:
        """Send a request without credentials; any answer means that the host can be reached."""
        host = urlsplit(origin).hostname or ""
        start = self._clock()
        try:
            with self.http.stream("GET", origin + "/") as answer:
                status, tls = answer.status_code, _tls(answer)
        except httpx.HTTPError as error:
            proxy = self.proxy_to(host)
            trouble = trouble_of(error, proxied=proxy is not None)
            return Reached(origin, self._since(start), proxy, trouble, reason_of(error))
        return Reached(origin, self._since(start), self.proxy_to(host), status=status, tls=tls)

    def _since(self, start: float) -> float:
        return round(self._clock() - start, 4)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def trouble_of(error: httpx.HTTPError, *, proxied: bool) -> Trouble:
    """Return where a request failed."""
    chain = list(causes(error))
    if isinstance(error, httpx.ProxyError):
        return "proxy_refuses"
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain):
        return "certificate"
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return "tls"
    if proxied and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "proxy"
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return "name"
    if isinstance(error, _TIMEOUTS):
        return "timeout"
    return "refused" if isinstance(error, httpx.ConnectError) else "broken"


def reason_of(error: BaseException) -> str:
    """Return a failure in the words of the innermost layer that has any."""
    words = ""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        words = getattr(cause, "strerror", None) or str(cause) or words
    return words or type(error).__name__


def _tls(answer: httpx.Response) -> str | None:
    stream: Any = answer.extensions.get("network_stream")
    secured: ssl.SSLObject | None = stream.get_extra_info("ssl_object") if stream is not None else None
    if secured is None:
        return None
    names = dict(_names(secured.getpeercert() or {}))
    issuer = names.get("organizationName") or names.get("commonName")
    return f"{secured.version()}" + (f", certificate by {issuer}" if issuer else "")


def _names(certificate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(TypeError, ValueError):
        for group in certificate.get("issuer", ()):
            yield from group
