"""WatsonxRerank: what goes over the wire, what comes back, and its places in LangChain."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from tests.langchain.chatting import PROJECT, URL
from tests.langchain.retrieving import RERANK_MODEL, Shelf, Twins
from wx_integrations import ConfigurationError
from wx_integrations.emulator.brain import Ranked as Thought
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.langchain import WatsonxRerank

QUERY = "red cat"
PASSAGES = ["a dog in the park", "a red cat on a sill", "a cat", "tuna casserole"]


class Numbered(DeterministicBrain):
    """Scores a passage by the number it ends with."""

    def rerank(self, model_id: str, query: str, passages: Sequence[str], truncate: int | None) -> Thought:
        return Thought([float(passage.rsplit(" ", 1)[1]) for passage in passages], len(passages))


@pytest.fixture(params=["sync", "async"])
def twins(request: pytest.FixtureRequest) -> Twins:
    return Twins(request.param)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def numbered() -> Shelf:
    return Shelf(Numbered())


# --------------------------------------------------------------------------- the wire


async def test_sends_query_texts_model_and_scope(shelf: Shelf, twins: Twins) -> None:
    scores = await twins.call(shelf.rerank(), "rerank", PASSAGES, QUERY)
    assert shelf.bodies("text/rerank") == [
        {
            "model_id": RERANK_MODEL,
            "project_id": PROJECT,
            "query": QUERY,
            "inputs": [{"text": passage} for passage in PASSAGES],
        }
    ]
    assert scores[0]["index"] == 1
    assert sorted(score["index"] for score in scores) == [0, 1, 2, 3]
    assert [score["relevance_score"] for score in scores] == sorted(
        (score["relevance_score"] for score in scores), reverse=True
    )


async def test_texts_dictionaries_and_documents_mix(shelf: Shelf, twins: Twins) -> None:
    mixed = [PASSAGES[0], Document(PASSAGES[1]), {"text": PASSAGES[2]}, {"page_content": PASSAGES[3]}]
    scores = await twins.call(shelf.rerank(), "rerank", mixed, QUERY)
    assert shelf.bodies("text/rerank")[0]["inputs"] == [{"text": passage} for passage in PASSAGES]
    assert scores == await twins.call(shelf.rerank(), "rerank", PASSAGES, QUERY)


async def test_no_documents_need_no_request(shelf: Shelf, twins: Twins) -> None:
    assert await twins.call(shelf.rerank(), "rerank", [], QUERY) == []
    assert await twins.call(shelf.rerank(), "compress_documents", [], QUERY) == []
    assert len(shelf.emulator.journal) == 0


async def test_top_n_is_sent_and_kept(shelf: Shelf, twins: Twins) -> None:
    scores = await twins.call(shelf.rerank(top_n=2), "rerank", PASSAGES, QUERY)
    assert shelf.bodies("text/rerank")[0]["parameters"] == {"return_options": {"top_n": 2}}
    assert len(scores) == 2
    assert len(await twins.call(shelf.rerank(top_n=2), "rerank", PASSAGES, QUERY, top_n=None)) == 4
    assert len(await twins.call(shelf.rerank(), "rerank", PASSAGES, QUERY, top_n=1)) == 1


async def test_top_n_in_params_counts_too(numbered: Shelf, twins: Twins) -> None:
    model = numbered.rerank(params={"return_options": {"top_n": 2, "inputs": True}}, batch_size=2)
    scores = await twins.call(model, "rerank", ["p 1", "p 4", "p 3", "p 2"], QUERY)
    assert [score["index"] for score in scores] == [1, 2]
    assert numbered.bodies("text/rerank")[0]["parameters"] == {"return_options": {"top_n": 2, "inputs": True}}


async def test_score_threshold_keeps_what_reaches_it(numbered: Shelf, twins: Twins) -> None:
    passages = ["p -1", "p 2", "p 0.5", "p 3"]
    model = numbered.rerank(score_threshold=0.5)
    assert [score["index"] for score in await twins.call(model, "rerank", passages, QUERY)] == [3, 1, 2]
    assert [s["index"] for s in await twins.call(model, "rerank", passages, QUERY, score_threshold=2.5)] == [3]
    assert len(await twins.call(model, "rerank", passages, QUERY, score_threshold=None)) == 4


async def test_more_than_a_thousand_documents_are_ranked_as_one(numbered: Shelf, twins: Twins) -> None:
    scores = [(number * 7919) % 2500 for number in range(2500)]
    passages = [f"p {score}" for score in scores]
    ranked = await twins.call(numbered.rerank(), "rerank", passages, QUERY)
    assert sorted(len(body["inputs"]) for body in numbered.bodies("text/rerank")) == [500, 1000, 1000]
    assert [scores[place["index"]] for place in ranked] == list(range(2499, -1, -1))
    best = await twins.call(numbered.rerank(top_n=3), "rerank", passages, QUERY)
    assert best == ranked[:3]


async def test_equal_scores_keep_the_order_of_the_documents(numbered: Shelf, twins: Twins) -> None:
    ranked = await twins.call(numbered.rerank(batch_size=2), "rerank", ["a 1", "b 2", "c 1", "d 2", "e 1"], QUERY)
    assert [place["index"] for place in ranked] == [1, 3, 0, 2, 4]


# --------------------------------------------------------------------------- documents


async def test_documents_keep_id_and_metadata_and_get_a_score(numbered: Shelf, twins: Twins) -> None:
    tags = ["x"]
    documents = [Document("p 1", id="one", metadata={"tags": tags}), Document("p 2", id="two", type="Document")]
    found = await twins.call(numbered.rerank(), "compress_documents", documents, QUERY)
    assert [(document.id, document.page_content, document.metadata) for document in found] == [
        ("two", "p 2", {"relevance_score": 2.0}),
        ("one", "p 1", {"tags": ["x"], "relevance_score": 1.0}),
    ]
    found[1].metadata["tags"].append("y")
    assert tags == ["x"]
    assert documents[1].metadata == {}


class Library(BaseRetriever):
    """Finds the same documents whatever is asked."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document("p 1", id="one"), Document("p 3", id="three"), Document("p 2", id="two")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_works_in_a_contextual_compression_retriever(numbered: Shelf) -> None:
    from langchain_classic.retrievers import ContextualCompressionRetriever

    retriever = ContextualCompressionRetriever(base_compressor=numbered.rerank(top_n=2), base_retriever=Library())
    assert [document.id for document in retriever.invoke(QUERY)] == ["three", "two"]
    assert [document.id for document in await retriever.ainvoke(QUERY)] == ["three", "two"]


