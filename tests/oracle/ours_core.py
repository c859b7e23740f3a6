"""The calls of clients without a framework, by the client beneath our adapters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from tests.oracle.witnesses.inputs import (
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
    TEMPLATED,
    THIRD_KEY,
    TOKEN,
    TOKEN_SECONDS,
    TOOL,
    USER,
)
from tests.oracle.witnesses.performing import Calls, Server, error_of, peak
from wx_integrations import Client, Connection, Embedder, Session
from wx_integrations.core import calls
from wx_integrations.core.calls import Deployment, Gateway, Model
from wx_integrations.core.wire.chat import ChatRequest, Completion
from wx_integrations.core.wire.frames import Chunk, StreamDelta
from wx_integrations.core.wire.rerank import RerankParameters
from wx_integrations.core.wire.text import Generation, GenerationParameters, GenerationRequest


def said(answer: Completion) -> Any:
    """Return the text of a chat answer."""
    message = answer.choices[0].message
    return message.content if message else None


def called(answer: Completion) -> Any:
    """Return the arguments of the first tool call of a chat answer."""
    message = answer.choices[0].message
    function = message.tool_calls[0].get("function") if message and message.tool_calls else None
    return function.get("arguments") if function else None


def joined(chunks: Iterable[Chunk]) -> str:
    """Return the text of a stream."""
    return "".join(delta.get("content") or "" for delta in _deltas(chunks))


def arguments(chunks: Iterable[Chunk]) -> str:
    """Return the arguments of the tool call of a stream."""
    pieces = [call.get("function") for delta in _deltas(chunks) for call in delta.get("tool_calls") or ()]
    return "".join(piece.get("arguments") or "" for piece in pieces if piece)


def _deltas(chunks: Iterable[Chunk]) -> list[StreamDelta]:
    found = [choices[0].get("delta") for chunk in chunks if (choices := chunk.get("choices"))]
    return [delta for delta in found if delta]


def text_of(answer: Generation) -> str:
    """Return a generated text."""
    return answer.results[0].generated_text


class OurCore(Calls):
    """The client beneath the adapters, with a token, as the SDK is asked."""

    family = "our-core"

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._session: Session

    def _opened(self, **account: Any) -> Session:
        account = account or {"token": TOKEN}
        return Session.of(Connection(url=self._server.url, verify=self._server.ca, project_id=PROJECT, **account))

    @property
    def _client(self) -> Client:
        return self._session.client

    def _cloud(self, key: str) -> Session:
        url = self._server.url
        return self._opened(platform_url=url, auth_url=f"{url}/identity/token", api_key=key)

    def _ask(self, messages: Any = HELLO, *, session: Session | None = None, model: str = CHAT, **given: Any) -> Any:
        call = calls.chat(Model(model, PROJECT), ChatRequest(messages=messages, **given))
        return (session or self._session).client.run(call)

    def _stream(self, messages: Any = HELLO, **given: Any) -> list[Chunk]:
        return list(
            self._client.stream(calls.chat_stream(Model(CHAT, PROJECT), ChatRequest(messages=messages, **given)))
        )

    def _write(self, text: str = STORY, model: str = GENERATION, **parameters: Any) -> str:
        request = GenerationRequest(
            input=text, parameters=GenerationParameters(**(parameters or {"max_new_tokens": 9}))
        )
        return text_of(self._client.run(calls.generate(Model(model, PROJECT), request)))

    # ------------------------------------------------------------------ construction

    def new_client(self) -> Any:
        self._session = self._opened()

    def new_chat(self) -> Any:
        """There is nothing to build: a call names its model."""

    new_text = new_embeddings = new_rerank = new_chat

    # ------------------------------------------------------------------ chat

    def chat(self) -> Any:
        return said(self._ask())

    def chat_async(self) -> Any:
        call = calls.chat(Model(CHAT, PROJECT), ChatRequest(messages=HELLO))  # type: ignore[arg-type]
        return said(asyncio.run(self._session.async_client.run(call)))

    def chat_stream(self) -> Any:
        return joined(self._stream())

    def chat_stream_async(self) -> Any:
        call = calls.chat_stream(Model(CHAT, PROJECT), ChatRequest(messages=HELLO))  # type: ignore[arg-type]

        async def read() -> str:
            return joined([chunk async for chunk in self._session.async_client.stream(call)])

        return asyncio.run(read())

    def chat_parameters(self) -> Any:
        return said(self._ask(**CHAT_PARAMETERS))

    def chat_talk(self) -> Any:
        return said(self._ask(TALK))

    def chat_picture(self) -> Any:
        parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
        return said(self._ask([{"role": "user", "content": parts}], model=SEEING))

    def chat_schema(self) -> Any:
        shape = {"type": "json_schema", "json_schema": {"name": "Person", "schema": PERSON}}
        return said(self._ask([{"role": "user", "content": "My name is Ada"}], response_format=shape))

    # ------------------------------------------------------------------ tools

    def tools(self) -> Any:
        return called(self._ask(ASK, tools=[TOOL], tool_choice_option="auto"))

    def tools_named(self) -> Any:
        return called(self._ask(ASK, tools=[TOOL], tool_choice=FORCED))

    def tools_required(self) -> Any:
        return called(self._ask(ASK, tools=[TOOL], tool_choice_option="required"))

    def tools_stream(self) -> Any:
        return arguments(self._stream(ASK, tools=[TOOL], tool_choice_option="auto"))

    def tools_result(self) -> Any:
        call = {"id": "call-1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
        result = {"role": "tool", "tool_call_id": "call-1", "content": "Sunny."}
        return said(self._ask([*ASK, {"role": "assistant", "tool_calls": [call]}, result], tools=[TOOL]))

    # ------------------------------------------------------------------ text generation

    def generate(self) -> Any:
        return self._write()

    def generate_parameters(self) -> Any:
        return self._write(**GENERATION_PARAMETERS)

    def generate_async(self) -> Any:
        request = GenerationRequest(input=STORY, parameters=GenerationParameters(max_new_tokens=9))
        return text_of(asyncio.run(self._session.async_client.run(calls.generate(Model(GENERATION, PROJECT), request))))

    def generate_stream(self) -> Any:
        return self._write_stream(GENERATION, STORY)

    def _write_stream(self, model: str, text: str) -> str:
        request = GenerationRequest(input=text, parameters=GenerationParameters(max_new_tokens=9))
        frames = self._client.stream(calls.generate_stream(Model(model, PROJECT), request))
        return "".join(text_of(frame) for frame in frames if frame.results)

    def generate_batch(self) -> Any:
        return [self._write(text) for text in ("one", "two", "three")]

    def generate_guarded(self) -> Any:
        hap: dict[str, Any] = {"input": {"enabled": True}, "output": {"enabled": True}}
        parameters = GenerationParameters(max_new_tokens=9)
        request = GenerationRequest(input=STORY, parameters=parameters, moderations={"hap": hap})
        return text_of(self._client.run(calls.generate(Model(GENERATION, PROJECT), request)))

    def tokenize(self) -> Any:
        found = self._client.run(calls.tokenize(Model(GENERATION, PROJECT), "Write a tag line", return_tokens=True))
        return {"token_count": found.result.token_count, "tokens": found.result.tokens}

    def tokenize_with_parameters(self) -> Any:
        return self._client.run(calls.tokenize(Model(GENERATION, PROJECT), "Write a tag line")).result.token_count

    # ------------------------------------------------------------------ models

    def specs(self) -> Any:
        return len(self._client.run(calls.model_specs(filters="!lifecycle_withdrawn")).resources)

    def chat_specs(self) -> Any:
        page = self._client.run(calls.model_specs(filters="function_text_chat,!lifecycle_withdrawn:and"))
        return CHAT in [spec.model_id for spec in page.resources]

    def details(self) -> Any:
        return self._client.run(calls.model_specs(filters=f"modelid_{GENERATION}")).resources[0].model_id

    # ------------------------------------------------------------------ embeddings and rerank

    def _embed(self, texts: list[str]) -> Any:
        return Embedder(self._session, Model(EMBEDDING, PROJECT)).embed(texts).vectors

    def embed(self) -> Any:
        return peak(self._embed(["a", "b", "c"])[2])

    def embed_query(self) -> Any:
        return peak(self._embed(["a"])[0])

    def embed_async(self) -> Any:
        embedder = Embedder(self._session, Model(EMBEDDING, PROJECT))
        return peak(asyncio.run(embedder.aembed(["a", "b"])).vectors[1])

    def embed_many(self) -> Any:
        return len(self._embed(MANY))

    def _rank(self, parameters: RerankParameters | None = None) -> list[int]:
        ranking = self._client.run(calls.rerank(Model(RERANK, PROJECT), QUERY, PASSAGES, parameters))
        return [row.index for row in ranking.results]

    def rerank(self) -> Any:
        return self._rank()

    def rerank_top(self) -> Any:
        options = {"truncate_input_tokens": 20, "return_options": {"top_n": 1}}
        return self._rank(RerankParameters.model_validate(options))

    # ------------------------------------------------------------------ deployments and the gateway

    def _hello(self) -> ChatRequest:
        return ChatRequest.model_validate({"messages": HELLO})

    def deployment_chat(self) -> Any:
        return said(self._client.run(calls.chat(Deployment(DEPLOYMENT), self._hello())))

    def deployment_stream(self) -> Any:
        return joined(self._client.stream(calls.chat_stream(Deployment(DEPLOYMENT), self._hello())))

    def deployment_generate(self) -> Any:
        return text_of(self._client.run(calls.generate(Deployment(DEPLOYMENT), GenerationRequest(input=STORY))))

    def gateway_chat(self) -> Any:
        return said(self._client.run(calls.chat(Gateway(CHAT, PROJECT), self._hello())))

    def gateway_stream(self) -> Any:
        return joined(self._client.stream(calls.chat_stream(Gateway(CHAT, PROJECT), self._hello())))

    def gateway_completion(self) -> Any:
        return text_of(self._client.run(calls.generate(Gateway(CHAT, PROJECT), GenerationRequest(input=STORY))))

    def gateway_embeddings(self) -> Any:
        return peak(self._client.run(calls.embed(Gateway(EMBEDDING, PROJECT), ["a", "b"])).results[1].embedding)

    # ------------------------------------------------------------------ accounts

    def cloud_account(self) -> Any:
        return said(self._ask(session=self._cloud(self._server.key)))

    def software_account(self) -> Any:
        return said(self._ask(session=self._opened(username=USER, api_key=self._server.key, version="5.2")))

    def software_password(self) -> Any:
        return said(self._ask(session=self._opened(username=USER, password=self._server.key, version="5.2")))

    def opaque_token(self) -> Any:
        return said(self._ask(session=self._opened(token=OPAQUE_TOKEN)))

    # ------------------------------------------------------------------ trouble

    def unknown_model(self) -> Any:
        return error_of(lambda: self._ask(model="no/such-model"))

    def unknown_model_unchecked(self) -> Any:
        return error_of(lambda: self._ask(model="no/such-model"))

    def bad_parameter(self) -> Any:
        return error_of(lambda: self._ask(temperature=5.0))

    def wrong_key(self) -> Any:
        return error_of(lambda: self._ask(session=self._cloud("wrong-key")))

    def refused_token(self) -> Any:
        return error_of(lambda: self._ask(session=self._opened(token=REVOKED_TOKEN)))

    def overloaded_once(self) -> Any:
        self._server.tell("/now/overloaded")
        return said(self._ask())

    def limited_once(self) -> Any:
        self._server.tell("/now/limited")
        return said(self._ask())

    def tokens_run_out(self) -> Any:
        self._server.tell("/now/short-tokens")
        session = self._cloud(SECOND_KEY)
        first = said(self._ask(session=session))
        time.sleep(TOKEN_SECONDS)
        return [first, said(self._ask(session=session))]

    def token_refused_early(self) -> Any:
        session = self._cloud(THIRD_KEY)
        self._ask(session=session)
        self._server.tell("/now/tokens-expire")
        return said(self._ask(session=session))


class OurCoreByKey(OurCore):
    """The client beneath the adapters, with an API key, as litellm is asked."""

    family = "our-core-by-key"

    def new_client(self) -> Any:
        self._session = self._cloud(self._server.key)

    def chat_parameters(self) -> Any:
        parameters: dict[str, Any] = {"frequency_penalty": 0.5, "presence_penalty": 0.25, "seed": 7, "stop": ["zzz"]}
        return said(self._ask(max_tokens=40, temperature=0.5, top_p=0.9, **parameters))

    def generate(self) -> Any:
        return self._write(model=TEMPLATED)

    def generate_stream(self) -> Any:
        return self._write_stream(TEMPLATED, STORY)

    def generate_without_template(self) -> Any:
        return self._write()
