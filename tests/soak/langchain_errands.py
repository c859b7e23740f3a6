"""The calls of a storm that go through LangChain."""

from __future__ import annotations

from typing import Any

from tests.soak import questions as ask
from tests.soak.calling import LIMIT, Errand, Made
from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings, WatsonxRerank


def chats(made: Made) -> list[Errand]:
    """Return chats, streams and tool calls."""
    model = made(ChatWatsonx, ask.CHAT, max_completion_tokens=LIMIT)
    bound = model.bind_tools([ask.ADD])

    async def invoked(number: int) -> Any:
        return (await model.ainvoke(ask.prompt(number))).text

    async def streamed(number: int) -> str:
        return "".join([str(chunk.text) async for chunk in model.astream(ask.prompt(number))])

    def left(number: int) -> str:
        text = ""
        for chunk in model.stream(ask.prompt(number)):
            text += str(chunk.text)
            if ask.has_arrived(text, number):
                break
        return text

    async def aleft(number: int) -> str:
        text = ""
        async for chunk in model.astream(ask.prompt(number)):
            text += str(chunk.text)
            if ask.has_arrived(text, number):
                break
        return text

    async def events(number: int) -> str:
        heard = [event async for event in model.astream_events(ask.prompt(number), version="v2")]
        chunks = [event["data"]["chunk"] for event in heard if event["event"] == "on_chat_model_stream"]
        return "".join(str(chunk.text) for chunk in chunks)

    async def called(number: int) -> Any:
        return _arguments(await bound.ainvoke(ask.sum_wanted(number)))

    def streamed_call(number: int) -> Any:
        first, *rest = bound.stream(ask.sum_wanted(number))
        return _arguments(sum(rest, first))

    async def astreamed_call(number: int) -> Any:
        first, *rest = [chunk async for chunk in bound.astream(ask.sum_wanted(number))]
        return _arguments(sum(rest, first))

    def stream(number: int) -> str:
        return "".join(str(chunk.text) for chunk in model.stream(ask.prompt(number)))

    def invoke(number: int) -> Any:
        return model.invoke(ask.prompt(number)).text

    return [
        Errand("LangChain invoke", invoke, invoked, ask.echoed),
        Errand("LangChain stream", stream, streamed, ask.echoed, streams=True),
        Errand("LangChain stream, left", left, aleft, ask.until_the_mark, streams=True),
        Errand("LangChain events", stream, events, ask.echoed, streams=True),
        Errand("LangChain tools", lambda n: _arguments(bound.invoke(ask.sum_wanted(n))), called, ask.summed),
        Errand("LangChain tools, streamed", streamed_call, astreamed_call, ask.summed, streams=True),
    ]


def retrieval(made: Made) -> list[Errand]:
    """Return embeddings and reranking."""
    embeddings = made(WatsonxEmbeddings, ask.EMBEDDING)
    reranker = made(WatsonxRerank, ask.RERANK)

    async def ranked(number: int) -> Any:
        return ask.places(await reranker.arerank(ask.passages(number), ask.question(number)))

    return [
        Errand(
            "LangChain embeddings",
            lambda n: embeddings.embed_documents(ask.passages(n)),
            lambda n: embeddings.aembed_documents(ask.passages(n)),
            ask.vectors,
        ),
        Errand(
            "LangChain rerank",
            lambda n: ask.places(reranker.rerank(ask.passages(n), ask.question(n))),
            ranked,
            ask.ranks,
        ),
    ]


def _arguments(message: Any) -> list[Any]:
    return [call["args"] for call in message.tool_calls]
