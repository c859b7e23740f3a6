"""The README holds: blocks run with what they say they need, tables are complete, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
import unittest
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel
from typer.testing import CliRunner

from benchmarks.readings import COLUMNS
from benchmarks.tasks import TASKS
from tests import readme
from tests.readme import ROOT, Block, blocks, quoted, table
from wx_integrations import Client, Connection, RetryPolicy, WatsonxError
from wx_integrations.cli.app import app
from wx_integrations.cli.demo import AGENT_QUESTION, FARES, QUESTIONS
from wx_integrations.core.bulk_fields import BulkFields
from wx_integrations.core.connection import API_VERSION, DEFAULT_TIMEOUT, ENVIRONMENT
from wx_integrations.core.fields import ConnectionFields, ModelFields
from wx_integrations.core.wire.chat import ChatParameters
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.app import ROUTES
from wx_integrations.emulator.faults import Cut, Page
from wx_integrations.emulator.testing import NetworkBlocked, Watsonx, emulated
from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings

pytest_plugins = ["pytester"]

CHAT = "ibm/granite-4-h-small"
EMBEDDING = "ibm/slate-125m-english-rtrvr"
PYTHON = blocks("python")
APPS = [block for block in PYTHON if "def test_" not in block.code]
TESTS = [block for block in PYTHON if "def test_" in block.code]
QUIET = pytest.mark.filterwarnings(
    "ignore:.*unspecified_max_token:UserWarning",  # the service's note on lengths
)

ASKED: dict[str, set[str]] = {
    "Chat": {"text/chat"},
    "Streams": {"text/chat_stream"},
    "Tools": {"text/chat"},
    "Structured output": {"text/chat"},
    "RAG with LangChain": {"text/embeddings", "text/rerank", "text/chat_stream"},
    "An agent with LangGraph": {"text/chat", "utility_agent_tools", "utility_agent_tools/run"},
    "Bulk embedding": {"text/embeddings"},
    "Text generation": {"text/generation"},
    "RAG with LlamaIndex": {"text/embeddings", "text/rerank", "text/chat"},
    "An agent with LlamaIndex": {"text/chat_stream", "utility_agent_tools"},
    "Structured output with LlamaIndex": {"text/chat"},
    "Cloud Pak for Data": {"authorize", "text/chat"},
    "Deployments": {"granite-for-support/text/chat"},
    "Model Gateway": {"gateway/v1/chat/completions"},
    "Any other operation": {"foundation_model_specs", "v4/deployments"},
    "Tests without a network": set(),
    "Errors": set(),
}
"""What each recipe asks the service for, at least."""


# --------------------------------------------------------------------------- blocks of code


def test_every_recipe_is_there() -> None:
    assert {block.heading for block in PYTHON} == set(ASKED)
    assert {block.language for block in blocks()} == {"python", "bash", "console", "text"}


def test_the_unittest_class_passes() -> None:
    block = next(block for block in TESTS if "unittest" in block.code)
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(compile(block.code, "README.md", "exec"), namespace)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(namespace["TestGreeting"])
    result = suite.run(unittest.TestResult())
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_the_examples_of_tests_pass(pytester: pytest.Pytester) -> None:
    for number, block in enumerate(TESTS):
        pytester.makepyfile(**{f"test_example_{number}": block.code})
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error:watsonx.ai")
    done.assert_outcomes(passed=sum(block.code.count("def test_") for block in TESTS))


def test_the_difference_that_is_shown_is_the_real_one() -> None:
    [shown] = blocks("text")
    with emulated() as watsonx:
        ChatWatsonx(model_id=CHAT, max_tokens=9).invoke("Ada")
        with pytest.raises(AssertionError) as caught:
            watsonx.expect_chat("Bob", max_tokens=8)
    assert f"AssertionError: {caught.value}\n" == shown.code


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_commands_exist(block: Block) -> None:
    for command in re.split(r"&&|\n", block.code.strip()):
        words = command.partition("#")[0].split()
        if words[0] == "wx":
            assert CliRunner().invoke(app, [*words[1:], "--help"]).exit_code == 0
        else:
            assert words[0] == "pytest" or words[:2] == ["pip", "install"] or words[0] == "export"


def test_the_two_commands() -> None:
    commands = [block.code for block in blocks("bash")[:2]]
    assert commands == ['pip install -e ".[local]" && wx demo\n', 'pip install -e ".[test]" && pytest\n']


def test_the_transcript_is_of_this_demo() -> None:
    [shown] = blocks("console")
    lines = shown.code.splitlines()
    asked = [line.partition(": ")[2] for line in lines if line.startswith(("Question: ", "Agent: "))]
    assert asked == [*QUESTIONS, AGENT_QUESTION]
    assert "35 passages embedded and indexed in memory." in lines
    assert f"  result: {2 * FARES['Skarholm'] + 1.5 * FARES['Skarholm']:.2f} euros" in lines
    sources = {line.split("] ")[1] for line in lines if re.match(r"  \[\d+\] ", line)}
    assert all((ROOT / "wx_integrations/cli/documents" / source).is_file() for source in sources)


# --------------------------------------------------------------------------- what blocks need


@cache
def closure(requirement: str) -> frozenset[str]:
    """Return the distributions that pip would install for a requirement, as far as they are installed here."""
    wanted = requirement.replace(".[", "wx-integrations[") if requirement.startswith(".") else requirement
    found: set[str] = set()
    queue = [Requirement("wx-integrations" if wanted == "." else wanted)]
    done: set[str] = set()
    while queue:
        need = queue.pop()
        if str(need) in done:
            continue
        done.add(str(need))
        try:
            requires = metadata.requires(need.name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(normal(need.name))
        for line in requires:
            further = Requirement(line)
            extras = [{"extra": extra} for extra in ("", *need.extras)]
            if further.marker is None or any(further.marker.evaluate(extra) for extra in extras):
                queue.append(further)
    return frozenset(found)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def forbidden(needs: tuple[str, ...]) -> list[str]:
    """Return the modules installed here that those who install only this do not have."""
    allowed = frozenset().union(*map(closure, needs))
    homes = metadata.packages_distributions()
    return sorted(name for name, owners in homes.items() if not {normal(owner) for owner in owners} & allowed)


PROGRAM = """
import contextlib, importlib.abc, io, json, sys, warnings
given = json.load(sys.stdin)
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in given["forbidden"]:
            raise ModuleNotFoundError(f"{name} is not among what the recipe says it needs", name=name)
