"""From figures to Markdown."""

from __future__ import annotations

from benchmarks.contenders import CONTENDERS
from benchmarks.readings import COLUMNS, Readings


def table(readings: Readings) -> str:
    """Return a task's table."""
    task = readings.task
    columns = [COLUMNS[name] for name in task.columns]
    lines = [f"### {task.title}", ""]
    lines += [f"| {' | '.join(['', *(column.heading.format(unit=task.unit) for column in columns)])} |"]
    lines += ["|---" * (len(columns) + 1) + "|"]
    for name in readings.names:
        cells = [_cell(readings, column, name) for column in task.columns]
        lines.append(f"| {' | '.join([_title(name), *(cells if any(cells) else ['failed', *cells[1:]])])} |")
    if task.note:
        lines += ["", task.note]
    return "\n".join([*lines, ""])


def _title(name: str) -> str:
    kind = CONTENDERS[name]
    return f"**{kind.title}**" if kind.kind == "ours" else kind.title


def _cell(readings: Readings, column: str, name: str) -> str:
    figure = readings.figure(column, name)
    if figure is None:
        return ""
    form = COLUMNS[column].form
    text = form.format(figure.median)
    if COLUMNS[column].spread and len(readings.rounds) > 1 and figure.least != figure.most:
        text += f" [{form.format(figure.least)}..{form.format(figure.most)}]"
    return text
