"""The bulk engine measured.

```
python -m benchmarks.bulk limiter     # the pace on a simulated clock: share of the limit, refusals
python -m benchmarks.bulk limit       # real sockets, 8 requests/s, faults at random: the rate reached
python -m benchmarks.bulk memory      # peak memory of the streaming form, 10,000 to 200,000 texts
python -m benchmarks.bulk cost        # CPU, wall and peak memory beside raw httpx + json
```
"""

from __future__ import annotations

import asyncio
import gc
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.fixture import plain as service
from tests.core.bulking import Bench, CountingBrain, texts_of
from tests.core.simulation import Capacity, Window, simulate
from wx_integrations import Embedder, RetryPolicy, Session
from wx_integrations.core.calls import Model
from wx_integrations.core.connection import Connection
from wx_integrations.core.ranker import Ranker
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.faults import Broken, RateLimited, Status
from wx_integrations.emulator.server import LocalServer

MODEL = Model("m", "p")


# --------------------------------------------------------------------------- the pace, simulated


def limiter() -> None:
    """Print what the pace makes of services of many kinds."""
    print(f"{'service, 2000 simulated seconds':54}{'share':>7}{'429s':>8}{'faults':>8}")
    for limit in (2, 8, 50):
        for states in (True, False):
            for faults in (0.0, 0.02, 0.05):
                name = f"{limit}/s, {'stated' if states else 'not stated'}, {faults:.0%} random 503"
                figures = simulate(
                    Window(limit, states), workers=max(8, limit // 2), seconds=2000, warm_up=60, faults=faults
                )
                row(name, figures.share(limit), figures)
    row("8/s, not stated, Retry-After: 1", (f := simulate(Window(8, retry_after=1.0), seconds=2000)).share(8), f)
    row("8/s, stated, 3 jobs", (f := simulate(Window(8, True), jobs=3, seconds=2000)).share(8), f)
    for states in (True, False):
        changing = Window(lambda now: 8 if now < 700 else 2 if now < 1400 else 20, states)
        figures = simulate(changing, workers=16, seconds=2100, warm_up=0)
        row(f"8/s, then 2/s, then 20/s, {'stated' if states else 'not stated'}", figures.share(10), figures)
    figures = simulate(Capacity(4), workers=16, seconds=2000)
    row("4 at a time (503), 0.2 s an answer", figures.rate / (4 / 0.205), figures)


def row(name: str, share: float, figures: Any) -> None:
    total = figures.good + figures.refused + figures.faults
    print(f"{name:54}{share:7.1%}{figures.refused / total:8.1%}{figures.faults / total:8.1%}")


# --------------------------------------------------------------------------- a limit over sockets


def limit(texts: int = 20_000, batch: int = 20, rate: int = 8) -> None:
    """Embed against the emulator with a limit and random 429, 503 and resets; print the rate after five seconds."""
    for colour in ("sync", "async"):
        emulator = Emulator(CountingBrain())
        emulator.faults.limit(rate)
        for fault in (RateLimited(), Status(503), Broken("reset")):
            emulator.faults.add(fault, path="text/embeddings", probability=0.01)
        with LocalServer(emulator) as server:
            bench = Bench(url=server.url, emulator=emulator, sockets=True, retry=RetryPolicy())
            embedder = bench.embedder(batch_size=batch)
            wanted = texts_of(texts)
            stamps: list[tuple[float, int]] = []
            began = time.perf_counter()

            def watch(progress: Any, stamps: list[tuple[float, int]] = stamps, began: float = began) -> None:
                stamps.append((time.perf_counter() - began, progress.requests))

            if colour == "sync":
                found = embedder.embed(wanted, on_progress=watch)
            else:
                found = asyncio.run(embedder.aembed(wanted, on_progress=watch))
            seconds = time.perf_counter() - began
        right = found.vectors == [[float(number), 0.5] for number in range(texts)]
        journal = emulator.journal.find("text/embeddings")
        count = {kind: sum(entry.fault == kind for entry in journal) for kind in ("Limit", "RateLimited", "Status")}
        resets = sum(entry.fault == "Broken" for entry in journal)
        start = next(stamp for stamp in stamps if stamp[0] > 5)
        reached = (stamps[-1][1] - start[1]) / (stamps[-1][0] - start[0])
        print(
            f"{colour}: {texts} texts in {len(journal)} requests, {seconds:.0f} s, all right: {right}; "
            f"{reached:.2f} good answers/s of {rate} ({reached / rate:.1%}); 429 for the limit: {count['Limit']}, "
            f"random 429: {count['RateLimited']}, 503: {count['Status']}, resets: {resets}"
        )


# --------------------------------------------------------------------------- memory


def memory() -> None:
    """Print the peak memory of the streaming form, each in a process of its own."""
    with service() as url:
        for arrays in ("", "arrays"):
            for count in (10_000, 50_000, 200_000):
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.bulk", "_stream", url, str(count), arrays],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                print(f"{count:8} texts{' as arrays' if arrays else '':10}: {done.stdout.strip()}")


def peak() -> int:
    """Return this process's peak memory in megabytes; `getrusage` would count the parent's before exec."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def _stream(url: str, count: str, arrays: str) -> None:
    embedder = _embedder(url, arrays=bool(arrays))
    began, seen = time.perf_counter(), 0
    before = peak()
    for vector in embedder.stream(f"text number {number} of many" for number in range(int(count))):
        seen += len(vector) == 768
    assert seen == int(count)
    print(f"peak {peak()} MB ({before} MB before), {int(count) / (time.perf_counter() - began):.0f} texts/s")


# --------------------------------------------------------------------------- beside raw httpx


def _embedder(url: str, *, arrays: bool = False) -> Embedder:
    return Embedder(Session(Connection(url=url, token="a.b.c", project_id="p")), MODEL, arrays=arrays)


def contenders(url: str, texts: list[str]) -> dict[str, Callable[[], Any]]:
    """Return what is compared: raw httpx as documented, and the engine in both colours and as arrays."""
    headers = {"Authorization": "Bearer a.b.c"}
    embedder, arrays = _embedder(url), _embedder(url, arrays=True)
    client = httpx.Client(timeout=60, headers=headers)

    def raw() -> Any:
        found = []
        for start in range(0, len(texts), 1000):
            body = {"model_id": "m", "project_id": "p", "inputs": texts[start : start + 1000]}
            answer = client.post(f"{url}/ml/v1/text/embeddings?version=2024-03-14", json=body)
            found += [item["embedding"] for item in answer.json()["results"]]
        return found

    return {
        "raw httpx + json": raw,
        "embed": lambda: embedder.embed(texts).vectors,
        "aembed": lambda: asyncio.run(embedder.aembed(texts)).vectors,
        "embed, arrays": lambda: arrays.embed(texts).vectors,
    }


def rankers(url: str, texts: list[str]) -> dict[str, Callable[[], Any]]:
    """Return what is compared for reranking."""
    ranker = Ranker(_embedder(url).session, MODEL)
    client = httpx.Client(timeout=60, headers={"Authorization": "Bearer a.b.c"})

    def raw() -> Any:
        body = {"model_id": "m", "project_id": "p", "query": "q", "inputs": [{"text": text} for text in texts]}
        answer = client.post(f"{url}/ml/v1/text/rerank?version=2024-03-14", json=body)
        return [(item["index"], item["score"]) for item in answer.json()["results"]]

    return {"raw httpx + json": raw, "rank": lambda: ranker.rank("q", texts).scores}


def compare(title: str, runs: dict[str, Callable[[], Any]], rounds: int) -> None:
    """Run the contenders next to each other, round by round, and print medians and ratios to the first."""
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            gc.collect()
            began, used = time.perf_counter(), time.process_time()
            run()
            if number:
                cpu[name].append(time.process_time() - used)
                wall[name].append(time.perf_counter() - began)
    first = next(iter(runs))
    print(f"{title:44}{'CPU ms':>9}{'ratio':>7}{'wall ms':>9}{'ratio':>7}")
    for name in runs:
        ratios = [
            statistics.median(a / b for a, b in zip(taken[name], taken[first], strict=True)) for taken in (cpu, wall)
        ]
        print(
            f"  {name:42}{statistics.median(cpu[name]) * 1e3:9.1f}{ratios[0]:7.2f}"
            f"{statistics.median(wall[name]) * 1e3:9.1f}{ratios[1]:7.2f}"
        )


def cost(rounds: int = 7) -> None:
    """Print time and memory beside raw httpx, and what the limiter adds to a call."""
    texts = [f"text number {number}, with some more words to be of the usual length" for number in range(5000)]
    with service() as url:
        compare("1,000 texts x 768, no delay", contenders(url, texts[:1000]), rounds)
        compare("5,000 texts x 768, no delay", contenders(url, texts), rounds)
        for length in (70, 500):
            documents = [(text * 8)[:length] for text in texts[:1000]]
            compare(f"rerank 1,000 of {length} characters, no delay", rankers(url, documents), 5 * rounds)
        for name in contenders(url, texts):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.bulk", "_peak", url, name],
                capture_output=True,
                text=True,
                check=True,
            )
            print(f"  peak memory, 5,000 x 768: {name:30}{done.stdout.strip():>8} MB")
    with service(0.5) as url:
        compare("5,000 texts x 768, 500 ms an answer", contenders(url, texts), max(3, rounds // 2))
    print(f"  limiter on the happy path: {passing():.1f} us a call")


def _peak(url: str, name: str) -> None:
    texts = [f"text number {number}, with some more words to be of the usual length" for number in range(5000)]
    kept = contenders(url, texts)[name]()
    assert len(kept) == 5000
    print(peak())


def passing(times: int = 20_000) -> float:
    """Return the microseconds that asking and telling the limiter take."""
    from wx_integrations.core.pace import read_signals

    used = Session(Connection(url="https://us-south.ml.cloud.ibm.com", token="a.b.c", project_id="p")).limiter
    names = ("content-type", "content-length", "date", "server", "x-request-id", "x-global-transaction-id")
    headers = httpx.Headers([(name, "x") for name in names])
    began = time.perf_counter()
    for _ in range(times):
        used.hold(used.everybody, again=False, sleep=threading.Event().wait)
        used.answered(used.everybody, 200, used.clock(), read_signals(headers.raw))
    return (time.perf_counter() - began) / times * 1e6


COMMANDS: dict[str, Callable[..., None]] = {
    "limiter": limiter,
    "limit": limit,
    "memory": memory,
    "cost": cost,
    "_stream": _stream,
    "_peak": _peak,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    name, *rest = sys.argv[1:]
    COMMANDS[name](*(int(value) if value.isdecimal() and not name.startswith("_") else value for value in rest))
