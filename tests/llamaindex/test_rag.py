"""Retrieval: indices, engines, pipelines, splitters and evaluation of the framework on the adapters, offline."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import httpx
import pytest
from llama_index.core import (
    Document,
    PropertyGraphIndex,
    Settings,
    SummaryIndex,
    VectorStoreIndex,
    get_response_synthesizer,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.evaluation import FaithfulnessEvaluator, RelevancyEvaluator
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SemanticSplitterNodeParser, SentenceSplitter
from llama_index.core.query_engine import RouterQueryEngine, SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index.core.selectors import PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool, ToolMetadata
from pydantic import BaseModel

from tests.llamaindex.conftest import PROJECT, URL, Colour, Script, Service, call, completion
from wx_integrations.core.connection import Connection
from wx_integrations.core.session import Session
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.transport import EmulatorTransport
from wx_integrations.llamaindex import WatsonxEmbeddings

DOCUMENTS = [
    Document(text="Granite is an igneous rock. It forms when magma cools slowly.", metadata={"source": "granite"}),
    Document(text="Marble is a metamorphic rock. It forms from limestone under heat.", metadata={"source": "marble"}),
    Document(text="Cats sleep for most of the day. They hunt at dawn.", metadata={"source": "cats"}),
]
QUESTION = "How does granite form when magma cools?"


@pytest.fixture(autouse=True)
def settings(service: Service) -> Iterator[None]:
    """Nothing may fall back on the framework's defaults, which would ask another service."""
    before = (Settings._llm, Settings._embed_model, Settings._callback_manager)
    Settings.llm = service.llm()
    Settings.embed_model = service.embeddings()
    Settings.callback_manager = CallbackManager([])
    yield
    Settings._llm, Settings._embed_model, Settings._callback_manager = before


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(DOCUMENTS)


# --------------------------------------------------------------------------- index, rerank, engines


async def test_rag_with_rerank_and_a_streaming_chat_engine(
    service: Service, index: VectorStoreIndex, colour: Colour
) -> None:
    engine = index.as_chat_engine(
        chat_mode=ChatMode.CONDENSE_PLUS_CONTEXT,
        similarity_top_k=3,
        node_postprocessors=[service.rerank(top_n=1)],
        memory=ChatMemoryBuffer.from_defaults(token_limit=4000),
    )
    service.emulator.journal.clear()
    if colour.name == "sync":
        response = engine.stream_chat(QUESTION)
        text = "".join(response.response_gen)
    else:
        response = await engine.astream_chat(QUESTION)
        text = "".join([token async for token in response.async_response_gen()])
    assert "magma cools slowly" in text
    assert [node.node.metadata["source"] for node in response.source_nodes] == ["granite"]
    [query] = service.sent("text/embeddings")
    assert query["inputs"] == [QUESTION]
    [ranked] = service.sent("text/rerank")
    assert (ranked["query"], len(ranked["inputs"])) == (QUESTION, 3)
    [asked] = service.sent("text/chat_stream")
    assert "magma cools slowly" in asked["messages"][0]["content"]
    assert "Cats sleep" not in str(asked)
    # a second question is first condensed with the history, then answered
    service.emulator.journal.clear()
    follow_up = await colour.call(engine, "chat", "And marble from limestone?")
    assert follow_up.response
    condensed = service.sent("text/chat")[0]["messages"]
    assert QUESTION in str(condensed)


@pytest.mark.parametrize("mode", [mode for mode in ResponseMode if mode != ResponseMode.GENERATION], ids=str)
async def test_query_engines(mode: ResponseMode, service: Service, index: VectorStoreIndex, colour: Colour) -> None:
    engine = index.as_query_engine(similarity_top_k=2, response_mode=mode, use_async=False)
    response = await colour.call(engine, "query", QUESTION)
    assert response.source_nodes[0].node.metadata["source"] == "granite"
    if mode not in (ResponseMode.NO_TEXT, ResponseMode.CONTEXT_ONLY):
        assert str(response)
        assert service.sent("text/chat")


async def test_a_streaming_query_engine(service: Service, index: VectorStoreIndex, colour: Colour) -> None:
    engine = index.as_query_engine(streaming=True, similarity_top_k=1, node_postprocessors=[service.rerank()])
    response = await colour.call(engine, "query", QUESTION)
    if colour.name == "sync":
        text = "".join(response.response_gen)
    else:
        text = "".join([token async for token in response.async_response_gen()])
    assert "magma cools slowly" in text


