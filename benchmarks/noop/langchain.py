"""A chat model of LangChain that answers without asking anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from benchmarks.answers import tool_pieces


class NoOp(BaseChatModel):
    """Says the same, in one piece or in `events` pieces."""

    text: str = "The 2020 World Series was played in Arlington, Texas, with no fans in attendance."
    events: int = 10_000
    pause: int = 0

    @property
    def _llm_type(self) -> str:
        return "noop"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=self.text))])

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=self.text))])

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks(kwargs)

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number, chunk in enumerate(self._chunks(kwargs)):
            if self.pause and number % self.pause == 0:
                await asyncio.sleep(0)
            yield chunk

    def _chunks(self, kwargs: dict[str, Any]) -> Iterator[ChatGenerationChunk]:
        if not kwargs.get("tools"):
            for _ in range(self.events):
                yield ChatGenerationChunk(message=AIMessageChunk(content="tok ", id="chatcmpl-1"))
            return
        for call, name, arguments in tool_pieces(self.events):
            piece = tool_call_chunk(name=name or None, id=f"call_{call}" if name else None, args=arguments, index=call)
            yield ChatGenerationChunk(message=AIMessageChunk(content="", id="chatcmpl-1", tool_call_chunks=[piece]))


class OverHttpx(NoOp):
    """Says what raw httpx is answered: nothing but the text, nothing looked at."""

    source: Any

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=self.source.chat()))])

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for text in self.source.stream():
            yield ChatGenerationChunk(message=AIMessageChunk(content=text, id="chatcmpl-1"))

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for text in self.source.astream():
            yield ChatGenerationChunk(message=AIMessageChunk(content=text, id="chatcmpl-1"))
