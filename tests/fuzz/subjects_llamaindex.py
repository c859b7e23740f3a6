"""The LlamaIndex adapters as subjects."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, ThinkingBlock, ToolCallBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, ValidationError

from tests.fuzz.json_reading import ANYTHING, Unsure, Wrong
from tests.fuzz.reading import Facts, generated_probabilities, log_probabilities
from tests.fuzz.seeds import Kind
from tests.fuzz.subjects import (
    MODEL,
    PROJECT,
    URL,
    Stage,
    Subject,
    calls_of,
    first,
    listed_window,
    structured_object,
    thinks,
)
from tests.fuzz.subjects_core import TEXTS, best_of_two, vectors_for
from wx_integrations.core.errors import WatsonxError
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank, WatsonxToolSpec


class Person(BaseModel):
    """What structured predictions are asked for."""

    name: str


class LlamaIndexSubjects:
    """Builds the subjects of LlamaIndex."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        transport = stage.playback
        self.settings: dict[str, Any] = {
            "url": URL,
            "token": "t",
            "project_id": PROJECT,
            "max_retries": 0,
            "httpx_client": httpx.Client(transport=transport),
            "async_httpx_client": httpx.AsyncClient(transport=transport),
        }

    def _made(self, adapter: type[Any], **settings: Any) -> Any:
        named = {} if "model" in settings or adapter is WatsonxToolSpec else {"model_id": MODEL}
        return self.stage.settled(adapter(**self.settings, **named, **settings))

    def all(self) -> list[Subject]:
        """Return the subjects."""
        return [*self._chats(), *self._texts(), *self._retrieval(), *self._tools()]

    def _pair(
        self,
        name: str,
        kind: Kind,
        see: Callable[[Any], Facts],
        expected: Callable[[Facts], Facts],
        run: Callable[[], Any],
        arun: Callable[[], Coroutine[Any, Any, Any]],
        documented: tuple[type[Exception], ...] = (),
    ) -> list[Subject]:
        kinds: frozenset[Kind] = frozenset({kind})
        return [
            Subject(f"LI {name}", kinds, lambda: see(run()), expected, documented),
            Subject(f"LI a{name}", kinds, lambda: see(self.stage.wait(arun())), expected, documented),
        ]

    def _chats(self) -> list[Subject]:
        llm = self._made(WatsonxLLM)
        hi = [ChatMessage(content="hi")]
        tool = FunctionTool.from_defaults(_get_current_weather)

        async def last() -> ChatResponse:
            response: ChatResponse
            async for response in await llm.astream_chat(hi):  # noqa: B007 (the last counts)
                pass
            return response

        def chosen() -> Facts:
            response = llm.chat_with_tools([tool], user_msg="hi", allow_parallel_tool_calls=True)
            found = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
            return {"calls": [(call.tool_id, call.tool_name, call.tool_kwargs) for call in found]}

        def followed() -> Facts:
            found: list[Any] = []
            for response in llm.stream_chat_with_tools([tool], user_msg="hi", allow_parallel_tool_calls=True):
                found = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)  # as agents do
            return {"calls": [(call.tool_id, call.tool_name, call.tool_kwargs) for call in found]}

        return [
            *self._pair("chat", "chat", _answer, _first_choice, lambda: llm.chat(hi), lambda: llm.achat(hi)),
            Subject("LI complete", frozenset({"chat"}), lambda: {"text": llm.complete("hi").text}, _first_choice),
            Subject("LI tool calls", frozenset({"chat"}), chosen, _usable_calls),
            Subject(
                "LI tool calls streamed",
                frozenset({"chat_stream"}),
                followed,
                lambda facts: {**_streamed(facts), "calls": ANYTHING},
            ),
            Subject(
                "LI structured",
                frozenset({"chat"}),
                lambda: {"object": llm.structured_predict(Person, PromptTemplate("hi")).model_dump()},
                structured_object,
                (ValidationError, WatsonxError),
            ),
            *self._pair(
                "stream_chat",
                "chat_stream",
                _answer,
                _streamed,
                lambda: list(llm.stream_chat(hi))[-1],
                last,
            ),
        ]

    def _texts(self) -> list[Subject]:
        llm = self._made(WatsonxLLM, use_text_generation=True)
        gateway = self._made(WatsonxLLM, use_text_generation=True, model="openai/gpt-6")

        def streamed(model: Any) -> tuple[Callable[[], Any], Callable[[], Coroutine[Any, Any, Any]]]:
            async def last() -> CompletionResponse:
                response: CompletionResponse
                async for response in await model.astream_complete("Once"):  # noqa: B007 (the last counts)
                    pass
                return response

            return lambda: list(model.stream_complete("Once"))[-1], last

        def tokens() -> Facts:
            found = self._made(WatsonxLLM).tokenizer("a")  # a new one, because it remembers
            return {"tokens": found}

        return [
            *self._pair(
                "complete text",
                "generation",
                _text,
                _generated,
                lambda: llm.complete("Once"),
                lambda: llm.acomplete("Once"),
            ),
            *self._pair(
                "complete gateway",
                "gateway_generation",
                _text,
                _generated,
                lambda: gateway.complete("Once"),
                lambda: gateway.acomplete("Once"),
            ),
            *self._pair("stream_complete", "generation_stream", _stream_text, _stream_facts, *streamed(llm)),
            *self._pair("stream gateway", "gateway_generation_stream", _stream_text, _stream_facts, *streamed(gateway)),
            Subject("LI tokenizer", frozenset({"tokenization"}), tokens, _tokens),
            Subject(
                "LI profile",
                frozenset({"specs"}),
                lambda: {"window": self._made(WatsonxLLM).refresh_profile().context_window},
                listed_window,
            ),
        ]

    def _retrieval(self) -> list[Subject]:
        one, two = self._made(WatsonxEmbeddings), self._made(WatsonxEmbeddings, model="openai/embedding-3")
        reranker = self._made(WatsonxRerank)
        nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]

        def vectors(found: list[list[float]]) -> Facts:
            return {"vectors": found}

        def ranked(found: list[NodeWithScore]) -> Facts:
            return {"places": [(TEXTS.index(node.text), node.score) for node in found]}

        return [
            *self._pair(
                "embed",
                "embeddings",
                vectors,
                vectors_for(1),
                lambda: one.get_text_embedding_batch(["a"]),
                lambda: one.aget_text_embedding_batch(["a"]),
            ),
            *self._pair(
                "embed gateway",
                "gateway_embeddings",
                vectors,
                vectors_for(2),
                lambda: two.get_text_embedding_batch(TEXTS),
                lambda: two.aget_text_embedding_batch(TEXTS),
            ),
            *self._pair(
                "rerank",
                "rerank",
                ranked,
                best_of_two,
                lambda: reranker.postprocess_nodes(nodes, query_str="q"),
                lambda: reranker.apostprocess_nodes(nodes, query_str="q"),
            ),
        ]

    def _tools(self) -> list[Subject]:
        from tests.fuzz.seeds import seeds

        spec = self._made(WatsonxToolSpec)
        self.stage.playback.answer = next(seed.answer for seed in seeds() if seed.kind == "tool_list")
        tool: Any = next(tool for tool in spec.to_tool_list() if tool.metadata.name == "GoogleSearch")

        def listed() -> Facts:
            spec.refresh()
            found = [tool.metadata for tool in spec.to_tool_list()]
            return {"tools": [{"name": about.name, "description": about.description} for about in found]}

        return [
            Subject("LI tool spec", frozenset({"tool_list"}), listed, _named_and_described),
            *self._pair(
                "tool",
                "tool_run",
                lambda output: {"output": output.content},
                lambda facts: facts,
                lambda: tool.call("x"),
                lambda: tool.acall("x"),
            ),
        ]


