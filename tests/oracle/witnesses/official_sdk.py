"""ibm-watsonx-ai: the official SDK, which the adapters of IBM stand on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.foundation_models import Embeddings, ModelInference, Rerank
from ibm_watsonx_ai.gateway import Gateway

from .inputs import (
    ASK,
    CHAT,
    CHAT_PARAMETERS,
    DEPLOYMENT,
    EMBEDDING,
    FORCED,
    GENERATION,
    GENERATION_PARAMETERS,
    HELLO,
    MANY,
    OPAQUE_TOKEN,
    PASSAGES,
    PERSON,
    PICTURE,
    PROJECT,
    QUERY,
    RERANK,
    REVOKED_TOKEN,
    SECOND_KEY,
    SEEING,
    STORY,
    TALK,
    THIRD_KEY,
    TOKEN,
    TOKEN_SECONDS,
    TOOL,
    USER,
)
from .performing import Calls, Server, error_of, peak


def said(answer: dict[str, Any]) -> Any:
    """Return the text of a chat answer."""
    return answer["choices"][0]["message"]["content"]


def called(answer: dict[str, Any]) -> Any:
    """Return the first tool call of a chat answer."""
    return answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]


def joined(chunks: Any) -> str:
    """Return the text of a stream."""
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


class OfficialSdk(Calls):
    """IBM's SDK."""

    family = "ibm-watsonx-ai"

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._api: Any
        self._chat: Any
        self._text: Any
        self._embeddings: Any
        self._rerank: Any

    def _client(self, **account: Any) -> Any:
        credentials = Credentials(url=self._server.url, verify=self._server.ca, **(account or {"token": TOKEN}))
        return APIClient(credentials, project_id=PROJECT)

    def _cloud(self, key: str) -> Any:
        url = self._server.url
        return self._client(platform_url=url, auth_url=f"{url}/identity/token", api_key=key)

    def _model(self, api: Any, model_id: str = CHAT, **settings: Any) -> Any:
        return ModelInference(model_id=model_id, api_client=api, **settings)

    # ------------------------------------------------------------------ construction

    def new_client(self) -> Any:
        self._api = self._client()

    def new_chat(self) -> Any:
        self._chat = self._model(self._api)

    def new_text(self) -> Any:
        self._text = self._model(self._api, GENERATION, params={"max_new_tokens": 9})

    def new_embeddings(self) -> Any:
        self._embeddings = Embeddings(model_id=EMBEDDING, api_client=self._api)

    def new_rerank(self) -> Any:
        self._rerank = Rerank(model_id=RERANK, api_client=self._api)

    # ------------------------------------------------------------------ chat

    def chat(self) -> Any:
        return said(self._chat.chat(messages=HELLO))

    def chat_async(self) -> Any:
        return said(asyncio.run(self._model(self._api).achat(messages=HELLO)))

    def chat_stream(self) -> Any:
        return joined(self._chat.chat_stream(messages=HELLO))

    def chat_stream_async(self) -> Any:
        async def read() -> str:
            return joined([chunk async for chunk in await self._model(self._client()).achat_stream(messages=HELLO)])

        return asyncio.run(read())

    def chat_parameters(self) -> Any:
        return said(self._chat.chat(messages=HELLO, params=CHAT_PARAMETERS))

    def chat_talk(self) -> Any:
        return said(self._chat.chat(messages=TALK))

    def chat_picture(self) -> Any:
        parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
        return said(self._model(self._api, SEEING).chat(messages=[{"role": "user", "content": parts}]))

    def chat_schema(self) -> Any:
        shape = {"type": "json_schema", "json_schema": {"name": "Person", "schema": PERSON}}
        ask = [{"role": "user", "content": "My name is Ada"}]
        return said(self._chat.chat(messages=ask, params={"response_format": shape}))

    # ------------------------------------------------------------------ tools

    def tools(self) -> Any:
        return called(self._chat.chat(messages=ASK, tools=[TOOL], tool_choice_option="auto"))

    def tools_named(self) -> Any:
        return called(self._chat.chat(messages=ASK, tools=[TOOL], tool_choice=FORCED))

    def tools_required(self) -> Any:
        return called(self._chat.chat(messages=ASK, tools=[TOOL], tool_choice_option="required"))

    def tools_stream(self) -> Any:
        chunks = list(self._chat.chat_stream(messages=ASK, tools=[TOOL], tool_choice_option="auto"))
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls") or []]
        return "".join(call["function"]["arguments"] for call in calls)

    def tools_result(self) -> Any:
        call = {"id": "call-1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
        result = {"role": "tool", "tool_call_id": "call-1", "content": "Sunny."}
        history = [*ASK, {"role": "assistant", "tool_calls": [call]}, result]
        return said(self._chat.chat(messages=history, tools=[TOOL]))

    # ------------------------------------------------------------------ text generation

    def generate(self) -> Any:
        return self._text.generate_text(STORY)

    def generate_parameters(self) -> Any:
        return self._text.generate_text(STORY, params=GENERATION_PARAMETERS)

    def generate_async(self) -> Any:
        text = self._model(self._client(), GENERATION, params={"max_new_tokens": 9})
        return asyncio.run(text.agenerate(STORY))["results"][0]["generated_text"]

    def generate_stream(self) -> Any:
        return "".join(self._text.generate_text_stream(STORY))

    def generate_batch(self) -> Any:
        return self._text.generate_text(["one", "two", "three"])

    def generate_guarded(self) -> Any:
        return self._text.generate_text(STORY, guardrails=True)

    def tokenize(self) -> Any:
        plain = self._model(self._api, GENERATION)
        return plain.tokenize("Write a tag line", return_tokens=True)["result"]

    def tokenize_with_parameters(self) -> Any:
        return self._text.tokenize("Write a tag line")["result"]["token_count"]

    # ------------------------------------------------------------------ models

    def specs(self) -> Any:
        return len(self._api.foundation_models.get_model_specs()["resources"])

    def chat_specs(self) -> Any:
        return CHAT in [spec["model_id"] for spec in self._api.foundation_models.get_chat_model_specs()["resources"]]

    def details(self) -> Any:
        return self._text.get_details()["model_id"]

    # ------------------------------------------------------------------ embeddings and rerank

    def embed(self) -> Any:
        return peak(self._embeddings.embed_documents(["a", "b", "c"])[2])

    def embed_query(self) -> Any:
        return peak(self._embeddings.embed_query("a"))

    def embed_async(self) -> Any:
        embeddings = Embeddings(model_id=EMBEDDING, api_client=self._client())
        return peak(asyncio.run(embeddings.aembed_documents(["a", "b"]))[1])

    def embed_many(self) -> Any:
        return len(self._embeddings.embed_documents(MANY))

    def rerank(self) -> Any:
        return [row["index"] for row in self._rerank.generate(query=QUERY, inputs=PASSAGES)["results"]]

    def rerank_top(self) -> Any:
        params = {"truncate_input_tokens": 20, "return_options": {"top_n": 1}}
        return [row["index"] for row in self._rerank.generate(query=QUERY, inputs=PASSAGES, params=params)["results"]]

    # ------------------------------------------------------------------ deployments and the gateway

    def deployment_chat(self) -> Any:
        return said(ModelInference(deployment_id=DEPLOYMENT, api_client=self._api).chat(messages=HELLO))

    def deployment_stream(self) -> Any:
        return joined(ModelInference(deployment_id=DEPLOYMENT, api_client=self._api).chat_stream(messages=HELLO))

    def deployment_generate(self) -> Any:
        return ModelInference(deployment_id=DEPLOYMENT, api_client=self._api).generate_text(STORY)

    def gateway_chat(self) -> Any:
        return said(Gateway(api_client=self._api).chat.completions.create(model=CHAT, messages=HELLO))

    def gateway_stream(self) -> Any:
        return joined(Gateway(api_client=self._api).chat.completions.create(model=CHAT, messages=HELLO, stream=True))

    def gateway_completion(self) -> Any:
        return Gateway(api_client=self._api).completions.create(model=CHAT, prompt=STORY)["choices"][0]["text"]

    def gateway_embeddings(self) -> Any:
        answer = Gateway(api_client=self._api).embeddings.create(model=EMBEDDING, input=["a", "b"])
        return peak(answer["data"][1]["embedding"])

    # ------------------------------------------------------------------ accounts

    def cloud_account(self) -> Any:
        return said(self._model(self._cloud(self._server.key)).chat(messages=HELLO))

    def software_account(self) -> Any:
        api = self._client(username=USER, api_key=self._server.key, version="5.2")
        return said(self._model(api).chat(messages=HELLO))

    def software_password(self) -> Any:
        api = self._client(username=USER, password=self._server.key, version="5.2")
        return said(self._model(api).chat(messages=HELLO))

    def opaque_token(self) -> Any:
        return said(self._model(self._client(token=OPAQUE_TOKEN)).chat(messages=HELLO))

    # ------------------------------------------------------------------ trouble

    def unknown_model(self) -> Any:
        return error_of(lambda: self._model(self._api, "no/such-model").chat(messages=HELLO))

    def unknown_model_unchecked(self) -> Any:
        return error_of(lambda: self._model(self._api, "no/such-model", validate=False).chat(messages=HELLO))

    def bad_parameter(self) -> Any:
        return error_of(lambda: self._chat.chat(messages=HELLO, params={"temperature": 5.0}))

    def wrong_key(self) -> Any:
        return error_of(lambda: self._model(self._cloud("wrong-key")).chat(messages=HELLO))

    def refused_token(self) -> Any:
        return error_of(lambda: self._model(self._client(token=REVOKED_TOKEN)).chat(messages=HELLO))

    def overloaded_once(self) -> Any:
        self._server.tell("/now/overloaded")
        return said(self._chat.chat(messages=HELLO))

    def limited_once(self) -> Any:
        self._server.tell("/now/limited")
        return said(self._chat.chat(messages=HELLO))

    def tokens_run_out(self) -> Any:
        self._server.tell("/now/short-tokens")
        chat = self._model(self._cloud(SECOND_KEY))
        first = said(chat.chat(messages=HELLO))
        time.sleep(TOKEN_SECONDS)
        return [first, said(chat.chat(messages=HELLO))]

    def token_refused_early(self) -> Any:
        chat = self._model(self._cloud(THIRD_KEY))
        chat.chat(messages=HELLO)
        self._server.tell("/now/tokens-expire")
        return said(chat.chat(messages=HELLO))