class Formation(BaseModel):
    """How something forms."""

    name: str
    how: str


async def test_a_query_engine_with_a_structured_answer(
    service: Service, index: VectorStoreIndex, colour: Colour
) -> None:
    structured = service.llm().as_structured_llm(Formation)
    response = await colour.call(index.as_query_engine(llm=structured, similarity_top_k=1), "query", QUESTION)
    assert isinstance(response.response, Formation)
    assert service.sent("text/chat")[-1]["response_format"]["json_schema"]["name"] == "Formation"


async def test_synthesis_over_many_nodes(service: Service, colour: Colour) -> None:
    nodes = [NodeWithScore(node=TextNode(text=document.text)) for document in DOCUMENTS]
    synthesizer = get_response_synthesizer(llm=service.llm(), response_mode=ResponseMode.TREE_SUMMARIZE)
    response = await colour.call(synthesizer, "synthesize", QUESTION, nodes)
    assert "magma cools slowly" in str(response)


@pytest.mark.parametrize("chat_mode", ["simple", "context", "condense_question", "condense_plus_context", "best"])
async def test_chat_engines(chat_mode: Any, service: Service, index: VectorStoreIndex, colour: Colour) -> None:
    memory = ChatMemoryBuffer.from_defaults(token_limit=4000)
    if chat_mode == "simple":
        engine: Any = SimpleChatEngine.from_defaults(llm=service.llm(), memory=memory)
    else:
        engine = index.as_chat_engine(chat_mode=chat_mode, similarity_top_k=1, memory=memory)
    response = await colour.call(engine, "chat", QUESTION)
    assert response.response
    await colour.call(engine, "chat", "And marble?")
    assert len(engine.chat_history) == 4
    engine.reset()
    assert engine.chat_history == []


async def test_a_summary_index(service: Service, colour: Colour) -> None:
    engine = SummaryIndex.from_documents(DOCUMENTS).as_query_engine(response_mode="tree_summarize")
    response = await colour.call(engine, "query", QUESTION)
    assert len(response.source_nodes) == 3


async def test_a_model_without_chat(service: Service, index: VectorStoreIndex, colour: Colour) -> None:
    llm = service.llm("google/flan-ul2", max_new_tokens=50)
    response = await colour.call(index.as_query_engine(llm=llm, similarity_top_k=1), "query", QUESTION)
    assert "magma cools slowly" in str(response)
    assert service.sent("text/generation")
    assert not service.sent("text/chat")


# --------------------------------------------------------------------------- engines that decide


def tools(index: VectorStoreIndex) -> list[QueryEngineTool]:
    return [
        QueryEngineTool(
            query_engine=index.as_query_engine(similarity_top_k=1),
            metadata=ToolMetadata(name=name, description=f"Everything about {name}."),
        )
        for name in ("rocks", "cats")
    ]


def sub_questions(*pairs: tuple[str, str]) -> str:
    items = ", ".join(f'{{"sub_question": "{question}", "tool_name": "{tool}"}}' for tool, question in pairs)
    return f'{{"items": [{items}]}}'


async def test_sub_questions(service: Service, index: VectorStoreIndex, colour: Colour) -> None:
    answer = f"```json\n{sub_questions(('rocks', 'How does granite form?'), ('cats', 'When do cats hunt?'))}\n```"
    asking = Script(completion(answer))
    engine = SubQuestionQueryEngine.from_defaults(
        query_engine_tools=tools(index),
        question_gen=LLMQuestionGenerator.from_defaults(llm=asking.llm()),
        response_synthesizer=get_response_synthesizer(llm=service.llm()),
        use_async=False,
        verbose=False,
    )
    response = await colour.call(engine, "query", "Compare the formation of granite with the hunting of cats.")
    asked = [body["messages"][-1]["content"] for body in service.sent("text/chat")]
    assert any("How does granite form?" in text for text in asked)
    assert any("When do cats hunt?" in text for text in asked)
    assert len(response.source_nodes) >= 2
    assert str(response)


async def test_a_router_that_calls_a_function(service: Service, index: VectorStoreIndex, colour: Colour) -> None:
    chosen = call("c1", "SingleSelection", '{"index": 0, "reason": "rocks"}')
    selecting = Script(completion(None, tool_calls=[chosen]))
    selector = PydanticSingleSelector.from_defaults(llm=selecting.llm("mistralai/mistral-large"))
    engine = RouterQueryEngine(selector=selector, query_engine_tools=tools(index), llm=service.llm())
    response = await colour.call(engine, "query", QUESTION)
    assert "magma cools slowly" in str(response)
    assert selecting.requests[0]["tool_choice_option"] == "required"


