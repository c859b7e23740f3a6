"""Bodies typed from the API reference: requests are taken as they stand, answers have the documented fields."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.lab import Lab, data_of
from wx_integrations.emulator.cards import CARDS
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.service import Deployed

GOLDEN = Path(__file__).parents[1] / "golden"
PATHS = {
    "chat": "/ml/v1/text/chat",
    "chat_tools": "/ml/v1/text/chat",
    "deployment_chat": "/ml/v1/deployments/d/text/chat",
    "generation": "/ml/v1/text/generation",
    "deployment_generation": "/ml/v1/deployments/joke/text/generation",
    "embeddings": "/ml/v1/text/embeddings",
    "embeddings_parameters": "/ml/v1/text/embeddings",
    "rerank": "/ml/v1/text/rerank",
    "tokenization": "/ml/v1/text/tokenization",
}
ANSWERS = {
    "chat": "chat",
    "chat_tools": "chat_tool_call",
    "generation": "generation",
    "embeddings_parameters": "embeddings",
    "rerank": "rerank",
    "tokenization": "tokenization",
}


def load(kind: str, name: str) -> Any:
    return json.loads((GOLDEN / kind / f"{name}.json").read_text())


def lab_for(body: dict[str, Any]) -> Lab:
    """Return an emulator that serves whatever model the sample names."""
    everything = ("text_chat", "text_generation", "image_chat", "embedding", "rerank")
    name = body.get("model_id", "any/model")
    template = "Answer: " + " ".join(
        "{" + name + "}" for name in body.get("parameters", {}).get("prompt_variables", {})
    )
    deployed = {"d": Deployed(name), "joke": Deployed(name, template=template)}
    return Lab(DeterministicBrain([replace(CARDS[0], model_id=name, functions=everything)]), deployments=deployed)


@pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "requests").glob("*.json")))
def test_the_references_requests_are_taken(name: str) -> None:
    body = load("requests", name)
    assert data_of(lab_for(body).post(PATHS[name], body))


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_have_the_documented_fields(name: str) -> None:
    body = load("requests", name)
    answer = data_of(lab_for(body).post(PATHS[name], body))
    assert missing(load("answers", ANSWERS[name]), answer) == []


OPTIONAL = {"system", "tool_calls", "content", "logprobs", "input"}


def missing(expected: Any, found: Any, where: str = "") -> list[str]:
    """Return the fields of a documented body that another one lacks, or has with another type."""
    if isinstance(expected, dict) and isinstance(found, dict):
        gone = [f"{where}.{name}" for name in expected if name not in found and name not in OPTIONAL]
        return gone + [
            problem
            for name in expected
            if name in found
            for problem in missing(expected[name], found[name], f"{where}.{name}")
        ]
    if isinstance(expected, list) and isinstance(found, list):
        return missing(expected[0], found[0], f"{where}[0]") if expected and found else []
    numbers = (int, float)
    same = (isinstance(expected, numbers) and isinstance(found, numbers)) or type(expected) is type(found)
    return [] if same else [f"{where}: {type(expected).__name__} became {type(found).__name__}"]
