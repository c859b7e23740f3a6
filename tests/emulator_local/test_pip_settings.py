"""Reading pip's settings: what wins over what, with and without pip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wx_integrations.emulator.local import pip_settings
from wx_integrations.emulator.local.pip_settings import PYPI, PipSettings, config_files, parse_config_list


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "No module named pip")

    monkeypatch.setattr(subprocess, "run", run)


def config(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "pip.conf"
    path.write_text(text)
    return {"PIP_CONFIG_FILE": str(path), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}


def test_nothing_set_means_pypi() -> None:
    settings = PipSettings.read({"PIP_CONFIG_FILE": os.devnull})
    assert settings == PipSettings()
    assert settings.indexes == (PYPI,)


def test_the_environment_says_it_all() -> None:
    settings = PipSettings.read(
        {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": "https://main.example.com/simple/",
            "PIP_EXTRA_INDEX_URL": "https://two.example.com/simple  https://three.example.com/simple",
            "PIP_FIND_LINKS": "/wheels https://links.example.com",
            "PIP_CERT": "/ca.pem",
            "PIP_CLIENT_CERT": "/client.pem",
            "PIP_PROXY": "proxy.example.com:3128",
            "PIP_TRUSTED_HOST": "one.example.com two.example.com:8443",
            "PIP_DEFAULT_TIMEOUT": "60",
        }
    )
    assert settings == PipSettings(
        indexes=(
            "https://main.example.com/simple",
            "https://two.example.com/simple",
            "https://three.example.com/simple",
        ),
        find_links=("/wheels", "https://links.example.com"),
        cert="/ca.pem",
        client_cert="/client.pem",
        proxy="proxy.example.com:3128",
        trusted_hosts=("one.example.com", "two.example.com:8443"),
        timeout=60.0,
    )
    assert settings.with_proxy(None) is settings
    assert settings.with_proxy("other:1").proxy == "other:1"


@pytest.mark.parametrize("no_index", ["1", "true", "YES"])
def test_no_index_leaves_find_links(no_index: str) -> None:
    settings = PipSettings.from_values({"no-index": no_index, "index-url": "https://x", "find-links": "/wheels"})
    assert (settings.indexes, settings.find_links) == ((), ("/wheels",))


@pytest.mark.parametrize("text", ["", "soon", "0"])
def test_a_timeout_is_a_second_at_least(text: str) -> None:
    assert PipSettings.from_values({"timeout": text}).timeout >= 1


def test_other_tools_ca_bundles_are_honoured_as_pip_does() -> None:
    assert PipSettings.from_values({}, {"REQUESTS_CA_BUNDLE": "/r.pem", "CURL_CA_BUNDLE": "/c.pem"}).cert == "/r.pem"
    assert PipSettings.from_values({"cert": "/p.pem"}, {"REQUESTS_CA_BUNDLE": "/r.pem"}).cert == "/p.pem"


CONFIG = """
[global]
index-url = https://ann:s3cret@global.example.com/simple
extra-index-url =
    https://two.example.com/simple
    https://three.example.com/simple
timeout = 42
[install]
index_url = https://install.example.com/simple
[download]
index-url = https://download.example.com/simple
[list]
index-url = https://list.example.com/simple
"""


@pytest.mark.usefixtures("no_pip")
def test_files_are_read_without_pip(tmp_path: Path) -> None:
    settings = PipSettings.read(config(tmp_path, CONFIG))
    assert settings.indexes == (
        "https://download.example.com/simple",
        "https://two.example.com/simple",
        "https://three.example.com/simple",
    )
    assert settings.timeout == 42


@pytest.mark.usefixtures("no_pip")
def test_the_environment_wins_over_files(tmp_path: Path) -> None:
    environment = {**config(tmp_path, CONFIG), "PIP_INDEX_URL": "https://env.example.com/simple"}
    assert PipSettings.read(environment).indexes[0] == "https://env.example.com/simple"


@pytest.mark.usefixtures("no_pip")
@pytest.mark.parametrize("text", ["no section", "[global\n", "\xff\xfe"])
def test_a_broken_file_is_passed_over(tmp_path: Path, text: str) -> None:
    environment = config(tmp_path, "")
    Path(environment["PIP_CONFIG_FILE"]).write_bytes(text.encode("latin-1"))
    assert PipSettings.read(environment).timeout >= 1


def test_pip_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        text = ":env:.cert='/env.pem'\nglobal.index-url='https://pip.example.com/simple'\nglobal.timeout='7'\n"
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(subprocess, "run", run)
    settings = PipSettings.read(config(tmp_path, CONFIG))
    assert asked == [[sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]]
    assert settings.indexes == ("https://pip.example.com/simple",)
    assert settings.timeout == 7


def test_the_real_pip_and_our_reader_agree(tmp_path: Path) -> None:
    pytest.importorskip("pip")
    environment = {**os.environ, **config(tmp_path, CONFIG)}
    asked = pip_settings._ask_pip(environment)
    assert asked is not None
    read = pip_settings._read_files(environment)
    for section in ("global", "install", "download", "list"):
        ours = {(where, option.replace("_", "-")): " ".join(value.split()) for (where, option), value in read.items()}
        theirs = {(where, option): " ".join(value.split()) for (where, option), value in asked.items()}
        of_section = {key: value for key, value in theirs.items() if key[0] == section and key in ours}
        assert of_section == {key: value for key, value in ours.items() if key in of_section}
        assert of_section


def test_pip_that_hangs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(subprocess, "run", run)
    assert PipSettings.read(config(tmp_path, CONFIG)).indexes[0] == "https://download.example.com/simple"


def test_lines_of_pip_that_make_no_sense_are_passed_over() -> None:
    text = "global.a='1'\nnonsense\nglobal.b=unquoted words\nglobal.c='two\\nlines'\n=x\n"
    assert parse_config_list(text) == {("global", "a"): "1", ("global", "c"): "two\nlines"}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_file_named_by_the_user_is_the_strongest(platform: str) -> None:
    environment = {"PIP_CONFIG_FILE": "/mine.conf", "APPDATA": "/appdata", "PROGRAMDATA": "/programdata"}
    files = config_files(environment, platform)
    assert files[-1] == Path("/mine.conf")
    assert files[-2].parent == Path(sys.prefix)
    assert {file.name for file in files[:-1]} == {"pip.ini" if platform == "win32" else "pip.conf"}


def test_nothing_secret_is_printed() -> None:
    settings = PipSettings(
        indexes=("https://ann:s3cret@x/simple",), proxy="http://ann:s3cret@p", find_links=("https://a:s3cret@l",)
    )
    assert "s3cret" not in repr(settings)
