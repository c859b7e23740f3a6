"""What it takes to get going, in what can be counted: modules, requests, TLS contexts, memory."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import ssl
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.server import Seen, Server, Step, answer

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "answers"
LANGCHAIN, LLAMAINDEX = "wx_integrations.langchain", "wx_integrations.llamaindex"

FLOORS = {
    (LANGCHAIN, "ChatWatsonx"): "langchain_core.language_models.chat_models",
    (LANGCHAIN, "WatsonxLLM"): "langchain_core.language_models.llms",
    (LANGCHAIN, "WatsonxEmbeddings"): "langchain_core.embeddings.embeddings",
    (
        LANGCHAIN,
        "WatsonxRerank",
    ): "langchain_core.documents.base, langchain_core.documents.compressor, langchain_core.runnables.base",
    (LANGCHAIN, "WatsonxToolkit"): "langchain_core.tools.base, pydantic.functional_serializers",
    (LLAMAINDEX, "WatsonxLLM"): "llama_index.core.llms.function_calling",
    (LLAMAINDEX, "WatsonxEmbeddings"): "llama_index.core.base.embeddings.base",
    (LLAMAINDEX, "WatsonxRerank"): "llama_index.core.postprocessor.types",
    (LLAMAINDEX, "WatsonxToolSpec"): "llama_index.core.tools.tool_spec.base",
}
"""Each adapter and what its framework's base class takes."""

STANDARD = {"difflib"}
"""Modules of the standard library that an adapter may load beside those its framework and httpx load."""

_SHAPES = (
    "formats",
    "functions",
    "gateway",
    "messages",
    "parts",
    "service",
    "embeddings",
    "models",
    "rerank",
    "text",
    "tokenization",
)
LATER = (
    *(f"core.wire.{name}" for name in _SHAPES),
    *("core.agent_tools", "core.embedder", "core.ranker", "core.sse", "core.streams"),
    *("langchain.called", "langchain.fold", "langchain.lookup", "langchain.parts"),
    *("langchain.schemas", "langchain.structured"),
    *("llamaindex.generations", "llamaindex.parts", "llamaindex.tools"),
)
"""Modules that a chat in words does without."""

ASKED = {
    ("langchain", "sync"): ("ChatWatsonx", "model.invoke('Hi').content"),
    ("langchain", "async"): ("ChatWatsonx", "asyncio.run(model.ainvoke('Hi')).content"),
    ("llamaindex", "sync"): ("WatsonxLLM", "model.complete('Hi').text"),
    ("llamaindex", "async"): ("WatsonxLLM", "asyncio.run(model.acomplete('Hi')).text"),
}

SETTINGS = {"url": "https://us-south.ml.cloud.ibm.com", "api_key": "k" * 44, "project_id": "p" * 36}


def run(code: str, **environ: str) -> Any:
    """Run a program in an interpreter of its own and return the JSON it prints."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**kept, **environ},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def service(seen: Seen) -> list[Step]:
    if seen.path == "/identity/token":
        return answer(200, {"access_token": "a.b.c", "expires_in": 3600, "token_type": "Bearer"})
    return answer(200, (GOLDEN / "chat.json").read_bytes())


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    with Server(service, tls=authority.good()) as server:
        yield server


# --------------------------------------------------------------------------- import


@pytest.mark.parametrize(("package", "name"), FLOORS)
def test_an_adapter_loads_itself_and_what_its_framework_has_loaded(package: str, name: str) -> None:
    added = run(f"""
import json, sys
import httpx, pydantic, {FLOORS[package, name]}
before = set(sys.modules)
from {package} import {name}
print(json.dumps(sorted(set(sys.modules) - before)))
""")
    assert [module for module in added if module.startswith("wx_integrations")]
    strangers = {module for module in added if module.partition(".")[0] != "wx_integrations"}
    assert strangers <= STANDARD


# --------------------------------------------------------------------------- the first answer


@pytest.mark.parametrize(("framework", "colour"), ASKED)
def test_the_first_answer_takes_two_requests_and_one_context(
    framework: str, colour: str, server: Server, authority: Authority
) -> None:
    name, asked = ASKED[framework, colour]
    found = run(
        f"""
import asyncio, gc, json, ssl, sys
def contexts():
    return sum(isinstance(thing, ssl.SSLContext) for thing in gc.get_objects())
from wx_integrations.{framework} import {name}
imported = contexts()
model = {name}(model_id="ibm/granite-4-h-small", url={server.url!r}, api_key="key", project_id="project")
built = contexts() - imported
text = {asked}
later = [name for name in {LATER} if "wx_integrations." + name in sys.modules]
print(json.dumps([text, built, contexts() - imported, later]))
""",
        SSL_CERT_FILE=str(authority.file),
    )
    text, built, made, later = found
    assert text.startswith("The 2020 World Series was played")
    assert [(seen.method, seen.path) for seen in server.seen] == [
        ("POST", "/identity/token"),
        ("POST", "/ml/v1/text/chat"),
    ]
    assert (built, made) == (0, 1)
    assert later == []


# --------------------------------------------------------------------------- construction


def made(package: str, name: str, **settings: Any) -> Any:
    model = {} if "Tool" in name else {"model_id": "ibm/granite-4-h-small"}
    return getattr(import_module(package), name)(**{**SETTINGS, **model, **settings})


@pytest.mark.parametrize(("package", "name"), FLOORS)
def test_a_thousand_adapters_are_silent_and_small(package: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr("socket.socket.__init__", lambda *_, **__: happened.append("socket"))
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: happened.append("context"))
    kept = [made(package, name)]
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept += [made(package, name) for _ in range(999)]
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / 999
    finally:
        tracemalloc.stop()
    assert happened == []
    assert len(kept) == 1000
    assert each < 20 * 1024


@pytest.mark.parametrize("package", [LANGCHAIN, LLAMAINDEX])
def test_ten_adapters_of_equal_settings_share_one_context_and_one_token(
    package: str, server: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both colours do, and the token's host as well."""
    contexts: list[ssl.SSLContext] = []
    original = ssl.create_default_context

    def counted(*args: Any, **options: Any) -> ssl.SSLContext:
        contexts.append(original(*args, **options))
        return contexts[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    names = {LANGCHAIN: ("ChatWatsonx", "invoke", "ainvoke"), LLAMAINDEX: ("WatsonxLLM", "complete", "acomplete")}
    name, ask, aask = names[package]
    with Server(service, tls=authority.good()) as tokens:
        models = [made(package, name, url=server.url, auth_url=f"{tokens.url}/identity/token") for _ in range(10)]
        for model in models:
            getattr(model, ask)("Hi")

        async def together() -> None:
            await asyncio.gather(*(getattr(model, aask)("Hi") for model in models))

        asyncio.run(together())
        models[0].client.close()
    assert [(seen.method, seen.path) for seen in tokens.seen] == [("POST", "/identity/token")]
    assert [seen.path for seen in server.seen] == ["/ml/v1/text/chat"] * 20
    assert len(contexts) == 1
