"""A model of LlamaIndex that answers without asking anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM

from benchmarks.answers import TEXT, tool_pieces


class NoOp(CustomLLM):
    """Says the same, in one piece or in `events` pieces."""

    events: int = 10_000
    pause: int = 0

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=TEXT))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=TEXT))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return self._responses(kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        async def responses() -> ChatResponseAsyncGen:
            for number, response in enumerate(self._responses(kwargs)):
                if self.pause and number % self.pause == 0:
                    await asyncio.sleep(0)
                yield response

        return responses()

    def _responses(self, kwargs: dict[str, Any]) -> ChatResponseGen:
        """Yield the whole so far, as the framework asks for."""
        if not kwargs.get("tools"):
            whole = ""
            for _ in range(self.events):
                whole += "tok "
                yield ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=whole), delta="tok ")
            return
        calls: dict[int, str] = {}
        for call, _, arguments in tool_pieces(self.events):
            calls[call] = calls.get(call, "") + arguments
            blocks = [
                ToolCallBlock(tool_call_id=f"call_{number}", tool_name="add", tool_kwargs=text)
                for number, text in calls.items()
            ]
            yield ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks), delta="")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=TEXT)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        return iter([CompletionResponse(text=TEXT, delta=TEXT)])  # type: ignore[return-value]


class OverHttpx(NoOp):
    """Says what raw httpx is answered: nothing but the text, nothing looked at."""

    source: Any

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=self.source.chat()))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        def responses() -> ChatResponseGen:
            whole = ""
            for text in self.source.stream():
                whole += text
                yield ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=whole), delta=text)

        return responses()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        async def responses() -> ChatResponseAsyncGen:
            whole = ""
            async for text in self.source.astream():
                whole += text
                yield ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=whole), delta=text)

        return responses()


class NoOpEmbedding(BaseEmbedding):
    """Gives every text the same vector."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return [0.0] * 768

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return [0.0] * 768

    def _get_text_embedding(self, text: str) -> list[float]:
        return [0.0] * 768
