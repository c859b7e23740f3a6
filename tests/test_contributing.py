"""What CONTRIBUTING.md says is so: the floor plan, the commands, the files that its steps name."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "wx_integrations"


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    lines = TEXT[TEXT.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = [line for line in lines[first:] if line]
    end = next(number for number, line in enumerate(table) if not line.startswith("|"))
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:end]]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_floor_plan_names_every_module_of_core_once() -> None:
    listed = [name for room, *_ in rows("## The floor plan") if "core/" in room for name in named(room)]
    names = [name.removeprefix("core/").removesuffix("/").removesuffix(".py") for name in listed]
    found = [path.stem for path in (PACKAGE / "core").iterdir() if path.stem not in ("__init__", "__pycache__")]
    assert sorted(set(found) - set(names)) == [], "not in CONTRIBUTING.md's floor plan"
    assert sorted(names) == sorted(found)


def test_every_room_is_there_and_every_folder_is_a_room() -> None:
    rooms = [room for room, *_ in rows("## The floor plan")]
    folders = {name for room in rooms for name in named(room) if name.endswith("/")}
    assert all((PACKAGE / name).is_dir() or (ROOT / name).is_dir() for name in folders)
    packages = {path.parent.relative_to(PACKAGE).as_posix() + "/" for path in PACKAGE.rglob("__init__.py")}
    assert packages - {"./", "core/"} == {name for name in folders if (PACKAGE / name).is_dir()}


def test_commands_that_are_asked_for_exist() -> None:
    for command, _ in rows("Some things are run when asked for"):
        [line] = named(command)
        for module in re.findall(r"python -m ([\w.]+)", line):
            entry = f"{module}.__main__" if (ROOT / module.replace(".", "/")).is_dir() else module
            assert importlib.util.find_spec(entry) is not None, line
        for path in re.findall(r"pytest (?:-m \w+ )?(\S+)", line):
            assert (ROOT / path).exists(), line


@pytest.mark.parametrize("chapter", ["an operation", "an adapter", "a quirk", "a model profile"])
def test_steps_are_few_and_name_what_exists(chapter: str) -> None:
    text = TEXT.partition(f"## How to add {chapter}\n")[2].partition("\n## ")[0]
    assert 1 < len(re.findall(r"^\d+\. ", text, re.MULTILINE)) < 10
    for name in named(text):
        if re.fullmatch(r"[\w./]+/([\w.]+)?", name) and "..." not in name:
            places = (ROOT / name, PACKAGE / name, *ROOT.glob(f"tests/golden/{name}"))
            assert any(place.exists() for place in places), name
    for name in re.findall(r"`(_[A-Z]+)`", text):
        assert any(f"{name}" in path.read_text("utf-8") for path in PACKAGE.rglob("*.py")), name


def test_the_rules_are_those_that_tests_know() -> None:
    assert "tests/test_architecture.py" in TEXT
    assert (ROOT / ".ci" / "run").is_file()
    assert len(re.findall(r"^\d+\. ", TEXT.partition("## Rules of the house")[2].partition("\n## ")[0], re.M)) == 11