sys.meta_path.insert(0, Missing())
warnings.simplefilter("ignore")
from wx_integrations.emulator.testing import emulated
for number, code in enumerate(given["blocks"]):
    url = "https://cpd.example.com" if "cpd.example.com" in code else "https://us-south.ml.cloud.ibm.com"
    with emulated(url=url, tools=True) as watsonx:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile(code, f"block {number}", "exec"), {"__name__": "readme"})
    requests = [[entry.status, entry.path] for entry in watsonx.journal]
    print(json.dumps({"said": said.getvalue(), "requests": requests}))
"""
GROUPS = sorted({block.needs for block in APPS})


@pytest.mark.parametrize("needs", GROUPS, ids=lambda needs: " ".join(needs) or "nothing")
def test_recipes_run_with_what_they_say_they_need(needs: tuple[str, ...], tmp_path: Path) -> None:
    chosen = [block for block in APPS if block.needs == needs]
    given = json.dumps({"forbidden": forbidden(needs or (".",)), "blocks": [block.code for block in chosen]})
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=given, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.stderr == ""
    for block, line in zip(chosen, done.stdout.splitlines(), strict=True):
        found = json.loads(line)
        assert bool(found["said"]) == ("print(" in block.code), block
        paths = [path for _, path in found["requests"]]
        lacking = {end for end in ASKED[block.heading] if not any(path.endswith(end) for path in paths)}
        assert (str(block), lacking) == (str(block), set())
        assert [status for status, _ in found["requests"] if status >= 400] == []


def test_every_recipe_says_what_it_needs() -> None:
    assert [str(block) for block in PYTHON if not block.needs and block.heading != "Errors"] == []
    assert "numpy" in forbidden((".[langchain]",))
    assert "numpy" not in forbidden((".[langchain]", "numpy"))
    assert not {"httpx", "pydantic", "wx_integrations"} & set(forbidden((".",)))
    assert {"langchain_core", "llama_index", "typer", "pytest"} <= set(forbidden((".",)))


# --------------------------------------------------------------------------- settings


def shown(default: Any) -> str:
    """Return a default as a table has it."""
    if default is None:
        return "-"
    if isinstance(default, tuple):
        return f"`{', '.join(map(str, default))}`"
    return f"`{default}`"


TIMES: dict[str, Any] = dict(DEFAULT_TIMEOUT.as_dict())


def test_the_table_of_connections_is_complete() -> None:
    fields = {**Connection.model_fields, **ConnectionFields.model_fields}
    del fields["missing_secrets"]  # set by unpickling only
    said: dict[str, str] = {
        "version": f"`{API_VERSION}`",
        "max_retries": f"`{RetryPolicy().retry_total}`",
        "retry": "`RetryPolicy()`",
        "timeout": f"connect {TIMES['connect']:.0f} s, read {TIMES['read']:.0f} s, write {TIMES['write']:.0f} s",
    }
    expected = {
        f"`{name}`": (
            ", ".join(f"`{variable}`" for variable in ENVIRONMENT.get(name, ())) or "-",
            said.get(name) or shown(None if field.is_required() else field.default),
        )
        for name, field in fields.items()
    }
    rows = table("<!-- settings:connection -->")
    assert {name: (variable, default) for name, variable, default, _ in rows} == expected
    assert all(what for *_, what in rows)
    only = {name.strip("`") for name, _, _, what in rows if "`Connection` only" in what}
    assert only == set(Connection.model_fields) - set(ConnectionFields.model_fields) - {"missing_secrets"}


def test_the_table_of_retries_is_complete() -> None:
    expected = {f"`{name}`": shown(field.default) for name, field in RetryPolicy.model_fields.items()}
    rows = table("<!-- settings:retry -->")
    assert {name: default for name, default, _ in rows} == expected
    for name, _, what in rows:
        for other in re.findall(r"also `(\w+)`", what):
            value = (429,) if "status" in other else 1
            assert RetryPolicy(**{other: value}) == RetryPolicy(**{name.strip("`"): value})


PARAMETERS = {*ChatParameters.model_fields, *GenerationParameters.model_fields}
FRAMEWORKS = ("langchain", "llamaindex")


def adapters() -> Iterator[tuple[str, type[BaseModel]]]:
    for framework in FRAMEWORKS:
        package = importlib.import_module(f"wx_integrations.{framework}")
        for name in package.__all__:
            thing = getattr(package, name)
            if isinstance(thing, type) and issubclass(thing, ConnectionFields):
                yield framework, thing


def own_settings(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the settings that our classes add, besides the connection's and the API's parameters, with defaults."""
    names = [
        name for base in kind.__mro__ if base.__module__.startswith("wx_") for name in inspect.get_annotations(base)
    ]
    known = {*ConnectionFields.model_fields, *PARAMETERS}
    fields = kind.model_fields
    return {name: shown(fields[name].default) for name in names if name in fields and name not in known}