async def test_works_as_a_runnable(numbered: Shelf) -> None:
    gather: RunnableLambda[str, dict[str, Any]] = RunnableLambda(
        lambda query: {"query": query, "documents": Library().invoke(query)}
    )
    chain = gather | numbered.rerank(top_n=1)
    assert [document.id for document in chain.invoke(QUERY)] == ["three"]
    assert [document.id for document in await chain.ainvoke(QUERY)] == ["three"]
    assert [[document.id for document in found] for found in chain.batch([QUERY, QUERY])] == [["three"], ["three"]]


# --------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"top_k": 5}, "top_k"),
        ({"top_n": 0}, "top_n"),
        ({"params": {"top_n": 5}}, "top_n"),
        ({"params": {"truncate_input_tokens": 5}, "truncate_input_tokens": 6}, "truncate_input_tokens"),
        ({"model": "x"}, "model"),
        ({"deployment_id": "mine"}, "deployment_id"),
        ({"batch_size": 2000}, "batch_size"),
    ],
)
def test_what_is_wrong_is_refused_at_construction(shelf: Shelf, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        shelf.rerank(**settings)
    assert raised.value.field == field
    assert len(shelf.emulator.journal) == 0


@pytest.mark.parametrize(
    ("documents", "call", "match"),
    [
        ("one text", {}, "single str"),
        ([{"title": "x"}], {}, r"documents\[0\] has no text"),
        (["a", 7], {}, r"documents\[1\] is int"),
        (["a"], {"topn": 1}, "topn"),
        (["a"], {"top_n": "2"}, "top_n"),
    ],
)
async def test_what_is_wrong_in_a_call_is_refused_before_anything_is_sent(
    shelf: Shelf, twins: Twins, documents: Any, call: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigurationError, match=match):
        await twins.call(shelf.rerank(), "rerank", documents, QUERY, **call)
    assert len(shelf.emulator.journal) == 0


def test_pickles_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    model = WatsonxRerank(model_id=RERANK_MODEL, url=URL, project_id=PROJECT, api_key="very-secret", top_n=3)
    data = pickle.dumps(model)
    assert b"very-secret" not in data
    monkeypatch.setenv("WATSONX_API_KEY", "from-the-environment")
    again = pickle.loads(data)
    assert (again.top_n, again.target) == (3, model.target)
