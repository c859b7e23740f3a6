"""What users and their editors see: documented names, types that say something, extras that are named."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
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
    for name, value in vars(owner).items():
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
