"""Raw httpx as its documentation shows it: `json=`, `.json()`, `iter_lines()`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from functools import cached_property
from typing import Any

from benchmarks.answers import MODEL
from benchmarks.contenders.contender import PROJECT, QUESTION, TOOL, VERSION, Contender

BATCH = 1000


class RawHttpx(Contender):
    name = "raw"
    title = "raw httpx"
    environment = "plain"
    kind = "raw"
    imports = "import httpx"
    construct = """
model = httpx.Client()
TOKEN = model.post(f"{URL}/identity/token", data={"apikey": KEY}).json()["access_token"]
"""
    call = """model.post(
    f"{URL}/ml/v1/text/chat",
    params={"version": VERSION},
    headers={"Authorization": f"Bearer {TOKEN}"},
    json={"model_id": MODEL, "project_id": PROJECT, "messages": [{"role": "user", "content": QUESTION}]},
).json()["choices"][0]["message"]["content"]"""

    @cached_property
    def client(self) -> Any:
        return self.names["httpx"].Client(timeout=120)

    @cached_property
    def async_client(self) -> Any:
        return self.names["httpx"].AsyncClient(timeout=120)

    def request(self, path: str, **body: Any) -> dict[str, Any]:
        return {
            "url": f"{self.place.url}/ml/v1/text/{path}",
            "params": {"version": VERSION},
            "headers": {"Authorization": "Bearer a.b.c"},
            "json": {"model_id": MODEL, "project_id": PROJECT, **body},
        }

    def conversation(self, path: str = "chat", **more: Any) -> dict[str, Any]:
        return self.request(path, messages=[{"role": "user", "content": QUESTION}], **more)

    def chat(self) -> str:
        answer = self.client.post(**self.conversation())
        answer.raise_for_status()
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    async def achat(self) -> str:
        answer = await self.async_client.post(**self.conversation())
        answer.raise_for_status()
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    def stream(self) -> Iterator[str]:
        with self.client.stream("POST", **self.conversation("chat_stream")) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: ") and (choices := json.loads(line[6:])["choices"]):
                    yield choices[0]["delta"]["content"]

    async def astream(self) -> AsyncIterator[str]:
        async with self.async_client.stream("POST", **self.conversation("chat_stream")) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and (choices := json.loads(line[6:])["choices"]):
                    yield choices[0]["delta"]["content"]

    def stream_tools(self) -> Iterator[Any]:
        with self.client.stream("POST", **self.conversation("chat_stream", tools=[TOOL])) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: ") and (choices := json.loads(line[6:])["choices"]):
                    yield choices[0]["delta"]

    def embed(self, texts: list[str]) -> list[list[float]]:
        found = []
        for start in range(0, len(texts), BATCH):
            answer = self.client.post(**self.request("embeddings", inputs=texts[start : start + BATCH]))
            answer.raise_for_status()
            found += [item["embedding"] for item in answer.json()["results"]]
        return found

    def rerank(self, texts: list[str]) -> list[tuple[int, float]]:
        answer = self.client.post(**self.request("rerank", query=QUESTION, inputs=[{"text": text} for text in texts]))
        answer.raise_for_status()
        return [(item["index"], item["score"]) for item in answer.json()["results"]]

    def count_tokens(self, text: str) -> int:
        answer = self.client.post(**self.request("tokenization", input=text))
        count: int = answer.json()["result"]["token_count"]
        return count
