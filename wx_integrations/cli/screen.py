"""What a person sees: colours and bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

QUIET_STEP = 0.1
"""Without a terminal, a download says so at every tenth."""


class Report(Protocol):
    """Told how far something is."""

    def __call__(self, name: str, done_bytes: int, total_bytes: int) -> None: ...


class Screen:
    """Writes for a person: rich on a terminal, plain otherwise."""

    def __init__(self, console: Console | None = None, errors: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.errors = errors or Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str = "", style: str | None = None) -> None:
        """Write one line."""
        self.console.print(text, style=style, markup=False)

    def heading(self, text: str) -> None:
        """Write a heading."""
        self.console.print()
        self.console.print(text, style="bold", markup=False)

    def pieces(self, pieces: Iterator[str]) -> str:
        """Write a text as it arrives, and return it whole."""
        whole = []
        for piece in pieces:
            whole.append(piece)
            self.console.print(piece, end="", markup=False)
        self.console.print()
        return "".join(whole)

    def note(self, text: str, end: str = "\n") -> None:
        """Write something beside the answer, which others may want to read alone."""
        self.errors.print(text, style="dim", markup=False, end=end)

    def finding(self, outcome: str, step: str, detail: str, advice: str | None, seconds: float) -> None:
        """Write what an examination's step found, and what to do."""
        mark, style = {"ok": ("ok  ", "green"), "failed": ("FAIL", "red"), "warning": ("warn", "yellow")}.get(
            outcome, ("skip", "dim")
        )
        time = f"  ({seconds * 1000:.0f} ms)" if outcome != "skipped" else ""
        self.console.print(mark, style=style, markup=False, end="")
        self.console.print(f" {step:<10}{detail}{time}", markup=False)
        if advice:
            self.console.print(f"       -> {advice}", style=style, markup=False)

    def fail(self, text: str) -> None:
        """Write an error."""
        self.errors.print(text, style="red", markup=False)

    @contextmanager
    def downloads(self) -> Iterator[Report]:
        """Show downloads: bars on a terminal, a line at every tenth otherwise."""
        if not self.console.is_terminal:
            yield self._lines()
            return
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console) as progress:
            tasks: dict[str, TaskID] = {}

            def report(name: str, done_bytes: int, total_bytes: int) -> None:
                if name not in tasks:
                    tasks[name] = progress.add_task(name, total=total_bytes)
                progress.update(tasks[name], completed=done_bytes, total=total_bytes)

            yield report

    def _lines(self) -> Report:
        said: dict[str, int] = {}

        def report(name: str, done_bytes: int, total_bytes: int) -> None:
            step = int(done_bytes / total_bytes / QUIET_STEP) if total_bytes else 0
            if step > said.get(name, -1):
                said[name] = step
                self.say(f"  {name}: {done_bytes / 1e6:.0f} of {total_bytes / 1e6:.0f} MB")

        return report

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how many of a number of things are done; a bar on a terminal, nothing otherwise."""
        if not self.console.is_terminal:
            yield lambda done: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)
