"""WebCrawler: pages as text, and which addresses are out of bounds."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.tools.card import Bench, ToolFailed
from wx_integrations.emulator.tools.web_crawler import WebCrawler, resolve

PAGE = """<!DOCTYPE html><html><head><title>Café menu</title><style>p {}</style></head>
<body><nav><a href="/">Home</a></nav><h1>Menu</h1><p>Two <b>good</b> <a href="/x">things</a>.</p>
<script>alert("no")</script><ul><li>One</li><li>Two</li></ul>
<table><tr><th>Dish</th><th>Price</th></tr><tr><td>Soup</td><td>5</td></tr></table></body></html>"""
BENCH = Bench(DeterministicBrain(), lambda ending, data: ending)


class Site:
    """A site on loopback."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {
            "/": (200, {"content-type": "text/html; charset=utf-8"}, PAGE.encode()),
            "/latin": (200, {"content-type": "text/html; charset=iso-8859-1"}, PAGE.encode("iso-8859-1")),
            "/odd": (200, {"content-type": "text/plain; charset=no-such"}, "naïve".encode()),
            "/data": (200, {"content-type": "application/json"}, b'{"a": 1}'),
            "/picture": (200, {"content-type": "image/png"}, b"png"),
            "/gone": (404, {"content-type": "text/html"}, b"no"),
            "/moved": (302, {"location": "/data"}, b""),
            "/round": (302, {"location": "/round"}, b""),
            "/inside": (302, {"location": "http://10.0.0.1/secret"}, b""),
            "/file": (302, {"location": "file:///etc/passwd"}, b""),
            "/big": (200, {"content-type": "text/plain"}, b"x" * 100_000),
        }
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, headers, body = site.pages[self.path]
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def local(host: str, port: int) -> list[str]:
    """Resolve every name to this machine."""
    return ["127.0.0.1"]


def crawl(url: str, **settings: Any) -> dict[str, Any]:
    text = WebCrawler(**{"allow_private": True, "resolve": local, **settings}).run({"url": url}, {}, BENCH)
    page = json.loads(json.loads(text))
    assert isinstance(page, dict)
    return page


def test_a_page_becomes_text(site: Site) -> None:
    page = crawl(f"http://menu.example:{site.port}/")
    assert page == {
        "url": f"http://menu.example:{site.port}/",
        "contentType": "text/html; charset=utf-8",
        "content": "Café menu\n\nHome\n\n# Menu\n\nTwo **good** things.\n\n* One\n* Two\n\n"
        "| Dish | Price |\n| --- | --- |\n| Soup | 5 |",
    }
    assert site.seen[0][1]["host"] == f"menu.example:{site.port}"


def test_the_output_is_twice_encoded_like_the_services(site: Site) -> None:
    text = WebCrawler(allow_private=True, resolve=local).run({"url": f"http://x.example:{site.port}/data"}, {}, BENCH)
    assert text.startswith('"{\\"url\\":')
    assert json.loads(json.loads(text))["content"] == '{"a": 1}'


def test_encodings(site: Site) -> None:
    assert crawl(f"http://x.example:{site.port}/latin")["content"].startswith("Café menu")
    assert crawl(f"http://x.example:{site.port}/odd")["content"] == "naïve"


def test_redirects(site: Site) -> None:
    assert crawl(f"http://x.example:{site.port}/moved")["url"] == f"http://x.example:{site.port}/data"
    with pytest.raises(ToolFailed, match="too often"):
        crawl(f"http://x.example:{site.port}/round")
    with pytest.raises(ToolFailed, match="no http"):
        crawl(f"http://x.example:{site.port}/file")


def test_sizes_are_limited(site: Site) -> None:
    assert len(crawl(f"http://x.example:{site.port}/big", size=1000)["content"]) == 1000


@pytest.mark.parametrize(("path", "words"), [("/gone", "HTTP 404"), ("/picture", "image/png")])
def test_what_is_no_page(site: Site, path: str, words: str) -> None:
    with pytest.raises(ToolFailed, match=words):
        crawl(f"http://x.example:{site.port}{path}")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
        *("::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "224.0.0.1"),
    ],
)
def test_private_addresses_are_refused(address: str) -> None:
    crawler = WebCrawler(resolve=lambda host, port: ["93.184.216.34", address])
    with pytest.raises(ToolFailed, match="this machine or of a private network"):
        crawler.run({"url": "http://inside.example/"}, {}, BENCH)


def test_loopback_is_refused_by_default(site: Site) -> None:
    with pytest.raises(ToolFailed, match="this machine"):
        WebCrawler().run({"url": f"http://127.0.0.1:{site.port}/"}, {}, BENCH)
    assert site.seen == []


def test_redirects_into_private_networks_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address is taken for a public one; the second is private."""
    module = "wx_integrations.emulator.tools.web_crawler"
    monkeypatch.setattr(f"{module}._is_public", lambda address: address == "127.0.0.1")
    crawler = WebCrawler(resolve=lambda host, port: ["127.0.0.1"] if host == "x.example" else [host])
    with pytest.raises(ToolFailed, match=r"10\.0\.0\.1 is an address"):
        crawler.run({"url": f"http://x.example:{site.port}/inside"}, {}, BENCH)
    assert [path for path, _ in site.seen] == ["/inside"]


def test_a_name_is_resolved_once_for_each_page(site: Site) -> None:
    asked: list[str] = []

    def once(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    crawl(f"http://x.example:{site.port}/data", resolve=once)
    assert asked == ["x.example"]


@pytest.mark.parametrize("url", ["ftp://host/x", "http://user:secret@host/", "http:///x", "javascript:alert(1)"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ToolFailed, match="no http"):
        WebCrawler(resolve=local).run({"url": url}, {}, BENCH)


def test_no_network_is_said(site: Site) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("Temporary failure in name resolution")

    with pytest.raises(ToolFailed, match="no network") as caught:
        WebCrawler(resolve=unknown).run({"url": "ibm.com"}, {}, BENCH)
    assert caught.value.status == 501
    port = site.port
    site.close()
    with pytest.raises(ToolFailed, match="cannot be reached"):
        crawl(f"http://x.example:{port}/")


def test_a_scheme_may_be_left_out(site: Site) -> None:
    crawler = WebCrawler(allow_private=True, resolve=local)
    with pytest.raises(ToolFailed, match=rf"https://x.example:{site.port}/ cannot be reached"):
        crawler.run({"url": f"x.example:{site.port}/"}, {}, BENCH)


def test_names_of_this_machine_resolve() -> None:
    assert set(resolve("localhost", 80)) & {"127.0.0.1", "::1"}