def matches(who: str, framework: str, kind: type[BaseModel], name: str) -> bool:
    """Whether a row's first cell is about a class."""
    if who == "all but toolkits":
        return issubclass(kind, ModelFields)
    if " of " in who and not who.endswith({"langchain": "LangChain", "llamaindex": "LlamaIndex"}[framework]):
        return False
    kinds = {"embeddings": "Embeddings", "rerankers": "Rerank", "toolkits": "Tool", "classes": ""}
    words = quoted(who) or [kinds[word.strip()] for word in who.partition(" of ")[0].split(",")]
    return any(kind.__name__ == word if quoted(who) else word in kind.__name__ for word in words)


def test_the_table_of_adapters_is_complete() -> None:
    rows = table("<!-- settings:adapters -->")
    used: set[tuple[str, ...]] = set()
    for framework, kind in adapters():
        for name, default in own_settings(kind).items():
            fitting = [
                row
                for row in rows
                if name in {*quoted(row[1]), *quoted(row[3])} and matches(row[0], framework, kind, name)
            ]
            assert fitting, f"{framework}: {kind.__name__}({name}) is in no row"
            assert {row[2] for row in fitting} == {default}, (kind, name)
            used.update(map(tuple, fitting))
    assert [row for row in rows if tuple(row) not in used] == []
    assert BulkFields.model_fields["batch_size"].default == 1000


