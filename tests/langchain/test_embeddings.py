"""WatsonxEmbeddings: what goes over the wire, what comes back, and LangChain's standard suites."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from tests.langchain.chatting import PROJECT, URL
from tests.langchain.retrieving import EMBEDDING_MODEL, Shelf, Twins
from wx_integrations import ConfigurationError
from wx_integrations.core.errors import UnexpectedResponse
from wx_integrations.emulator.brain import Embedded as Thought
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.langchain import WatsonxEmbeddings


@pytest.fixture(params=["sync", "async"])
def twins(request: pytest.FixtureRequest) -> Twins:
    return Twins(request.param)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[WatsonxEmbeddings]:
        return WatsonxEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model_id": EMBEDDING_MODEL, "url": URL, "project_id": PROJECT, "api_key": "key"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"WATSONX_API_KEY": "env-key", "WATSONX_URL": URL, "WATSONX_PROJECT_ID": PROJECT}
        expected = {"api_key": "env-key", "url": URL, "project_id": PROJECT}
        return environment, {"model_id": EMBEDDING_MODEL}, expected


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[WatsonxEmbeddings]:
        return WatsonxEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        settings = Shelf().settings(model_id=EMBEDDING_MODEL)
        del settings["max_completion_tokens"]
        return settings


# --------------------------------------------------------------------------- the wire


async def test_sends_the_texts_the_model_and_the_scope(shelf: Shelf, twins: Twins) -> None:
    vectors = await twins.call(shelf.embeddings(), "embed_documents", ["one", "two"])
    assert shelf.bodies("text/embeddings") == [
        {"model_id": EMBEDDING_MODEL, "project_id": PROJECT, "inputs": ["one", "two"]}
    ]
    assert len(vectors) == 2
    assert all(type(number) is float for vector in vectors for number in vector)


async def test_a_query_is_embedded_like_a_document(shelf: Shelf, twins: Twins) -> None:
    model = shelf.embeddings()
    query = await twins.call(model, "embed_query", "granite")
    assert query == (await twins.call(model, "embed_documents", ["granite"]))[0]


async def test_no_texts_need_no_request(shelf: Shelf, twins: Twins) -> None:
    assert await twins.call(shelf.embeddings(), "embed_documents", []) == []
    assert len(shelf.emulator.journal) == 0


async def test_more_than_a_thousand_texts_go_in_batches_and_come_back_in_order(shelf: Shelf, twins: Twins) -> None:
    texts = [f"text number {number}" for number in range(2003)]
    vectors = await twins.call(shelf.embeddings(), "embed_documents", texts)
    sent = sorted(
        (body["inputs"] for body in shelf.bodies("text/embeddings")), key=lambda inputs: texts.index(inputs[0])
    )
    assert [len(inputs) for inputs in sent] == [1000, 1000, 3]
    assert [text for inputs in sent for text in inputs] == texts
    alone = [await twins.call(shelf.embeddings(), "embed_query", texts[index]) for index in (0, 999, 1000, 2002)]
    assert [vectors[index] for index in (0, 999, 1000, 2002)] == alone


async def test_batch_size_and_bytes_bound_a_request(shelf: Shelf, twins: Twins) -> None:
    await twins.call(shelf.embeddings(batch_size=2), "embed_documents", ["a", "b", "c"])
    assert sorted(body["inputs"] for body in shelf.bodies("text/embeddings")) == [["a", "b"], ["c"]]
    shelf.emulator.journal.clear()
    await twins.call(shelf.embeddings(batch_bytes=4), "embed_documents", ["aaa", "b", "cc", "dddddd"])
    assert sorted(body["inputs"] for body in shelf.bodies("text/embeddings")) == [["aaa", "b"], ["cc"], ["dddddd"]]


async def test_the_gateway_gets_openai_names(shelf: Shelf, twins: Twins) -> None:
    model = shelf.embeddings(model=EMBEDDING_MODEL)
    vectors = await twins.call(model, "embed_documents", ["a", "b"])
    entry = shelf.emulator.journal.one("/ml/gateway/v1/embeddings")
    assert entry.body == {"model": EMBEDDING_MODEL, "input": ["a", "b"]}
    assert entry.headers["x-ibm-project-id"] == PROJECT
    assert len(vectors) == 2


# --------------------------------------------------------------------------- parameters


class SdkParameters:
    """An object with `to_dict`, as the official SDK's schemas are."""

    def to_dict(self) -> dict[str, Any]:
        return {"truncate_input_tokens": 7}


