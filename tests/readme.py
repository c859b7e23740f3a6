"""The README in parts, and what is filled into it: `python -m tests.readme [--write]`.

Figures are taken over from where they are made, so that they are written once.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
TRAFFIC = ROOT / "tests" / "oracle" / "TRAFFIC.md"
_FENCE = re.compile(r"^```(\w*)$")
_HEADING = re.compile(r"^(#+) (.*)$")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        heading: the nearest heading above it.
        needs: the pip requirements of the nearest `pip install` above it in the same chapter.
    """

    language: str
    code: str
    heading: str
    needs: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return f"{self.heading} (line {self.line})"


@cache
def text() -> str:
    return README.read_text(encoding="utf-8")


def blocks(language: str | None = None) -> list[Block]:
    """Return the blocks of code in order."""
    found: list[Block] = []
    heading = ""
    needs: tuple[str, ...] = ()
    lines = text().splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if match := _HEADING.match(line):
            heading = match[2]
            needs = () if match[1] == "##" else needs
        if not (fence := _FENCE.match(line)):
            continue
        end = lines.index("```", number)
        code = "\n".join(lines[number:end]) + "\n"
        if fence[1] == "bash" and code.startswith("pip install"):
            needs = tuple(word for word in code.partition("&&")[0].replace('"', "").split()[2:] if word != "-e")
        found.append(Block(fence[1], code, heading, needs, number + 1))
        number = end + 1
    return [block for block in found if language in (None, block.language)]


def table(after: str) -> list[list[str]]:
    """Return the cells of the first table after a text, without its head."""
    rows = []
    for line in text()[text().index(after) :].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]])
        elif rows:
            break
    return rows[2:]


def quoted(cell: str) -> list[str]:
    """Return what a cell has in backticks."""
    return re.findall(r"`([^`]*)`", cell)


def headings() -> list[str]:
    """Return the names that links to headings use."""
    lines, inside, found = text().splitlines(), False, []
    for line in lines:
        inside = inside != line.startswith("```")
        if not inside and (match := _HEADING.match(line)):
            found.append(re.sub(r"[^\w -]", "", match[2].lower()).replace(" ", "-"))
    return found


# --------------------------------------------------------------------------- figures


SHOWN = (
    ("Import, in a new process", "CPU ms", "import, CPU ms"),
    ("From the start of the process to the first answer, over TLS", "wall ms", "start to first answer, ms"),
    ("Construction", "requests", "requests to make an object"),
    ("One question after another", "CPU / raw", "a question"),
    ("100 questions at a time, in coroutines; the service takes 100 ms", "CPU / raw", "a question of 100 at a time"),
    ("A stream of 10,000 events", "CPU / raw", "an event of a stream"),
    ("5,000 texts, 768 dimensions", "CPU / raw", "an embedding"),
    ("A ranking of 1,000 passages of 500 characters", "CPU / raw", "a ranking"),
)
"""What of the results the README shows: the table's title, its column, and what the README calls it."""
_LEFT_OUT = ("raw httpx", "no-op model")


def benchmarks() -> str:
    """Return the figures of the benchmarks' results that the README shows."""
    if not RESULTS.exists():
        return "Not measured yet: `python -m benchmarks` measures, `python -m tests.readme --write` fills this in.\n"
    return shown_of(RESULTS.read_text("utf-8"))


def shown_of(results: str) -> str:
    """Return a table of a page of results: a row a client, a column a task; what was not measured is left out."""
    columns: dict[str, dict[str, str]] = {}
    for title, column, name in SHOWN:
        chapter = results.partition(f"### {title}\n")[2].partition("\n#")[0]
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in chapter.splitlines() if line[:1] == "|"]
        if lines and column in lines[0]:
            place = lines[0].index(column)
            columns[name] = {row[0]: row[place].partition(" [")[0] for row in lines[2:]}
    clients = list(dict.fromkeys(client for cells in columns.values() for client in cells))
    clients = [client for client in clients if not client.endswith(_LEFT_OUT)]
    rows = [["", *columns], ["---"] * (len(columns) + 1)]
    rows += [[client, *(cells.get(client) or "-" for cells in columns.values())] for client in clients]
    made = re.search(r"^Made by .*? on ([\d-]+)", results, re.MULTILINE)
    when = f" of {made[1]}" if made else ""
    note = (
        f"From the [results](benchmarks/RESULTS.md){when}, medians of several rounds; how they were measured,\nand on "
        "what, is there too.\nWhere no unit is given it is CPU time as a multiple of what raw `httpx` takes for the "
        "same.\n\n"
    )
    return note + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def traffic() -> str:
    """Return how many requests other clients and ours need for the same calls."""
    report = TRAFFIC.read_text("utf-8")
    versions = dict(re.findall(r"^\| ([a-z-]+) \| (\d[\w.]*) \|$", report, re.MULTILINE))
    chapter = report.partition("## In figures")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in chapter.splitlines() if line[:1] == "|"]
    figures = {row[0]: row[1:] for row in rows}
    columns = zip(figures[""], figures["calls"], figures["their requests"], figures["our requests"], strict=True)
    lines = ["| client | calls | its requests | ours |", "|---|---|---|---|"]
    for client, *numbers in columns:
        if client != "all":
            named = " ".join(filter(None, (client, versions.get(client))))
            lines.append(f"| {named} | {' | '.join(numbers)} |")
    return "\n".join(lines) + "\n"


PARTS = {"benchmarks": benchmarks, "traffic": traffic}
"""What fills the places that the README marks."""


def filled() -> str:
    """Return the README with the figures of today."""
    whole = text()
    for name, part in PARTS.items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, _, rest = whole.partition(begin)
        whole = before + begin + part() + end + rest.partition(end)[2]
    return whole


def main() -> int:
    """Say whether the figures are those of today; `--write` writes them."""
    if "--write" in sys.argv[1:]:
        README.write_text(filled(), encoding="utf-8")
    elif filled() != text():
        print("README.md is not up to date; --write fills it in")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
