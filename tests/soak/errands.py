"""The calls of a storm: each kind knows how it is made in both colours, and what the right answer is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, closing
from typing import Any

import httpx

from tests.soak import langchain_errands, llamaindex_errands
from tests.soak import questions as ask
from tests.soak.calling import FICKLE, IMPATIENCE, LIMIT, PROJECT, Clock, Errand
from wx_integrations.core import calls
from wx_integrations.core.calls import Model
from wx_integrations.core.connection import Connection
from wx_integrations.core.session import Session
from wx_integrations.core.wire.chat import ChatRequest, Function, Tool, UserMessage
from wx_integrations.core.wire.text import GenerationParameters, GenerationRequest


class Errands:
    """All kinds of calls, on clients and adapters that share one session."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self.session = Session(connection, waiting=clock.waiting)
        self.model = Model(ask.CHAT, PROJECT)

    def steady(self) -> list[Errand]:
        """Return the kinds of calls that stay to the end of what they read."""
        return [
            *self._core(),
            *self._impatient(),
            *langchain_errands.chats(self._made),
            *langchain_errands.retrieval(self._made),
            *llamaindex_errands.chats(self._made),
            *llamaindex_errands.retrieval(self._made),
        ]

    def _made(self, adapter: type[Any], model_id: str, **settings: Any) -> Any:
        made = adapter(model_id=model_id, connection=self.connection, **settings)
        made._held.session = self.session
        return made

    # ------------------------------------------------------------------ the core's clients

    def _core(self) -> list[Errand]:
        client, aclient = self.session.client, self.session.async_client
        embedding, rerank = Model(ask.EMBEDDING, PROJECT), Model(ask.RERANK, PROJECT)

        def tool(number: int) -> calls.Call[Any]:
            tools = [Tool(function=Function(**ask.ADD))]
            said = UserMessage(content=ask.sum_wanted(number))
            return calls.chat(self.model, ChatRequest(messages=[said], tools=tools, max_tokens=LIMIT))

        def generation(number: int) -> calls.Call[Any]:
            limit = GenerationParameters(max_new_tokens=LIMIT)
            return calls.generate(self.model, GenerationRequest(input=ask.prompt(number), parameters=limit))

        def left(number: int) -> str:
            text = ""
            for chunk in client.stream(self._streamed(ask.prompt(number))):
                text += ask.text_of(chunk)
                if ask.has_arrived(text, number):
                    break
            return text

        async def aleft(number: int) -> str:
            text = ""
            async with aclosing(aclient.stream(self._streamed(ask.prompt(number)))) as chunks:
                async for chunk in chunks:
                    text += ask.text_of(chunk)
                    if ask.has_arrived(text, number):
                        break
            return text

        async def astream(number: int) -> str:
            async with aclosing(aclient.stream(self._streamed(ask.prompt(number)))) as chunks:
                return "".join([ask.text_of(chunk) async for chunk in chunks])

        def stream(number: int) -> str:
            with closing(client.stream(self._streamed(ask.prompt(number)))) as chunks:
                return "".join(map(ask.text_of, chunks))

        return [
            self._plain("core chat", lambda n: self._asked(ask.prompt(n)), _content, ask.echoed),
            self._plain("core tools", tool, ask.called, ask.summed),
            self._plain("core generation", generation, lambda answer: answer.results[0].generated_text, ask.echoed),
            self._plain("core embeddings", lambda n: calls.embed(embedding, ask.passages(n)), _rows, ask.vectors),
            self._plain(
                "core rerank", lambda n: calls.rerank(rerank, ask.question(n), ask.passages(n)), _ranked, ask.ranks
            ),
            Errand("core stream", stream, astream, ask.echoed, streams=True),
            Errand("core stream, left", left, aleft, ask.until_the_mark, streams=True),
        ]

    def _asked(self, text: str) -> calls.Call[Any]:
        return calls.chat(self.model, ChatRequest(messages=[UserMessage(content=text)], max_completion_tokens=LIMIT))

    def _streamed(self, text: str) -> calls.StreamCall[Any]:
        said = ChatRequest(messages=[UserMessage(content=text)], max_completion_tokens=LIMIT)
        return calls.chat_stream(self.model, said)

    def _plain(
        self, name: str, call: Callable[[int], calls.Call[Any]], read: Callable[[Any], Any], right: Callable[[int], Any]
    ) -> Errand:
        client, aclient = self.session.client, self.session.async_client

        async def arun(number: int) -> Any:
            return read(await aclient.run(call(number)))

        return Errand(name, lambda number: read(client.run(call(number))), arun, right)

    def _impatient(self) -> list[Errand]:
        """Chats and streams that do not wait for long."""
        client, aclient = self.session.client, self.session.async_client
        limits = httpx.Timeout(30.0, read=IMPATIENCE)

        def chat(number: int) -> Any:
            return _content(client.run(self._asked(ask.hasty(number)), timeout=limits))

        async def achat(number: int) -> Any:
            return _content(await aclient.run(self._asked(ask.hasty(number)), timeout=limits))

        def stream(number: int) -> str:
            with closing(client.stream(self._streamed(ask.hasty(number)), timeout=limits)) as chunks:
                return "".join(map(ask.text_of, chunks))

        async def astream(number: int) -> str:
            async with aclosing(aclient.stream(self._streamed(ask.hasty(number)), timeout=limits)) as chunks:
                return "".join([ask.text_of(chunk) async for chunk in chunks])

        return [
            Errand("impatient chat", chat, achat, ask.hastily, impatient=True),
            Errand("impatient stream", stream, astream, ask.hastily, streams=True, impatient=True),
        ]

    def fickle(self) -> list[Errand]:
        """Return the kinds of calls that are cancelled sooner or later (in threads: not at all)."""

        def cancelled(errand: Errand) -> Errand:
            async def arun(number: int) -> Any:
                return await asyncio.wait_for(errand.arun(number), FICKLE * (number % 17) / 16)

            return Errand(f"{errand.name}, cancelled", errand.run, arun, errand.right, errand.streams, fickle=True)

        names = ("core chat", "core stream", "LangChain stream", "LlamaIndex stream", "LlamaIndex embeddings")
        return [cancelled(errand) for errand in self.steady() if errand.name in names]


def _content(answer: Any) -> Any:
    return answer.choices[0].message.content


def _rows(answer: Any) -> list[list[float]]:
    return [list(result.embedding) for result in answer.results]


def _ranked(answer: Any) -> list[tuple[int, float]]:
    return [(place.index, place.score) for place in answer.results]
