"""Where packages come from, read as pip reads it: environment over configuration files over defaults.

Source: pip documentation, "Configuration" and "pip download". The result
holds credentials (in URLs), so it never prints them.
"""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

PYPI = "https://pypi.org/simple"
_SECTIONS = ("global", "install", "download")
_TRUE = {"1", "true", "yes", "y", "on", "t"}


@dataclass(frozen=True)
class PipSettings:
    """The settings that decide where a wheel is looked for and how it is reached.

    Attributes:
        indexes: simple indexes, the main one first.
        find_links: folders, pages or files with links to wheels.
        cert: a CA bundle (file or folder).
        client_cert: a PEM file with the client's key and certificate.
        trusted_hosts: hosts ("name" or "name:port") whose certificate is not checked and which may use http.
        timeout: seconds.
    """

    indexes: tuple[str, ...] = field(default=(PYPI,), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    trusted_hosts: tuple[str, ...] = ()
    timeout: float = 15.0

    def with_proxy(self, proxy: str | None) -> PipSettings:
        """Return the settings with another proxy; None keeps them."""
        return self if proxy is None else replace(self, proxy=proxy)

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> PipSettings:
        """Read the environment and pip's configuration files."""
        environment = os.environ if environment is None else environment
        values = configuration(environment)
        values.update(_from_environment(environment))
        return cls.from_values(values, environment)

    @classmethod
    def from_values(cls, values: Mapping[str, str], environment: Mapping[str, str] | None = None) -> PipSettings:
        """Build the settings from option names ("index-url") and their text."""
        environment = environment or {}
        indexes: list[str] = []
        if values.get("no-index", "").strip().lower() not in _TRUE:
            indexes = [*values.get("index-url", PYPI).split(), *values.get("extra-index-url", "").split()]
        cert = values.get("cert") or environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")
        return cls(
            indexes=tuple(dict.fromkeys(index.rstrip("/") for index in indexes)),
            find_links=tuple(dict.fromkeys(values.get("find-links", "").split())),
            cert=cert or None,
            client_cert=values.get("client-cert") or None,
            proxy=values.get("proxy") or None,
            trusted_hosts=tuple(values.get("trusted-host", "").split()),
            timeout=_seconds(values.get("timeout") or values.get("default-timeout")),
        )


def _seconds(text: str | None) -> float:
    try:
        return max(float(text or 15), 1.0)
    except ValueError:
        return 15.0


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name[4:].lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith("PIP_") and value.strip()
    }


def configuration(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the options of pip's configuration files, asked of pip itself or, without pip, read from its files."""
    if environment.get("PIP_CONFIG_FILE") == os.devnull:
        return {}
    listed = _ask_pip(environment)
    return _by_section(listed if listed is not None else _read_files(environment))


def _by_section(entries: Mapping[tuple[str, str], str]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for section in _SECTIONS:
        for (where, option), value in entries.items():
            if where == section and value.strip():
                merged[option.replace("_", "-")] = value
    return merged


def _ask_pip(environment: Mapping[str, str]) -> dict[tuple[str, str], str] | None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        answer = subprocess.run(  # noqa: S603 - our own interpreter, fixed arguments
            command, capture_output=True, text=True, timeout=60, env=dict(environment), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_config_list(answer.stdout) if answer.returncode == 0 else None


def parse_config_list(text: str) -> dict[tuple[str, str], str]:
    """Read the lines of `pip config list`: `section.option='value'`."""
    entries: dict[tuple[str, str], str] = {}
    for line in text.splitlines():
        name, equals, quoted = line.partition("=")
        section, dot, option = name.strip().partition(".")
        if not equals or not dot:
            continue
        try:
            value = ast.literal_eval(quoted)
        except (ValueError, SyntaxError):
            continue
        entries[section, option] = str(value)
    return entries


def _read_files(environment: Mapping[str, str]) -> dict[tuple[str, str], str]:
    entries: dict[tuple[str, str], str] = {}
    for path in config_files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip itself would complain; a broken file must not stop the other ones
        for section in parser.sections():
            entries.update({(section, option): value for option, value in parser.items(section)})
    return entries


def config_files(environment: Mapping[str, str], platform: str = sys.platform) -> list[Path]:
    """Return pip's configuration files, the weakest first: global, user, this environment, PIP_CONFIG_FILE."""
    home = Path.home()
    name = "pip.ini" if platform == "win32" else "pip.conf"
    if platform == "win32":
        paths = [Path(environment.get("PROGRAMDATA", "C:/ProgramData")) / "pip" / name, home / "pip" / name]
        paths.append(Path(environment.get("APPDATA", str(home))) / "pip" / name)
    else:
        shared = environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
        paths = [Path(folder) / "pip" / name for folder in reversed(shared) if folder]
        paths += [Path("/Library/Application Support/pip") / name] if platform == "darwin" else []
        paths += [Path("/etc") / name, home / ".pip" / name]
        private = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
        apple = home / "Library" / "Application Support" / "pip"
        paths.append((apple if platform == "darwin" and apple.is_dir() else private) / name)
    paths.append(Path(sys.prefix) / name)
    if chosen := environment.get("PIP_CONFIG_FILE"):
        paths.append(Path(chosen))
    return paths
