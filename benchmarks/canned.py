"""A service in a process of its own that answers embeddings and rerank requests with prepared bodies.

```
python -m benchmarks.canned [seconds per answer]    # prints the port
```
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

DIMENSION = 768


@functools.cache
def vectors(count: int) -> bytes:
    """Return an embeddings answer; made once per size, as a service in C would answer."""
    chance = random.Random(count)
    row = [round(chance.gauss(0, 0.05), 9) for _ in range(DIMENSION)]
    items = [{"embedding": row[number % DIMENSION :] + row[: number % DIMENSION]} for number in range(count)]
    return json.dumps({"model_id": "m", "results": items, "input_token_count": 7 * count}).encode()


@functools.cache
def scores(count: int) -> bytes:
    """Return a rerank answer, best first."""
    items = [{"index": number, "score": count - number + 0.5} for number in range(count)]
    return json.dumps({"model_id": "m", "results": items, "input_token_count": 7 * count}).encode()


def token() -> bytes:
    """Return an IAM answer with an unsigned token."""

    def part(data: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

    now = int(time.time())
    text = f"{part({'alg': 'none'})}.{part({'iat': now, 'exp': now + 3600})}.x"
    return json.dumps({"access_token": text, "expires_in": 3600, "expiration": now + 3600}).encode()


async def serve(delay: float) -> None:
    """Answer until killed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(length)
                path = head.split(b" ", 2)[1]
                if b"/text/" in path:
                    count = len(json.loads(body)["inputs"])
                    await asyncio.sleep(delay)
                    content = vectors(count) if b"embeddings" in path else scores(count)
                else:
                    content = token()
                lines = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                writer.write(lines % len(content) + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 26)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def service(delay: float = 0.0) -> Iterator[str]:
    """Run the service in a process of its own; gives its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.canned", str(delay)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
