"""Others: OpenAI's adapter for LangChain, and litellm's watsonx provider."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from functools import cached_property
from typing import Any

from benchmarks.contenders.contender import QUESTION, TOOL, Contender, Place


class OpenAiLangChain(Contender):
    name = "openai-langchain"
    title = "langchain-openai"
    environment = "openai"
    kind = "incumbent"
    floor = "langchain-noop"
    imports = "from langchain_openai import ChatOpenAI"
    construct = 'model = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY)'
    call = "model.invoke(QUESTION).content"

    @cached_property
    def tooled(self) -> Any:
        return self.model.bind_tools([TOOL])

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

    @cached_property
    def embeddings(self) -> Any:
        exec("from langchain_openai import OpenAIEmbeddings", self.names)
        source = 'OpenAIEmbeddings(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, check_embedding_ctx_length=False)'
        return eval(source, self.names)


class LiteLlm(Contender):
    name = "litellm"
    title = "litellm"
    environment = "litellm"
    kind = "incumbent"
    imports = "import litellm"
    construct = """
model = {"model": f"watsonx/{MODEL}", "api_base": URL, "api_key": KEY, "project_id": PROJECT}
"""
    call = (
        """litellm.completion(messages=[{"role": "user", "content": QUESTION}], **model).choices[0].message.content"""
    )

    def __init__(self, place: Place) -> None:
        os.environ["WATSONX_IAM_URL"] = f"{place.url}/identity/token"
        super().__init__(place)
        self.names["litellm"].suppress_debug_info = True

    @property
    def asked(self) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": QUESTION}], **self.model}

    def chat(self) -> str:
        text: str = self.names["litellm"].completion(**self.asked).choices[0].message.content
        return text

    async def achat(self) -> str:
        answer = await self.names["litellm"].acompletion(**self.asked)
        text: str = answer.choices[0].message.content
        return text

    def stream(self) -> Iterator[str]:
        for chunk in self.names["litellm"].completion(stream=True, **self.asked):
            yield chunk.choices[0].delta.content or ""

    async def astream(self) -> AsyncIterator[str]:
        async for chunk in await self.names["litellm"].acompletion(stream=True, **self.asked):
            yield chunk.choices[0].delta.content or ""

    def stream_tools(self) -> Iterator[Any]:
        return iter(self.names["litellm"].completion(stream=True, tools=[TOOL], **self.asked))

    def embed(self, texts: list[str]) -> list[list[float]]:
        answer = self.names["litellm"].embedding(input=texts, **self.model)
        return [item["embedding"] for item in answer.data]
