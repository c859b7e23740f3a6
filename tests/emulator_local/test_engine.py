"""The engine itself, running models of a few kilobytes with random weights."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulator_local.tiny_models import write_tiny_bert, write_tiny_llama
from wx_integrations.core.wire.chat import ChatParameters
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.brain import Finish, Piece, Refusal, Text
from wx_integrations.emulator.local import engine as engine_module
from wx_integrations.emulator.local.engine import Engine, EngineSettings, TimeUp
from wx_integrations.emulator.local.sampling import chat_sampling, generation_sampling, grammar_of, json_grammar
from wx_integrations.emulator.local.writing import write_answer, write_on, written
from wx_integrations.emulator.local_models import MissingExtra

pytest.importorskip("xllamacpp", reason="needs the extra `local`")

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
ENDLESS = {"temperature": 1.0, "seed": 1, "max_tokens": -1, "ignore_eos": True, "cache_prompt": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[Engine]:
    running = Engine(model, EngineSettings(context=512))
    yield running
    running.close()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = write_tiny_bert(tmp_path_factory.mktemp("bert"))
    running = Engine(path, EngineSettings(context=512), embedding=True)
    yield running
    running.close()


def answer(engine: Engine, **fields: Any) -> list[Piece]:
    parameters = ChatParameters.model_validate({"max_tokens": 20, **fields})
    return list(write_answer(engine, HELLO, chat_sampling(parameters), grammar=grammar_of(parameters)))


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


def finish(pieces: list[Piece]) -> Finish:
    assert isinstance(pieces[-1], Finish)
    assert sum(isinstance(piece, Finish) for piece in pieces) == 1
    return pieces[-1]


def test_nothing_runs_before_the_first_use(model: Path) -> None:
    engine = Engine(model)
    assert not engine.started
    engine.close()
    assert not engine.started


def test_the_models_own_template_is_used(engine: Engine) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert engine.prompt_of(turns) == "<system>s\n<user>u\n<assistant>"


def test_answers_are_counted_and_repeatable(engine: Engine) -> None:
    first = answer(engine)
    assert finish(first) == Finish("length", len(engine.tokens(engine.prompt_of(HELLO))), 20)
    assert text(first)
    assert answer(engine) == first
    seeded = [answer(engine, temperature=1.0, seed=5) for _ in range(2)]
    assert seeded[0] == seeded[1]


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"guided_choice": ["no", "maybe so"]}, "no|maybe so"),
        ({"guided_regex": r"[a-c]{2}\d(x|yy)?"}, r"[a-c]{2}\d(x|yy)?"),
        ({"guided_grammar": 'root ::= "hi" | "ho"'}, "hi|ho"),
        ({"guided_json": {"enum": ["one", 2]}}, '"one"|2'),
        (
            {"guided_json": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}},
            r'{"a": (true|false)}',
        ),
        ({"guided_json": {"type": "integer", "minimum": 7, "maximum": 9}}, "[789]"),
    ],
)
def test_constraints_hold(engine: Engine, fields: dict[str, Any], allowed: str) -> None:
    pieces = answer(engine, temperature=2.0, seed=3, **fields)
    assert re.fullmatch(allowed, text(pieces))
    assert finish(pieces).reason == "stop"


def test_log_probabilities(engine: Engine) -> None:
    pieces = answer(engine, logprobs=True, top_logprobs=3, max_tokens=4)
    tokens = [token for piece in pieces if isinstance(piece, Text) for token in piece.tokens]
    assert len(tokens) == 4
    for token in tokens:
        assert len(token.top) == 3
        assert token.logprob == token.top[0][1] <= 0
    assert all(not piece.tokens for piece in answer(engine) if isinstance(piece, Text))


def test_stop_sequences_end_the_answer_before_them(engine: Engine) -> None:
    whole = text(answer(engine))
    stop = whole[3]
    pieces = answer(engine, stop=[stop])
    assert text(pieces) == whole[: whole.index(stop)]
    assert finish(pieces).reason == "stop"


def test_generation_keeps_or_drops_the_stop_sequence(engine: Engine) -> None:
    def go(**fields: Any) -> list[Piece]:
        return list(
            write_on(engine, "once", generation_sampling(GenerationParameters.model_validate(fields)), keep_stop=True)
        )

    plain = go(max_new_tokens=8)
    assert finish(plain) == Finish("max_tokens", 4, 8)
    stop = text(plain)[2]
    stopped = go(max_new_tokens=8, stop_sequences=[stop])
    assert finish(stopped).reason == "stop_sequence"
    assert text(stopped) == text(plain)[: text(plain).index(stop) + 1]


def test_at_least_so_many_tokens_are_written(engine: Engine) -> None:
    def go(prompt: Any = "once", least: int = 0, **fields: Any) -> list[Piece]:
        sampling = generation_sampling(GenerationParameters.model_validate(fields))
        return list(write_on(engine, prompt, sampling, least=least, keep_stop=True))

    plain = text(go(max_new_tokens=12))
    early = next(letter for letter in plain if letter.isascii())
    assert finish(go(max_new_tokens=12, stop_sequences=[early])).completion_tokens < 8
    pieces = go(least=8, max_new_tokens=12, stop_sequences=[early])
    assert finish(pieces).completion_tokens >= 8
    assert finish(pieces).prompt_tokens == 4
    assert finish(go(least=12, max_new_tokens=12, stop_sequences=[early])) == Finish("max_tokens", 4, 12)
    ids = [token for token, _ in engine.tokens("once")]
    assert go(ids, least=5, max_new_tokens=12) == go(least=5, max_new_tokens=12)


def test_a_prompt_may_be_tokens(engine: Engine) -> None:
    ids = [token for token, _ in engine.tokens("once")]
    assert engine.text_of(ids) == "once"
    by_ids = written(engine, {"prompt": ids, "n_predict": 5, "temperature": 0})
    assert by_ids == written(engine, {"prompt": "once", "n_predict": 5, "temperature": 0})


def test_tokens_show_pieces_even_of_half_characters(engine: Engine) -> None:
    assert [piece for _, piece in engine.tokens("yes ü")] == ["yes", " ", "\ufffd", "\ufffd"]


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(engine: Engine) -> None:
    turns = [{"role": "user", "content": "x" * 4000}]
    with pytest.raises(Refusal, match=r"4\d\d\d tokens.*context of 512") as caught:
        list(write_answer(engine, turns, chat_sampling(ChatParameters())))  # type: ignore[arg-type]
    assert caught.value.status == 400


def test_a_broken_grammar_is_refused(engine: Engine) -> None:
    with pytest.raises(Refusal) as caught:
        answer(engine, guided_grammar="root := nonsense <")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "schema", [{"type": "foo"}, {"$ref": "#/$defs/Missing"}, {"type": "string", "pattern": "(?=x)"}]
)
def test_a_schema_that_cannot_be_enforced_is_refused(engine: Engine, schema: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="schema"):
        engine.check_grammar(json_grammar(schema))


def test_a_sound_schema_is_checked_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = json_grammar({"type": "object", "properties": {"once": {"type": "null"}}})
    engine.check_grammar(grammar)
    monkeypatch.setattr(engine, "ask", lambda *_: pytest.fail("asked again"))
    engine.check_grammar(grammar)


def test_closing_a_stream_stops_the_work(engine: Engine) -> None:
    stream = engine.stream("/completion", {"prompt": "x", "n_predict": -1, **ENDLESS})
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert written(engine, {"prompt": "x", "n_predict": 1}).written == 1  # would wait for its turn behind the stream


def test_streams_run_in_parallel(model: Path) -> None:
    engine = Engine(model, EngineSettings(context=512, parallel=2))
    first = engine.stream("/completion", {"prompt": "x", "n_predict": 300, **ENDLESS})
    next(first)
    second = engine.stream("/completion", {"prompt": "y", "n_predict": 3, **ENDLESS})
    assert list(second)[-1]["tokens_predicted"] == 3
    assert list(first)[-1]["tokens_predicted"] == 300
    engine.close()


def test_many_threads_may_ask(engine: Engine) -> None:
    alone = written(engine, {"prompt": "once", "n_predict": 5, "temperature": 0, "cache_prompt": False})
    got = []

    def ask() -> None:
        got.append(written(engine, {"prompt": "once", "n_predict": 5, "temperature": 0, "cache_prompt": False}))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [alone] * 8


def test_what_is_read_aside_is_kept(engine: Engine) -> None:
    beginning = {"prompt": "examples " * 10, "n_predict": 0, "cache_prompt": True, "scratch": True}
    question = {**beginning, "prompt": "examples " * 10 + "question", "n_predict": 1, "temperature": 0}
    frames = []
    for _ in range(2):
        list(engine.stream("/completion", beginning))
        list(engine.stream("/completion", {"prompt": "other", "n_predict": 1, "cache_prompt": False}))
        frames.append(list(engine.stream("/completion", question))[-1])
    assert [frame["timings"]["prompt_n"] for frame in frames] == [len("question")] * 2


def test_a_deadline_ends_the_work(engine: Engine) -> None:
    with pytest.raises(TimeUp):
        list(engine.stream("/completion", {"prompt": "x", "n_predict": -1, **ENDLESS}, time.monotonic()))
    pieces = list(write_answer(engine, HELLO, ENDLESS, deadline=time.monotonic()))
    assert finish(pieces).reason == "time_limit"
    assert finish(pieces).prompt_tokens == len(engine.tokens(engine.prompt_of(HELLO)))
    pieces = list(write_on(engine, "x", {**ENDLESS, "n_predict": -1}, deadline=time.monotonic()))
    assert finish(pieces).reason == "time_limit"


def test_embeddings_are_unit_vectors_and_counted(embedder: Engine) -> None:
    vectors, read = embedder.vectors(["the cat", "xyz", [2, 5, 3]])
    assert [len(vector) for vector in vectors] == [32] * 3
    assert [sum(value * value for value in vector) for vector in vectors] == pytest.approx([1.0] * 3, abs=1e-5)
    assert read == 4 + 5 + 3
    assert embedder.tokens("The cat", special=True) == [(2, "[CLS]"), (57, " the"), (58, " cat"), (3, "[SEP]")]
    again, _ = embedder.vectors(["the cat"])
    assert again[0] == pytest.approx(vectors[0], abs=1e-6)


def test_an_input_beyond_the_hard_limit_is_refused(embedder: Engine) -> None:
    with pytest.raises(Refusal):
        embedder.vectors(["a " * 600])


def test_only_who_knows_the_key_gets_in(engine: Engine) -> None:
    engine.tokens("start")
    assert engine._running.client is not None
    address = str(engine._running.client.base_url)
    assert address.startswith("http://127.0.0.1:")
    assert httpx.post(f"{address}/completion", json={"prompt": "x"}, trust_env=False).status_code == 401


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    engine = Engine(tmp_path / "broken.gguf")
    with pytest.raises(Refusal, match="broken could not be loaded"):
        engine.tokens("x")
    engine.close()


def test_a_closed_engine_refuses(model: Path) -> None:
    engine = Engine(model, EngineSettings(context=512))
    engine.tokens("x")
    engine.close()
    engine.close()
    with pytest.raises(Refusal, match="closed"):
        engine.tokens("x")


def test_closing_ends_open_streams(model: Path) -> None:
    engine = Engine(model, EngineSettings(context=4096))
    stream = engine.stream("/completion", {"prompt": "x", "n_predict": -1, **ENDLESS})
    next(stream)
    engine.close()
    with pytest.raises(Refusal, match="closed while it answered"):
        list(stream)


def test_an_engine_that_is_gone_is_a_refusal(model: Path) -> None:
    engine = Engine(model, EngineSettings(context=512))
    engine.tokens("x")
    engine._running.server = None
    with pytest.raises(Refusal, match="broke off") as caught:
        engine.tokens("x")
    assert caught.value.status == 500
    engine.close()


def test_an_engine_nobody_holds_is_freed(model: Path) -> None:
    engine = Engine(model, EngineSettings(context=512))
    engine.tokens("x")
    running = engine._running
    del engine
    gc.collect()
    assert running.client is None
    assert running.server is None


def test_without_the_extra_the_way_to_get_it_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtra, match=r"wx-integrations\[local\]"):
        Engine(model).tokens("x")


SCRIPT = """
import sys
from pathlib import Path
from wx_integrations.emulator.local.engine import Engine, EngineSettings
engine = Engine(Path(sys.argv[1]), EngineSettings(context=512))
stream = engine.stream("/completion", {"prompt": "x", "n_predict": -1, "ignore_eos": True})
print(next(stream)["index"])
"""


def test_a_process_that_forgets_to_close_ends_quietly(model: Path) -> None:
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", SCRIPT, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ))
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_importing_loads_no_engine() -> None:
    code = "import sys, wx_integrations.emulator.local_models; print('xllamacpp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_the_module_names_its_engine() -> None:
    assert engine_module.find_engine().__name__ == "xllamacpp"