def test_other_variables_are_those_that_the_code_reads() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "wx_integrations").rglob("*.py"))
    assert set(re.findall(r'"(WX_[A-Z_]+)"', code)) == {"WX_CACHE_DIR"}
    chapter = readme.text().partition("Other variables:")[2]
    assert {"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "WX_CACHE_DIR"} <= set(quoted(chapter[:600]))


# --------------------------------------------------------------------------- errors

TROUBLE: dict[str, Callable[[Watsonx], object]] = {
    "url is not set": lambda w: Connection.from_env({}),
    "no credentials": lambda w: Connection(region="us-south"),
    "neither project_id": lambda w: ChatWatsonx(model_id=CHAT, connection=Connection(region="us-south", api_key="k")),
    "ChatWatsonx has no": lambda w: ChatWatsonx(model_id=CHAT, temprature=0),
    "no token from": lambda w: invoke(api_key="another"),
    "HTTP 401": lambda w: invoke(token="stale", project_id="p", url=w.url),
    "HTTP 403": lambda w: invoke(project_id="another"),
    "HTTP 404 model_not_supported": lambda w: invoke("ibm/granite-4.0-h-small"),
    "HTTP 404 model_no_support": lambda w: invoke(EMBEDDING),
    "HTTP 400 invalid_input": lambda w: WatsonxEmbeddings(model_id=EMBEDDING).embed_query("word " * 600),
    "HTTP 429": lambda w: (w.fail(429, times=None), invoke()),
    "HTTP 503": lambda w: (w.fail(503, times=None), invoke()),
    "...no such host": lambda w: invoke(url="https://host.invalid", username="u", api_key="k", max_retries=0),
    "...took too long": lambda w: (w.fail("timeout", times=None), invoke(timeout=0.1)),
    "StreamBroken": lambda w: (w.fail(Cut(after=2)), list(ChatWatsonx(model_id=CHAT).stream("Hello"))),
    "the answer ended early": lambda w: (
        ChatWatsonx(model_id=CHAT, max_completion_tokens=2).with_structured_output(Person).invoke("Erick is 27.")
    ),
    "1 of 3 texts": lambda w: WatsonxEmbeddings(model_id=EMBEDDING).embed_documents(["a", "word " * 600, "b"]),
    "...answered HTTP 200": lambda w: (w.fail(Page()), invoke()),
    "GET https://example.com": lambda w: httpx.get("https://example.com/"),
}
"""How each row of the table of errors comes about."""
SPECIAL: dict[str, dict[str, Any]] = {
    "no token from": {"api_keys": ["a-key"]},
    "HTTP 401": {"any_token": False},
    "...no such host": {"allow_hosts": ["host.invalid"]},
}
ELSEWHERE = {
    "TLS certificate": "tests/cli/test_doctor.py",
    "needs LangChain": "tests/test_surface.py",
}
"""Rows that other tests show."""


class Person(BaseModel):
    name: str
    age: int


def invoke(model_id: str = CHAT, **settings: Any) -> object:
    return ChatWatsonx(model_id=model_id, **settings).invoke("Hello")


def row_of(sign: str) -> list[str]:
    [row] = [row for row in table("## Errors") if sign.removeprefix("...") in row[0]]
    return row


@QUIET
@pytest.mark.parametrize("sign", TROUBLE)
def test_an_error_reads_as_the_table_says(sign: str) -> None:
    with emulated(projects=["p"], project_id="p", **SPECIAL.get(sign, {})) as watsonx:
        make = TROUBLE[sign]
        with pytest.raises((WatsonxError, NetworkBlocked)) as caught:
            make(watsonx)
    said = f"{type(caught.value).__name__}: {caught.value}"
    [pattern] = quoted(row_of(sign)[0])
    assert fnmatchcase(said, pattern.replace("[", "[[]").replace("...", "*").rstrip("*") + "*"), said


def test_every_error_of_the_table_is_shown() -> None:
    rows = table("## Errors")
    assert sorted(map(tuple, map(row_of, [*TROUBLE, *ELSEWHERE]))) == sorted(map(tuple, rows))
    assert all((ROOT / path).is_file() for path in ELSEWHERE.values())


# --------------------------------------------------------------------------- other tables, links


def test_imports_of_the_migration_table_work() -> None:
    rows = table("## Moving from IBM's packages")
    assert len(rows) == 10
    for _, ours in rows:
        for statement in (code for code in quoted(ours) if code.startswith("from ")):
            exec(statement, {})
    assert set(re.findall(r"import (\w+)", "".join(theirs for theirs, _ in rows))) <= {
        kind.__name__ for _, kind in adapters()
    }


LACKING = ("text/extractions", "time_series/forecast", "audio/transcriptions", "fine_tunings", "prompts")


def test_what_the_emulator_lacks_is_not_there() -> None:
    rows = {row[0]: row for row in table("### The emulator")}
    for word in ("text extraction", "time series", "audio", "prompt templates", "tuning", "404"):
        assert word in rows["operations"][2]
    routes = {route.path for route in ROUTES}
    assert not [path for path in routes for word in LACKING if word in path]
    with emulated() as watsonx, Client() as client:
        assert [client.request_raw("POST", f"/ml/v1/{path}").status_code for path in LACKING] == [404] * len(LACKING)
        tools = client.request_raw("GET", "/wx/v1-beta/utility_agent_tools").status_code
        assert (tools, watsonx.emulator.service.tools) == (403, None)


def test_every_extra_is_in_the_table() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    rows = table("## Install")
    assert {extra for row in rows for extra in re.findall(r"\[(\w+)\]", row[0])} | {"all", "test"} == set(extras)
    assert "`all` is all but the last, `test` what the tests need as well" in readme.text()


def test_options_of_the_commands_table_exist() -> None:
    for command, what in table("## The wx command"):
        name = quoted(command)[0].removeprefix("wx ")
        result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        for option in re.findall(r"--[a-z-]+", what):
            assert option in result.output, (name, option)


def test_claims_name_tests_that_exist() -> None:
    rows = table("## How it compares")
    assert len(rows) > 10
    for _, proof in rows:
        [(name, path)] = re.findall(r"\[`([^`]+)`\]\(([^)]+)\)", proof)
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions or name == path, name


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", readme.text()):
        if target.startswith("#"):
            assert target[1:] in readme.headings(), target
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target


PAGE = """# What it costs
Made by `python -m benchmarks` on 2026-11-20 from commit `abc`.
### Import, in a new process

| | CPU ms | CPU / raw | modules |
|---|---|---|---|
| raw httpx | 100 | 1.00 | 9 |
| LangChain's no-op model | 900 | 9.00 | 9 |
| **wx_integrations.langchain** | 950 | 9.50 [9.40..9.60] | 12 |
| langchain-ibm | 2700 | 27.00 | 99 |

### One question after another

| | CPU us/call | CPU / raw |
|---|---|---|
| raw httpx | 500 | 1.00 |
| **wx_integrations.langchain** | 900 | 1.80 [1.70..1.90] |

note
"""


def test_figures_of_a_page_of_results() -> None:
    made = readme.shown_of(PAGE)
    assert "results](benchmarks/RESULTS.md) of 2026-11-20, medians" in made
    assert made.splitlines()[-4:] == [
        "|  | import, CPU ms | a question |",
        "| --- | --- | --- |",
        "| **wx_integrations.langchain** | 950 | 1.80 |",
        "| langchain-ibm | 2700 | - |",
    ]


def test_the_figures_shown_are_figures_that_benchmarks_make() -> None:
    headings = {task.title: [COLUMNS[name].heading for name in task.columns] for task in TASKS.values()}
    assert [(title, column) for title, column, _ in readme.SHOWN if column not in headings.get(title, ())] == []


def test_figures_are_those_that_were_measured() -> None:
    assert readme.filled() == readme.text()


def test_nothing_of_this_machine_and_no_line_too_long() -> None:
    assert not re.search(r"/work/|/home/|/root/|/tmp/", readme.text())
    prose = [line for line in readme.text().splitlines() if not line.startswith(("|", " ", "AssertionError"))]
    assert max(map(len, prose)) <= 120
