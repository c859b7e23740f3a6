"""Finds a wheel on simple indexes and behind find-links.

Source: the Python packaging specifications "Simple repository API" (HTML and
JSON) and "Names and normalization".
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

from wx_integrations.emulator.local.catalogue import Wheel
from wx_integrations.emulator.local.download import Downloader, Trouble

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


@dataclass(frozen=True)
class Link:
    """A file offered by an index: its address (http, https or file) and the SHA-256 the index states, if any."""

    url: str = field(repr=False)
    sha256: str | None = None

    @property
    def filename(self) -> str:
        return unquote(urlsplit(self.url).path.rsplit("/", 1)[-1])


def normalise(name: str) -> str:
    """Return a project's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def offers(wheel: Wheel, link: Link) -> bool:
    """Tell whether a link is the wheel: right project, right version, and no other hash stated."""
    parts = link.filename.removesuffix(".whl").split("-")
    return (
        link.filename.endswith(".whl")
        and len(parts) >= 5
        and normalise(parts[0]) == wheel.project
        and parts[1] == wheel.version
        and link.sha256 in (None, wheel.sha256)
    )


def find(
    wheel: Wheel, indexes: Sequence[str], find_links: Sequence[str], downloader: Downloader
) -> tuple[list[Link], list[Trouble]]:
    """Return where the wheel can be had, local places first, and what went wrong on the way."""
    links: list[Link] = []
    troubles: list[Trouble] = []
    places = [*find_links, *(f"{index}/{wheel.project}/" for index in indexes)]
    for place in places:
        try:
            links += [link for link in read_place(place, downloader) if offers(wheel, link)]
        except Trouble as trouble:
            troubles.append(trouble)
    unique = {link.url: link for link in links}
    return sorted(unique.values(), key=lambda link: not link.url.startswith("file:")), troubles


def read_place(place: str, downloader: Downloader) -> list[Link]:
    """Return the links of an index page, a folder, or a lone file.

    Raises:
        Trouble: the page cannot be had; a local place that is not there is simply empty.
    """
    local = local_path(place)
    if local is not None:
        return _read_local(local)
    if urldefrag(place).url.endswith(".whl"):
        return [_link(place)]
    page = downloader.page(place, ACCEPT)
    if page is None:
        return []
    if "json" in page.content_type:
        return parse_json(page.text, page.url)
    return parse_html(page.text, page.url)


def local_path(place: str) -> Path | None:
    """Return the path of a place on this machine, None for one on the network."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if parts.scheme in ("http", "https"):
        return None
    return Path(place).expanduser()


def _read_local(path: Path) -> list[Link]:
    if path.is_dir():
        page = path / "index.html"
        if page.is_file():
            return parse_html(page.read_text(encoding="utf-8"), page.absolute().as_uri())
        return [Link(child.absolute().as_uri()) for child in sorted(path.iterdir()) if child.suffix == ".whl"]
    if path.suffix == ".whl":
        return [Link(path.absolute().as_uri())] if path.is_file() else []
    if path.is_file():
        return parse_html(path.read_text(encoding="utf-8"), path.absolute().as_uri())
    return []


def parse_json(text: str, base: str) -> list[Link]:
    """Read an index page in JSON.

    Raises:
        Trouble: it is not such a page.
    """
    try:
        files = json.loads(text)["files"]
        return [Link(urljoin(base, file["url"]), (file.get("hashes") or {}).get("sha256")) for file in files]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Trouble(f"{base} is not an index page", kind="malformed") from error


def parse_html(text: str, base: str) -> list[Link]:
    """Read an index page in HTML."""
    parser = _Anchors()
    parser.feed(text)
    parser.close()
    return [_link(urljoin(urljoin(base, parser.base), href)) for href in parser.hrefs]


def _link(url: str) -> Link:
    address, fragment = urldefrag(url)
    found = re.search(r"(?:^|&)sha256=([0-9a-fA-F]{64})", fragment)
    return Link(address, found[1].lower() if found else None)


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if href and tag == "a":
            self.hrefs.append(href.strip())
        elif href and tag == "base" and not self.base:
            self.base = href.strip()
