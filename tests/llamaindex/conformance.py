"""What a LlamaIndex integration owes its users, as suites to inherit from.

LlamaIndex publishes no standard tests for integrations. These need nothing
of this package: subclass, give the fixtures, and every test runs in both
colours, synchronous and asynchronous.

    class TestMyLLM(LLMConformance):
        @pytest.fixture
        def llm(self): return MyLLM(...)

        @pytest.fixture
        def sent(self): return lambda: [...]   # the JSON bodies of the chat requests so far

The model behind it has to be one that echoes the prompt, calls the tools a
prompt names, and fills schemas from the prompt; the emulator's does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field

from tests.llamaindex.conftest import Colour
from tests.llamaindex.test_messages import PNG

Sent = Callable[[], list[Any]]


class Invoice(BaseModel):
    """An invoice."""

    number: int = Field(description="the invoice's number")
    customer: str = Field(description="who pays")


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


ADD = FunctionTool.from_defaults(fn=add)
MULTIPLY = FunctionTool.from_defaults(fn=multiply)


class Recorder(BaseEventHandler):
    """Keeps every instrumentation event."""

    events: list[BaseEvent] = []

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.events.append(event)

    def names(self, prefix: str) -> list[str]:
        return [name for event in self.events if (name := event.class_name()).startswith(prefix)]

    def last(self, name: str) -> Any:
        return next(event for event in reversed(self.events) if event.class_name() == name)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    handler = Recorder(events=[])
    root = get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


def conversation() -> list[ChatMessage]:
    return [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="Say blue."),
        ChatMessage(role="assistant", content="blue"),
        ChatMessage(role="user", content="Now say green."),
    ]


class LLMConformance:
    """For a `FunctionCallingLLM` with chat."""

    @pytest.fixture
    def llm(self) -> FunctionCallingLLM:
        """The model, fresh for each test."""
        raise NotImplementedError

    @pytest.fixture
    def sent(self) -> Sent:
        """A function that returns the bodies of the chat requests so far."""
        raise NotImplementedError

    @pytest.fixture
    def temperature(self) -> str:
        """The name of the temperature in a request's body."""
        return "temperature"

    # ------------------------------------------------------------------ metadata

    def test_metadata_says_what_it_can(self, llm: FunctionCallingLLM, sent: Sent) -> None:
        metadata = llm.metadata
        assert metadata.is_chat_model is True
        assert metadata.is_function_calling_model is True
        assert metadata.context_window > metadata.num_output > 0
        assert metadata.model_name not in ("", "unknown")
        assert metadata.system_role == MessageRole.SYSTEM
        assert sent() == []

    def test_it_has_a_class_name_of_its_own(self, llm: FunctionCallingLLM) -> None:
        assert llm.class_name() not in ("base_component", "LLM", "BaseLLM")

    # ------------------------------------------------------------------ the eight

    async def test_chat(self, llm: FunctionCallingLLM, colour: Colour, sent: Sent) -> None:
        response = await colour.call(llm, "chat", conversation())
        assert isinstance(response, ChatResponse)
        assert response.message.role == MessageRole.ASSISTANT
        assert "green" in (response.message.content or "")
        assert response.raw
        [body] = sent()
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
        assert body["messages"][-1]["content"] == "Now say green."

    async def test_stream_chat(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        responses = await colour.stream(llm, "stream_chat", conversation())
        assert len(responses) > 1
        so_far = ""
        for response in responses:
            so_far += response.delta or ""
            assert (response.message.content or "") == so_far
            assert response.message.role == MessageRole.ASSISTANT
        assert "green" in so_far

    async def test_complete(self, llm: FunctionCallingLLM, colour: Colour, sent: Sent) -> None:
        response = await colour.call(llm, "complete", "Say blue.")
        assert isinstance(response, CompletionResponse)
        assert "blue" in response.text
        assert response.raw
        assert sent()[0]["messages"] == [{"role": "user", "content": "Say blue."}]

    async def test_stream_complete(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        responses = await colour.stream(llm, "stream_complete", "Say blue.")
        assert "".join(response.delta or "" for response in responses) == responses[-1].text
        assert "blue" in responses[-1].text

    async def test_all_eight_say_the_same(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        message = [ChatMessage(role="user", content="Say blue.")]
        chat = await colour.call(llm, "chat", message)
        streamed = await colour.stream(llm, "stream_chat", message)
        complete = await colour.call(llm, "complete", "Say blue.")
        completed = await colour.stream(llm, "stream_complete", "Say blue.")
        assert chat.message.content == streamed[-1].message.content == complete.text == completed[-1].text

    async def test_prompts(self, llm: FunctionCallingLLM, colour: Colour, sent: Sent) -> None:
        prompt = PromptTemplate("Say {what}.")
        predicted = await colour.call(llm, "predict", prompt, what="blue")
        tokens = await colour.stream(llm, "stream", prompt, what="blue")
        assert predicted == "".join(tokens)
        assert "blue" in predicted
        assert len(sent()) == 2

    async def test_a_system_prompt_leads(self, llm: FunctionCallingLLM, colour: Colour, sent: Sent) -> None:
        llm.system_prompt = "Be brief."
        await colour.call(llm, "predict", PromptTemplate("Say {what}."), what="blue")
        assert sent()[0]["messages"][0] == {"role": "system", "content": "Be brief."}

    async def test_a_call_s_parameter_wins(
        self, llm: FunctionCallingLLM, colour: Colour, sent: Sent, temperature: str
    ) -> None:
        await colour.call(llm, "complete", "Say blue.", temperature=0.25)
        await colour.stream(llm, "stream_chat", conversation(), temperature=0.75)
        await colour.call(llm, "complete", "Say blue.")
        assert [body.get(temperature) for body in sent()][:2] == [0.25, 0.75]
        assert sent()[2].get(temperature) not in (0.25, 0.75)

    async def test_the_caller_s_conversation_stays(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        history = conversation()
        before = [message.model_copy(deep=True) for message in history]
        await colour.call(llm, "chat", history)
        await colour.stream(llm, "stream_chat", history)
        await colour.call(llm, "chat_with_tools", [ADD], user_msg="What is 1 and 2?", chat_history=history)
        await colour.stream(llm, "stream_chat_with_tools", [ADD], user_msg="hello", chat_history=history)
        assert history == before

    async def test_a_stream_can_be_left(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        if colour.name == "sync":
            stream = llm.stream_chat(conversation())
            first = next(iter(stream))
            stream.close()
            assert list(stream) == []
        else:
            astream = await llm.astream_chat(conversation())
            first = await anext(astream)
            await astream.aclose()
            assert [item async for item in astream] == []
        assert isinstance(first, ChatResponse)

    # ------------------------------------------------------------------ usage and events

    async def test_usage_is_in_raw_for_the_token_counter(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        counter = TokenCountingHandler(tokenizer=lambda text: [""] * 100_000)  # so that guesses would show
        llm.callback_manager = CallbackManager([counter])
        await colour.call(llm, "chat", conversation())
        await colour.stream(llm, "stream_chat", conversation())
        await colour.call(llm, "complete", "Say blue.")
        await colour.stream(llm, "stream_complete", "Say blue.")
        assert len(counter.llm_token_counts) == 4
        for counted in counter.llm_token_counts:
            assert 0 < counted.prompt_token_count < 100_000
            assert 0 < counted.completion_token_count < 100_000

    async def test_callbacks(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        llm.callback_manager = CallbackManager([debug])
        await colour.call(llm, "chat", conversation())
        await colour.stream(llm, "stream_complete", "Say blue.")
        pairs = debug.get_event_pairs(CBEventType.LLM)
        assert [len(pair) for pair in pairs] == [2, 2]

    async def test_instrumentation(self, llm: FunctionCallingLLM, colour: Colour, recorder: Recorder) -> None:
        await colour.call(llm, "chat", conversation())
        assert recorder.names("LLM") == ["LLMChatStartEvent", "LLMChatEndEvent"]
        recorder.events.clear()
        responses = await colour.stream(llm, "stream_chat", conversation())
        names = recorder.names("LLM")
        assert names[0] == "LLMChatStartEvent"
        assert names[1:-1] == ["LLMChatInProgressEvent"] * len(responses)
        assert names[-1] == "LLMChatEndEvent"
        assert recorder.last("LLMChatEndEvent").response == responses[-1]
        recorder.events.clear()
        await colour.call(llm, "complete", "Say blue.")
        await colour.stream(llm, "stream_complete", "Say blue.")
        assert {"LLMCompletionStartEvent", "LLMCompletionEndEvent"} <= set(recorder.names("LLM"))
        assert not [name for name in recorder.names("LLM") if name.startswith("LLMChat")]

    # ------------------------------------------------------------------ blocks

    async def test_an_image_is_sent(self, llm: FunctionCallingLLM, colour: Colour, sent: Sent) -> None:
        message = ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), ImageBlock(image=PNG)])
        await colour.call(llm, "chat", [message])
        [text, image] = sent()[0]["messages"][0]["content"]
        assert text == {"type": "text", "text": "What is this?"}
        assert image["image_url"]["url"].startswith("data:image/png;base64,")

    # ------------------------------------------------------------------ tools

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_a_tool_is_called(self, llm: FunctionCallingLLM, colour: Colour, streamed: bool, sent: Sent) -> None:
        response = await colour.last(
            llm, "chat_with_tools", streamed=streamed, tools=[ADD, MULTIPLY], user_msg="Use the tool 'add' on 17 and 4."
        )
        [block] = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        assert block.tool_name == "add"
        assert block.tool_kwargs == {"a": 17, "b": 4}
        [selection] = llm.get_tool_calls_from_response(response)
        assert selection == ToolSelection(
            tool_id=block.tool_call_id or "", tool_name="add", tool_kwargs={"a": 17, "b": 4}
        )
        [body] = sent()
        assert [tool["function"]["name"] for tool in body["tools"]] == ["add", "multiply"]
        assert body["tools"][0]["function"]["parameters"]["required"] == ["a", "b"]

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_parallel_calls(self, llm: FunctionCallingLLM, colour: Colour, streamed: bool) -> None:
        asked = {"tools": [ADD, MULTIPLY], "user_msg": "Use 'add' on 1 and 2, and also 'multiply' on 3 and 4."}
        both = await colour.last(llm, "chat_with_tools", streamed=streamed, allow_parallel_tool_calls=True, **asked)
        assert [(call.tool_name, call.tool_kwargs) for call in llm.get_tool_calls_from_response(both)] == [
            ("add", {"a": 1, "b": 2}),
            ("multiply", {"a": 3, "b": 4}),
        ]
        one = await colour.last(llm, "chat_with_tools", streamed=streamed, allow_parallel_tool_calls=False, **asked)
        assert [call.tool_name for call in llm.get_tool_calls_from_response(one)] == ["add"]

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_no_tool_is_called(self, llm: FunctionCallingLLM, colour: Colour, streamed: bool) -> None:
        response = await colour.last(llm, "chat_with_tools", streamed=streamed, tools=[ADD], user_msg="Hello")
        assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
        with pytest.raises(ValueError, match="at least one tool call"):
            llm.get_tool_calls_from_response(response, error_on_no_tool_call=True)

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_a_call_can_be_required(self, llm: FunctionCallingLLM, colour: Colour, streamed: bool) -> None:
        response = await colour.last(
            llm, "chat_with_tools", streamed=streamed, tools=[ADD], user_msg="Hello 1 2", tool_required=True
        )
        [selection] = llm.get_tool_calls_from_response(response)
        assert selection.tool_name == "add"

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_a_tool_can_be_chosen_by_name(self, llm: FunctionCallingLLM, colour: Colour, streamed: bool) -> None:
        response = await colour.last(
            llm,
            "chat_with_tools",
            streamed=streamed,
            tools=[ADD, MULTIPLY],
            user_msg="Hello 3 4",
            tool_choice="multiply",
        )
        [selection] = llm.get_tool_calls_from_response(response)
        assert (selection.tool_name, selection.tool_kwargs) == ("multiply", {"a": 3, "b": 4})

    async def test_the_tool_s_answer_goes_back(self, llm: FunctionCallingLLM, colour: Colour, sent: Sent) -> None:
        question = ChatMessage(role="user", content="Use the tool 'add' on 17 and 4.")
        response = await colour.call(llm, "chat_with_tools", [ADD], chat_history=[question])
        [selection] = llm.get_tool_calls_from_response(response)
        result = ChatMessage(role="tool", content="21", additional_kwargs={"tool_call_id": selection.tool_id})
        final = await colour.call(llm, "chat_with_tools", [ADD], chat_history=[question, response.message, result])
        assert "21" in (final.message.content or "")
        _, called, answered = sent()[-1]["messages"]
        assert called["tool_calls"][0]["id"] == answered["tool_call_id"] == selection.tool_id

    async def test_predict_and_call(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        output = await colour.call(llm, "predict_and_call", [ADD], user_msg="Use the tool 'add' on 17 and 4.")
        assert output.response == "21"
        both = await colour.call(
            llm,
            "predict_and_call",
            [ADD, MULTIPLY],
            user_msg="Use 'add' on 1 and 2, and also 'multiply' on 3 and 4.",
            allow_parallel_tool_calls=True,
        )
        assert [source.raw_output for source in both.sources] == [3, 12]

    # ------------------------------------------------------------------ structured output

    async def test_structured_prediction(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        prompt = PromptTemplate("Invoice number {number} for the customer 'Ada'.")
        whole = await colour.call(llm, "structured_predict", Invoice, prompt, number=42)
        assert isinstance(whole, Invoice)
        assert whole.number == 42
        streamed = await colour.stream(llm, "stream_structured_predict", Invoice, prompt, number=42)
        assert streamed[-1] == whole

    async def test_a_structured_model(self, llm: FunctionCallingLLM, colour: Colour) -> None:
        structured = llm.as_structured_llm(Invoice)
        message = ChatMessage(role="user", content="Invoice number 42 for the customer 'Ada'.")
        response = await colour.call(structured, "chat", [message])
        assert isinstance(response.raw, Invoice)
        assert response.raw.number == 42
        assert Invoice.model_validate_json(response.message.content or "") == response.raw
        completed = await colour.call(structured, "complete", "Invoice number 42 for the customer 'Ada'.")
        assert completed.raw == response.raw

    async def test_what_is_asked_of_a_structured_prediction_stays(
        self, llm: FunctionCallingLLM, colour: Colour
    ) -> None:
        asked = {"temperature": 0.5}
        prompt = ChatPromptTemplate(message_templates=[ChatMessage(role="user", content="Invoice 42 for 'Ada'")])
        await colour.call(llm, "structured_predict", Invoice, prompt, llm_kwargs=asked)
        await colour.stream(llm, "stream_structured_predict", Invoice, prompt, llm_kwargs=asked)
        assert asked == {"temperature": 0.5}


class EmbeddingConformance:
    """For a `BaseEmbedding`."""

    @pytest.fixture
    def embed_model(self) -> BaseEmbedding:
        """The model, fresh for each test."""
        raise NotImplementedError

    async def test_one_text_and_many_give_the_same(self, embed_model: BaseEmbedding, colour: Colour) -> None:
        one = await colour.call(embed_model, "get_text_embedding", "granite is a rock")
        query = await colour.call(embed_model, "get_query_embedding", "granite is a rock")
        many = await colour.call(embed_model, "get_text_embedding_batch", ["a cat", "granite is a rock"])
        assert len(one) == len(query) > 0
        assert many[1] == one
        assert len(many) == 2

    async def test_similar_texts_are_near(self, embed_model: BaseEmbedding, colour: Colour) -> None:
        rock, stone, cat = await colour.call(
            embed_model,
            "get_text_embedding_batch",
            ["granite is a hard rock", "a hard rock like granite", "the cat sleeps"],
        )
        assert embed_model.similarity(rock, stone) > embed_model.similarity(rock, cat)

    async def test_no_texts(self, embed_model: BaseEmbedding, colour: Colour) -> None:
        assert await colour.call(embed_model, "get_text_embedding_batch", []) == []

    async def test_order_over_batches(self, embed_model: BaseEmbedding, colour: Colour) -> None:
        embed_model.embed_batch_size = 3
        texts = [f"text number {number}" for number in range(8)]
        many = await colour.call(embed_model, "get_text_embedding_batch", texts)
        assert many == [embed_model.get_text_embedding(text) for text in texts]

    async def test_progress_and_workers(self, embed_model: BaseEmbedding, colour: Colour) -> None:
        embed_model.embed_batch_size = 2
        embed_model.num_workers = 2
        many = await colour.call(embed_model, "get_text_embedding_batch", list("abcde"), show_progress=True)
        assert len(many) == 5

    async def test_callbacks_and_instrumentation(
        self, embed_model: BaseEmbedding, colour: Colour, recorder: Recorder
    ) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        embed_model.callback_manager = CallbackManager([debug])
        embed_model.embed_batch_size = 2
        await colour.call(embed_model, "get_text_embedding_batch", ["a", "b", "c"])
        assert recorder.names("Embedding").count("EmbeddingStartEvent") == 2
        assert recorder.names("Embedding").count("EmbeddingEndEvent") == 2
        assert recorder.last("EmbeddingEndEvent").chunks == ["c"]
        assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 2

    async def test_nodes(self, embed_model: BaseEmbedding, colour: Colour) -> None:
        nodes = [TextNode(text="a"), TextNode(text="b")]
        done = embed_model(nodes) if colour.name == "sync" else await embed_model.acall(nodes)
        assert [len(node.get_embedding()) for node in done] == [len(embed_model.get_text_embedding("a"))] * 2


class RerankConformance:
    """For a node postprocessor that reranks."""

    @pytest.fixture
    def reranker(self) -> BaseNodePostprocessor:
        """The reranker with `top_n=2`, fresh for each test."""
        raise NotImplementedError

    @staticmethod
    def nodes() -> list[NodeWithScore]:
        texts = ["the cat sleeps", "granite is a hard rock", "rain falls", "granite is an igneous rock"]
        return [
            NodeWithScore(node=TextNode(id_=f"n{number}", text=text, metadata={"number": number}), score=0.5)
            for number, text in enumerate(texts)
        ]

    async def test_the_best_come_first(self, reranker: BaseNodePostprocessor, colour: Colour) -> None:
        best = await colour.call(reranker, "postprocess_nodes", self.nodes(), query_str="what rock is granite?")
        assert {node.node.node_id for node in best} == {"n1", "n3"}
        scores = [node.get_score() for node in best]
        assert scores == sorted(scores, reverse=True)
        assert 0.5 not in scores

    async def test_a_bundle_is_a_query_too(self, reranker: BaseNodePostprocessor, colour: Colour) -> None:
        query = "what rock is granite?"
        one = await colour.call(reranker, "postprocess_nodes", self.nodes(), query_str=query)
        other = await colour.call(reranker, "postprocess_nodes", self.nodes(), QueryBundle(query))
        assert [node.node.node_id for node in one] == [node.node.node_id for node in other]

    async def test_the_nodes_stay(self, reranker: BaseNodePostprocessor, colour: Colour) -> None:
        given = self.nodes()
        before = [node.model_copy(deep=True) for node in given]
        best = await colour.call(reranker, "postprocess_nodes", given, query_str="granite")
        assert given == before
        assert all(any(node.node is old.node for old in given) for node in best)
        assert all(node not in given for node in best)

    async def test_no_nodes(self, reranker: BaseNodePostprocessor, colour: Colour) -> None:
        assert await colour.call(reranker, "postprocess_nodes", [], query_str="granite") == []

    async def test_no_query(self, reranker: BaseNodePostprocessor, colour: Colour) -> None:
        with pytest.raises(ValueError, match="query"):
            await colour.call(reranker, "postprocess_nodes", self.nodes())

    async def test_instrumentation(self, reranker: BaseNodePostprocessor, colour: Colour, recorder: Recorder) -> None:
        best = await colour.call(reranker, "postprocess_nodes", self.nodes(), query_str="granite")
        assert recorder.names("ReRank") == ["ReRankStartEvent", "ReRankEndEvent"]
        start = recorder.last("ReRankStartEvent")
        assert (start.top_n, len(start.nodes)) == (2, 4)
        assert start.model_name not in ("", "unknown")
        assert recorder.last("ReRankEndEvent").nodes == best

    async def test_callbacks(self, reranker: BaseNodePostprocessor, colour: Colour) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        reranker.callback_manager = CallbackManager([debug])
        await colour.call(reranker, "postprocess_nodes", self.nodes(), query_str="granite")
        assert len(debug.get_event_pairs(CBEventType.RERANKING)) == 1

    async def test_metadata_is_read(self, reranker: BaseNodePostprocessor, colour: Colour) -> None:
        nodes = [
            NodeWithScore(node=TextNode(text="first", metadata={"title": "the cat"})),
            NodeWithScore(node=TextNode(text="second", metadata={"title": "granite"})),
        ]
        best = await colour.call(reranker, "postprocess_nodes", nodes, query_str="granite")
        assert best[0].node.get_content(metadata_mode=MetadataMode.NONE) == "second"
