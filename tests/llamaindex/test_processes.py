"""WatsonxLLM and its siblings in threads, event loops and processes, and at the end of the interpreter."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import lifecycle
from tests.support.interpreter import run
from tests.support.server import Script, Server

LLM = """
from llama_index.core.llms import ChatMessage
from wx_integrations.llamaindex import WatsonxLLM
SETTINGS = {"model_id": "m", "api_key": "the-canary-key", "project_id": "p"}
HI = [ChatMessage(content="hi")]
def make(**settings):
    return WatsonxLLM(**{**SETTINGS, **settings})
def ask(model):
    return model.chat(HI)
async def aask(model):
    return await model.achat(HI)
def stream(model):
    return model.stream_chat(HI)
async def astream(model):
    async for response in await model.astream_chat(HI):
        yield response
"""
EMBEDDINGS = """
from wx_integrations.llamaindex import WatsonxEmbeddings
SETTINGS = {"model_id": "m", "api_key": "the-canary-key", "project_id": "p"}
def make(**settings):
    return WatsonxEmbeddings(**{**SETTINGS, **settings})
def ask(model):
    return model.get_text_embedding("a")
async def aask(model):
    return await model.aget_text_embedding("a")
def stream(model):
    return model.embedder().stream("a" for _ in range(10**9))
def astream(model):
    return model.embedder().astream("a" for _ in range(10**9))
"""


@pytest.fixture
def script() -> Script:
    return lifecycle.answers()


@pytest.fixture
def server(script: Script) -> Iterator[Server]:
    with Server(script) as made:
        yield made


def test_a_life_with_threads_loops_and_forks_and_its_end(server: Server, script: Script) -> None:
    """It ends with streams and clients open, and a thread in the middle of one; nothing is said about it."""
    out = run(server, LLM, lifecycle.THREADS + lifecycle.LOOPS + lifecycle.FORK + lifecycle.END)
    assert out.splitlines() == [
        "sessions of 64 threads: 1",
        "and none is left: 0",
        "a hundred loops in turn: 0",
        "loops at the same time and inside another: 0",
        "loops ended by hand: 0 True",
        "streams left when the loop ends: 0",
        "child",
        "parent",
        "over",
    ]
    assert script.tokens == 5  # one for each session; the child inherits one
    asked = server.calls("/ml/v1/text/chat")
    assert len(asked) == 64 + 200 + 40 + 5 + 6 + 2
    *parents, one, two, three, last, _, _ = asked
    own = {seen.connection for seen in (*parents, last)}
    assert own.isdisjoint(seen.connection for seen in (one, two, three))
    streams = server.calls("/ml/v1/text/chat_stream")
    assert len(streams) == 5 + 1 + 3
    assert all(seen.left.wait(10) for seen in streams)


def test_loops_within_loops_as_in_notebooks(server: Server, script: Script) -> None:
    out = run(server, LLM, lifecycle.NESTED)
    assert out.splitlines() == ["loops known: 1", "loops known: 1", "loops known: 1", "nested: 0"]
    assert script.tokens == 1
    assert len(server.calls("/ml/v1/text/chat")) == 3 * 5


def test_the_end_of_the_interpreter_in_the_middle_of_bulk_work(server: Server) -> None:
    assert run(server, EMBEDDINGS, lifecycle.LEFT_OPEN) == "over\n"


def test_spawned_processes(server: Server, script: Script, tmp_path: Path) -> None:
    job = "import warnings\n" + textwrap.dedent(LLM) + lifecycle.JOB
    (tmp_path / "jobs.py").write_text(job)
    out = run(server, LLM, lifecycle.SPAWN, PYTHONPATH=str(tmp_path), PYTHONWARNINGS="ignore")
    assert out == "['asked']\n"
    assert script.tokens == 2
