"""What the tests of the core share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.late import late_clients
from tests.support.server import Handler, Server
from wx_integrations.core.connection import ENVIRONMENT


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings and proxies out."""
    for names in ENVIRONMENT.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Colour]:
    """One colour of the clients, then the other."""
    made = Colour(request.param)
    yield made
    made.close()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test."""
    with ExitStack() as stack:

        def start(handler: Handler, **options: Any) -> Server:
            return stack.enter_context(Server(handler, **options))

        yield start


@pytest.fixture
def late(colour: Colour) -> Iterator[dict[str, Any]]:
    """Settings of a connection for which the answer `LATE` is a read timeout."""
    with late_clients() as clients:
        yield clients
        if colour.name == "async":
            colour.wait(clients["async_httpx_client"].aclose())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
