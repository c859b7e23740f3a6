"""The fake service as a process: certificates, start, behaviour, counts, end."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.contenders.contender import Place
from benchmarks.environments import ROOT, SUITE, python, variables

CERTIFY = """
import sys, certifi, trustme
from pathlib import Path
folder = Path(sys.argv[1])
authority = trustme.CA()
authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
# As long as what clients read in life: a real bundle, with one more.
(folder / "ca.pem").write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
"""


class Fixture:
    """A running service."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.address = urlsplit(place.url).netloc

    def set(self, **behaviour: float) -> None:
        """Set how the service behaves, the rest as usual, and forget its counts."""
        self._get(f"/-/set?{urlencode(behaviour)}")

    def counts(self) -> dict[str, Any]:
        """Return what happened since: `requests` by method and path, connections `opened`, `most_in_flight`."""
        return self._get("/-/counts")

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer


@contextmanager
def running(core: int | None) -> Iterator[Fixture]:
    """Run the service, pinned to a core."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python(SUITE), "-c", CERTIFY, folder], check=True, env=variables())
        process = subprocess.Popen(
            [python(SUITE), "-m", "benchmarks.service", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables(),
            cwd=ROOT,
        )
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            assert process.stdout is not None
            plain, tls = json.loads(process.stdout.readline())
            place = Place(f"http://127.0.0.1:{plain}", f"https://localhost:{tls}", str(Path(folder, "ca.pem")))
            yield Fixture(place)
        finally:
            process.kill()
            process.wait()


@contextmanager
def plain(delay: float = 0.0) -> Iterator[str]:
    """Run the service with this interpreter, without TLS; gives its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.service"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        [port] = json.loads(process.stdout.readline())
        url = f"http://127.0.0.1:{port}"
        Fixture(Place(url, "", "")).set(delay=delay)
        yield url
    finally:
        process.kill()
        process.wait()