def _get_current_weather(location: str, unit: str = "celsius") -> str:
    """Return the weather."""
    return location + unit


# --------------------------------------------------------------------------- what is seen


def _answer(response: ChatResponse) -> Facts:
    message, facts = response.message, response.additional_kwargs
    found = []
    for block in message.blocks:
        if isinstance(block, ToolCallBlock):
            arguments = block.tool_kwargs if isinstance(block.tool_kwargs, dict) else None
            found.append((block.tool_call_id, block.tool_name, arguments))
    thoughts = [block.content or "" for block in message.blocks if isinstance(block, ThinkingBlock)]
    good = [call for call in found if call[2] is not None]
    return {
        "text": message.content or "",
        "thought": "".join(thoughts),
        "refusal": message.additional_kwargs.get("refusal", ""),
        "calls": good + [call for call in found if call[2] is None],
        "reason": facts.get("finish_reason"),
        "usage": (facts["prompt_tokens"], facts["completion_tokens"], facts["total_tokens"])
        if "total_tokens" in facts
        else None,
        "model": facts.get("model"),
        "logprobs": [[(one.token, one.logprob) for one in token] for token in response.logprobs or ()],
    }


def _text(response: CompletionResponse) -> Facts:
    facts = response.additional_kwargs
    return {
        "text": response.text,
        "reason": facts.get("finish_reason"),
        "usage": (facts.get("prompt_tokens", 0), facts.get("completion_tokens", 0)),
    }


