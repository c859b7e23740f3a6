"""The tokenizer: the service's tokens, remembered."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import TokenCountingHandler
from llama_index.core.node_parser import TokenTextSplitter

from tests.llamaindex.conftest import PROJECT, Colour, Script, Service
from wx_integrations.core.calls import Model
from wx_integrations.core.connection import Connection
from wx_integrations.core.session import Session
from wx_integrations.llamaindex import WatsonxTokenizer
from wx_integrations.llamaindex.tokenizer import CACHE_SIZE


async def tokens(tokenizer: WatsonxTokenizer, colour: Colour, text: str) -> list[str]:
    return tokenizer(text) if colour.name == "sync" else await tokenizer.acall(text)


async def test_tokens_come_from_the_service_once(service: Service, colour: Colour) -> None:
    tokenizer = service.llm().tokenizer
    first = await tokens(tokenizer, colour, "granite is a rock")
    assert "".join(first) == "granite is a rock"
    first.append("changed by the caller")
    assert await tokens(tokenizer, colour, "granite is a rock") == first[:-1]
    assert service.sent() == [
        {
            "model_id": "ibm/granite-4-h-small",
            "project_id": PROJECT,
            "input": "granite is a rock",
            "parameters": {"return_tokens": True},
        }
    ]


async def test_the_empty_text_has_no_tokens(service: Service, colour: Colour) -> None:
    assert await tokens(service.llm().tokenizer, colour, "") == []
    assert service.sent() == []


async def test_counts_without_tokens(colour: Colour) -> None:
    script = Script({"model_id": "m", "result": {"token_count": 3}})
    assert len(await tokens(script.llm().tokenizer, colour, "a b c")) == 3


def test_the_memory_is_bounded(service: Service) -> None:
    llm = service.llm()
    tokenizer = WatsonxTokenizer(llm.session, llm.target, cache_size=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        tokenizer(text)
    assert [body["input"] for body in service.sent()] == ["a", "b", "c", "b"]
    assert CACHE_SIZE > 1000


def test_one_tokenizer_per_model(service: Service) -> None:
    llm = service.llm()
    first = llm.tokenizer
    assert llm.tokenizer is first
    llm.model_id = "meta-llama/llama-3-3-70b-instruct"
    assert llm.tokenizer is not first


def test_a_pickled_tokenizer_starts_afresh() -> None:
    connection = Connection(url="https://us-south.ml.cloud.ibm.com", token="a.b.c", project_id=PROJECT)
    tokenizer = WatsonxTokenizer(Session.of(connection), Model("m", project_id=PROJECT))
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.target == tokenizer.target


@pytest.fixture
def settings() -> Iterator[Any]:
    import llama_index.core

    before = llama_index.core.global_tokenizer
    yield Settings
    llama_index.core.global_tokenizer = before


def test_the_framework_counts_with_it(service: Service, settings: Any) -> None:
    settings.tokenizer = service.llm().tokenizer
    assert TokenCountingHandler().tokenizer("granite is a rock") == ["granite", " is", " a", " rock"]
    splitter = TokenTextSplitter(chunk_size=8, chunk_overlap=0)
    assert len(splitter.split_text("granite is a rock " * 4)) > 1
    assert service.sent("text/tokenization")
