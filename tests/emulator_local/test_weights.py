"""The real models: what only real weights can show. Skipped where the cache lacks them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.brain import Calling, Finish, Text
from wx_integrations.emulator.local.cache import sha256_of
from wx_integrations.emulator.local_models import CATALOGUE, LocalBrain, find_models

SMALL, DEFAULT = "huggingfacetb/smollm2-135m-instruct", "qwen/qwen2.5-coder-1.5b-instruct"
EMBEDDING = "sentence-transformers/all-minilm-l6-v2"
slow = pytest.mark.skipif(not os.environ.get("WX_SLOW"), reason="takes a minute or more; set WX_SLOW=1")


def asked(content: str, **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [{"role": "user", "content": content}], "max_tokens": 60, **fields})


def said(brain: LocalBrain, model_id: str, request: ChatRequest) -> str:
    return "".join(piece.text for piece in brain.chat(model_id, request) if isinstance(piece, Text))


def called(brain: LocalBrain, model_id: str, request: ChatRequest) -> tuple[str, Any] | None:
    calls = [piece for piece in brain.chat(model_id, request) if isinstance(piece, Calling)]
    return (calls[0].name, json.loads(calls[0].arguments)) if calls else None


def tool(name: str, description: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = tool("get_weather", "Get the current weather in a city.", city={"type": "string"})
ADD = tool("add", "Add two numbers.", a={"type": "number"}, b={"type": "number"})

# --------------------------------------------------------------------------- embeddings


@pytest.mark.weights
def test_the_converted_embedder_has_the_pinned_bytes() -> None:
    path = find_models(["all-minilm-l6-v2"])["all-minilm-l6-v2"]
    assert sha256_of(path) == CATALOGUE["all-minilm-l6-v2"].sha256


@pytest.mark.weights
def test_embeddings_are_the_published_ones(small_brain: LocalBrain) -> None:
    # the model's own card prints these for this sentence
    vector = small_brain.embed(EMBEDDING, ["This is an example sentence"], None).vectors[0]
    assert len(vector) == 384
    assert vector[:3] == pytest.approx([0.0676, 0.0635, 0.0487], abs=2e-3)


@pytest.mark.weights
def test_near_texts_are_near(small_brain: LocalBrain) -> None:
    texts = ["How do I reset my password?", "Change your password in the account settings.", "Bananas are yellow."]
    question, right, wrong = small_brain.embed(EMBEDDING, texts, None).vectors
    near, far = (sum(a * b for a, b in zip(question, other, strict=True)) for other in (right, wrong))
    assert near > 0.5
    assert far < 0.2


@pytest.mark.weights
def test_truncated_texts_are_their_beginning(small_brain: LocalBrain) -> None:
    long = small_brain.embed(EMBEDDING, ["the cat sat " + "on the mat " * 200], 5)
    start = small_brain.embed(EMBEDDING, ["the cat sat"], None)
    assert long.token_count == start.token_count == 5
    assert list(long.vectors[0]) == pytest.approx(list(start.vectors[0]), abs=1e-5)


@pytest.mark.weights
def test_reranking_by_nearness(small_brain: LocalBrain) -> None:
    passages = ["Bananas are yellow.", "You can set a new password in your account."]
    ranked = small_brain.rerank(EMBEDDING, "How do I reset my password?", passages, None)
    assert ranked.scores[1] > ranked.scores[0]


# --------------------------------------------------------------------------- the small model


@pytest.mark.weights
def test_the_small_model_answers(small_brain: LocalBrain) -> None:
    assert "Paris" in said(small_brain, SMALL, asked("What's the capital of France? Answer in one sentence."))


@pytest.mark.weights
def test_the_small_model_ends(small_brain: LocalBrain) -> None:
    pieces = list(small_brain.chat(SMALL, asked("What is the capital of France?", max_tokens=400)))
    assert isinstance(pieces[-1], Finish)
    assert pieces[-1].reason == "stop"


@pytest.mark.weights
def test_the_small_model_fills_a_schema(small_brain: LocalBrain) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "Person", "schema": schema}}
    text = said(small_brain, SMALL, asked("Erick is 27 years old", response_format=wanted))
    assert json.loads(text) == {"name": "Erick", "age": 27}


@pytest.mark.weights
def test_the_small_model_calls_a_tool_and_answers_after_its_result(small_brain: LocalBrain) -> None:
    request = asked("What's the weather in Paris?", tools=[WEATHER, ADD])
    assert called(small_brain, SMALL, request) == ("get_weather", {"city": "Paris"})
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    history = [
        {"role": "user", "content": "What's the weather in Paris?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny, 24 C"},
    ]
    assert "sunny" in said(small_brain, SMALL, asked("", messages=history, tools=[WEATHER, ADD]))


@pytest.mark.weights
def test_generation_continues_a_text(small_brain: LocalBrain) -> None:
    given = GenerationParameters(max_new_tokens=4)
    pieces = list(small_brain.generate(SMALL, "The capital of France is", given))
    assert "Paris" in "".join(piece.text for piece in pieces if isinstance(piece, Text))


# --------------------------------------------------------------------------- the default model


@slow
@pytest.mark.weights("default")
def test_the_default_model_answers(default_brain: LocalBrain) -> None:
    assert "42" in said(default_brain, DEFAULT, asked("What is 12 + 30?"))


@slow
@pytest.mark.weights("default")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("What's the weather in Paris?", ("get_weather", {"city": "Paris"})),
        ("What is 17 plus 25?", ("add", {"a": 17, "b": 25})),
        ("Hello!", None),
        ("Tell me a joke.", None),
        ("Write a haiku about autumn.", None),
    ],
)
def test_the_default_model_calls_a_tool_when_one_is_needed(
    default_brain: LocalBrain, content: str, expected: Any
) -> None:
    assert called(default_brain, DEFAULT, asked(content, tools=[WEATHER, ADD])) == expected


PASSAGES = (
    "[1] Baltic Sails was founded in 1998 by Lena Hofer and Paul Ng in Gdansk.\n\n"
    "[2] Baltic Sails has 420 employees. Every employee gets 28 days of vacation a year.\n\n"
    "[3] The Tern is 5.2 metres long and costs 18,900 euros."
)
RULES = (
    "You answer questions from the numbered passages and nothing else, in one full sentence that ends with the number"
    " of the passage in brackets, such as [4]. If no passage states the answer, you reply: I don't know."
)


@slow
@pytest.mark.weights("default")
@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("Who founded Baltic Sails?", "Lena Hofer"),
        ("How many employees does Baltic Sails have?", "420"),
        ("How much is the Tern?", "18,900"),
        ("What is the salary of the CEO?", "I don't know"),
    ],
)
def test_the_default_model_answers_from_passages(default_brain: LocalBrain, question: str, fact: str) -> None:
    messages = [
        {"role": "system", "content": RULES},
        {"role": "user", "content": f"{PASSAGES}\n\nQuestion: {question}"},
    ]
    assert fact in said(default_brain, DEFAULT, asked("", messages=messages))


@slow
@pytest.mark.weights("default")
def test_the_judge_sees_through_a_trap(default_brain: LocalBrain) -> None:
    passages = [
        "The reset button on the back of the router restores factory settings.",
        "You can choose a new password in the account settings.",
        "Paris is the capital of France.",
    ]
    scores = default_brain.rerank(DEFAULT, "How do I reset my password?", passages, None).scores
    assert scores[1] > scores[0] > scores[2]
