"""The LangChain adapters as subjects."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from langchain_core.documents import Document
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import ToolException

from tests.fuzz.arguments import Called
from tests.fuzz.json_reading import ANYTHING, Wrong
from tests.fuzz.reading import Facts
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
from wx_integrations.langchain import (
    ChatWatsonx,
    WatsonxEmbeddings,
    WatsonxLLM,
    WatsonxRerank,
    WatsonxToolkit,
    WatsonxWarning,
)
from wx_integrations.langchain.prefix import FAR

ADD: dict[str, Any] = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
PERSON = {"title": "Person", "type": "object", "properties": {"name": {"type": "string"}}}


class LangChainSubjects:
    """Builds the subjects of LangChain."""

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
        named = {} if "model" in settings or adapter is WatsonxToolkit else {"model_id": MODEL}
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
            Subject(f"LC {name}", kinds, lambda: see(run()), expected, documented),
            Subject(f"LC a{name}", kinds, lambda: see(self.stage.wait(arun())), expected, documented),
        ]

    def _chats(self) -> list[Subject]:
        model = self._made(ChatWatsonx)
        shaped = model.with_structured_output(PERSON, method="json_schema")
        written = self._made(ChatWatsonx, recover_tool_calls=True).bind_tools([ADD])

        async def added() -> Any:
            return _whole([chunk async for chunk in model.astream("hi")])

        return [
            *self._pair(
                "invoke", "chat", _message, _first_choice, lambda: model.invoke("hi"), lambda: model.ainvoke("hi")
            ),
            Subject(
                "LC generate",
                frozenset({"chat"}),
                lambda: _result(model.generate([[HumanMessage("hi")]])),
                _all_choices,
            ),
            *self._pair("stream", "chat_stream", _message, _streamed, lambda: _whole(list(model.stream("hi"))), added),
            Subject(
                "LC written calls",
                frozenset({"chat"}),
                lambda: _message(written.invoke("hi")),
                lambda facts: {**_first_choice(facts), "text": ANYTHING, "calls": ANYTHING},
            ),
            Subject(
                "LC written calls streamed",
                frozenset({"chat_stream"}),
                lambda: _message(_whole(list(written.stream("hi")))),
                lambda facts: {**_streamed(facts), "text": ANYTHING, "calls": ANYTHING},
            ),
            Subject(
                "LC structured",
                frozenset({"chat"}),
                lambda: {"object": shaped.invoke("hi")},
                structured_object,
                (OutputParserException, WatsonxError),
            ),
        ]

    def _texts(self) -> list[Subject]:
        llm, gateway = self._made(WatsonxLLM), self._made(WatsonxLLM, model="openai/gpt-6")

        def streamed(model: Any) -> tuple[Callable[[], Any], Callable[[], Coroutine[Any, Any, Any]]]:
            async def pieces() -> str:
                return "".join([piece async for piece in model.astream("Once")])

            return lambda: "".join(model.stream("Once")), pieces

        def said(text: str) -> Facts:
            return {"text": text}

        def counted() -> Facts:
            model = self._made(ChatWatsonx)  # a new one, because it remembers
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an estimate comes with a warning
                return {"count": model.get_num_tokens("a")}

        return [
            *self._pair(
                "LLM generate",
                "generation",
                _texts,
                _generated,
                lambda: llm.generate(["Once"]),
                lambda: llm.agenerate(["Once"]),
            ),
            *self._pair(
                "LLM generate gateway",
                "gateway_generation",
                _texts,
                _generated,
                lambda: gateway.generate(["Once"]),
                lambda: gateway.agenerate(["Once"]),
            ),
            *self._pair("LLM stream", "generation_stream", said, _no_failure, *streamed(llm)),
            *self._pair("LLM stream gateway", "gateway_generation_stream", said, _no_failure, *streamed(gateway)),
            Subject("LC tokens", frozenset({"tokenization"}), counted, lambda facts: facts, (WatsonxWarning,)),
            Subject(
                "LC profile",
                frozenset({"specs"}),
                lambda: {"window": self._made(ChatWatsonx).refresh_profile().get("max_input_tokens")},
                listed_window,
            ),
        ]

    def _retrieval(self) -> list[Subject]:
        one, two = self._made(WatsonxEmbeddings), self._made(WatsonxEmbeddings, model="openai/embedding-3")
        reranker = self._made(WatsonxRerank)
        documents = [Document(text) for text in TEXTS]

        def vectors(found: list[list[float]]) -> Facts:
            return {"vectors": found}

        def ranked(found: list[Document]) -> Facts:
            return {
                "places": [
                    (TEXTS.index(document.page_content), document.metadata["relevance_score"]) for document in found
                ]
            }

        return [
            *self._pair(
                "embed_documents",
                "embeddings",
                vectors,
                vectors_for(1),
                lambda: one.embed_documents(["a"]),
                lambda: one.aembed_documents(["a"]),
            ),
            *self._pair(
                "embed_documents gateway",
                "gateway_embeddings",
                vectors,
                vectors_for(2),
                lambda: two.embed_documents(TEXTS),
                lambda: two.aembed_documents(TEXTS),
            ),
            *self._pair(
                "compress_documents",
                "rerank",
                ranked,
                best_of_two,
                lambda: reranker.compress_documents(documents, "q"),
                lambda: reranker.acompress_documents(documents, "q"),
            ),
        ]

    def _tools(self) -> list[Subject]:
        kit = self._made(WatsonxToolkit)
        self.stage.playback.answer = _tool_list()
        tool = kit.get_tool("GoogleSearch")

        def listed() -> Facts:
            kit.refresh()
            return {"tools": [{"name": tool.name, "description": tool.description} for tool in kit.get_tools()]}

        return [
            Subject("LC toolkit", frozenset({"tool_list"}), listed, _named_and_described),
            *self._pair(
                "tool",
                "tool_run",
                lambda output: {"output": output},
                lambda facts: facts,
                lambda: tool.invoke("x"),
                lambda: tool.ainvoke("x"),
                (ToolException,),
            ),
        ]


def _tool_list() -> Any:
    from tests.fuzz.seeds import seeds

    return next(seed.answer for seed in seeds() if seed.kind == "tool_list")


# --------------------------------------------------------------------------- what is seen


def _whole(chunks: list[Any]) -> Any:
    return chunks[0] + chunks[1:] if len(chunks) > 1 else chunks[0]


def _message(message: AIMessage) -> Facts:
    usage = message.usage_metadata
    good = [(call["id"], call["name"], call["args"]) for call in message.tool_calls]
    bad = [(call["id"], call["name"] or "", None) for call in message.invalid_tool_calls]
    return {
        "text": message.content,
        "thought": message.additional_kwargs.get("reasoning_content", ""),
        "refusal": message.additional_kwargs.get("refusal", ""),
        "calls": good + bad,
        "reason": message.response_metadata.get("finish_reason_raw"),
        "usage": usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]),
        "model": message.response_metadata.get("model_name"),
        "moderations": message.response_metadata.get("moderations"),
    }


def _result(result: Any) -> Facts:
    seen = [_message(generation.message) for generation in result.generations[0]]
    for later in seen[1:]:
        del later["usage"]
    return {"messages": seen}


def _texts(result: Any) -> Facts:
    used = result.llm_output["token_usage"]
    return {
        "texts": [generation.text for generation in result.generations[0]],
        "reasons": [generation.generation_info.get("stop_reason") for generation in result.generations[0]],
        "usage": (used["prompt_tokens"], used["completion_tokens"]),
    }


# --------------------------------------------------------------------------- what should be


def _of_choice(facts: Facts, choice: Facts) -> Facts:
    if choice.get("mute") and not facts["explained"]:
        raise Wrong("a choice without a message, and nothing that says why")
    if choice["reason"] == "error":
        raise Wrong("the model failed")
    usage = facts["usage"]
    thinking = thinks(choice["text"])
    return {
        "text": ANYTHING if thinking else choice["text"],
        "thought": ANYTHING if thinking else choice["thought"],
        "refusal": facts["blocked"] or choice["refusal"],
        "calls": calls_of(choice["calls"]),
        "reason": choice["reason"],
        "usage": usage and (usage[0], usage[1], usage[2] or usage[0] + usage[1]),
        "model": facts["model"],
        "moderations": facts.get("moderations", ANYTHING),
    }


def _blocked(facts: Facts) -> Facts:
    empty: Facts = {"text": "", "thought": "", "refusal": "", "calls": [], "reason": None}
    return _of_choice(facts, empty)


def _first_choice(facts: Facts) -> Facts:
    if facts["blocked"] is not None:
        return _blocked(facts)
    _ = [_of_choice(facts, choice) for choice in facts["choices"]]
    if not facts["choices"]:
        raise Wrong("no choices")
    return _of_choice(facts, facts["choices"][0])


def _all_choices(facts: Facts) -> Facts:
    if facts["blocked"] is not None:
        return {"messages": [_blocked(facts)]}
    if not facts["choices"]:
        raise Wrong("no choices")
    return {"messages": [_of_choice(facts, choice) for choice in facts["choices"]]}


def _names_end(calls: Any) -> bool:
    """Whether no name within the arguments is so long that LangChain would look for its end for ever."""
    return calls is ANYTHING or all(longest_name(call.arguments) < FAR for call in calls)


def longest_name(value: Any) -> int:
    if isinstance(value, dict):
        return max([*map(len, value), *map(longest_name, value.values())], default=0)
    return max(map(longest_name, value), default=0) if isinstance(value, list) else 0


def _streamed(facts: Facts) -> Facts:
    facts = {**facts, "moderations": ANYTHING}
    if not all(_names_end(choice["calls"]) for choice in facts["choices"]):
        facts["choices"] = [{**choice, "calls": ANYTHING} for choice in facts["choices"]]
    if not facts["choices"] and not facts["explained"]:
        raise Wrong("no choices")
    if not facts["choices"]:
        return _blocked(facts)
    if len(facts["choices"]) > 1:
        raise Wrong("one answer was asked for")
    return _of_choice(facts, first(facts))


def _generated(facts: Facts) -> Facts:
    results = facts["results"]
    if not results:
        raise Wrong("no results")
    if any((result["reason"] or "").lower() == "error" for result in results):
        raise Wrong("the model failed")
    return {
        "texts": [result["text"] for result in results],
        "reasons": [result["reason"] for result in results],
        "usage": (sum(result["read"] or 0 for result in results), sum(result["written"] or 0 for result in results)),
    }


def _no_failure(facts: Facts) -> Facts:
    if facts["silent"]:
        raise Wrong("no results")
    if (facts["reason"] or "").lower() == "error":
        raise Wrong("the model failed")
    return facts


def _named_and_described(facts: Facts) -> Facts:
    return {"tools": [{"name": tool["name"], "description": tool["description"]} for tool in facts["tools"]]}


__all__ = ["Called", "LangChainSubjects"]
