"""What users and their editors see: documented names, types that say something, extras that are named."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import wx_integrations

MODULES = (
    "wx_integrations",
    "wx_integrations.langchain",
    "wx_integrations.llamaindex",
    "wx_integrations.emulator.testing",
)
ROOT = Path(wx_integrations.__file__).parents[1]


def members(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that this package defines."""
    for name, value in list(vars(owner).items()):
        inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if not name.startswith("_") and inspect.isfunction(inner) and inner.__module__.startswith("wx_integrations"):
            yield name, inspect.getattr_static(owner, name)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_documented(module: str) -> None:
    package = importlib.import_module(module)
    undocumented = []
    for name in package.__all__:
        thing = getattr(package, name)
        if not isinstance(thing, str) and not inspect.getdoc(thing):
            undocumented.append(name)
        if inspect.isclass(thing):
            undocumented += [
                f"{name}.{member}"
                for member, value in members(thing)
                if not (inspect.getdoc(value) or inspect.getdoc(getattr(thing, member)))
            ]
    assert undocumented == []


def classes() -> Iterator[type]:
    """Yield every public class and those of this package it is made of, each once."""
    seen: set[type] = set()
    for module in MODULES:
        package = importlib.import_module(module)
        for name in package.__all__:
            thing = getattr(package, name)
            for kind in thing.__mro__ if inspect.isclass(thing) else ():
                if kind.__module__.startswith("wx_integrations") and kind not in seen:
                    seen.add(kind)
                    yield kind


def says(text: str | None, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text or "") is not None


SEE = re.compile(r"(see|as in|as of) `", re.IGNORECASE)
"""A docstring that sends the reader to another one."""


def test_every_argument_is_documented() -> None:
    undocumented = []
    for kind in classes():
        for name, value in members(kind):
            if isinstance(value, property):
                continue
            method = inspect.unwrap(getattr(value, "__func__", value))
            text = inspect.getdoc(method)
            arguments = [argument for argument in inspect.signature(method).parameters if argument.strip("_") != "self"]
            arguments = [argument for argument in arguments if argument != "cls"]
            if text is not None and not SEE.search(text):
                undocumented += [f"{kind.__name__}.{name}({a})" for a in arguments if not says(text, a)]
    for module in MODULES:
        package = importlib.import_module(module)
        functions = [getattr(package, name) for name in package.__all__ if inspect.isfunction(getattr(package, name))]
        for function in functions:
            for argument in inspect.signature(function).parameters:
                if not says(inspect.getdoc(function), argument):
                    undocumented.append(f"{function.__name__}({argument})")
    assert undocumented == []


def fields_of(kind: type) -> Iterator[tuple[str, str | None]]:
    """Yield the annotated fields that a class's own source has, with the text below each."""
    tree = ast.parse(Path(inspect.getfile(kind)).read_text("utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    source = next(found, None)
    body: list[ast.stmt | None] = [*source.body, None] if source else []
    for node, following in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            below = following.value if isinstance(following, ast.Expr) else None
            yield node.target.id, str(below.value) if isinstance(below, ast.Constant) else None


def test_every_setting_is_documented() -> None:
    undocumented = []
    connection = inspect.getdoc(wx_integrations.Connection)
    for kind in classes():
        texts = [inspect.getdoc(base) for base in kind.__mro__ if base.__module__.startswith("wx_integrations")]
        if hasattr(kind, "argument_names"):
            texts.append(connection)  # its settings are arguments of every adapter, and explained there
        for name, below in fields_of(kind):
            if not (below or name.startswith("_") or name.isupper() or any(says(text, name) for text in texts)):
                undocumented.append(f"{kind.__name__}.{name}")
        constructor = vars(kind).get("__init__")
        arguments = set(inspect.signature(constructor).parameters if constructor else ()) - {"self", "settings"}
        undocumented += [f"{kind.__name__}({a})" for a in arguments if not any(says(text, a) for text in texts)]
    assert undocumented == []


def test_type_checkers_are_told_to_look() -> None:
    assert (ROOT / "wx_integrations" / "py.typed").is_file()


APP = """
from langchain_core.tools import tool
from pydantic import BaseModel

from wx_integrations import Client, RetryPolicy
from wx_integrations.core.calls import Model, embed
from wx_integrations.langchain import ChatWatsonx
from wx_integrations.llamaindex import WatsonxLLM
from llama_index.core import PromptTemplate

class Person(BaseModel):
    name: str

@tool
def add(a: int, b: int) -> int:
    '''Add.'''
    return a + b

chat = ChatWatsonx(model_id="m", retry=RetryPolicy(retry_total=1))
reveal_type(chat.bind_tools([add], tool_choice="add").invoke("1 + 1"))
reveal_type(chat.with_structured_output(Person).invoke("Who?"))
reveal_type(chat.with_structured_output(Person, include_raw=True).invoke("Who?")["parsed"])
reveal_type(chat.with_structured_output({"title": "p", "type": "object", "properties": {}}).invoke("Who?"))
reveal_type(WatsonxLLM(model_id="m").structured_predict(Person, PromptTemplate("Who?")))
reveal_type(Client().run(embed(Model("m", "p"), ["a"])).results[0].embedding)
chat.bind_tools(add)  # wrong
chat.invoke(3)  # wrong
"""
ITS_TEST = """
from wx_integrations.emulator.testing import Watsonx, emulated

def test_it(watsonx: Watsonx) -> None:
    reveal_type(watsonx.reply("a").call("f", a=1).fail(503))
    reveal_type(watsonx.requests)
    with emulated() as other:
        reveal_type(other)
    watsonx.fail("explode")  # wrong
    watsonx.expect_chat(3)  # wrong
"""
REVEALED = {
    "app.py": [
        *("langchain_core.messages.ai.AIMessage", "app.Person", "app.Person | None", "dict[str, Any]"),
        *("app.Person", "list[float]"),
    ],
    "test_app.py": [
        "wx_integrations.emulator.watsonx.Watsonx",
        "list[wx_integrations.emulator.journal.Entry]",
        "wx_integrations.emulator.watsonx.Watsonx",
    ],
}


def test_what_a_type_checker_knows(tmp_path: Path) -> None:
    files = {"app.py": APP, "test_app.py": ITS_TEST}
    for name, source in files.items():
        (tmp_path / name).write_text(source)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=400)
    found = [line.split(":", 2) for line in done.stdout.splitlines() if line.count(":") > 1]
    for name, source in files.items():
        lines = [(int(number), said) for file, number, said in found if file == name]
        revealed = [said.partition('type is "')[2].rstrip('"') for _, said in lines if "Revealed" in said]
        assert revealed == REVEALED[name], done.stdout + done.stderr
        wrong = [number for number, line in enumerate(source.splitlines(), 1) if line.endswith("# wrong")]
        assert [number for number, said in lines if said.startswith(" error: ")] == wrong, done.stdout


@pytest.mark.parametrize(
    ("framework", "module", "name", "extra"),
    [
        ("langchain_core", "langchain", "ChatWatsonx", "langchain"),
        ("llama_index.core", "llamaindex", "WatsonxLLM", "llamaindex"),
    ],
)
def test_a_missing_framework_is_named_with_its_extra(framework: str, module: str, name: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules[{framework!r}] = None\n"
        f"import wx_integrations.{module} as package\n"
        f"try:\n    package.{name}\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert f'pip install "wx-integrations[{extra}]"' in done.stdout
