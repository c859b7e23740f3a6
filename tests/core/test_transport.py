"""TLS and proxies over real connections, and the pools."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import warnings
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.certificates import QUICK, Authority
from tests.support.colour import Colour
from tests.support.server import Script, Server, answer
from wx_integrations.core import transport
from wx_integrations.core.calls import model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.direct import AsyncDirect, Direct
from wx_integrations.core.errors import ConfigurationError, ConnectionFailed
from wx_integrations.core.pools import ShardedTransport
from wx_integrations.core.session import Session

Serve = Callable[..., Server]
OK = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})


def connect(server: Server, **settings: Any) -> Connection:
    return Connection(**{"url": server.url, "token": "t", "timeout": 10, **settings})


# --------------------------------------------------------------------------- TLS


@pytest.mark.parametrize("given", ["file", "folder", "context", "SSL_CERT_FILE"])
def test_a_trusted_authority(
    colour: Colour, serve: Serve, authority: Authority, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Script(OK), tls=authority.good())
    verify: Any = {
        "file": str(authority.file),
        "folder": authority.folder,
        "context": ssl.create_default_context(cafile=authority.file),
        "SSL_CERT_FILE": None,
    }[given]
    if given == "SSL_CERT_FILE":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    session = colour.session(connect(server, verify=verify))
    colour.run(session, model_specs())
    colour.run(session, model_specs())
    assert (len(server.seen), server.accepted) == (2, 1)
    named = connect(server, url=f"https://localhost:{server.port}", verify=str(authority.file))
    colour.run(colour.session(named), model_specs())


@pytest.mark.parametrize("wrong", ["unknown authority", "self-signed", "wrong host", "expired"])
def test_a_certificate_that_is_not_trusted_is_refused_without_repetition(
    colour: Colour, serve: Serve, authority: Authority, wrong: str
) -> None:
    contexts = {
        "unknown authority": authority.good,
        "self-signed": authority.self_signed,
        "wrong host": authority.wrong_host,
        "expired": authority.expired,
    }
    server = serve(Script(OK), tls=contexts[wrong]())
    verify = None if wrong in ("unknown authority", "self-signed") else str(authority.file)
    before = dict(os.environ), ssl._create_default_https_context
    session = colour.session(connect(server, verify=verify, max_retries=5))
    for _ in range(2):  # the second time as well: nothing was switched off
        with pytest.raises(ConnectionFailed, match="certificate is not trusted") as caught:
            colour.run(session, model_specs())
        assert caught.value.attempts == 1
    assert "SSL_CERT_FILE" in str(caught.value)
    assert server.seen == []
    assert server.accepted == 2
    assert (dict(os.environ), ssl._create_default_https_context) == before
    with pytest.raises(ConnectionFailed):
        colour.run(colour.session(connect(server)), model_specs())


def test_verification_off_warns_once(colour: Colour, serve: Serve, authority: Authority) -> None:
    server = serve(Script(OK), tls=authority.self_signed())
    session = colour.session(connect(server, verify=False))
    with pytest.warns(UserWarning, match="verify=False") as caught:
        colour.run(session, model_specs())
    assert len(caught) == 1
    with warnings.catch_warnings(record=True) as later:
        warnings.simplefilter("always")
        colour.run(session, model_specs())
        colour.close_clients(session)
        colour.run(session, model_specs())
    assert later == []
    assert len(server.seen) == 3


@pytest.mark.parametrize("content", [None, "", "not a certificate", "-----BEGIN CERTIFICATE-----\nAA\n"])
def test_a_file_that_is_no_authority(colour: Colour, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    session = colour.session(Connection(region="us-south", token="t", verify=str(path)))
    with pytest.raises(ConfigurationError, match="verify"):
        colour.run(session, model_specs())


def test_a_variable_that_names_no_authority(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        colour.run(colour.session(Connection(region="us-south", token="t")), model_specs())


def test_no_tls_where_tls_was_asked_for(colour: Colour, serve: Serve) -> None:
    server = serve(Script(OK), greeting=b"220 mail.example.com ready\r\n")
    session = colour.session(connect(server, url=f"https://127.0.0.1:{server.port}", max_retries=5, verify=QUICK))
    with pytest.raises(ConnectionFailed) as caught:
        colour.run(session, model_specs())
    assert caught.value.attempts == 1


def test_one_context_serves_both_colours_proxies_and_loops(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, authority: Authority
) -> None:
    made: list[ssl.SSLContext] = []
    original = ssl.create_default_context

    def counted(*args: Any, **options: Any) -> ssl.SSLContext:
        made.append(original(*args, **options))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    server = serve(Script(OK), tls=authority.good())
    proxies = {"https://one.example": "http://p:1", "https://two.example": "http://p:2"}
    connection = connect(server, verify=str(authority.file), proxies=proxies)
    session = Session(connection)

    async def use() -> None:
        await session.async_client.run(model_specs())

    threads = [threading.Thread(target=session.client.run, args=(model_specs(),)) for _ in range(8)]
    threads += [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    session.client.close()
    assert len(server.seen) == 12
    assert len(made) == 1


def test_no_roots_are_read_for_hosts_without_tls(colour: Colour, serve: Serve) -> None:
    """Nor is anybody trusted, should TLS be spoken after all."""
    server = serve(Script(OK))
    session = colour.session(connect(server))
    colour.run(session, model_specs())
    context = session.client._shared.context
    assert context.get_ca_certs() == []
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("name", ["url", "auth_url", "platform_url", "bedrock_url"])
def test_one_host_with_tls_is_enough_to_read_the_roots(
    name: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    plain = dict.fromkeys(("url", "auth_url", "platform_url", "bedrock_url"), "http://127.0.0.1:1/x")
    login = {"username": "u", "password": "p", "auth_type": "cp4d_iam"}
    assert Session(Connection(**plain, **login)).client._shared.context.get_ca_certs() == []
    mixed = {**plain, name: "HTTPS://127.0.0.1:1/x"}
    assert len(Session(Connection(**mixed, **login)).client._shared.context.get_ca_certs()) == 1


def test_roots_of_one_s_own_are_read_whoever_is_asked(serve: Serve, tmp_path: Path) -> None:
    server = serve(Script(OK))
    with pytest.raises(ConfigurationError, match="verify: not a usable CA file"):
        Session(connect(server, verify=tmp_path / "none.pem")).client.run(model_specs())


# --------------------------------------------------------------------------- proxies


@pytest.mark.parametrize("given", ["explicit", "explicit pattern", "http_proxy", "ALL_PROXY"])
def test_plain_http_through_a_proxy(colour: Colour, serve: Serve, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(Script(OK))
    url = f"http://user:pass@127.0.0.1:{proxy.port}"
    settings: dict[str, Any] = {}
    if given.startswith("explicit"):
        settings["proxies"] = {"http" if given == "explicit" else "http://cpd.example.com": url}
    else:
        monkeypatch.setenv(given, url)
    connection = Connection(url="http://cpd.example.com", token="t", allow_http=True, **settings)
    colour.run(colour.session(connection), model_specs())
    (seen,) = proxy.seen
    assert seen.target.startswith("http://cpd.example.com/ml/v1/foundation_model_specs?")
    assert seen.header("proxy-authorization") == "Basic dXNlcjpwYXNz"
    assert seen.header("authorization") == "Bearer t"


@pytest.mark.parametrize("proxied", [False, True], ids=["straight", "proxy"])
def test_cookies_are_not_kept(colour: Colour, serve: Serve, proxied: bool) -> None:
    server = serve(Script(answer(200, {"resources": []}, {"Set-Cookie": "sticky=a; Path=/"})))
    if proxied:
        proxies = {"http": f"http://127.0.0.1:{server.port}"}
        connection = Connection(url="http://cpd.example.com", token="t", allow_http=True, proxies=proxies)
    else:
        connection = connect(server)
    session = colour.session(connection)
    for _ in range(2):
        colour.run(session, model_specs())
    assert [seen.header("cookie") for seen in server.seen] == [None, None]


def test_https_goes_through_a_tunnel_and_the_proxy_gets_no_token(colour: Colour, serve: Serve) -> None:
    proxy = serve(Script(answer(407, "who are you")))
    connection = Connection(
        region="us-south", token="the-token", proxies={"https": f"http://127.0.0.1:{proxy.port}"}, verify=QUICK
    )
    with pytest.raises(ConnectionFailed, match="proxy") as caught:
        colour.run(colour.session(connection), model_specs())
    assert caught.value.attempts == 1
    (seen,) = proxy.seen
    assert (seen.method, seen.target) == ("CONNECT", "us-south.ml.cloud.ibm.com:443")
    assert seen.header("authorization") is None


def test_token_requests_use_the_same_proxies(colour: Colour, serve: Serve) -> None:
    proxy = serve(Script(answer(502)))
    proxies = {"https": f"http://127.0.0.1:{proxy.port}"}
    connection = Connection(region="us-south", api_key="k", proxies=proxies, verify=QUICK)
    with pytest.raises(ConnectionFailed, match="proxy"):
        colour.run(colour.session(connection), model_specs())
    assert proxy.seen[0].target == "iam.cloud.ibm.com:443"


def test_explicit_proxies_replace_those_of_the_environment(
    colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server = serve(Script(OK))
    colour.run(colour.session(connect(server, proxies={})), model_specs())
    assert len(server.seen) == 1


@pytest.mark.parametrize("url", ["nonsense://p:1", "http://p:port", "socks9://p:1", "http://[::1"])
def test_a_variable_that_names_no_proxy(colour: Colour, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    session = colour.session(Connection(region="us-south", token="t", verify=QUICK))
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        colour.run(session, model_specs())
    assert url not in str(caught.value)


ENVIRONMENTS = [
    {},
    {"HTTP_PROXY": "http://p:1"},
    {"HTTPS_PROXY": "http://p:1"},
    {"https_proxy": "p:1"},
    {"ALL_PROXY": "http://p:1"},
    {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:2", "ALL_PROXY": "http://p:3"},
    *(
        {"ALL_PROXY": "http://p:1", "NO_PROXY": text}
        for text in (
            "",
            "*",
            "a.com,*",
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.0.0.1,localhost",
            "::1",
            "example.com",
            ".example.com",
            " example.com , other.com",
            "Example.com",
            "example.com:8443",
            "127.0.0.1:8080",
            "http://example.com",
            "https://",
            "10.0.0.0/8",
            "10.0.0.7",
            ",,",
            "cloud.ibm.com",
            "ml.cloud.ibm.com,iam.cloud.ibm.com",
        )
    ),
]
URLS = [
    *("http://example.com", "https://example.com", "https://www.example.com", "https://wwwexample.com"),
    *("https://example.com:8443", "https://www.example.com:8443", "http://localhost", "http://localhost:8080"),
    *("http://127.0.0.1", "http://127.0.0.1:8080", "http://[::1]", "https://10.0.0.7", "https://[fd00::7]"),
    *("https://us-south.ml.cloud.ibm.com", "https://iam.cloud.ibm.com", "https://other.com"),
]


def route(client: httpx.Client | httpx.AsyncClient | Direct | AsyncDirect, url: str) -> str | None:
    """Return the proxy a client sends a URL through, None for none."""
    found: Any = (
        client.transport if isinstance(client, Direct | AsyncDirect) else client._transport_for_url(httpx.URL(url))
    )
    while not hasattr(found, "_pool"):
        found = found.inner if hasattr(found, "inner") else found.shards[0]
    proxy = getattr(found._pool, "_proxy_url", None)
    return None if proxy is None else f"{proxy.host.decode()}:{proxy.port}"


@pytest.mark.parametrize("environ", ENVIRONMENTS, ids=str)
async def test_the_environment_means_what_it_means_to_httpx(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    connection = Connection(region="us-south", token="t", verify=QUICK)
    with httpx.Client(verify=QUICK) as reference:
        expected = [route(reference, url) for url in URLS]
    session = Session(connection)
    with closing(session.client._build()) as client:
        assert [route(client, url) for url in URLS] == expected
    async with aclosing(session.async_client._build()) as aclient:
        assert [route(aclient, url) for url in URLS] == expected


@pytest.mark.parametrize(
    ("text", "direct"),
    [
        ("fd00::/8", "https://x"),
        ("[::1]", "http://[::1]:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("*.example.com", "https://www.example.com"),
        ("exam ple.com", "https://exam"),
        ("example.com:port", "https://x"),
        ("ü.example", "https://x"),
        ("a..b", "https://x"),
    ],
)
def test_exceptions_that_httpx_cannot_read_do_not_stop_the_rest(
    monkeypatch: pytest.MonkeyPatch, text: str, direct: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", f"{text},other.com")
    with closing(Session(Connection(region="us-south", token="t", verify=QUICK)).client._build()) as client:
        assert route(client, "https://other.com") is None
        assert route(client, "https://third.com") == "p:1"
        if "example.com" in direct or "::1" in direct:
            assert route(client, direct) is None


# --------------------------------------------------------------------------- pools


@pytest.mark.parametrize(
    ("most", "keep", "pools"),
    [
        *((None, 1024, 1024), (None, None, 1024), (None, 20, 1024)),
        *((1, 1, 1), (7, 3, 7), (16, 16, 16), (100, 20, 16), (1000, None, 16)),
    ],
)
def test_pools_share_the_limits(most: int | None, keep: int | None, pools: int) -> None:
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=keep, keepalive_expiry=3)
    made = transport.async_transport(QUICK, limits)
    assert isinstance(made, ShardedTransport)
    assert len(made.shards) == 1
    for _ in range(1100):
        made.load[made._place()] += 1
    shards: list[Any] = made.shards
    assert len(shards) == pools
    if most is not None:
        assert sum(shard._pool._max_connections for shard in shards) == most
        assert all(shard._pool._max_connections >= 1 for shard in shards)
    if keep is not None:
        assert sum(shard._pool._max_keepalive_connections for shard in shards) == keep
    assert {shard._pool._keepalive_expiry for shard in shards} == {3}


async def test_each_request_goes_to_the_least_loaded_pool() -> None:
    class Waiting(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.count = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.count += 1
            if request.url.path == "/error":
                raise httpx.ConnectError("x")
            if request.url.path == "/hang":
                await asyncio.Event().wait()
            return httpx.Response(200, stream=httpx.ByteStream(b"x"))

    pools: Any = [Waiting() for _ in range(4)]
    sharded = ShardedTransport(pools.__getitem__, len(pools), None)
    request = httpx.Request("GET", "http://x/")
    for _ in range(3):
        await (await sharded.handle_async_request(request)).aclose()
    assert sharded.shards == pools[:1]  # one at a time needs one
    pools[0].count = 0
    held = [await sharded.handle_async_request(request) for _ in range(8)]
    assert [pool.count for pool in pools] == [2, 2, 2, 2]
    assert sharded.load == [2, 2, 2, 2]
    await held[1].aclose()
    await held[1].aclose()  # counts once
    assert sharded.load == [2, 1, 2, 2]
    with pytest.raises(httpx.ConnectError):
        await sharded.handle_async_request(httpx.Request("GET", "http://x/error"))
    task = asyncio.create_task(sharded.handle_async_request(httpx.Request("GET", "http://x/hang")))
    await asyncio.sleep(0)
    assert sharded.load == [2, 2, 2, 2]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sharded.load == [2, 1, 2, 2]
    for response in held:
        await response.aclose()
    assert sharded.load == [0, 0, 0, 0]


async def test_a_pool_is_in_use_until_its_answer_is_closed() -> None:
    closing = asyncio.Event()

    class Slow(httpx.AsyncByteStream):
        async def aclose(self) -> None:
            await closing.wait()

    class Pool(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Slow())

    pools: Any = [Pool() for _ in range(3)]
    sharded = ShardedTransport(pools.__getitem__, len(pools), None)
    request = httpx.Request("GET", "http://x/")
    leaving = asyncio.create_task((await sharded.handle_async_request(request)).aclose())
    await asyncio.sleep(0)
    await sharded.handle_async_request(request)
    assert sharded.load == [1, 1]
    leaving.cancel()
    closing.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert sharded.load == [0, 1]


async def test_pools_that_nobody_has_needed_for_long_go(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Pool(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=httpx.ByteStream(b"x"))

        async def aclose(self) -> None:
            closed.append(self)

    now = 0.0
    monkeypatch.setattr("wx_integrations.core.pools.monotonic", lambda: now)
    pools: Any = [Pool() for _ in range(4)]
    sharded = ShardedTransport(pools.__getitem__, len(pools), 30.0)
    request = httpx.Request("GET", "http://x/")
    held = [await sharded.handle_async_request(request) for _ in range(4)]
    now = 10.0
    for response in held[:3]:
        await response.aclose()
    now = 100.0
    await (await sharded.handle_async_request(request)).aclose()
    assert not closed  # the last one is in use
    await held[3].aclose()
    now = 130.0
    await (await sharded.handle_async_request(request)).aclose()
    assert not closed  # not for long
    now = 131.0
    monkeypatch.setattr("wx_integrations.core.pools.AT_ONCE", 2)
    for left in (2, 1, 1):
        await (await sharded.handle_async_request(request)).aclose()
        assert sharded.shards == pools[:left]
        assert len(sharded.load) == left
    assert closed == [pools[3], pools[2], pools[1]]
    again = [await sharded.handle_async_request(request) for _ in range(3)]
    assert sharded.load == [1, 1, 1]
    for response in again:
        await response.aclose()


async def test_closing_closes_every_pool_even_if_one_fails() -> None:
    closed = []

    class Pool(httpx.AsyncBaseTransport):
        async def aclose(self) -> None:
            closed.append(self)
            if len(closed) == 1:
                raise RuntimeError("broken")

    pools: Any = [Pool() for _ in range(3)]
    sharded = ShardedTransport(pools.__getitem__, len(pools), None)
    for _ in pools:
        sharded.load[sharded._place()] += 1
    with pytest.raises(RuntimeError, match="broken"):
        await sharded.aclose()
    assert closed == pools
