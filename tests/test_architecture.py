"""Who may import whom. CONTRIBUTING.md draws the floor plan; this is the law."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wx_integrations"
FILES = sorted(path for path in PACKAGE.rglob("*.py"))

BASE = {
    "httpx",
    "httpcore",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
}  # two packages, and what they are made of
"""All that a base install has: two packages, and what each of them is the face of."""

WELCOME = {"numpy", "tqdm"}
"""What core uses if somebody else brought it: never when it is imported, only inside a function."""

# Of core, the modules that hold decisions and wait for nothing: values in, values out.
PURE = (
    *("wire", "calls", "sse", "errors", "inline", "schemas", "profiles"),
    *("toolcalls", "toolchoice", "arguments", "jsontext"),
)

# Who knows whom in core: a module may import those before it, never those after it.
ORDER = (
    *("wire", "errors", "secrets", "calls", "hosts", "retry"),
    *("network", "pools", "transport", "environment", "settings"),
    *("token_sources", "login", "connection", "token_cell", "auth", "exchange", "client", "session", "fields"),
)


def name_of(path: Path) -> str:
    """Return a file's module name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full name of everything a file imports, wherever in it."""
    return frozenset(imports_within(ast.walk(ast.parse(path.read_text("utf-8"))), path))


@cache
def imports_at_once(path: Path) -> frozenset[str]:
    """Return what a file imports when it is imported: not within functions, not for type checkers."""
    return frozenset(imports_within(at_once(ast.parse(path.read_text("utf-8")).body), path))


def at_once(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_once(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from at_once([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])
        else:
            yield node


def imports_within(nodes: Iterable[ast.AST], path: Path) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            assert node.module is not None
            for alias in node.names:
                # `from package import module` imports the module.
                yield f"{node.module}.{alias.name}" if is_module(f"{node.module}.{alias.name}") else node.module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def room_of(module: str) -> str:
    """Return the room of a module of the package: its first two names."""
    return ".".join(module.split(".")[:2])


def is_within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def foreign(path: Path) -> set[str]:
    """Return the third-party packages a file imports."""
    return third_party(imports(path))


def third_party(modules: Iterable[str]) -> set[str]:
    return {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"wx_integrations"}


def own(path: Path) -> set[str]:
    """Return the package's own modules that a file imports."""
    return {module for module in imports(path) if is_within(module, "wx_integrations")}


def files_of(*rooms: str) -> list[Path]:
    return [path for path in FILES if is_within(name_of(path), *(f"wx_integrations.{room}" for room in rooms))]


def offences(paths: list[Path], offending: Callable[[Path], set[str]]) -> dict[str, set[str]]:
    """Return what each file imports that it must not."""
    found = {name_of(path): offending(path) for path in paths}
    return {name: names for name, names in found.items() if names}


def own_but(*allowed: str) -> Callable[[Path], set[str]]:
    """Return a function that gives a file's imports from the package but these."""
    return lambda path: {module for module in own(path) if not is_within(module, *allowed)}


def test_there_is_something_to_check() -> None:
    for room in ("core", "core.wire", "langchain", "llamaindex", "emulator", "cli"):
        assert files_of(room), room


def test_core_knows_no_framework_and_no_other_room() -> None:
    core = files_of("core")
    assert offences(core, lambda path: third_party(imports_at_once(path)) - BASE) == {}
    assert offences(core, lambda path: foreign(path) - BASE - WELCOME) == {}
    # `wx_integrations` itself is where the version is.
    assert offences(core, lambda path: own_but("wx_integrations.core")(path) - {"wx_integrations"}) == {}


def test_the_pure_layer_knows_no_http_and_waits_for_nothing() -> None:
    forbidden = ("httpx", "asyncio", "threading", "socket", "ssl", "time", "urllib.request", "concurrent", "os")
    pure = files_of(*(f"core.{name}" for name in PURE))
    assert len(pure) > len(PURE)
    assert offences(pure, lambda path: {module for module in imports(path) if is_within(module, *forbidden)}) == {}


def test_the_wire_knows_the_wire_only() -> None:
    assert offences(files_of("core.wire"), own_but("wx_integrations.core.wire")) == {}


@pytest.mark.parametrize("module", ORDER)
def test_the_direction_of_ignorance(module: str) -> None:
    later = [f"wx_integrations.core.{name}" for name in ORDER[ORDER.index(module) + 1 :]]
    files = files_of(f"core.{module}")
    assert files
    assert offences(files, lambda path: {name for name in own(path) if is_within(name, *later)}) == {}


def test_langchains_room() -> None:
    room = files_of("langchain")
    assert offences(room, own_but("wx_integrations.core", "wx_integrations.langchain")) == {}
    assert offences(room, lambda path: foreign(path) & {"llama_index"}) == {}


def test_llamaindexs_room() -> None:
    room = files_of("llamaindex")
    assert offences(room, own_but("wx_integrations.core", "wx_integrations.llamaindex")) == {}
    assert offences(room, lambda path: {name for name in foreign(path) if name.startswith("lang")}) == {}


def test_the_emulator_shares_wire_types_only() -> None:
    room = files_of("emulator")
    assert offences(room, own_but("wx_integrations.core.wire", "wx_integrations.emulator")) == {}
    assert offences(room, lambda path: {n for n in foreign(path) if n.startswith(("lang", "llama_index"))}) == {}


def test_nothing_imports_the_command_line_or_the_tests() -> None:
    others = [path for path in FILES if path not in files_of("cli")]
    entrances = ("wx_integrations.cli", "tests")
    assert offences(others, lambda path: {name for name in imports(path) if is_within(name, *entrances)}) == {}


def test_the_front_door_opens_into_core_only() -> None:
    assert offences([PACKAGE / "__init__.py"], own_but("wx_integrations.core")) == {}


def test_names_say_what_is_inside() -> None:
    strangers = {"utils", "util", "helpers", "helper", "misc", "base", "common"}
    assert [name_of(path) for path in FILES if path.stem in strangers] == []
