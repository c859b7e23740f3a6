"""httpx without a network: while it lasts, requests to IBM's hosts reach an emulator and all others are refused.

Every httpx client of the process is concerned, whoever made it and whenever:
the default transports themselves are replaced. Clients with a transport of
their own (`MockTransport`, `ASGITransport`) need no network and are left alone.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.hosts import place_of
from wx_integrations.emulator.transport import EmulatorTransport


class NetworkBlocked(AssertionError):
    """A request would have left the test."""


class Interception:
    """Which requests an emulator gets.

    Args:
        emulator: what answers.
        hosts: the names it answers to, besides IBM's own.
        allow: the names that may be reached for real; "*" allows all.
    """

    def __init__(self, emulator: Emulator, *, hosts: Collection[str] = (), allow: Collection[str] = ()) -> None:
        self.transport = EmulatorTransport(emulator)
        self.hosts = frozenset(host.lower() for host in hosts)
        self.allow = frozenset(host.lower() for host in allow)

    def claims(self, host: str) -> bool:
        """Whether the emulator answers for a host."""
        return host not in self.allow and (host in self.hosts or place_of(host) != "software")

    def allows(self, host: str) -> bool:
        """Whether a host may be reached for real."""
        return "*" in self.allow or host in self.allow


_lock = threading.Lock()
_active: list[Interception] = []
_replaced: dict[str, Any] = {}


@contextmanager
def intercepted(interception: Interception) -> Iterator[None]:
    """Send what a transport would send to the emulator; of several at once, the one begun last goes first."""
    with _lock:
        _active.append(interception)
        if not _replaced:
            _replaced["sync"] = httpx.HTTPTransport.handle_request
            _replaced["async"] = httpx.AsyncHTTPTransport.handle_async_request
            httpx.HTTPTransport.handle_request = _handle  # type: ignore[method-assign, assignment]
            httpx.AsyncHTTPTransport.handle_async_request = _handle_async  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        with _lock:
            _active.remove(interception)
            if not _active:
                httpx.HTTPTransport.handle_request = _replaced.pop("sync")  # type: ignore[method-assign]
                httpx.AsyncHTTPTransport.handle_async_request = _replaced.pop("async")  # type: ignore[method-assign]


def _handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
    emulated, real = _way(request, "sync")
    if emulated is not None:
        return emulated.handle_request(request)
    answer: httpx.Response = real(transport, request)
    return answer


async def _handle_async(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
    emulated, real = _way(request, "async")
    if emulated is not None:
        return await emulated.handle_async_request(request)
    answer: httpx.Response = await real(transport, request)
    return answer


def _way(request: httpx.Request, colour: str) -> tuple[EmulatorTransport | None, Any]:
    """Return the emulator that gets a request, or None and the real thing.

    Raises:
        NetworkBlocked: neither.
    """
    host = request.url.host
    with _lock:
        claiming = next((one for one in reversed(_active) if one.claims(host)), None)
        allowed = not _active or any(one.allows(host) for one in _active)
        real = _replaced.get(colour) or _REAL[colour]
    if claiming is not None:
        return claiming.transport, None
    if not allowed:
        raise NetworkBlocked(
            f"{request.method} {request.url.scheme}://{request.url.netloc.decode()}{request.url.path}: "
            f"the network is blocked in this test, only the emulator answers. "
            f"Point the client to WATSONX_URL, or allow the host: allow_hosts=[{host!r}]"
        )
    return None, real


_REAL: dict[str, Any] = {
    "sync": httpx.HTTPTransport.handle_request,
    "async": httpx.AsyncHTTPTransport.handle_async_request,
}
"""For a request on its way when the last interception ends."""