# --------------------------------------------------------------------------- ingestion


class OfflineEmbeddings(WatsonxEmbeddings):
    """Embeddings that find the emulator in whatever process they wake up in."""

    @property
    def session(self) -> Session:
        transport = EmulatorTransport(Emulator())
        connection = Connection(
            url=URL, api_key="k", project_id=PROJECT, async_httpx_client=httpx.AsyncClient(transport=transport)
        )
        return Session(connection)


async def test_a_pipeline_with_a_cache(service: Service, colour: Colour) -> None:
    cache = IngestionCache()

    def pipeline() -> IngestionPipeline:
        return IngestionPipeline(
            transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=0), service.embeddings()], cache=cache
        )

    first = await colour.call(pipeline(), "run", documents=DOCUMENTS)
    embedded = len(service.sent("text/embeddings"))
    assert embedded == 1
    assert all(node.embedding for node in first)
    second = await colour.call(pipeline(), "run", documents=DOCUMENTS)
    assert len(service.sent("text/embeddings")) == embedded
    assert [node.embedding for node in second] == [node.embedding for node in first]
    # another model is another entry
    other = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=64, chunk_overlap=0),
            service.embeddings("ibm/slate-30m-english-rtrvr"),
        ],
        cache=cache,
    )
    await colour.call(other, "run", documents=DOCUMENTS)
    assert len(service.sent("text/embeddings")) == embedded + 1


async def test_a_pipeline_in_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter travels to the workers without its secrets; they take them from their environment.

    Asynchronous only: its pool notices when a worker dies, the synchronous one would wait for ever.
    """
    monkeypatch.setenv("WATSONX_API_KEY", "k")
    # the asynchronous pipeline forks, which a process with threads should not
    pool = partial(ProcessPoolExecutor, mp_context=get_context("spawn"))
    monkeypatch.setattr("llama_index.core.ingestion.pipeline.ProcessPoolExecutor", pool)
    embed_model = OfflineEmbeddings(model_id="ibm/slate-125m-english-rtrvr", url=URL, project_id=PROJECT)
    pipeline = IngestionPipeline(transformations=[embed_model])
    nodes = await pipeline.arun(documents=DOCUMENTS, num_workers=2)
    assert sorted(node.metadata["source"] for node in nodes) == ["cats", "granite", "marble"]
    assert all(node.embedding for node in nodes)


async def test_a_semantic_splitter(service: Service, colour: Colour) -> None:
    text = " ".join(document.text for document in DOCUMENTS)
    splitter = SemanticSplitterNodeParser(
        embed_model=service.embeddings(), buffer_size=1, breakpoint_percentile_threshold=60
    )
    if colour.name == "sync":
        nodes = splitter.get_nodes_from_documents([Document(text=text)])
    else:
        nodes = await splitter.aget_nodes_from_documents([Document(text=text)])
    assert len(nodes) > 1
    joined = "".join(node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes)
    assert joined.replace(" ", "") == text.replace(" ", "")
    assert service.sent("text/embeddings")


def test_a_property_graph(service: Service) -> None:
    """Extraction by prompt, sentence by sentence."""
    index = PropertyGraphIndex.from_documents(
        DOCUMENTS[:1], llm=service.llm(), embed_model=service.embeddings(), show_progress=False, use_async=False
    )
    assert index.property_graph_store.get()
    assert service.sent("text/chat")


# --------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("evaluator", [FaithfulnessEvaluator, RelevancyEvaluator])
async def test_evaluation(evaluator: Any, service: Service, index: VectorStoreIndex, colour: Colour) -> None:
    response = index.as_query_engine(similarity_top_k=1).query(QUESTION)
    judge = Script(completion("YES"), completion("NO"))
    judging = evaluator(llm=judge.llm())
    if colour.name == "sync":
        results = [judging.evaluate_response(query=QUESTION, response=response) for _ in range(2)]
    else:
        results = [await judging.aevaluate_response(query=QUESTION, response=response) for _ in range(2)]
    assert [result.passing for result in results] == [True, False]
    assert "magma cools slowly" in str(judge.requests[0]["messages"])
