"""`wx demo` on a service; with real local models it runs in CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import service, wx
from wx_integrations.cli import local
from wx_integrations.cli.demo import AGENT_QUESTION, QUESTIONS, total_fare
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.scripted import ScriptedBrain


def test_the_prepared_questions_and_the_agent() -> None:
    brain = ScriptedBrain(DeterministicBrain())
    for _ in QUESTIONS:
        brain.reply("It is ", "written [1].")
    brain.call("total_fare", destination="Skarholm", adults=2, children=3).reply("84 euros.")
    with service(brain=brain) as (server, environment):
        run = wx("demo", **environment)
        journal = server.emulator.journal
    assert (run.code, run.err) == (0, "")
    answers = [[f"Question: {question}", "It is written [1]."] for question in QUESTIONS]
    assert [line for line in run.lines if line and not line.startswith("  [1] ")] == [
        "Using the service named by WATSONX_*.",
        "Indexing 6 documents",
        "35 passages embedded and indexed in memory.",
        *(line for answer in answers for line in answer),
        f"Agent: {AGENT_QUESTION}",
        "  calls total_fare(destination='Skarholm', adults=2, children=3)",
        "  result: 84.00 euros",
        "84 euros.",
    ]
    assert "  [1] tickets-and-refunds.md" in run.lines
    assert [len(body["inputs"]) for body in journal.bodies("text/embeddings")] == [16, 16, 3, 1, 1, 1, 1]
    assert [(len(body["inputs"]), body["query"]) for body in journal.bodies("text/rerank")] == [
        (5, question) for question in QUESTIONS
    ]
    streamed = journal.bodies("text/chat_stream")
    assert [body["messages"][-1]["content"].rpartition("Question: ")[2] for body in streamed] == list(QUESTIONS)
    first, second = journal.bodies("text/chat")
    assert {body["temperature"] for body in (*streamed, first, second)} == {0}
    assert [tool["function"]["name"] for tool in first["tools"]] == ["total_fare"]
    assert second["messages"][-1]["content"] == "84.00 euros"


def test_ones_own_documents(tmp_path: Path) -> None:
    (tmp_path / "buns.md").write_text("# Buns\n\nThe café sells cinnamon buns.")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    with service() as (server, environment):
        run = wx("demo", "--docs", str(tmp_path), "--question", "What does the café sell?", **environment)
        offered = [tool["function"]["name"] for tool in server.emulator.journal.bodies("text/chat")[0]["tools"]]
    assert (run.code, run.err) == (0, "")
    assert "Left out, not UTF-8 text: photo.jpg" in run.lines
    assert "  [1] buns.md" in run.lines
    assert offered == ["search_documents"]


def test_other_models() -> None:
    with service() as (server, environment):
        run = wx(
            *("demo", "--question", "How much is a bicycle?", "--model", "meta-llama/llama-3-3-70b-instruct"),
            *("--embedding-model", "ibm/slate-30m-english-rtrvr"),
            **environment,
        )
        asked = {entry.body["model_id"] for entry in server.emulator.journal if "/text/" in entry.path}
    assert run.code == 0
    assert asked == {
        "meta-llama/llama-3-3-70b-instruct",
        "ibm/slate-30m-english-rtrvr",
        "cross-encoder/ms-marco-minilm-l-12-v2",
    }


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--docs", "no-such-folder", "--question", "Why?"], 1, "wx: --docs: no-such-folder does not exist\n"),
        (["--docs", "no-such-folder"], 1, "wx: --docs: no-such-folder does not exist\n"),
        (["--docs", "."], 2, "give --question as well"),
        (["--question", " "], 2, "is empty"),
        (["--model", ""], 2, "is empty"),
        (["--threads", "0"], 2, "'--threads'"),
    ],
)
def test_mistakes_are_told_before_any_model_is_fetched(
    options: list[str], code: int, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fetched(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("models were fetched")

    monkeypatch.setattr(local, "local_service", fetched)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.md").write_text("a")
    run = wx("demo", *options)
    assert (run.code, run.out) == (code, "")
    assert told in run.err
    assert "Traceback" not in run.err


def test_a_gguf_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("text")
    for name in ("model.gguf", "missing.gguf"):
        run = wx("demo", "--gguf", str(tmp_path / name))
        assert (run.code, run.out) == (1, "")
        assert run.err.startswith(f"wx: {tmp_path / name}: ")
        assert "GGUF" in run.err


def test_the_agents_tool() -> None:
    given = {"destination": "skarholm", "adults": 2, "children": 3}
    assert total_fare.invoke(given) == "84.00 euros"
    assert total_fare.invoke({"destination": "Rome", "adults": 1}).startswith("There is no ferry to Rome. Destinations")
