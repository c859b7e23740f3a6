"""The calls of a storm that go through LlamaIndex."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool

from tests.soak import questions as ask
from tests.soak.calling import LIMIT, Errand, Made
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank


def chats(made: Made) -> list[Errand]:
    """Return chats, streams and tool calls."""
    llm = made(WatsonxLLM, ask.CHAT, max_tokens=LIMIT)
    tools = [FunctionTool.from_defaults(_add, name="add", description=ask.ADD["description"])]

    def said(number: int) -> list[ChatMessage]:
        return [ChatMessage(content=ask.prompt(number))]

    async def chatted(number: int) -> Any:
        return (await llm.achat(said(number))).message.content

    async def streamed(number: int) -> Any:
        return [answer async for answer in await llm.astream_chat(said(number))][-1].message.content

    def left(number: int) -> Any:
        text = ""
        for answer in llm.stream_complete(ask.prompt(number)):
            text = answer.text
            if ask.has_arrived(text, number):
                break
        return text

    async def aleft(number: int) -> Any:
        text = ""
        async for answer in await llm.astream_complete(ask.prompt(number)):
            text = answer.text
            if ask.has_arrived(text, number):
                break
        return text

    def called(response: Any) -> list[Any]:
        return [selection.tool_kwargs for selection in llm.get_tool_calls_from_response(response)]

    async def acalled(number: int) -> Any:
        return called(await llm.achat_with_tools(tools, user_msg=ask.sum_wanted(number)))

    return [
        Errand("LlamaIndex chat", lambda n: llm.chat(said(n)).message.content, chatted, ask.echoed),
        Errand(
            "LlamaIndex stream",
            lambda n: list(llm.stream_chat(said(n)))[-1].message.content,
            streamed,
            ask.echoed,
            streams=True,
        ),
        Errand("LlamaIndex stream, left", left, aleft, ask.until_the_mark, streams=True),
        Errand(
            "LlamaIndex tools",
            lambda n: called(llm.chat_with_tools(tools, user_msg=ask.sum_wanted(n))),
            acalled,
            ask.summed,
        ),
    ]


def retrieval(made: Made) -> list[Errand]:
    """Return embeddings and reranking."""
    embeddings = made(WatsonxEmbeddings, ask.EMBEDDING)
    reranker = made(WatsonxRerank, ask.RERANK)

    async def processed(number: int) -> Any:
        found = await reranker.apostprocess_nodes(ask.nodes(number), query_str=ask.question(number))
        return ask.scores(found)

    return [
        Errand(
            "LlamaIndex embeddings",
            lambda n: embeddings.get_text_embedding_batch(ask.passages(n)),
            lambda n: embeddings.aget_text_embedding_batch(ask.passages(n)),
            ask.vectors,
        ),
        Errand(
            "LlamaIndex rerank",
            lambda n: ask.scores(reranker.postprocess_nodes(ask.nodes(n), query_str=ask.question(n))),
            processed,
            ask.ranked_texts,
        ),
    ]


def _add(a: int) -> int:
    return a
