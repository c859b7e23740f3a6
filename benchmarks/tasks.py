"""What is measured: one value for each table of the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contenders import CONTENDERS

Options = dict[str, Any]
CPU = ("cpu", "cpu/raw", "cpu/floor", "wall")
MEMORY = ("cpu", "cpu/raw", "wall/raw", "peak", "peak/raw", "rise", "rise/raw")
LATE = ("first", "late", "latest")
HELD = "The longest time between two turns of another task; CPU time is the honest one on a busy machine."
ENCRYPTED = frozenset({"ibm-sdk", "ibm-langchain", "ibm-llamaindex"})
"""Who accepts only `https://` when it is made."""
FEW = ENCRYPTED | {"raw"}
"""Who has few connections, ten or a hundred, and so takes very long with a thousand calls at a time."""
SILENT = frozenset({"langchain-noop", "llamaindex-noop"})
"""Who sends nothing, and so has nothing to wait for."""


@dataclass(frozen=True)
class Task:
    """One table of the results.

    Attributes:
        name: what it is called on the command line.
        title: the table's heading.
        loop: the function of `loops` that does it; `import` and `answer` are new processes, see `cold`.
        options: the loop's arguments.
        quick: the arguments that `--quick` changes.
        behaviour: how the service behaves meanwhile.
        columns: what the table shows, see `report`.
        unit: what is counted.
        needs: the contender's method, if it is not the loop's name; who has none is left out.
        without: contenders left out.
        rounds: at most so many rounds.
        least: at least so many, as far as they are not quick: two starts of one program differ by a tenth.
        costly: contenders that take so long that they run in the first two rounds only, and not in `--quick`.
        fresh: a new process for each turn.
        alone: new processes before the first round: what other tasks left is not in the collector's way.
        tls: whether the contender talks TLS.
        full_only: left out by `--quick`.
        note: what a reader should know.
    """

    name: str
    title: str
    loop: str
    options: Options = field(default_factory=dict)
    quick: Options = field(default_factory=dict)
    behaviour: Mapping[str, float] = field(default_factory=dict)
    columns: tuple[str, ...] = CPU
    unit: str = "call"
    needs: str = ""
    without: frozenset[str] = frozenset()
    rounds: int = 99
    least: int = 0
    costly: frozenset[str] = frozenset()
    fresh: bool = False
    alone: bool = False
    tls: bool = False
    full_only: bool = False
    note: str = ""

    def contenders(self, only: frozenset[str]) -> list[str]:
        """Return who can do it, among those asked for and their floors."""
        needs = self.needs or self.loop
        willing = [name for name, kind in CONTENDERS.items() if not kind.tasks or self.name in kind.tasks]
        able = [name for name in willing if hasattr(CONTENDERS[name], needs) and name not in self.without]
        if not only:
            return able
        asked = {name for name in able if name in only or CONTENDERS[name].kind in only}
        floors = {CONTENDERS[name].floor for name in asked}
        asked |= {name for name in able if CONTENDERS[name].kind == "together" and CONTENDERS[name].floor in floors}
        asked |= floors | {"raw"}
        return [name for name in able if name in asked]


STARTS = 21
"""Rounds of programs in new processes."""


def _cold() -> tuple[Task, ...]:
    return (
        Task(
            "import",
            "Import, in a new process",
            "import",
            columns=("cpu ms", "cpu/raw", "cpu/framework", "modules", "rss", "objects", "packages"),
            needs="imports",
            least=STARTS,
            note="`packages`: third-party packages that it loads besides its floor's.",
        ),
        Task(
            "answer",
            "From the start of the process to the first answer, over TLS",
            "answer",
            columns=(
                *("wall ms", "wall/raw", "wall/framework", "cpu ms", "cpu/framework"),
                *("import ms", "construct ms", "call ms", "requests", "peak"),
            ),
            needs="call",
            least=STARTS,
            tls=True,
            note="`import` (with the interpreter's start), `construct`, `call`: CPU ms.",
        ),
        Task(
            "answer-plain",
            "The same without TLS, as with the emulator",
            "answer",
            columns=("wall ms", "wall/raw", "wall/framework", "cpu ms", "cpu/framework", "requests"),
            needs="call",
            without=ENCRYPTED,
            least=STARTS,
            note="Nobody is to be trusted then, so this package reads no certificates.",
        ),
        Task(
            "construct",
            "Construction",
            "construct",
            {"times": 20},
            columns=("first us", "next us", "next KiB", "requests each"),
            fresh=True,
            needs="construct",
            rounds=5,
            tls=True,
        ),
        Task(
            "ten",
            "Ten models with equal settings, each asked once, then once in a coroutine, over TLS",
            "ten",
            columns=("requests", "tokens", "opened", "contexts", "rise"),
            fresh=True,
            needs="achat",
            without=SILENT,
            rounds=3,
            tls=True,
            note="Raw httpx: a client of each colour for each model. `rise`: memory over that after the imports.",
        ),
    )


def _calls() -> tuple[Task, ...]:
    asked = (
        (1, 10, 0.1, ""),
        (10, 50, 0.1, ""),
        (100, 500, 0.1, ""),
        (1000, 1000, 0.1, ""),
        (1000, 1000, 1.0, "-slow"),
    )
    notes = {
        "achat-1000": "1,000 calls in 100 ms are 100 us a call: less than the CPU time of one call of raw httpx.",
        "achat-1000-slow": "Left out: who has ten connections, or takes 20 ms of CPU a call.",
    }
    return (
        Task("chat", "One question after another", "chat", {"calls": 500}, {"calls": 150}),
        Task(
            "overhead",
            "What retries, limiter, token and error handling add to a call, without a network",
            "overhead",
            {"calls": 3000},
            {"calls": 500},
            columns=("ours us", "added us", "careful us", "bare us", "documented us"),
            note="All parse the answer alike. `careful`: `httpx.Client.send` of a `Request` with URL, headers and "
            "bytes made beforehand; `added` is to this. `bare`: `post` of the same bytes and headers. `documented`: "
            "`post` with `json=` and `params=`, and `.json()`.",
        ),
        *(
            Task(
                f"achat-{concurrency}{suffix}",
                f"{concurrency} questions at a time, in coroutines; the service takes {delay * 1000:.0f} ms",
                "achat",
                {"calls": calls, "concurrency": concurrency},
                {"calls": concurrency},
                {"delay": delay},
                columns=("wall/ideal", "wall", "cpu", "cpu/raw", "most in flight", "opened"),
                without=SILENT | (FEW if suffix else frozenset()),
                costly=FEW if concurrency >= 100 else frozenset(),
                note=notes.get(f"achat-{concurrency}{suffix}", ""),
            )
            for concurrency, calls, delay, suffix in asked
        ),
        Task(
            "batch",
            "50 questions at a time, in threads; the service takes 100 ms",
            "batch",
            {"calls": 250, "threads": 50},
            {"calls": 50},
            {"delay": 0.1},
            columns=("wall/ideal", "wall", "wall/raw", "cpu", "cpu/raw", "most in flight", "opened"),
            needs="chat",
            without=SILENT,
        ),
        Task(
            "tokens",
            "Tokens of 10 texts, asked for 1,000 times",
            "count_tokens",
            {"calls": 1000, "texts": 10},
            {"calls": 100},
            columns=("cpu", "cpu/raw", "wall", "requests"),
            note="`langchain-ibm`: its `WatsonxLLM`; its `ChatWatsonx` counts with GPT-2's tokenizer.",
        ),
    )


def _streams() -> tuple[Task, ...]:
    many, slow = {"events": 10_000}, {"events": 30, "pace": 0.02}
    rate = ("cpu", "cpu/raw", "cpu/floor", "rate")
    text = ("cpu", "cpu/raw", "cpu/floor", "cpu/together", "rate")
    return (
        Task("stream", "A stream of 10,000 events", "stream", many, columns=text, unit="event", alone=True),
        Task("astream", "A stream of 10,000 events, in a coroutine", "astream", many, columns=text, unit="event"),
        Task(
            "tools",
            "A stream of two tool calls in 2,000 pieces",
            "stream_tools",
            {"events": 2000},
            behaviour={"events": 2000, "tools": 1},
            columns=rate,
            unit="event",
        ),
        Task(
            "dribble",
            "How late events are that come every 20 ms",
            "dribble",
            {"events": 30},
            behaviour=slow,
            columns=LATE,
            unit="event",
            needs="stream",
            without=SILENT,
        ),
        Task(
            "adribble",
            "How late events are that come every 20 ms, in a coroutine",
            "adribble",
            {"events": 30},
            behaviour=slow,
            columns=LATE,
            unit="event",
            needs="astream",
            without=SILENT,
        ),
        Task(
            "held",
            "How long a stream of 10,000 events holds the event loop at most",
            "held",
            many,
            columns=("held ms", "held CPU ms"),
            unit="event",
            needs="astream",
            note=f"{HELD} The no-op models let others run after every 100 pieces: their figure is the framework's, "
            "with the garbage collector's full passes over all that it has loaded and kept.",
        ),
        Task(
            "held-paced",
            "How long a stream with an event every 20 ms holds the event loop at most",
            "held",
            {"events": 30},
            behaviour=slow,
            columns=("held ms", "held CPU ms"),
            unit="event",
            needs="astream",
            without=SILENT,
            note=HELD,
        ),
    )


def _texts() -> tuple[Task, ...]:
    many = {"texts": 5000, "dimension": 768}
    wide = {"texts": 5000, "dimension": 1536}
    return (
        Task(
            "embed", "5,000 texts, 768 dimensions", "embed", many, columns=("cpu", "cpu/raw", "wall/raw"), unit="text"
        ),
        Task(
            "embed-1536",
            "5,000 texts, 1536 dimensions",
            "embed",
            wide,
            behaviour={"dimension": 1536},
            columns=("cpu", "cpu/raw", "wall/raw"),
            unit="text",
            without=SILENT | {"litellm"},
            rounds=3,
            full_only=True,
        ),
        Task(
            "embed-memory",
            "5,000 texts, 768 dimensions, in a new process",
            "embed",
            many,
            columns=MEMORY,
            unit="text",
            fresh=True,
            rounds=3,
            note="`peak`: of the process; `rise`: over what it had once everything was imported.",
        ),
        Task(
            "embed-slow",
            "5,000 texts, 768 dimensions, at default settings; the service takes 500 ms",
            "embed",
            many,
            behaviour={"delay": 0.5},
            columns=("wall ms/all", "wall/raw"),
            unit="text",
            without=SILENT,
            rounds=3,
        ),
        *(
            Task(
                f"embed-100k-{dimension}",
                f"100,000 texts, {dimension} dimensions, in a new process",
                "embed",
                {"texts": 100_000, "dimension": dimension},
                behaviour={"dimension": dimension},
                columns=MEMORY,
                unit="text",
                fresh=True,
                without=SILENT | left_out,
                rounds=rounds,
                costly=frozenset({"openai-langchain", "ibm-llamaindex"}),
                full_only=True,
                note="`ibm-watsonx-ai` and `langchain-ibm` are left out: their cost grows with the square.",
            )
            for dimension, rounds, left_out in (
                (768, 3, frozenset({"ibm-sdk", "ibm-langchain", "litellm"})),
                (1536, 1, frozenset({"ibm-sdk", "ibm-langchain", "litellm", "openai-langchain", "ibm-llamaindex"})),
            )
        ),
        *(
            Task(
                name,
                f"A ranking of 1,000 {what}",
                "rerank",
                {"texts": 1000, "times": 50, "length": length},
                {"times": 10},
                columns=("cpu", "cpu/raw", "wall"),
                unit="text",
            )
            for name, what, length in (
                ("rerank", "passages of 500 characters", 500),
                ("rerank-sentences", "sentences of 75 characters", 75),
            )
        ),
    )


TASKS: dict[str, Task] = {task.name: task for task in (*_cold(), *_calls(), *_streams(), *_texts())}
