"""From results.json to plots/*.png; run by the suite's own environment, which has matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.contenders import CONTENDERS
from benchmarks.readings import Readings
from benchmarks.results import PLOTS, Results

OURS, THEIRS, RAW = "#0f62fe", "#a8a8a8", "#393939"
Bars = Sequence[tuple[str, str, str]]
"""Task, column, title."""


def main() -> None:
    """Draw everything for which there are readings."""
    found = Results.load().readings
    PLOTS.mkdir(exist_ok=True)
    langchain = ("ours-langchain", "ibm-langchain", "openai-langchain")
    llamaindex = ("ours-llamaindex", "ibm-llamaindex")
    calls: Bars = (
        ("chat", "cpu/floor", "one call"),
        ("stream", "cpu/floor", "stream"),
        ("astream", "cpu/floor", "async stream"),
    )
    calls = (*calls, ("tools", "cpu/floor", "streamed tool calls"))
    start: Bars = (("import", "cpu/framework", "import"), ("answer", "wall/framework", "start to first answer"))
    texts: Bars = (
        ("embed", "cpu/raw", "embed 5,000, CPU"),
        ("embed-slow", "wall/raw", "embed 5,000, 500 ms a request, wall"),
    )
    texts = (*texts, ("rerank", "cpu/raw", "rerank 1,000, CPU"))
    for name, groups, title in (
        ("calls", calls, "CPU over the floor: raw httpx + a no-op model of the framework (1 = adds nothing)"),
        ("start", start, "over the floor: httpx + framework + a no-op model (1 = adds nothing)"),
        ("texts", texts, "over raw httpx + json (1 = as fast)"),
    ):
        drawn = [group for group in groups if group[0] in found]
        if drawn:
            bars(name, title, found, drawn, (*langchain, *llamaindex))
    concurrency(found)


def bars(name: str, title: str, found: dict[str, Readings], groups: Bars, names: Sequence[str]) -> None:
    """Draw a group of bars for each task, with the least and most of the rounds."""
    figure, axes = plt.subplots(1, len(groups), figsize=(3.4 * len(groups) + 1.4, 3.4), squeeze=False)
    for axis, (task, column, heading) in zip(axes[0], groups, strict=True):
        figures = [(who, found[task].figure(column, who)) for who in names]
        known = [(who, one) for who, one in figures if one is not None]
        for place, (who, one) in enumerate(known):
            reach = [[one.median - one.least], [one.most - one.median]]
            axis.barh(place, one.median, xerr=reach, color=_color(who), ecolor=RAW, capsize=2)
            axis.text(one.most, place, f"  {one.median:.2f}", va="center", fontsize=8)
        axis.axvline(1, color=RAW, linewidth=0.8, linestyle="--")
        axis.set_yticks(range(len(known)), [CONTENDERS[who].title for who, _ in known], fontsize=8)
        axis.set_xlim(0, max([one.most for _, one in known] + [1]) * 1.25)
        axis.invert_yaxis()
        axis.set_title(heading, fontsize=10)
    _save(figure, name, title)


def concurrency(found: dict[str, Readings]) -> None:
    """Draw wall time over the ideal by concurrency."""
    levels = [level for level in (1, 10, 100, 1000) if f"achat-{level}" in found]
    if not levels:
        return
    figure, axis = plt.subplots(figsize=(7, 4))
    for who in ("raw", "ours-langchain", "ours-llamaindex", "ibm-langchain", "ibm-llamaindex", "openai-langchain"):
        figures = [(level, found[f"achat-{level}"].figure("wall/ideal", who)) for level in levels]
        points = [(level, one.median) for level, one in figures if one is not None]
        style = {"raw": "--", "ours-llamaindex": ":", "ibm-llamaindex": ":"}.get(who, "-")
        marker = {"openai-langchain": "^", "raw": "x"}.get(who, "o")
        axis.plot(*zip(*points, strict=True), style, marker=marker, color=_color(who), label=CONTENDERS[who].title)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("questions at a time")
    axis.legend(fontsize=8)
    _save(figure, "concurrency", "wall over the ideal; the service takes 100 ms (1 = nothing but the service)")


def _color(who: str) -> str:
    return {"ours": OURS, "raw": RAW}.get(CONTENDERS[who].kind, THEIRS)


def _save(figure: Any, name: str, title: str) -> None:
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(PLOTS / f"{name}.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
