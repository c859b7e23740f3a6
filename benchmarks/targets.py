"""What this package wants to reach: a bound on a column of a table.

Nothing fails when a target is missed: the results say so. `--check` exits with
an error then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.contenders import CONTENDERS
from benchmarks.readings import COLUMNS, Figure, Readings

LANGCHAIN, LLAMAINDEX, CORE = "ours-langchain", "ours-llamaindex", "ours-core"
BOTH = (LANGCHAIN, LLAMAINDEX)


@dataclass(frozen=True)
class Target:
    """A bound on the median of a figure.

    Attributes:
        says: what is promised.
        task: the table.
        column: its column.
        bound: at most this, unless `least`.
        who: the contenders it is promised for.
        least: the bound is a lower one, on the best round.
        base: the figure is divided by the same one of this task.
    """

    says: str
    task: str
    column: str
    bound: float
    who: tuple[str, ...] = BOTH
    least: bool = False
    base: str = ""

    def figure(self, results: Mapping[str, Readings], name: str) -> Figure | None:
        """Return what was measured, or None."""
        if self.task not in results:
            return None
        found = results[self.task].figure(self.column, name)
        if not self.base or found is None:
            return found
        base = results[self.base].figure(self.column, name) if self.base in results else None
        if base is None:
            return None
        return Figure(found.median / base.median, found.least / base.most, found.most / base.least)

    def met(self, figure: Figure) -> bool:
        """Return whether the median is within the bound."""
        return figure.most >= self.bound if self.least else figure.median <= self.bound


TARGETS = (
    Target("import over framework + `httpx`, LangChain", "import", "cpu/framework", 1.10, (LANGCHAIN,)),
    Target("import over framework + `httpx`, LlamaIndex", "import", "cpu/framework", 1.05, (LLAMAINDEX,)),
    Target("third-party packages besides `httpx` and `pydantic`", "import", "packages", 0, (CORE, *BOTH)),
    Target("start to first answer, wall over the floor", "answer", "wall/framework", 1.05),
    Target("start to first answer, CPU over the floor", "answer", "cpu/framework", 1.05),
    Target("start to first answer without TLS, wall over the floor", "answer-plain", "wall/framework", 1.05),
    Target("start to first answer, requests", "answer", "requests", 2),
    Target("construction, requests", "construct", "requests each", 0),
    Target("construction after the first, us", "construct", "next us", 1000),
    Target("construction after the first, KiB", "construct", "next KiB", 20),
    Target("SSL contexts of ten models in both colours", "ten", "contexts", 1),
    Target("sync invoke, CPU over the floor", "chat", "cpu/floor", 1.05),
    Target("100 at a time, 100 ms: wall over ideal", "achat-100", "wall/ideal", 1.35),
    Target("1,000 at a time, 100 ms: wall over ideal", "achat-1000", "wall/ideal", 1.6),
    Target("1,000 at a time, 1 s: wall over ideal", "achat-1000-slow", "wall/ideal", 1.6),
    Target("1,000 at a time are in flight at once", "achat-1000-slow", "most in flight", 1000, least=True),
    Target("stream, CPU over the floor", "stream", "cpu/floor", 1.10),
    Target("stream, CPU over the floor in one process", "stream", "cpu/together", 1.10),
    Target("stream in a coroutine, CPU over the floor", "astream", "cpu/floor", 1.10),
    Target("stream in a coroutine, CPU over the floor in one process", "astream", "cpu/together", 1.10),
    Target("first token, ms later than raw", "dribble", "first-raw", 1.0),
    Target("first token in a coroutine, ms later than raw", "adribble", "first-raw", 1.0),
    Target("event loop held, an event every 20 ms, CPU ms", "held-paced", "held CPU ms", 5),
    Target("event loop held, 10,000 events at once, CPU ms", "held", "held CPU ms", 5),
    Target("embeddings of 5,000 x 768, CPU over raw", "embed", "cpu/raw", 0.85),
    Target("embeddings of 5,000 x 768, peak memory over raw", "embed-memory", "peak/raw", 1.0),
    Target("embeddings of 5,000 x 768, memory over imports, over raw", "embed-memory", "rise/raw", 1.0),
    Target("embeddings, CPU per text of 100,000 over 5,000", "embed-100k-768", "cpu", 1.15, base="embed-memory"),
    Target("embeddings of 100,000 x 768, CPU over raw", "embed-100k-768", "cpu/raw", 0.85),
    Target("embeddings of 5,000, 500 ms: wall over raw", "embed-slow", "wall/raw", 0.30),
    Target("rerank of 1,000 passages, CPU over raw", "rerank", "cpu/raw", 0.75, (LANGCHAIN,)),
    Target("rerank of 1,000 sentences, CPU over raw", "rerank-sentences", "cpu/raw", 0.75, (LANGCHAIN,)),
    Target("retries, limiter, auth, errors: us per call", "overhead", "added us", 30, (CORE,)),
)


def missed(results: Mapping[str, Readings]) -> list[str]:
    """Return the targets that were measured and not met."""
    pairs = [(target, name, target.figure(results, name)) for target in TARGETS for name in target.who]
    return [f"{target.says}: {name}" for target, name, figure in pairs if figure and not target.met(figure)]


def table(results: Mapping[str, Readings]) -> str:
    """Return targets and figures in Markdown."""
    lines = ["| target | bound | who | measured | met | incumbents |", "|---|---|---|---|---|---|"]
    lines += [
        _row(target, name, figure, results)
        for target in TARGETS
        for name in target.who
        if (figure := target.figure(results, name)) is not None
    ]
    return "\n".join([*lines, ""])


def _row(target: Target, name: str, figure: Figure, results: Mapping[str, Readings]) -> str:
    form: Callable[..., str] = ("{:.0f}" if target.column in _WHOLE else COLUMNS[target.column].form).format
    if target.base:
        form = "{:.2f}".format
    spread = "" if figure.least == figure.most else f" [{form(figure.least)}..{form(figure.most)}]"
    bound = f"{'>=' if target.least else '<='} {target.bound:g}"
    cells = [target.says, bound, CONTENDERS[name].title, form(figure.median) + spread]
    cells.append("yes" if target.met(figure) else "**no**")
    return f"| {' | '.join([*cells, _incumbents(target, name, results, form)])} |"


_WHOLE = frozenset({"packages", "requests", "requests each", "contexts", "most in flight"})


def _incumbents(target: Target, name: str, results: Mapping[str, Readings], form: Callable[..., str]) -> str:
    """Return the same figure of the incumbents of the same framework, and of IBM's client for our client."""
    floor = CONTENDERS[name].floor
    found = []
    for other, kind in CONTENDERS.items():
        if kind.kind == "incumbent" and kind.floor == floor and kind.environment != "litellm":
            figure = target.figure(results, other)
            if figure is not None:
                found.append(f"{kind.title} {form(figure.median)}")
    return ", ".join(found)
