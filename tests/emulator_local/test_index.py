"""Reading index pages and choosing the wheel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.emulator.local.catalogue import CATALOGUE, Wheel
from wx_integrations.emulator.local.download import Downloader, Trouble
from wx_integrations.emulator.local.index import (
    Link,
    find,
    local_path,
    normalise,
    offers,
    parse_html,
    parse_json,
    read_place,
)
from wx_integrations.emulator.local_models import PipSettings

BASE = "https://index.example.com/simple/some-thing/"
WHEEL = Wheel("some-thing", "1.0", "a" * 64, 5, "x")
NAME = "some_thing-1.0-py3-none-any.whl"


def test_html_links_are_absolute_and_carry_their_hash() -> None:
    text = f"""<!DOCTYPE html><html><body>
      <a href="../../files/{NAME}#sha256={"A" * 64}" data-requires-python="&gt;=3.8">{NAME}</a>
      <a href="https://cdn.example.com/a%2Bb/{NAME}?x=1">again</a><a>no address</a>
      <a href="{NAME}#md5=123">old hash</a></body></html>"""
    assert parse_html(text, BASE) == [
        Link(f"https://index.example.com/files/{NAME}", "a" * 64),
        Link(f"https://cdn.example.com/a%2Bb/{NAME}?x=1"),
        Link(f"{BASE}{NAME}"),
    ]


def test_html_base_is_honoured() -> None:
    text = f'<html><head><base href="/mirror/"></head><body><a href="{NAME}">x</a></body></html>'
    assert parse_html(text, BASE)[0].url == f"https://index.example.com/mirror/{NAME}"


def test_json_links() -> None:
    files = [{"filename": NAME, "url": f"../{NAME}", "hashes": {"sha256": "a" * 64}}, {"url": "b.whl", "hashes": {}}]
    assert parse_json(json.dumps({"files": files}), BASE) == [
        Link(f"https://index.example.com/simple/{NAME}", "a" * 64),
        Link(f"{BASE}b.whl"),
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [1]}', '{"files": [{"hashes": {}}]}', "<html>"])
def test_json_that_is_no_page_is_trouble(text: str) -> None:
    with pytest.raises(Trouble, match="not an index page"):
        parse_json(text, BASE)


@given(st.text())
def test_any_html_is_read(text: str) -> None:
    assert isinstance(parse_html(text, BASE), list)


@pytest.mark.parametrize(
    ("name", "sha256", "fits"),
    [
        (NAME, None, True),
        (NAME, "a" * 64, True),
        (NAME, "b" * 64, False),
        ("Some.Thing-1.0-py3-none-any.whl", None, True),
        ("some_thing-1.0-1-py3-none-any.whl", None, True),
        ("some_thing-1.0.1-py3-none-any.whl", None, False),
        ("some_thing_else-1.0-py3-none-any.whl", None, False),
        ("some_thing-1.0.tar.gz", None, False),
        ("some_thing-1.0-py3-none-any.whl.metadata", None, False),
        ("", None, False),
    ],
)
def test_only_the_wheel_itself_is_taken(name: str, sha256: str | None, fits: bool) -> None:
    assert offers(WHEEL, Link(f"https://host/{name}", sha256)) is fits


def test_names_are_normalised() -> None:
    assert normalise("Some__Thing.-x") == "some-thing-x"


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=lambda model: model.name)
def test_pinned_wheels_are_named_as_indexes_name_them(model: object) -> None:
    for wheel in CATALOGUE[model.name].wheels:  # type: ignore[attr-defined]
        assert normalise(wheel.project) == wheel.project
        assert offers(wheel, Link(f"https://host/{wheel.filename}"))


def test_local_places(tmp_path: Path) -> None:
    wheel = tmp_path / NAME
    wheel.touch()
    (tmp_path / "notes.txt").touch()
    links = tmp_path / "links"
    links.write_text(f'<a href="{NAME}">x</a>')
    with Downloader(PipSettings()) as downloader:
        for place in (str(tmp_path), tmp_path.as_uri(), str(wheel), str(links)):
            assert [link.url for link in read_place(place, downloader)] == [wheel.as_uri()]
        assert read_place(str(tmp_path / "nowhere"), downloader) == []
        assert read_place((tmp_path / "nowhere.whl").as_uri(), downloader) == []
        assert read_place(f"https://host/{NAME}#sha256={'a' * 64}", downloader) == [
            Link(f"https://host/{NAME}", "a" * 64)
        ]
    assert local_path("https://host/x") is None


def test_local_wheels_come_first_and_once(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    with Downloader(PipSettings()) as downloader:
        places = [f"https://host/{NAME}", str(tmp_path), tmp_path.as_uri()]
        links, troubles = find(WHEEL, (), places, downloader)
    assert [link.url for link in links] == [(tmp_path / NAME).as_uri(), f"https://host/{NAME}"]
    assert troubles == []


def test_links_do_not_show_their_credentials() -> None:
    assert "s3cret" not in repr(Link("https://ann:s3cret@host/x.whl"))
