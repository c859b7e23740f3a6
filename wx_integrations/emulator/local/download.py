"""Brings bytes from an index: pages, and files that continue where they stopped.

Proxies, certificates and credentials follow pip: the environment's proxy
variables or the configured proxy, the configured CA bundle or the system's,
user and password from the URL, from an index on the same host, or from netrc.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import httpx

from wx_integrations.emulator.local.errors import redact
from wx_integrations.emulator.local.pip_settings import PipSettings

Kind = Literal["refused", "missing", "certificate", "network", "insecure", "malformed"]
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_REDIRECTS = 10


class Trouble(Exception):
    """One address did not give what was asked.

    Attributes:
        kind: refused (401, 403, 407), missing (404, 410), certificate, network, insecure (plain http), malformed.
    """

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(redact(message))
        self.kind = kind


@dataclass(frozen=True)
class Page:
    """An index page and the address it came from in the end."""

    text: str
    content_type: str
    url: str = field(repr=False)


class Downloader:
    """HTTP as pip would do it; close it or use it as a context.

    Args:
        retries: how often a broken transfer is taken up again.
        sleep: waits between two tries, in seconds.
    """

    def __init__(self, settings: PipSettings, *, retries: int = 4, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._retries = retries
        self._sleep = sleep
        self._clients: dict[bool, httpx.Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def page(self, url: str, accept: str) -> Page | None:
        """Return an index page; None when the index does not know the project.

        Raises:
            Trouble: anything else went wrong.
        """
        for attempt in range(self._retries + 1):
            try:
                with self._open(url, {"Accept": accept}) as response:
                    if response.status_code == 404:
                        return None
                    _raise_for(response)
                    response.read()
                    return Page(response.text, response.headers.get("content-type", ""), str(response.url))
            except _Passing as passing:
                self._pause(attempt, passing)
        raise AssertionError("unreachable")  # pragma: no cover

    def file(self, url: str, path: Path, size: int, progress: Callable[[int], None]) -> None:
        """Download a file of a known size, continuing what is already there.

        Args:
            progress: hears how many bytes of the file are there.

        Raises:
            Trouble: the file cannot be had; what arrived stays for the next try.
        """
        for attempt in range(self._retries + 1):
            have = path.stat().st_size if path.exists() else 0
            if have == size:
                return
            if have > size:
                path.unlink()
                have = 0
            try:
                self._continue(url, path, have, size, progress)
                if path.stat().st_size == size:
                    return
                raise _Passing(f"{shown(url)} ended early", "network")
            except _Passing as passing:
                self._pause(attempt, passing)

    def _continue(self, url: str, path: Path, have: int, size: int, progress: Callable[[int], None]) -> None:
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with self._open(url, headers) as response:
            if response.status_code == 416:
                path.unlink(missing_ok=True)
                raise _Passing(f"{shown(url)} does not continue at byte {have}", "malformed")
            _raise_for(response)
            goes_on = response.status_code == 206 and response.headers.get("content-range", "").startswith(
                f"bytes {have}-"
            )
            with path.open("ab" if goes_on else "wb") as file:
                written = have if goes_on else 0
                for block in response.iter_raw():  # as it arrives: a cut must not cost a block
                    written += len(block)
                    if written > size:
                        raise Trouble(f"{shown(url)} is longer than the {size} bytes expected", "malformed")
                    file.write(block)
                    progress(written)

    def _pause(self, attempt: int, passing: _Passing) -> None:
        if attempt == self._retries:
            raise Trouble(str(passing), passing.kind) from passing.__cause__
        self._sleep(min(0.5 * 2**attempt, 8.0))

    @contextlib.contextmanager
    def _open(self, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Send a GET and follow redirects, with the right credentials and certificate check at every hop."""
        try:
            for _ in range(_REDIRECTS):
                request, client = self._request(url, headers)
                response = client.send(request, stream=True, auth=self._credentials(url))
                if not response.is_redirect:
                    with contextlib.closing(response):
                        yield response
                    return
                url = urljoin(url, response.headers["location"])
                response.close()
        except httpx.ProxyError as error:
            refused = "407" in str(error)
            raise Trouble(f"the proxy said no: {error}", "refused" if refused else "network") from error
        except httpx.UnsupportedProtocol as error:
            raise Trouble(f"{shown(url)} is not an http address", "malformed") from error
        except httpx.TransportError as error:
            raise self._judge(url, error) from error
        raise Trouble(f"{shown(url)} redirects more than {_REDIRECTS} times", "malformed")

    def _judge(self, url: str, error: httpx.TransportError) -> Trouble | _Passing:
        text = f"{shown(url)}: {str(error) or type(error).__name__}"
        if "certificate" in str(error).lower():
            return Trouble(text, "certificate")
        return _Passing(text, "network")

    def _request(self, url: str, headers: dict[str, str]) -> tuple[httpx.Request, httpx.Client]:
        parts = urlsplit(url)
        trusted = self._trusted(parts.hostname or "", parts.port)
        if parts.scheme == "http" and not trusted and parts.hostname not in _LOOPBACK:
            raise Trouble(
                f"{shown(url)} is plain http, which pip refuses unless the host is a trusted-host", "insecure"
            )
        client = self._client(check=not trusted)
        return client.build_request("GET", _bare(url), headers=headers), client

    def _trusted(self, host: str, port: int | None) -> bool:
        return host in self._settings.trusted_hosts or f"{host}:{port}" in self._settings.trusted_hosts

    def _client(self, *, check: bool) -> httpx.Client:
        if check not in self._clients:
            settings = self._settings
            proxy = settings.proxy
            if proxy and "://" not in proxy:
                proxy = f"http://{proxy}"
            try:
                context = _ssl_context(settings, check=check)
                self._clients[check] = httpx.Client(
                    verify=context, proxy=proxy, timeout=settings.timeout, follow_redirects=False
                )
            except (OSError, ssl.SSLError) as error:
                raise Trouble(f"the CA bundle of pip's settings cannot be read: {error}", "certificate") from error
            except (ValueError, httpx.InvalidURL) as error:
                raise Trouble("the proxy of pip's settings is not a proxy address", "malformed") from error
        return self._clients[check]

    def _credentials(self, url: str) -> httpx.Auth:
        """Return user and password for an address; an empty flow when there are none."""
        parts = urlsplit(url)
        places = [*self._settings.indexes, *self._settings.find_links]
        for place in (parts, *(urlsplit(place) for place in places)):
            same = (place.scheme, place.hostname, place.port) == (parts.scheme, parts.hostname, parts.port)
            if same and place.username:
                return httpx.BasicAuth(unquote(place.username), unquote(place.password or ""))
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if found := netrc.netrc(os.environ.get("NETRC")).authenticators(parts.hostname or ""):
                return httpx.BasicAuth(found[0], found[2] or "")
        return httpx.Auth()


