"""Generation, embeddings, rerank, tokenization: bodies as in the API reference, frames as recorded."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.emulator.lab import EMBEDDING_MODEL, PROJECT, RERANK_MODEL, TEXT_MODEL, Lab, data_of, error_of, events_of
from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.scripted import ScriptedBrain
from wx_integrations.emulator.service import Deployed, Framing

GENERATION = "/ml/v1/text/generation"


def generate(lab: Lab, text: str = "Once upon a time", *, stream: bool = False, **parameters: Any) -> Any:
    body: dict[str, Any] = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": text}
    if parameters:
        body["parameters"] = parameters
    reply = lab.post(GENERATION + ("_stream" if stream else ""), body)
    return events_of(reply) if stream else data_of(reply)


# --------------------------------------------------------------------------- generation


def test_a_generation() -> None:
    answer = generate(Lab(), "Hello")
    assert answer == {
        "model_id": TEXT_MODEL,
        "model_version": "1.0.0",
        "created_at": "2025-12-02T16:22:09.590Z",
        "results": [
            {
                "generated_text": "You said: Hello",
                "generated_token_count": 4,
                "input_token_count": 1,
                "stop_reason": "eos_token",
            }
        ],
    }


def test_twenty_tokens_unless_asked() -> None:
    (result,) = generate(Lab(), "word " * 40)["results"]
    assert (result["generated_token_count"], result["stop_reason"]) == (20, "max_tokens")
    (result,) = generate(Lab(), "word " * 40, max_new_tokens=0)["results"]
    assert (result["generated_text"], result["generated_token_count"]) == ("", 0)


def test_stop_sequences_stay_unless_told() -> None:
    (result,) = generate(Lab(), "one two three", stop_sequences=["two", "three"])["results"]
    assert (result["generated_text"], result["stop_reason"]) == ("You said: one two", "stop_sequence")
    (result,) = generate(Lab(), "one two", stop_sequences=["two"], include_stop_sequence=False)["results"]
    assert result["generated_text"] == "You said: one "


def test_truncation_keeps_the_end() -> None:
    (result,) = generate(Lab(), "one two three", truncate_input_tokens=1)["results"]
    assert (result["generated_text"], result["input_token_count"]) == ("You said:  three", 1)


def test_min_new_tokens() -> None:
    assert generate(Lab(), "x", min_new_tokens=9)["results"][0]["generated_token_count"] == 9


def test_seed_comes_back_when_sampling() -> None:
    assert generate(Lab(), decoding_method="sample", random_seed=7)["results"][0]["seed"] == 7
    assert "seed" not in generate(Lab(), decoding_method="greedy")["results"][0]


def test_return_options() -> None:
    options = {"input_text": True, "generated_tokens": True, "input_tokens": True, "token_logprobs": True}
    (result,) = generate(Lab(), "Hi", return_options={**options, "token_ranks": True, "top_n_tokens": 2})["results"]
    assert result["generated_text"] == "HiYou said: Hi"
    assert result["input_tokens"] == [{"text": "Hi"}]
    token = result["generated_tokens"][0]
    assert token["text"] == "You"
    assert (token["rank"], len(token["top_tokens"])) == (1, 2)
    assert token["logprob"] <= 0
    (plain,) = generate(Lab(), "Hi", return_options={"generated_tokens": True})["results"]
    assert plain["generated_tokens"][0] == {"text": "You"}


def test_the_recorded_generation_stream() -> None:
    brain = ScriptedBrain()
    brain.reply("Toda", "y", ".", to="generation", usage=(68, 7))
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "word " * 68}
    events = events_of(Lab(brain).post(GENERATION + "_stream", body))
    assert [(number, event) for number, event, _ in events] == [(str(n), "message") for n in (1, 2, 3, 4)]
    assert all(set(data) == {"model_id", "model_version", "created_at", "results"} for _, _, data in events)
    rows = [tuple(data["results"][0].values()) for _, _, data in events]
    assert list(events[0][2]["results"][0]) == [
        "generated_text",
        "generated_token_count",
        "input_token_count",
        "stop_reason",
    ]
    assert rows[0][:2] == ("", 0)
    assert rows[0][2] > 0
    assert rows[1:] == [("Toda", 1, 0, "not_finished"), ("y", 2, 0, "not_finished"), (".", 7, 0, "eos_token")]


def test_an_empty_stream_still_ends() -> None:
    rows = [data["results"][0] for _, _, data in generate(Lab(), "x", stream=True, max_new_tokens=0)]
    assert [row["stop_reason"] for row in rows] == ["not_finished", "max_tokens"]


def test_an_error_inside_a_generation_stream() -> None:
    brain = ScriptedBrain()
    brain.reply("a", "b", Refusal(500, "downstream_request_failed", "gone"), to="generation")
    events = generate(Lab(brain), stream=True)
    assert events[-1][1] == "error"


def test_the_older_ending_of_generation_streams() -> None:
    events = generate(Lab(framing=Framing(ending="close_empty")), stream=True)
    assert events[-1][1:] == ("close", {})


def test_deployed_prompts_fill_their_template() -> None:
    lab = Lab(deployments={"joke": Deployed(TEXT_MODEL, template="Tell a joke about {animal}.")})
    path = "/ml/v1/deployments/joke/text/generation"
    answer = data_of(lab.post(path, {"parameters": {"prompt_variables": {"animal": "cats"}}}))
    assert answer["results"][0]["generated_text"] == "You said: Tell a joke about cats."
    error = error_of(lab.post(path, {"parameters": {"prompt_variables": {"plant": "moss"}}}))
    assert "no variable `plant`" in error["message"]
    stream = events_of(lab.post(path + "_stream", {"parameters": {"prompt_variables": {"animal": "cats"}}}))
    assert "".join(data["results"][0]["generated_text"] for _, _, data in stream).endswith("cats.")


def test_input_is_needed_without_a_template() -> None:
    error = error_of(Lab().post(GENERATION, {"model_id": TEXT_MODEL, "project_id": PROJECT}))
    assert error["code"] == "json_validation_error"
    assert error["message"].endswith("'input' cannot be missing or empty in the request body")


# --------------------------------------------------------------------------- embeddings


def embed(lab: Lab, inputs: list[str], **parameters: Any) -> Any:
    body: dict[str, Any] = {"model_id": EMBEDDING_MODEL, "inputs": inputs, "project_id": PROJECT}
    if parameters:
        body["parameters"] = parameters
    return data_of(lab.post("/ml/v1/text/embeddings", body))


def near(first: list[float], second: list[float]) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


def test_the_references_embedding_request() -> None:
    options = {"truncate_input_tokens": 128, "return_options": {"input_text": True}}
    answer = embed(Lab(), ["Youth craves thrills while adulthood cherishes wisdom."], **options)
    assert list(answer) == ["model_id", "results", "created_at", "input_token_count"]
    (result,) = answer["results"]
    assert result["input"] == "Youth craves thrills while adulthood cherishes wisdom."
    assert len(result["embedding"]) == 384
    assert math.isclose(near(result["embedding"], result["embedding"]), 1.0, abs_tol=1e-9)
    assert "input" not in embed(Lab(), ["x"])["results"][0]


def test_similar_texts_are_near() -> None:
    texts = ["The cat sat on the mat", "A cat is sitting on a mat", "Quarterly revenue grew by ten percent"]
    vectors = [row["embedding"] for row in embed(Lab(), texts)["results"]]
    assert near(vectors[0], vectors[1]) > 0.5 > near(vectors[0], vectors[2]) + 0.2


@pytest.mark.parametrize("text", ["", " ", "!?", "日本語", "\ud83d\ude00"])
def test_any_text_has_a_vector_of_length_one(text: str) -> None:
    vector = embed(Lab(), [text])["results"][0]["embedding"]
    assert math.isclose(near(vector, vector), 1.0, abs_tol=1e-9)


def test_truncation_cuts_the_end_of_each_text() -> None:
    lab = Lab()
    cut = embed(lab, ["granite rock and much more"], truncate_input_tokens=2)
    assert cut["results"] == embed(lab, ["granite rock"])["results"]
    assert cut["input_token_count"] == 2
    assert embed(lab, ["word " * 600], truncate_input_tokens=-1)["input_token_count"] == 512


# --------------------------------------------------------------------------- rerank, tokenization


def rank(lab: Lab, query: str, texts: list[str], **parameters: Any) -> Any:
    inputs = [{"text": text} for text in texts]
    body: dict[str, Any] = {"model_id": RERANK_MODEL, "project_id": PROJECT, "query": query, "inputs": inputs}
    if parameters:
        body["parameters"] = parameters
    return data_of(lab.post("/ml/v1/text/rerank", body))


def test_ranking_is_sorted_with_unbounded_scores() -> None:
    answer = rank(Lab(), "what is granite rock", ["bananas", "granite is a rock", "rock music"])
    assert [row["index"] for row in answer["results"]] == [1, 2, 0]
    scores = [row["score"] for row in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 1
    assert scores[-1] < 0
    assert "query" not in answer
    assert all(set(row) == {"index", "score"} for row in answer["results"])


def test_return_options_of_ranking() -> None:
    options = {"top_n": 1, "inputs": True, "query": True}
    answer = rank(Lab(), "granite", ["bananas", "granite"], return_options=options)
    assert answer["query"] == "granite"
    assert [row["input"] for row in answer["results"]] == [{"text": "granite"}]


def test_tokenization() -> None:
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "Write a tagline: together!"}
    answer = data_of(Lab().post("/ml/v1/text/tokenization", body))
    assert answer == {"model_id": TEXT_MODEL, "result": {"token_count": 6}}
    shown = data_of(Lab().post("/ml/v1/text/tokenization", {**body, "parameters": {"return_tokens": True}}))
    assert shown["result"] == {"token_count": 6, "tokens": ["Write", " a", " tagline", ":", " together", "!"]}


def test_lenient_takes_the_official_sdks_tokenization_parameters() -> None:
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "x", "parameters": {"max_new_tokens": 9}}
    assert Lab(strict=False).post("/ml/v1/text/tokenization", body).status == 200
    assert Lab().post("/ml/v1/text/tokenization", body).status == 400


def test_bodies_are_utf8_json() -> None:
    reply = Lab().chat("Grüße, 世界 \u2028")
    assert isinstance(reply.body, bytes)
    assert "Grüße, 世界 \u2028".encode() in reply.body
    assert json.loads(reply.body)
