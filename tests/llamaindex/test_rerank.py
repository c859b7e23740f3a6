"""Reranking: what is sent, and the order that comes back."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from tests.llamaindex.conftest import PROJECT, Colour, Script, Service
from wx_integrations.core.errors import ConfigurationError, UnexpectedResponse
from wx_integrations.llamaindex import WatsonxRerank

MODEL = "cross-encoder/ms-marco-minilm-l-12-v2"


def nodes(*texts: str) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(id_=text, text=text, metadata={"n": text})) for text in texts]


def ranking(*scores: tuple[int, float]) -> dict[str, Any]:
    return {"model_id": MODEL, "results": [{"index": index, "score": score} for index, score in scores]}


@pytest.mark.parametrize(
    ("settings", "parameters", "first"),
    [
        ({}, None, "n: a\n\na"),
        ({"top_n": 1}, {"return_options": {"top_n": 1}}, "n: a\n\na"),
        ({"top_n": 9}, {"return_options": {"top_n": 2}}, "n: a\n\na"),
        ({"truncate_input_tokens": 64, "metadata_mode": MetadataMode.NONE}, {"truncate_input_tokens": 64}, "a"),
    ],
    ids=str,
)
async def test_on_the_wire(settings: dict[str, Any], parameters: Any, first: str, colour: Colour) -> None:
    script = Script(ranking((1, 2.5), (0, -1.5)))
    reranker = WatsonxRerank(model_id=MODEL, **script.connection, **settings)
    best = await colour.call(reranker, "postprocess_nodes", nodes("a", "b"), query_str="q")
    [body] = script.requests
    assert body.pop("parameters", None) == parameters
    assert [item["text"] for item in body.pop("inputs")] == [first, first.replace("a", "b")]
    assert body == {"model_id": MODEL, "project_id": PROJECT, "query": "q"}
    assert [(node.node.node_id, node.score) for node in best] == [("b", 2.5), ("a", -1.5)][: settings.get("top_n")]


async def test_the_order_is_by_score_whatever_the_service_says(colour: Colour) -> None:
    script = Script(ranking((0, 1.0), (2, 3.0), (1, 1.0)))
    reranker = WatsonxRerank(model_id=MODEL, **script.connection)
    best = await colour.call(reranker, "postprocess_nodes", nodes("a", "b", "c"), query_str="q")
    assert [node.node.node_id for node in best] == ["c", "a", "b"]


async def test_more_nodes_than_a_request_takes(service: Service, colour: Colour) -> None:
    many = nodes(*(f"text {number}" for number in range(1500)), "granite is a rock")
    best = await colour.call(service.rerank(top_n=2), "postprocess_nodes", many, query_str="granite rock")
    assert sorted(len(body["inputs"]) for body in service.sent()) == [501, 1000]  # they go at the same time
    assert best[0].node.node_id == "granite is a rock"
    assert len(best) == 2


async def test_a_place_that_does_not_exist(colour: Colour) -> None:
    reranker = WatsonxRerank(model_id=MODEL, **Script(*[ranking((2, 1.0))] * 9).connection)
    with pytest.raises(UnexpectedResponse, match="ranks others than the 2 documents that were sent"):
        await colour.call(reranker, "postprocess_nodes", nodes("a", "b"), query_str="q")


async def test_a_threshold(colour: Colour) -> None:
    script = Script(ranking((1, 2.5), (0, -1.5)))
    reranker = WatsonxRerank(model_id=MODEL, **script.connection, score_threshold=0)
    best = await colour.call(reranker, "postprocess_nodes", nodes("a", "b"), query_str="q")
    assert [node.node.node_id for node in best] == ["b"]


@pytest.mark.parametrize("other", [{"model": "x"}, {"deployment_id": "x"}], ids=str)
def test_only_models_of_the_catalogue_rerank(service: Service, other: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="no rerank"):
        WatsonxRerank(**{**service.connection, **other})


async def test_query_and_bundle_exclude_each_other(service: Service, colour: Colour) -> None:
    with pytest.raises(ValueError, match="both query_str and query_bundle"):
        await colour.call(
            service.rerank(), "postprocess_nodes", nodes("a"), query_bundle=QueryBundle("q"), query_str="q"
        )
