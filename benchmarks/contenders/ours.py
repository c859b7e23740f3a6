"""This package: its core client, and its adapters for both frameworks."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cached_property
from typing import Any

from benchmarks.answers import MODEL
from benchmarks.contenders.contender import PROJECT, QUESTION, TOOL, VERSION, Contender

_WHERE = "url=URL, api_key=KEY, project_id=PROJECT"


class Ours(Contender):
    """What both adapters share."""

    kind = "ours"
    adapters: str

    def made(self, expression: str) -> Any:
        """Return an adapter made of the usual settings: `made("WatsonxRerank(top_n=5, ")`."""
        exec(f"from {self.adapters} import *", self.names)
        return eval(f"{expression}model_id=MODEL, {_WHERE})", self.names)


class OursCore(Contender):
    name = "ours-core"
    title = "wx_integrations, no framework"
    environment = "plain"
    kind = "ours"
    imports = """from wx_integrations import AsyncClient, Client
from wx_integrations.core import calls
from wx_integrations.core.wire.chat import ChatRequest, UserMessage"""
    construct = f"model = Client({_WHERE})"
    call = """model.run(
    calls.chat(calls.Model(MODEL, PROJECT), ChatRequest(messages=[UserMessage(content=QUESTION)]))
).choices[0].message.content"""

    @cached_property
    def session(self) -> Any:
        return eval(f"Session.of(Connection({_WHERE}))", self._imported("Connection, Embedder, Session"))

    def _imported(self, what: str) -> dict[str, Any]:
        exec(f"from wx_integrations import {what}", self.names)
        return self.names

    @cached_property
    def target(self) -> Any:
        return self.names["calls"].Model(MODEL, PROJECT)

    def request(self, **more: Any) -> Any:
        names = self.names
        return names["ChatRequest"](messages=[names["UserMessage"](content=QUESTION)], **more)

    def chat(self) -> str:
        answer = self.session.client.run(self.names["calls"].chat(self.target, self.request()))
        text: str = answer.choices[0].message.content
        return text

    async def achat(self) -> str:
        answer = await self.session.async_client.run(self.names["calls"].chat(self.target, self.request()))
        text: str = answer.choices[0].message.content
        return text

    def stream(self) -> Iterator[str]:
        for chunk in self.session.client.stream(self.names["calls"].chat_stream(self.target, self.request())):
            if chunk["choices"]:
                yield chunk["choices"][0]["delta"]["content"]

    async def astream(self) -> AsyncIterator[str]:
        call = self.names["calls"].chat_stream(self.target, self.request())
        async for chunk in self.session.async_client.stream(call):
            if chunk["choices"]:
                yield chunk["choices"][0]["delta"]["content"]

    def embed(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = (
            self._imported("Embedder")["Embedder"](self.session, self.target).embed(texts).vectors
        )
        return vectors

    def rerank(self, texts: list[str]) -> list[tuple[int, float]]:
        from wx_integrations.core.ranker import Ranker

        return list(Ranker(self.session, self.target).rank(QUESTION, texts))

    def overhead(self) -> dict[str, Callable[[], Any]]:
        """Return a call by the client and three of the same by bare httpx, all without a network."""
        if "overhead" not in self.names:
            self.names["overhead"] = alike(self.names, self.names["calls"].chat(self.target, self.request()))
        found: dict[str, Callable[[], Any]] = self.names["overhead"]
        return found


def alike(names: dict[str, Any], call: Any) -> dict[str, Callable[[], Any]]:
    """Return four ways of the same call over a transport that answers by itself."""
    import httpx

    from benchmarks.offline import Answering, go_offline

    transport = Answering()
    go_offline(transport)
    exec(f"offline = Client({_WHERE})", names)
    ours, bare = names["offline"], httpx.Client(transport=transport)
    ours.run(call)
    sent = transport.last
    assert sent is not None
    url, content, headers, extensions = sent.url, sent.content, dict(sent.headers), {"timeout": {"read": 60.0}}
    text, plain = str(url), str(url.copy_with(query=None))
    body = {"model_id": MODEL, "project_id": PROJECT, "messages": [{"role": "user", "content": QUESTION}]}

    def documented() -> Any:
        answer = bare.post(plain, params={"version": VERSION}, headers={"Authorization": "Bearer a.b.c"}, json=body)
        answer.raise_for_status()
        return answer.json()

    def careful() -> Any:
        request = httpx.Request("POST", url, headers=headers, content=content, extensions=extensions)
        return call.parse(bare.send(request).content)

    return {
        "ours": lambda: ours.run(call),
        "careful": careful,
        "bare": lambda: call.parse(bare.post(text, content=content, headers=headers).content),
        "documented": documented,
    }


class OursLangChain(Ours):
    name = "ours-langchain"
    title = "wx_integrations.langchain"
    environment = "langchain"
    floor = "langchain-noop"
    adapters = "wx_integrations.langchain"
    imports = "from wx_integrations.langchain import ChatWatsonx"
    construct = f"model = ChatWatsonx(model_id=MODEL, {_WHERE})"
    call = "model.invoke(QUESTION).content"

    @cached_property
    def tooled(self) -> Any:
        return self.model.bind_tools([TOOL])

    @cached_property
    def embeddings(self) -> Any:
        return self.made("WatsonxEmbeddings(")

    @cached_property
    def reranker(self) -> Any:
        return self.made("WatsonxRerank(")

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
        async for chunk in self.model.astream(QUESTION):
            yield chunk.content

    def stream_tools(self) -> Iterator[Any]:
        return iter(self.tooled.stream(QUESTION))

    def embed(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embeddings.embed_documents(texts)
        return vectors

    def rerank(self, texts: list[str]) -> list[tuple[int, float]]:
        return [(item["index"], item["relevance_score"]) for item in self.reranker.rerank(texts, QUESTION)]

    def count_tokens(self, text: str) -> int:
        count: int = self.model.get_num_tokens(text)
        return count


class OursLlamaIndex(Ours):
    name = "ours-llamaindex"
    title = "wx_integrations.llamaindex"
    environment = "llamaindex"
    floor = "llamaindex-noop"
    adapters = "wx_integrations.llamaindex"
    imports = "from llama_index.core.llms import ChatMessage\nfrom wx_integrations.llamaindex import WatsonxLLM"
    construct = f"model = WatsonxLLM(model_id=MODEL, {_WHERE})"
    call = "model.chat([ChatMessage(content=QUESTION)]).message.content"

    def asked(self) -> list[Any]:
        return [self.names["ChatMessage"](content=QUESTION)]

    @cached_property
    def embeddings(self) -> Any:
        return self.made("WatsonxEmbeddings(")

    @cached_property
    def reranker(self) -> Any:
        return self.made("WatsonxRerank(")

    def chat(self) -> str:
        text: str = self.model.chat(self.asked()).message.content
        return text

    async def achat(self) -> str:
        text: str = (await self.model.achat(self.asked())).message.content
        return text

    def stream(self) -> Iterator[str]:
        return (answer.delta for answer in self.model.stream_chat(self.asked()))

    async def astream(self) -> AsyncIterator[str]:
        async for answer in await self.model.astream_chat(self.asked()):
            yield answer.delta

    def stream_tools(self) -> Iterator[Any]:
        return iter(self.model.stream_chat(self.asked(), tools=[TOOL]))

    def embed(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embeddings.get_text_embedding_batch(texts)
        return vectors

    def rerank(self, texts: list[str]) -> list[tuple[int, float]]:
        return ranked_nodes(self.reranker, texts)

    def count_tokens(self, text: str) -> int:
        return len(self.model.tokenizer(text))


def ranked_nodes(reranker: Any, texts: list[str]) -> list[tuple[int, float]]:
    """Rank texts with a LlamaIndex postprocessor; the nodes are made once, as a retriever gives them."""
    ranked = reranker.postprocess_nodes(_nodes(tuple(texts)), query_str=QUESTION)
    return [(int(node.node_id), node.score) for node in ranked]


@functools.cache
def _nodes(texts: tuple[str, ...]) -> list[Any]:
    from llama_index.core.schema import NodeWithScore, TextNode

    return [NodeWithScore(node=TextNode(text=text, id_=str(place))) for place, text in enumerate(texts)]
