"""A real HTTP/1.1 server on loopback that records what it is sent and plays what it is told.

An answer is a list of steps, so that a test can cut, dribble, reset or hang
at any byte. Nothing here uses the package or httpx.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PATIENCE = 10.0
"""Seconds after which a test that hangs fails instead."""


class _Reset:
    """Drop the connection with a TCP reset."""


class _Close:
    """Close the connection, as at the end of a body without a length."""


class _Hang:
    """Say nothing more until the client leaves."""


RESET, CLOSE, HANG = _Reset(), _Close(), _Hang()
Step = bytes | _Reset | _Close | _Hang | Callable[[], None]


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    left: threading.Event = field(default_factory=threading.Event)
    """Set when the client closed the connection while this request was being answered."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))

    def header(self, name: str) -> str | None:
        """Return the one value of a header, None if it was not sent."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None


# --------------------------------------------------------------------------- answers


def answer(
    status: int = 200,
    body: bytes | str | dict[str, Any] | list[Any] = b"",
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> list[Step]:
    """Return a whole answer with its length."""
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return [head(status, {"Content-Type": content_type, "Content-Length": str(len(data)), **(headers or {})}), data]


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def stream(*frames: Step, status: int = 200, content_type: str = "text/event-stream", end: bool = True) -> list[Step]:
    """Return a chunked answer, one chunk a frame; other steps are played between."""
    steps: list[Step] = [head(status, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})]
    steps += [chunk(frame) if isinstance(frame, bytes) else frame for frame in frames]
    return [*steps, LAST_CHUNK] if end else steps


def error(status: int, code: str, message: str = "no", **headers: str) -> list[Step]:
    """Return an error of the inference service."""
    body = {"errors": [{"code": code, "message": message}], "trace": "t" * 32, "status_code": status}
    return answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


# --------------------------------------------------------------------------- the server

Handler = Callable[[Seen], Sequence[Step]]


class Server:
    """Serves one handler, a thread per connection.

    Attributes:
        seen: the requests, in order of arrival.
        accepted: how many connections were opened.
        refused: why TLS handshakes failed.
    """

    def __init__(
        self, handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", greeting: bytes = b""
    ) -> None:
        self.handler = handler
        self.greeting = greeting
        self.tls = tls
        self.seen: list[Seen] = []
        self.refused: list[str] = []
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closing = False
        self._arrived: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=512)
        self.port: int = self._listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{shown}:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def next(self) -> Seen:
        """Return the next request that no call of `next` has returned; waits for it."""
        return self._arrived.get(timeout=PATIENCE)

    def calls(self, path: str) -> list[Seen]:
        """Return the requests to a path."""
        return [seen for seen in self.seen if seen.path == path]

    def open_connections(self) -> int:
        with self._lock:
            return len(self._open)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                number = self.accepted
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        connection = raw
        try:
            raw.settimeout(PATIENCE)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                connection = self.tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._open.discard(raw)
                    self._open.add(connection)
                connection.do_handshake()
            if self.greeting:
                connection.sendall(self.greeting)
            reader = connection.makefile("rb")
            try:
                while self._exchange(connection, reader, number):
                    pass
            finally:
                reader.close()
        except ssl.SSLError as failure:
            with self._lock:
                self.refused.append(failure.reason or str(failure))
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(raw)
                self._open.discard(connection)
            connection.close()

    def _exchange(self, connection: socket.socket, reader: Any, number: int) -> bool:
        seen = _read_request(reader, number)
        if seen is None:
            return False
        with self._lock:
            self.seen.append(seen)
        self._arrived.put(seen)
        try:
            for step in self.handler(seen):
                if isinstance(step, bytes):
                    connection.sendall(step)
                elif isinstance(step, _Reset):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                elif isinstance(step, _Close):
                    return False
                elif isinstance(step, _Hang):
                    _wait_until_left(reader)
                    seen.left.set()
                    return False
                else:
                    step()
        except OSError:
            seen.left.set()
            return False
        return True

    def close(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE)
        with self._lock:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a connection's thread did not end"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _wait_until_left(reader: Any) -> None:
    while reader.read(1):
        pass


def _read_request(reader: Any, number: int) -> Seen | None:
    line = reader.readline()
    if not line:
        return None
    parts = line.decode("latin-1").split(" ", 2)
    if len(parts) < 3:
        return None  # not HTTP, such as TLS where none is spoken
    method, target, _ = parts
    headers = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip().lower(), value.strip()))
    length = next((int(value) for name, value in headers if name == "content-length"), 0)
    return Seen(method, target, headers, reader.read(length), number)


def wait_until(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true in good time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def pause(until: threading.Event, seconds: float = PATIENCE) -> None:
    """Wait for an event, in the middle of an answer."""
    until.wait(seconds)


class Script:
    """A handler that plays answers in order, the last one for ever, and hands out tokens.

    Args:
        *answers: an answer, or a function of the request that returns one.
        token: what the token endpoints answer; by default a new JWT each time.
    """

    def __init__(self, *answers: Sequence[Step] | Handler, token: Handler | None = None) -> None:
        self._answers = iter(answers)
        self._last: Sequence[Step] | Handler = answer(200, {})
        self._token = token
        self._lock = threading.Lock()
        self.tokens = 0

    def __call__(self, seen: Seen) -> Sequence[Step]:
        if seen.path in TOKEN_PATHS and self._token is not None:
            with self._lock:
                self.tokens += 1
            return self._token(seen)
        with self._lock:
            self._last = next(self._answers, self._last)
            chosen = self._last
        return chosen(seen) if callable(chosen) else chosen


TOKEN_PATHS = ("/identity/token", "/icp4d-api/v1/authorize", "/api/2.0/apikeys/token")


def frames(*payloads: Any) -> Iterator[bytes]:
    """Yield server-sent events, one for each payload (JSON)."""
    for number, payload in enumerate(payloads, 1):
        data = json.dumps(payload, ensure_ascii=False)
        yield f"id: {number}\nevent: message\ndata: {data}\n\n".encode()


def joined(steps: Iterable[Step]) -> bytes:
    """Return the bytes of an answer without other steps."""
    return b"".join(step for step in steps if isinstance(step, bytes))
