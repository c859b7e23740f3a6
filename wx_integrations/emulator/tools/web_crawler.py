"""WebCrawler: fetches a page and returns its text, as JSON within JSON like the service.

Needs the extra `local` for HTML. Addresses of this machine and of private
networks are refused, also behind redirects, unless they are allowed.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from wx_integrations.emulator.tools.card import Bench, Input, ToolCard, ToolFailed, check_config, text_of

CARD = ToolCard(
    name="WebCrawler",
    description="Useful for when you need to summarize a webpage. Do not use for Web search.",
    agent_description="Useful for when you need to summarize a webpage. Do not use for Web search.",
    input_schema={
        "type": "object",
        "properties": {
            "url": {
                "title": "url",
                "description": "URL for the webpage to be scraped",
                "type": "string",
                "pattern": r"^(https?://)?([\da-z\.-]+)\.([a-z\.]{2,6})([/\w \.-]*)*/?$",
            }
        },
        "required": ["url"],
    },
)
"""As in the API reference's list."""

_TEXT = ("text/", "application/json", "application/xml", "application/xhtml+xml", "application/ld+json")
_HTML = ("text/html", "application/xhtml+xml")
_DROPPED = ("script", "style", "noscript", "template", "svg", "head", "iframe")
_BLANK = re.compile(r"\n\s*\n\s*")
_REDIRECTS = 5
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d+(?:/|$))", re.IGNORECASE)
"""A scheme in front, and not a host with a port."""
Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class WebCrawler:
    """Fetches a page.

    Attributes:
        allow_private: fetch from this machine and private networks too.
        seconds: for the whole page, redirects included.
        size: bytes of a page that are read.
        resolve: how host names become addresses.
    """

    allow_private: bool = False
    seconds: float = 15.0
    size: int = 2_000_000
    resolve: Resolve = resolve
    card: ToolCard = field(default=CARD, repr=False)

    def run(self, input: Input, config: Mapping[str, Any], bench: Bench) -> str:
        """Return `{"url", "contentType", "content"}` as JSON within a JSON string."""
        check_config(config, ())
        asked = text_of(input, "url").strip()
        url, kind, charset, body = self._fetched(asked if _SCHEME.match(asked) else f"https://{asked}")
        if not kind.lower().startswith(_TEXT):
            raise ToolFailed(f"{url} is {kind or 'of no known type'}, not a page with text")
        text = _page_text(body, charset) if kind.lower().startswith(_HTML) else _decoded(body, charset)
        page = {"url": url, "contentType": kind, "content": text}
        return json.dumps(json.dumps(page, ensure_ascii=False, separators=(",", ":")), ensure_ascii=False)

    def _fetched(self, url: str) -> tuple[str, str, str | None, bytes]:
        """Return the last address of a page, its content type, its encoding if it says so, and its bytes."""
        import httpx  # only this tool and the transport need it

        deadline = time.monotonic() + self.seconds
        with httpx.Client(trust_env=False, timeout=self.seconds) as client:
            for _ in range(_REDIRECTS + 1):
                request, extensions = self._request(url)
                try:
                    with client.stream("GET", **request, extensions=extensions) as response:
                        if response.is_redirect and "location" in response.headers:
                            url = urljoin(url, response.headers["location"])
                            continue
                        if not response.is_success:
                            raise ToolFailed(f"{url} answered HTTP {response.status_code}")
                        body = self._read(response, deadline, url)
                        return url, response.headers.get("content-type", ""), response.charset_encoding, body
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise ToolFailed(f"no network, or {url} cannot be reached: {error}", status=501) from None
        raise ToolFailed(f"{url} redirects too often")

    def _request(self, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a request to the very address that was checked, so that the name cannot lead elsewhere meanwhile."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ToolFailed(f"{url[:200]} is no http(s) address of a page")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            addresses = self.resolve(parts.hostname, port)
        except (OSError, ValueError) as error:
            raise ToolFailed(f"no network, or there is no host {parts.hostname}: {error}", status=501) from None
        for address in addresses:
            if not self.allow_private and not _is_public(address):
                raise ToolFailed(f"{parts.hostname} is an address of this machine or of a private network")
        shown = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        target = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
        headers = {"Host": parts.netloc, "User-Agent": "wx-integrations emulator", "Accept": "text/html, text/*;q=0.9"}
        return {"url": target, "headers": headers}, {"sni_hostname": parts.hostname}

    def _read(self, response: Any, deadline: float, url: str) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if time.monotonic() > deadline:
                raise ToolFailed(f"{url} took longer than {self.seconds:g} s")
            if len(body) > self.size:
                break
        return bytes(body[: self.size])


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _page_text(html: bytes, charset: str | None) -> str:
    """Return what a reader sees of a page, its blocks parted by blank lines."""
    try:
        from bs4 import BeautifulSoup
        from markdownify import MarkdownConverter
    except ImportError:
        raise ToolFailed(
            'reading web pages needs the extra: pip install "wx-integrations[local]"', status=501
        ) from None
    soup = BeautifulSoup(html, "html.parser", from_encoding=charset)
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for element in soup(_DROPPED):
        element.decompose()
    text = MarkdownConverter(strip=["a", "img"], heading_style="ATX").convert_soup(soup)
    return _BLANK.sub("\n\n", f"{title}\n\n{text}").strip()
