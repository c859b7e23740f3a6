"""litellm's watsonx provider.

All calls use an API key: with a token litellm would put that into the body
too. For text generation litellm knows the form of few models' prompts; for
the others it sends `input: null`.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from .inputs import (
    ASK,
    CHAT,
    DEPLOYMENT,
    EMBEDDING,
    FORCED,
    GENERATION,
    HELLO,
    PASSAGES,
    PERSON,
    PICTURE,
    PROJECT,
    QUERY,
    RERANK,
    SECOND_KEY,
    SEEING,
    STORY,
    TALK,
    TEMPLATED,
    THIRD_KEY,
    TOKEN_SECONDS,
    TOOL,
)
from .performing import Calls, Server, error_of, peak


def said(answer: Any) -> Any:
    """Return the text of an answer."""
    return answer.choices[0].message.content


def called(answer: Any) -> Any:
    """Return the first tool call of an answer."""
    return answer.choices[0].message.tool_calls[0].function.arguments


def joined(chunks: Any) -> str:
    """Return the text of a stream."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


class Litellm(Calls):
    """litellm."""

    family = "litellm"

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "SSL_CERT_FILE": server.ca, "LITELLM_LOG": "CRITICAL"}
        os.environ["WATSONX_IAM_URL"] = f"{server.url}/identity/token"
        import litellm

        litellm.telemetry = False
        litellm.suppress_debug_info = True
        self._litellm: Any = litellm
        self._reach: dict[str, Any] = {"api_base": server.url}
        self._where = {**self._reach, "api_key": server.key, "project_id": PROJECT}

    def _chat(self, messages: Any = HELLO, model: str = CHAT, **given: Any) -> Any:
        return self._litellm.completion(model=f"watsonx/{model}", messages=messages, **{**self._where, **given})

    def _text(self, model: str = TEMPLATED, **given: Any) -> Any:
        settings = {"messages": [{"role": "user", "content": STORY}], "max_tokens": 9, **self._where, **given}
        return self._litellm.completion(model=f"watsonx_text/{model}", **settings)

    # ------------------------------------------------------------------ construction

    def new_client(self) -> Any:
        """There is nothing to build: a call names its account."""

    # ------------------------------------------------------------------ chat

    def chat(self) -> Any:
        return said(self._chat())

    def chat_async(self) -> Any:
        return said(asyncio.run(self._litellm.acompletion(model=f"watsonx/{CHAT}", messages=HELLO, **self._where)))

    def chat_stream(self) -> Any:
        return joined(self._chat(stream=True))

    def chat_stream_async(self) -> Any:
        async def read() -> str:
            answer = self._litellm.acompletion(model=f"watsonx/{CHAT}", messages=HELLO, stream=True, **self._where)
            return joined([chunk async for chunk in await answer])

        return asyncio.run(read())

    def chat_parameters(self) -> Any:
        parameters: dict[str, Any] = {"frequency_penalty": 0.5, "presence_penalty": 0.25, "seed": 7, "stop": ["zzz"]}
        return said(self._chat(max_tokens=40, temperature=0.5, top_p=0.9, **parameters))

    def chat_talk(self) -> Any:
        return said(self._chat(TALK))

    def chat_picture(self) -> Any:
        parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
        return said(self._chat([{"role": "user", "content": parts}], SEEING))

    def chat_schema(self) -> Any:
        shape = {"type": "json_schema", "json_schema": {"name": "Person", "schema": PERSON}}
        return said(self._chat([{"role": "user", "content": "My name is Ada"}], response_format=shape))

    # ------------------------------------------------------------------ tools

    def tools(self) -> Any:
        return called(self._chat(ASK, tools=[TOOL], tool_choice="auto"))

    def tools_named(self) -> Any:
        return called(self._chat(ASK, tools=[TOOL], tool_choice=FORCED))

    def tools_required(self) -> Any:
        return called(self._chat(ASK, tools=[TOOL], tool_choice="required"))

    def tools_stream(self) -> Any:
        deltas = [chunk.choices[0].delta for chunk in self._chat(ASK, tools=[TOOL], tool_choice="auto", stream=True)]
        calls = [call for delta in deltas for call in delta.tool_calls or []]
        return "".join(call.function.arguments or "" for call in calls)

    def tools_result(self) -> Any:
        call = {"id": "call-1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
        result = {"role": "tool", "tool_call_id": "call-1", "content": "Sunny."}
        return said(self._chat([*ASK, {"role": "assistant", "tool_calls": [call]}, result], tools=[TOOL]))

    # ------------------------------------------------------------------ text generation

    def generate(self) -> Any:
        return said(self._text())

    def generate_stream(self) -> Any:
        return joined(self._text(stream=True))

    def generate_without_template(self) -> Any:
        return said(self._text(GENERATION))

    # ------------------------------------------------------------------ embeddings and rerank

    def embed(self) -> Any:
        answer = self._litellm.embedding(model=f"watsonx/{EMBEDDING}", input=["a", "b", "c"], **self._where)
        return peak(answer.data[2]["embedding"])

    def rerank(self) -> Any:
        answer = self._litellm.rerank(model=f"watsonx/{RERANK}", query=QUERY, documents=PASSAGES, **self._where)
        return [row["index"] for row in answer.results]

    # ------------------------------------------------------------------ deployments

    def deployment_chat(self) -> Any:
        return said(self._chat(model=f"deployment/{DEPLOYMENT}"))

    def deployment_stream(self) -> Any:
        return joined(self._chat(model=f"deployment/{DEPLOYMENT}", stream=True))

    # ------------------------------------------------------------------ trouble

    def unknown_model(self) -> Any:
        return error_of(lambda: self._chat(model="no/such-model"))

    def bad_parameter(self) -> Any:
        return error_of(lambda: self._chat(temperature=5.0))

    def wrong_key(self) -> Any:
        return error_of(lambda: self._chat(api_key="wrong-key"))

    def overloaded_once(self) -> Any:
        self._server.tell("/now/overloaded")
        return error_of(self._chat)

    def limited_once(self) -> Any:
        self._server.tell("/now/limited")
        return error_of(self._chat)

    def tokens_run_out(self) -> Any:
        self._server.tell("/now/short-tokens")
        first = said(self._chat(api_key=SECOND_KEY))
        time.sleep(TOKEN_SECONDS)
        return [first, said(self._chat(api_key=SECOND_KEY))]

    def token_refused_early(self) -> Any:
        self._chat(api_key=THIRD_KEY)
        self._server.tell("/now/tokens-expire")
        return said(self._chat(api_key=THIRD_KEY))
