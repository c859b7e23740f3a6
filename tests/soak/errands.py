"""The calls of a storm: each knows how it is made in both colours, and what the right answer is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any

import httpx
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

from wx_integrations.core import calls
from wx_integrations.core.calls import Model
from wx_integrations.core.connection import Connection
from wx_integrations.core.jobs import ROUNDS
from wx_integrations.core.retry import Waiting
from wx_integrations.core.session import Session
from wx_integrations.core.toolcalls import whole_calls
from wx_integrations.core.wire.chat import ChatRequest, Function, Tool, UserMessage
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings, WatsonxRerank
from wx_integrations.llamaindex import WatsonxEmbeddings as LlamaEmbeddings
from wx_integrations.llamaindex import WatsonxLLM
from wx_integrations.llamaindex import WatsonxRerank as LlamaRerank

PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
CHAT, EMBEDDING, RERANK = (
    "ibm/granite-4-h-small",
    "ibm/slate-125m-english-rtrvr",
    "cross-encoder/ms-marco-minilm-l-12-v2",
)
LIMIT = 200
IMPATIENCE = 0.4
"""Seconds that an impatient call waits for the next byte."""
ADD: dict[str, Any] = {
    "name": "add",
    "description": "Add a number.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}
_BRAIN = DeterministicBrain()


@dataclass(frozen=True)
class Errand:
    """A kind of call.

    Attributes:
        run: makes call number n and returns its answer in a form that can be compared.
        arun: the same without blocking.
        right: the right answer of call number n.
        rounds: further rounds that its requests may go when the policy's tries did not suffice.
        streams: whether the answer is a stream.
    """

    name: str
    run: Callable[[int], Any]
    arun: Callable[[int], Coroutine[Any, Any, Any]]
    right: Callable[[int], Any]
    rounds: int = 0
    streams: bool = False


def mark(number: int) -> str:
    return f"mark{number:07d}"


def prompt(number: int) -> str:
    return f"please note {mark(number)}"


def echoed(number: int) -> str:
    return f"You said: {prompt(number)}"


def sum_wanted(number: int) -> str:
    return f"use add for {number} {mark(number)}"


def passages(number: int) -> list[str]:
    """Return passages in an order that depends on the number; one of them is to the point."""
    given = [f"all about {mark(number)}", "bananas are yellow", "granite is a rock", f"number {number % 10} of ten"]
    turn = number % len(given)
    return given[turn:] + given[:turn]


def question(number: int) -> str:
    return f"what about {mark(number)} and rock"


SPEED = 25.0
"""How much faster than usual the clients' time runs, so that waits of seconds, which refusals cause, are short."""


async def _asleep(seconds: float) -> None:
    await asyncio.sleep(seconds / SPEED)


WAITING = Waiting(
    clock=lambda: time.monotonic() * SPEED, sleep=lambda seconds: time.sleep(seconds / SPEED), asleep=_asleep
)


