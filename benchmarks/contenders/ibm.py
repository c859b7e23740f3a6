"""IBM's own: the SDK, and its adapters for both frameworks.

They accept only `https://` addresses. So they are built on the TLS port, and
for the tables over plain http the built client's address is changed; over TLS
the picture is the same. `platform_url` and `auth_url` keep all of it on this
machine; handing the client over is how the adapters take them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cached_property
from typing import Any

from benchmarks.contenders.contender import QUESTION, TOOL, Contender
from benchmarks.contenders.ours import ranked_nodes

_CLIENT = """
api = APIClient(
    Credentials(url=HTTPS, platform_url=HTTPS, auth_url=f"{HTTPS}/identity/token", api_key=KEY, verify=CA),
    project_id=PROJECT,
)
"""


class Ibm(Contender):
    """What they share: one client behind all adapters."""

    kind = "incumbent"

    def build(self) -> Any:
        model = super().build()
        self.names["api"]._href_definitions.url = self.place.url
        return model

    def made(self, source: str, expression: str) -> Any:
        """Return another adapter around the chat model's client."""
        _ = self.model
        exec(source, self.names)
        return eval(expression, self.names)


class IbmSdk(Ibm):
    name = "ibm-sdk"
    title = "ibm-watsonx-ai"
    environment = "ibm"
    imports = (
        "from ibm_watsonx_ai import APIClient, Credentials\nfrom ibm_watsonx_ai.foundation_models import ModelInference"
    )
    construct = f"{_CLIENT}model = ModelInference(model_id=MODEL, api_client=api)"
    call = """model.chat(messages=[{"role": "user", "content": QUESTION}])["choices"][0]["message"]["content"]"""

    def chat(self) -> str:
        answer = self.model.chat(messages=[{"role": "user", "content": QUESTION}])
        text: str = answer["choices"][0]["message"]["content"]
        return text

    async def achat(self) -> str:
        answer = await self.model.achat(messages=[{"role": "user", "content": QUESTION}])
        text: str = answer["choices"][0]["message"]["content"]
        return text

    def stream(self) -> Iterator[str]:
        for chunk in self.model.chat_stream(messages=[{"role": "user", "content": QUESTION}]):
            if chunk["choices"]:
                yield chunk["choices"][0]["delta"]["content"]

    async def astream(self) -> AsyncIterator[str]:
        async for chunk in await self.model.achat_stream(messages=[{"role": "user", "content": QUESTION}]):
            if chunk["choices"]:
                yield chunk["choices"][0]["delta"]["content"]

    def embed(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embeddings.embed_documents(texts)
        return vectors

    @cached_property
    def embeddings(self) -> Any:
        return self.made(
            "from ibm_watsonx_ai.foundation_models import Embeddings", "Embeddings(model_id=MODEL, api_client=api)"
        )

    def rerank(self, texts: list[str]) -> list[tuple[int, float]]:
        answer = self.reranker.generate(query=QUESTION, inputs=texts)
        return [(item["index"], item["score"]) for item in answer["results"]]

    @cached_property
    def reranker(self) -> Any:
        return self.made(
            "from ibm_watsonx_ai.foundation_models import Rerank", "Rerank(model_id=MODEL, api_client=api)"
        )

    def count_tokens(self, text: str) -> int:
        count: int = self.model.tokenize(text)["result"]["token_count"]
        return count


class IbmLangChain(Ibm):
    name = "ibm-langchain"
    title = "langchain-ibm"
    environment = "ibm"
    floor = "langchain-noop"
    imports = "from ibm_watsonx_ai import APIClient, Credentials\nfrom langchain_ibm import ChatWatsonx"
    construct = f"{_CLIENT}model = ChatWatsonx(model_id=MODEL, watsonx_client=api)"
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
        return self.made(
            "from langchain_ibm import WatsonxEmbeddings", "WatsonxEmbeddings(model_id=MODEL, watsonx_client=api)"
        )

    def rerank(self, texts: list[str]) -> list[tuple[int, float]]:
        return [(item["index"], item["relevance_score"]) for item in self.reranker.rerank(texts, QUESTION)]

    @cached_property
    def reranker(self) -> Any:
        return self.made("from langchain_ibm import WatsonxRerank", "WatsonxRerank(model_id=MODEL, watsonx_client=api)")

    def count_tokens(self, text: str) -> int:
        count: int = self.llm.get_num_tokens(text)  # ChatWatsonx counts with GPT-2's tokenizer, from the internet
        return count

    @cached_property
    def llm(self) -> Any:
        return self.made("from langchain_ibm import WatsonxLLM", "WatsonxLLM(model_id=MODEL, watsonx_client=api)")


class IbmLlamaIndex(Ibm):
    name = "ibm-llamaindex"
    title = "llama-index-llms-ibm & co"
    environment = "ibm-llamaindex"
    floor = "llamaindex-noop"
    imports = """from ibm_watsonx_ai import APIClient, Credentials
from llama_index.core.llms import ChatMessage
from llama_index.llms.ibm import WatsonxLLM"""
    construct = f"{_CLIENT}model = WatsonxLLM(model_id=MODEL, api_client=api)"
    call = "model.chat([ChatMessage(content=QUESTION)]).message.content"

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
        async for answer in await self.model.astream_chat(self.asked()):
            yield answer.delta

    def stream_tools(self) -> Iterator[Any]:
        return iter(self.model.stream_chat(self.asked(), tools=[TOOL]))

    def embed(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embeddings.get_text_embedding_batch(texts)
        return vectors

    @cached_property
    def embeddings(self) -> Any:
        return self.made(
            "from llama_index.embeddings.ibm import WatsonxEmbeddings",
            "WatsonxEmbeddings(model_id=MODEL, api_client=api, embed_batch_size=1000)",  # its default of 10 is slower
        )

    def rerank(self, texts: list[str]) -> list[tuple[int, float]]:
        return ranked_nodes(self.reranker, texts)

    @cached_property
    def reranker(self) -> Any:
        return self.made(
            "from llama_index.postprocessor.ibm import WatsonxRerank",
            "WatsonxRerank(model_id=MODEL, api_client=api, top_n=1000)",  # it cannot do without
        )