class _Passing(Exception):
    """Trouble that another try may not have."""

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind = kind


def shown(url: str) -> str:
    """Return an address fit for a message: no user, no password, no query."""
    bare = urlsplit(_bare(url))
    return urlunsplit((bare.scheme, bare.netloc, bare.path, "", ""))


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def _raise_for(response: httpx.Response) -> None:
    status, url = response.status_code, shown(str(response.url))
    if status in (401, 403, 407):
        raise Trouble(f"{url} answered {status}: it wants other credentials", "refused")
    if status in (404, 410):
        raise Trouble(f"{url} answered {status}: not there", "missing")
    if status in (408, 425, 429) or status >= 500:
        raise _Passing(f"{url} answered {status}", "network")
    if status not in (200, 206):
        raise Trouble(f"{url} answered {status}", "malformed")


def _ssl_context(settings: PipSettings, *, check: bool) -> ssl.SSLContext:
    if settings.cert:
        folder = Path(settings.cert).is_dir()
        context = ssl.create_default_context(
            capath=settings.cert if folder else None, cafile=None if folder else settings.cert
        )
    else:
        context = httpx.create_ssl_context()
        with contextlib.suppress(ssl.SSLError):
            context.load_default_certs()  # pip trusts the system's store too
    if settings.client_cert:
        context.load_cert_chain(settings.client_cert)
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