class Errands:
    """All kinds of calls, on adapters that share one session."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.session = Session(connection, waiting=WAITING)
        self.model = Model(CHAT, PROJECT)

    def _made(self, adapter: type[Any], model_id: str, **settings: Any) -> Any:
        made = adapter(model_id=model_id, connection=self.connection, **settings)
        made._held.session = self.session
        return made

    def all(self) -> list[Errand]:
        """Return the kinds of calls."""
        return [*self._core(), *self._langchain(), *self._llamaindex(), *self._retrieval(), self._impatient()]

    def _core(self) -> list[Errand]:
        client, aclient = self.session.client, self.session.async_client

        def ask(number: int) -> ChatRequest:
            return ChatRequest(messages=[UserMessage(content=prompt(number))], max_completion_tokens=LIMIT)

        def tool(number: int) -> ChatRequest:
            tools = [Tool(function=Function(**ADD))]
            return ChatRequest(messages=[UserMessage(content=sum_wanted(number))], tools=tools, max_tokens=LIMIT)

        def stream(number: int) -> str:
            with closing(client.stream(calls.chat_stream(self.model, ask(number)))) as chunks:
                return "".join(_text(chunk) for chunk in chunks)

        async def astream(number: int) -> str:
            async with aclosing(aclient.stream(calls.chat_stream(self.model, ask(number)))) as chunks:
                return "".join([_text(chunk) async for chunk in chunks])

        async def achat(number: int) -> Any:
            return (await aclient.run(calls.chat(self.model, ask(number)))).choices[0].message.content  # type: ignore[union-attr]

        async def atool(number: int) -> Any:
            return _called(await aclient.run(calls.chat(self.model, tool(number))))

        return [
            Errand(
                "chat",
                lambda n: client.run(calls.chat(self.model, ask(n))).choices[0].message.content,  # type: ignore[union-attr]
                achat,
                echoed,
            ),
            Errand("stream", stream, astream, echoed, streams=True),
            Errand("tools", lambda n: _called(client.run(calls.chat(self.model, tool(n)))), atool, _sum),
        ]

    def _impatient(self) -> Errand:
        """Chats and streams that wait for less than half a second."""
        client, aclient = self.session.client, self.session.async_client
        limits = httpx.Timeout(30.0, read=IMPATIENCE)

        def call(number: int) -> Any:
            said = UserMessage(content=f"{prompt(number)} impatient")
            request = ChatRequest(messages=[said], max_completion_tokens=LIMIT)
            return calls.chat_stream(self.model, request)

        def run(number: int) -> str:
            with closing(client.stream(call(number), timeout=limits)) as chunks:
                return "".join(_text(chunk) for chunk in chunks)

        async def arun(number: int) -> str:
            async with aclosing(aclient.stream(call(number), timeout=limits)) as chunks:
                return "".join([_text(chunk) async for chunk in chunks])

        return Errand("impatient stream", run, arun, lambda n: f"{echoed(n)} impatient", streams=True)

    def _langchain(self) -> list[Errand]:
        model = self._made(ChatWatsonx, CHAT, max_completion_tokens=LIMIT)
        bound = model.bind_tools([ADD])

        async def invoked(number: int) -> Any:
            return (await model.ainvoke(prompt(number))).text

        async def streamed(number: int) -> str:
            return "".join([str(chunk.text) async for chunk in model.astream(prompt(number))])

        async def called(number: int) -> Any:
            return [call["args"] for call in (await bound.ainvoke(sum_wanted(number))).tool_calls]

        return [
            Errand("LangChain invoke", lambda n: model.invoke(prompt(n)).text, invoked, echoed),
            Errand(
                "LangChain stream",
                lambda n: "".join(str(chunk.text) for chunk in model.stream(prompt(n))),
                streamed,
                echoed,
                streams=True,
            ),
            Errand(
                "LangChain tools",
                lambda n: [call["args"] for call in bound.invoke(sum_wanted(n)).tool_calls],
                called,
                _sum,
            ),
        ]

    def _llamaindex(self) -> list[Errand]:
        llm = self._made(WatsonxLLM, CHAT, max_tokens=LIMIT)

        async def chatted(number: int) -> Any:
            return (await llm.achat([ChatMessage(content=prompt(number))])).message.content

        async def streamed(number: int) -> Any:
            answers = [answer async for answer in await llm.astream_chat([ChatMessage(content=prompt(number))])]
            return answers[-1].message.content

        return [
            Errand(
                "LlamaIndex chat",
                lambda n: llm.chat([ChatMessage(content=prompt(n))]).message.content,
                chatted,
                echoed,
            ),
            Errand(
                "LlamaIndex stream",
                lambda n: list(llm.stream_chat([ChatMessage(content=prompt(n))]))[-1].message.content,
                streamed,
                echoed,
                streams=True,
            ),
        ]

    def _retrieval(self) -> list[Errand]:
        chain = self._made(WatsonxEmbeddings, EMBEDDING)
        llama = self._made(LlamaEmbeddings, EMBEDDING)
        reranker = self._made(WatsonxRerank, RERANK)
        postprocessor = self._made(LlamaRerank, RERANK)

        async def ranked(number: int) -> Any:
            return _places(await reranker.arerank(passages(number), question(number)))

        async def processed(number: int) -> Any:
            return _scores(await postprocessor.apostprocess_nodes(_nodes(number), query_str=question(number)))

        return [
            Errand(
                "LangChain embeddings",
                lambda n: chain.embed_documents(passages(n)),
                lambda n: chain.aembed_documents(passages(n)),
                _vectors,
                rounds=ROUNDS,
            ),
            Errand(
                "LlamaIndex embeddings",
                lambda n: llama.get_text_embedding_batch(passages(n)),
                lambda n: llama.aget_text_embedding_batch(passages(n)),
                _vectors,
                rounds=ROUNDS,
            ),
            Errand(
                "LangChain rerank",
                lambda n: _places(reranker.rerank(passages(n), question(n))),
                ranked,
                _ranks,
                rounds=ROUNDS,
            ),
            Errand(
                "LlamaIndex rerank",
                lambda n: _scores(postprocessor.postprocess_nodes(_nodes(n), query_str=question(n))),
                processed,
                lambda n: [(passages(n)[index], score) for index, score in _ranks(n)],
                rounds=ROUNDS,
            ),
        ]


# --------------------------------------------------------------------------- answers


def _text(chunk: Any) -> str:
    return "".join(choice.delta.content or "" for choice in chunk.choices if choice.delta is not None)


def _called(answer: Any) -> list[Any]:
    return [call.parsed for call in whole_calls(answer.choices[0].message.tool_calls or ())]


def _sum(number: int) -> list[Any]:
    return [{"a": number}]


def _vectors(number: int) -> list[list[float]]:
    return [list(vector) for vector in _BRAIN.embed(EMBEDDING, passages(number), None).vectors]


def _ranks(number: int) -> list[tuple[int, float]]:
    scores = _BRAIN.rerank(RERANK, question(number), passages(number), None).scores
    return sorted(enumerate(scores), key=lambda place: -place[1])


def _places(found: list[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(place["index"], place["relevance_score"]) for place in found]


def _nodes(number: int) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text)) for text in passages(number)]


def _scores(nodes: list[NodeWithScore]) -> list[tuple[str, float | None]]:
    return [(node.text, node.score) for node in nodes]