def _stream_text(response: CompletionResponse) -> Facts:
    facts = response.additional_kwargs
    return {
        "text": response.text,
        "read": facts.get("prompt_tokens", 0),
        "written": facts.get("completion_tokens", 0),
        "model": facts.get("model"),
    }


# --------------------------------------------------------------------------- what should be


def _of_choice(facts: Facts, choice: Facts) -> Facts:
    logprobs = choice["logprobs"]
    if choice.get("mute") and not facts["explained"]:
        raise Wrong("a choice without a message, and nothing that says why")
    return {
        "text": ANYTHING if thinks(choice["text"]) else choice["text"],
        "thought": ANYTHING if thinks(choice["text"]) else choice["thought"],
        "refusal": choice["refusal"],
        "calls": calls_of(choice["calls"]),
        "reason": choice["reason"] or None,
        "usage": facts["usage"],
        "model": facts["model"] or None,
        "logprobs": logprobs if logprobs is ANYTHING else log_probabilities(logprobs) or [],
    }


_SILENT: Facts = {"text": "", "thought": "", "refusal": "", "calls": [], "reason": None, "index": 0, "logprobs": None}


def _first_choice(facts: Facts) -> Facts:
    if not facts["choices"] and facts["explained"]:
        return _of_choice(facts, _SILENT)
    return _of_choice(facts, first(facts))


def _usable_calls(facts: Facts) -> Facts:
    calls = _first_choice(facts)["calls"]
    if calls is not ANYTHING and any(arguments is None for _, _, arguments in calls):
        raise Wrong("a call that is none")
    return {"calls": calls}


def _streamed(facts: Facts) -> Facts:
    if not facts["choices"] and not facts["explained"]:
        raise Wrong("no choices")
    if facts["doubled"]:
        raise Unsure("a choice twice in a frame")
    choice = next((choice for choice in facts["choices"] if choice["index"] == facts["first"]), _SILENT)
    return _of_choice(facts, choice)


def _generated(facts: Facts) -> Facts:
    if not facts["results"]:
        raise Wrong("no results")
    result = facts["results"][0]
    generated_probabilities(result["tokens"])
    return {
        "text": result["text"],
        "reason": result["reason"] or None,
        "usage": (max(result["read"] or 0, 0), max(result["written"] or 0, 0)),
    }


def _stream_facts(facts: Facts) -> Facts:
    if facts["silent"]:
        raise Wrong("no results")
    return {**facts, "model": facts["model"] or None}


def _tokens(facts: Facts) -> Facts:
    if facts["tokens"] is None:
        return {"tokens": [""] * facts["count"]}
    return facts


def _named_and_described(facts: Facts) -> Facts:
    return {"tools": [{"name": tool["name"], "description": tool["description"]} for tool in facts["tools"]]}
