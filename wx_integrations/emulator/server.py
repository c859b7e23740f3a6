"""The emulator on a socket, for other programs: an ASGI app, and a server in a thread of this process.

```python
with LocalServer(Emulator(strict=False), tls=True) as server:
    print(server.url, server.ca_path)
```

Needs the extra `local`.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme
import uvicorn

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.asgi import BreakableProtocol, asgi_app

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0


class NotLoopback(ValueError):
    """The emulator was asked to listen where others on the network can reach it."""


class LocalServer:
    """Serves an emulator from a thread of this process; a context manager.

    Args:
        port: 0 takes a free one.
        tls: serve https with a throw-away certificate; its CA is at `ca_path`.
        names: further host names for the certificate.
        allow_remote: listen on addresses that others can reach.
        tools: serve the utility agent tools, which run programs on this machine; by default only to this machine.

    Raises:
        NotLoopback: the host is not a loopback address and `allow_remote` is not set.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        names: Sequence[str] = (),
        allow_remote: bool = False,
        tools: bool | None = None,
    ) -> None:
        if not allow_remote and not _is_loopback(host):
            raise NotLoopback(f"{host} can be reached by others; pass allow_remote=True if that is meant")
        self.emulator = emulator
        self.host = host
        self._port = port
        self._tls = tls
        self._names = tuple(names)
        self._tools = _is_loopback(host) if tools is None else tools
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else self._port

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def ca_path(self) -> str | None:
        """The file with the throw-away certificate authority; None without TLS or before the start."""
        return str(Path(self._folder.name) / "ca.pem") if self._folder is not None else None

    def start(self) -> LocalServer:
        """Begin to listen; returns when requests are answered.

        Raises:
            OSError: the port is taken.
            RuntimeError: the server did not come up.
        """
        if self._thread is not None:
            raise RuntimeError("the server is already running")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((self.host, self._port))
            self._server = uvicorn.Server(self._config())
            self._thread = threading.Thread(target=self._run, name="wx-emulator", daemon=True)
            self._thread.start()
            self._wait_until_started()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End: no new requests, running streams are cut after a moment."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)
            if self._thread.is_alive() and self._server is not None:
                self._server.force_exit = True
                self._thread.join(STOP_TIMEOUT)
        if self._socket is not None:
            self._socket.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._server = self._thread = self._folder = None

    def wait(self) -> None:
        """Stay until the server ends."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _config(self) -> uvicorn.Config:
        files = self._certificate() if self._tls else {}
        return uvicorn.Config(
            asgi_app(self.emulator, tools=self._tools),
            http=BreakableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the emulator's own clock counts
            timeout_graceful_shutdown=1,
            **files,
        )

    def _certificate(self) -> dict[str, Any]:
        self._folder = tempfile.TemporaryDirectory(prefix="wx-emulator-")
        folder = Path(self._folder.name)
        authority = trustme.CA(organization_name="wx_integrations throw-away CA")
        leaf = authority.issue_cert("localhost", "127.0.0.1", "::1", *self._names)
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        return {"ssl_certfile": str(folder / "server.pem"), "ssl_keyfile": str(folder / "server.pem")}

    def _run(self) -> None:
        if self._server is not None and self._socket is not None:
            quiet = _OwnThread(threading.get_ident())
            logger = logging.getLogger("uvicorn.error")
            logger.addFilter(quiet)
            try:
                self._server.run(sockets=[self._socket])
            finally:
                logger.removeFilter(quiet)

    def _wait_until_started(self) -> None:
        waited = 0.0
        pause = threading.Event()
        while self._server is not None and not self._server.started:
            if self._thread is None or not self._thread.is_alive() or waited > START_TIMEOUT:
                raise RuntimeError("the server did not start")
            pause.wait(0.01)
            waited += 0.01


class _OwnThread(logging.Filter):
    """Drops what uvicorn logs from one thread, so that other servers of this process keep their logs."""

    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep records of other threads."""
        return record.thread != self._thread


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
