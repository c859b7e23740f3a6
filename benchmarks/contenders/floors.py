"""What the frameworks themselves cost: models that answer without HTTP.

Added to raw httpx they are the floor, what an adapter that costs nothing would
cost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from benchmarks.contenders.contender import QUESTION, TOOL, Contender, Kind
from benchmarks.contenders.raw import RawHttpx


class LangChainFloor(Contender):
    name = "langchain-noop"
    title = "LangChain's no-op model"
    environment = "langchain"
    kind: ClassVar[Kind] = "floor"
    imports = """import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult"""
    construct = f"{RawHttpx.construct}\nfrom benchmarks.noop.langchain import NoOp\nnoop = NoOp()"
    call = f"noop.invoke(QUESTION).content and {RawHttpx.call}"

    def build(self) -> Any:
        from benchmarks.noop.langchain import NoOp

        return NoOp(events=self.events, pause=self.pause)

    def chat(self) -> str:
        text: str = self.model.invoke(QUESTION).content
        return text

    async def achat(self) -> str:
        text: str = (await self.model.ainvoke(QUESTION)).content
        return text

    def batch(self, count: int, threads: int) -> list[str]:
        return [answer.content for answer in self.model.batch([QUESTION] * count, {"max_concurrency": threads})]

    def stream(self) -> Iterator[str]:
        return (chunk.content for chunk in self.model.stream(QUESTION))

    async def astream(self) -> AsyncIterator[str]:
        async for chunk in self.build().astream(QUESTION):
            yield chunk.content

    def stream_tools(self) -> Iterator[Any]:
        return iter(self.build().bind(tools=[TOOL]).stream(QUESTION))


class LlamaIndexFloor(Contender):
    name = "llamaindex-noop"
    title = "LlamaIndex's no-op model"
    environment = "llamaindex"
    kind: ClassVar[Kind] = "floor"
    imports = """import httpx
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.function_calling import FunctionCallingLLM"""
    construct = f"{RawHttpx.construct}\nfrom benchmarks.noop.llamaindex import NoOp\nnoop = NoOp()"
    call = f"noop.chat([ChatMessage(content=QUESTION)]).message.content and {RawHttpx.call}"

    def build(self) -> Any:
        from benchmarks.noop.llamaindex import NoOp

        return NoOp(events=self.events, pause=self.pause)

    def asked(self) -> list[Any]:
        return [self.names["ChatMessage"](content=QUESTION)]

    def chat(self) -> str:
        text: str = self.model.chat(self.asked()).message.content
        return text

    async def achat(self) -> str:
        text: str = (await self.model.achat(self.asked())).message.content
        return text

    def stream(self) -> Iterator[str]:
        return (answer.delta for answer in self.model.stream_chat(self.asked()))

    async def astream(self) -> AsyncIterator[str]:
        async for answer in await self.build().astream_chat(self.asked()):
            yield answer.delta

    def stream_tools(self) -> Iterator[Any]:
        return iter(self.build().stream_chat(self.asked(), tools=[TOOL]))

    def embed(self, texts: list[str]) -> list[list[float]]:
        from benchmarks.noop.llamaindex import NoOpEmbedding

        vectors: list[list[float]] = NoOpEmbedding(embed_batch_size=1000).get_text_embedding_batch(texts)
        return vectors


class Together(Contender):
    """The two parts of a floor in one process, where each finds the caches full of the other."""

    kind: ClassVar[Kind] = "together"
    tasks = frozenset({"chat", "stream", "astream", "held"})


class LangChainOverHttpx(Together, LangChainFloor):
    name = "langchain-httpx"
    title = "LangChain's no-op model over raw httpx"
    floor = "langchain-noop"

    def build(self) -> Any:
        from benchmarks.noop.langchain import OverHttpx

        return OverHttpx(source=RawHttpx(self.place))


class LlamaIndexOverHttpx(Together, LlamaIndexFloor):
    name = "llamaindex-httpx"
    title = "LlamaIndex's no-op model over raw httpx"
    floor = "llamaindex-noop"

    def build(self) -> Any:
        from benchmarks.noop.llamaindex import OverHttpx

        return OverHttpx(source=RawHttpx(self.place))
