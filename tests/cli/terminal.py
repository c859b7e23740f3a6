"""The `wx` command as a person or a program runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from wx_integrations.cli.app import app
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.server import LocalServer

KEY = "a-good-api-key"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
_OURS = ("WATSONX_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_", "COLUMNS")


@dataclass(frozen=True)
class Run:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def wx(*arguments: str, input: str | None = None, **environment: str) -> Run:
    """Run the command with only these of the variables that concern it."""
    shut = {name: None for name in os.environ if name.upper().startswith(_OURS)}
    env: Mapping[str, str | None] = {**shut, "COLUMNS": "200", "NO_COLOR": "1", **environment}
    result = CliRunner().invoke(app, list(arguments), input=input, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Run(result.exit_code, result.stdout, result.stderr)


@contextmanager
def service(*, tls: bool = False, **settings: Any) -> Iterator[tuple[LocalServer, dict[str, str]]]:
    """Serve an emulator and yield it with the environment of a setup that works."""
    settings = {"api_keys": {KEY}, "projects": {PROJECT}, **settings}
    with LocalServer(Emulator(**settings), tls=tls) as server:
        environment = {"WATSONX_URL": server.url, "WATSONX_API_KEY": KEY, "WATSONX_PROJECT_ID": PROJECT}
        if server.ca_path:
            environment["SSL_CERT_FILE"] = server.ca_path
        yield server, environment