@pytest.mark.parametrize(
    ("settings", "call", "sent"),
    [
        ({"truncate_input_tokens": 5}, {}, {"truncate_input_tokens": 5}),
        ({"params": {"truncate_input_tokens": 6}}, {}, {"truncate_input_tokens": 6}),
        ({"params": SdkParameters()}, {}, {"truncate_input_tokens": 7}),
        ({"truncate_input_tokens": 5}, {"truncate_input_tokens": 8}, {"truncate_input_tokens": 8}),
        ({"truncate_input_tokens": 5}, {"params": {"truncate_input_tokens": 9}}, {"truncate_input_tokens": 9}),
        ({"params": {"truncate_input_tokens": 6}}, {"params": SdkParameters()}, {"truncate_input_tokens": 7}),
        (
            {"truncate_input_tokens": 5},
            {"return_options": {"input_text": True}},
            {"truncate_input_tokens": 5, "return_options": {"input_text": True}},
        ),
    ],
)
async def test_parameters_reach_the_wire_and_the_call_wins(
    shelf: Shelf, twins: Twins, settings: dict[str, Any], call: dict[str, Any], sent: dict[str, Any]
) -> None:
    await twins.call(shelf.embeddings(**settings), "embed_documents", ["a"], **call)
    assert shelf.bodies("text/embeddings")[0]["parameters"] == sent


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"truncate_input_token": 5}, "truncate_input_token"),
        ({"params": {"truncate": 5}}, "truncate"),
        ({"params": {"truncate_input_tokens": "5"}}, "truncate_input_tokens"),
        ({"params": 5}, "params"),
        ({"params": {"truncate_input_tokens": 5}, "truncate_input_tokens": 6}, "truncate_input_tokens"),
        ({"truncate_input_tokens": 0}, "truncate_input_tokens"),
        ({"batch_size": 1001}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"requests_per_second": 0.0}, "requests_per_second"),
        ({"empty": "drop"}, "empty"),
        ({"model": EMBEDDING_MODEL, "truncate_input_tokens": 5}, "parameters"),
        ({"deployment_id": "mine"}, "deployment_id"),
    ],
)
def test_what_is_wrong_is_refused_at_construction(shelf: Shelf, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        shelf.embeddings(**settings)
    assert raised.value.field == field
    assert len(shelf.emulator.journal) == 0


@pytest.mark.parametrize("call", [{"truncate": 5}, {"params": {"nonsense": 1}}, {"truncate_input_tokens": "9"}])
async def test_what_is_wrong_in_a_call_is_refused_before_anything_is_sent(
    shelf: Shelf, twins: Twins, call: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        await twins.call(shelf.embeddings(), "embed_documents", ["a"], **call)
    assert len(shelf.emulator.journal) == 0


# --------------------------------------------------------------------------- what may be embedded


async def test_empty_texts_are_refused_by_index(shelf: Shelf, twins: Twins) -> None:
    with pytest.raises(ConfigurationError, match=r"texts\[1\] is empty; texts\[3\] is empty. Leave") as raised:
        await twins.call(shelf.embeddings(), "embed_documents", ["a", "", "b", " \n"])
    assert raised.value.field == "texts"
    assert len(shelf.emulator.journal) == 0


async def test_empty_texts_can_be_sent(shelf: Shelf, twins: Twins) -> None:
    assert len(await twins.call(shelf.embeddings(empty="send"), "embed_documents", ["a", ""])) == 2
    assert shelf.bodies("text/embeddings")[0]["inputs"] == ["a", ""]


@pytest.mark.parametrize(
    ("texts", "match"), [("one string", "single str"), (["a", None], r"texts\[1\] is NoneType"), ([5], r"texts\[0\]")]
)
async def test_what_is_no_list_of_texts_is_refused(shelf: Shelf, twins: Twins, texts: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        await twins.call(shelf.embeddings(), "embed_documents", texts)
    assert len(shelf.emulator.journal) == 0


class Forgetful(DeterministicBrain):
    """Loses the last vector."""

    def embed(self, model_id: str, texts: Any, truncate: int | None) -> Thought:
        thought = super().embed(model_id, texts, truncate)
        return Thought(thought.vectors[:-1], thought.token_count)


async def test_a_missing_vector_is_not_shifted_over(twins: Twins) -> None:
    with pytest.raises(UnexpectedResponse, match="3 texts were sent, but 2 embeddings came back"):
        await twins.call(Shelf(Forgetful()).embeddings(), "embed_documents", ["a", "b", "c"])


async def test_the_callers_list_stays_as_it_is(shelf: Shelf, twins: Twins) -> None:
    texts = ["a", "b"]
    params = {"truncate_input_tokens": 5}
    await twins.call(shelf.embeddings(params=params), "embed_documents", texts)
    assert (texts, params) == (["a", "b"], {"truncate_input_tokens": 5})


async def test_usage_comes_with_embed(shelf: Shelf, twins: Twins) -> None:
    model = shelf.embeddings(batch_size=1)
    embedded = await twins.call(model, "embed", ["one two", "three"])
    assert embedded.vectors == await twins.call(model, "embed_documents", ["one two", "three"])
    assert embedded.input_token_count > 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_langchains_cache_asks_for_new_texts_only(shelf: Shelf, twins: Twins) -> None:
    from langchain_classic.embeddings import CacheBackedEmbeddings
    from langchain_core.stores import InMemoryByteStore

    cached = CacheBackedEmbeddings.from_bytes_store(
        shelf.embeddings(), InMemoryByteStore(), namespace=EMBEDDING_MODEL, key_encoder="sha256"
    )
    first = await twins.call(cached, "embed_documents", ["a", "b"])
    again = await twins.call(cached, "embed_documents", ["b", "c", "a"])
    assert (again[0], again[2]) == (first[1], first[0])
    assert [body["inputs"] for body in shelf.bodies("text/embeddings")] == [["a", "b"], ["c"]]


# --------------------------------------------------------------------------- copies


def test_pickles_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    model = WatsonxEmbeddings(
        model_id=EMBEDDING_MODEL, url=URL, project_id=PROJECT, api_key="very-secret", batch_size=7
    )
    data = pickle.dumps(model)
    assert b"very-secret" not in data
    monkeypatch.setenv("WATSONX_API_KEY", "from-the-environment")
    again = pickle.loads(data)
    assert (again.batch_size, again.target) == (7, model.target)


def test_construction_opens_nothing(shelf: Shelf) -> None:
    model = shelf.embeddings()
    assert "key" not in repr(model)
    assert len(shelf.emulator.journal) == 0
