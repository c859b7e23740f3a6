"""Calls of LlamaIndex's adapters: the same code runs with IBM's classes and with ours."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool

from .inputs import (
    ASK_TEXT,
    CHAT,
    DEPLOYMENT,
    EMBEDDING,
    GENERATION,
    GENERATION_PARAMETERS,
    MANY,
    PASSAGES,
    PROJECT,
    QUERY,
    RERANK,
    REVOKED_TOKEN,
    SECOND_KEY,
    STORY,
    TALK,
    THIRD_KEY,
    TOKEN,
    TOKEN_SECONDS,
    USER,
)
from .performing import Calls, Server, error_of, peak


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return "Sunny."


class LlamaindexCalls(Calls):
    """What both can do.

    Args:
        llm, embeddings, rerank: the classes.
        generating: the setting that lets `complete` use text generation, if it does not anyway.
    """

    def __init__(self, server: Server, llm: Any, embeddings: Any, rerank: Any, generating: dict[str, Any]) -> None:
        super().__init__(server)
        self._classes = (llm, embeddings, rerank)
        self._generating = generating
        self._reach: dict[str, Any] = {"url": server.url, "verify": server.ca}
        self._where = {**self._reach, "token": TOKEN, "project_id": PROJECT}
        self._hello = [ChatMessage(role="user", content="Hello")]
        self._tool = FunctionTool.from_defaults(get_weather)
        self._llm: Any
        self._text: Any
        self._embeddings: Any
        self._rerank: Any

    def _built(self, **settings: Any) -> Any:
        return self._classes[0](**{"model_id": CHAT, **self._where, **settings})

    # ------------------------------------------------------------------ construction

    def new_llm(self) -> Any:
        self._llm = self._built()

    def new_text_llm(self) -> Any:
        self._text = self._built(model_id=GENERATION, max_new_tokens=9, **self._generating)

    def new_embeddings(self) -> Any:
        self._embeddings = self._classes[1](model_id=EMBEDDING, **self._where)

    def new_rerank(self) -> Any:
        self._rerank = self._classes[2](model_id=RERANK, top_n=1, **self._where)

    # ------------------------------------------------------------------ chat

    def chat(self) -> Any:
        return self._llm.chat(self._hello).message.content

    def chat_async(self) -> Any:
        return asyncio.run(self._built().achat(self._hello)).message.content

    def chat_stream(self) -> Any:
        return list(self._llm.stream_chat(self._hello))[-1].message.content

    def chat_stream_async(self) -> Any:
        async def read() -> Any:
            return [answer async for answer in await self._built().astream_chat(self._hello)][-1].message.content

        return asyncio.run(read())

    def chat_parameters(self) -> Any:
        parameters = {"max_tokens": 40, "temperature": 0.5, "top_p": 0.9, "time_limit": 60000}
        return self._llm.chat(self._hello, **parameters).message.content

    def chat_with_a_limit(self) -> Any:
        return self._built(temperature=0.5, max_new_tokens=40).chat(self._hello).message.content

    def chat_talk(self) -> Any:
        talk = [ChatMessage(role=MessageRole(turn["role"]), content=turn["content"]) for turn in TALK]
        return self._llm.chat(talk).message.content

    # ------------------------------------------------------------------ tools

    def _called(self, answer: Any) -> Any:
        return self._llm.get_tool_calls_from_response(answer)[0].tool_kwargs

    def tools(self) -> Any:
        return self._called(self._llm.chat_with_tools([self._tool], user_msg=ASK_TEXT))

    def tools_required(self) -> Any:
        return self._called(self._llm.chat_with_tools([self._tool], user_msg=ASK_TEXT, tool_required=True))

    def tools_named(self) -> Any:
        return self._called(self._llm.chat_with_tools([self._tool], user_msg=ASK_TEXT, tool_choice="get_weather"))

    def tools_stream(self) -> Any:
        answers = list(self._llm.stream_chat_with_tools([self._tool], user_msg=ASK_TEXT))
        read = self._llm.get_tool_calls_from_response
        return [calls[0].tool_kwargs for calls in (read(answer, False) for answer in answers) if calls][-1]

    def tools_loop(self) -> Any:
        question = ChatMessage(role="user", content=ASK_TEXT)
        answer = self._llm.chat_with_tools([self._tool], chat_history=[question])
        call = self._llm.get_tool_calls_from_response(answer)[0]
        result = ChatMessage(role="tool", content="Sunny.", additional_kwargs={"tool_call_id": call.tool_id})
        return self._llm.chat_with_tools([self._tool], chat_history=[question, answer.message, result]).message.content

    # ------------------------------------------------------------------ text generation

    def complete(self) -> Any:
        return self._text.complete(STORY).text

    def complete_again(self) -> Any:
        return self._text.complete(STORY).text

    def complete_async(self) -> Any:
        llm = self._built(model_id=GENERATION, max_new_tokens=9, **self._generating)
        return asyncio.run(llm.acomplete(STORY)).text

    def complete_stream(self) -> Any:
        return list(self._text.stream_complete(STORY))[-1].text

    def complete_parameters(self) -> Any:
        llm = self._built(model_id=GENERATION, additional_params=GENERATION_PARAMETERS, **self._generating)
        return llm.complete(STORY).text

    def complete_by_default(self) -> Any:
        return self._llm.complete("Hello").text

    def window(self) -> Any:
        return self._built().metadata.context_window

    # ------------------------------------------------------------------ embeddings and rerank

    def embed_documents(self) -> Any:
        return peak(self._embeddings.get_text_embedding_batch(["a", "b", "c"])[2])

    def embed_query(self) -> Any:
        return peak(self._embeddings.get_query_embedding("a"))

    def embed_async(self) -> Any:
        return peak(asyncio.run(self._embeddings.aget_text_embedding_batch(["a", "b"]))[1])

    def embed_many(self) -> Any:
        return len(self._embeddings.get_text_embedding_batch(MANY))

    def embed_truncated(self) -> Any:
        embeddings = self._classes[1](model_id=EMBEDDING, truncate_input_tokens=3, **self._where)
        return peak(embeddings.get_text_embedding("one two three four five"))

    def _nodes(self) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=text)) for text in PASSAGES]

    def rerank(self) -> Any:
        found = self._rerank.postprocess_nodes(self._nodes(), query_str=QUERY)
        return [node.node.get_content() for node in found]

    def rerank_truncated(self) -> Any:
        rerank = self._classes[2](model_id=RERANK, top_n=2, truncate_input_tokens=20, **self._where)
        found = rerank.postprocess_nodes(self._nodes(), query_str=QUERY)
        return [node.node.get_content() for node in found]

    # ------------------------------------------------------------------ deployments

    def deployment_chat(self) -> Any:
        return self._classes[0](deployment_id=DEPLOYMENT, **self._where).chat(self._hello).message.content

    def deployment_complete(self) -> Any:
        return self._classes[0](deployment_id=DEPLOYMENT, **self._where, **self._generating).complete(STORY).text

    # ------------------------------------------------------------------ accounts

    def _account(self, **secret: Any) -> Any:
        account = {"username": USER, "version": "5.2", "project_id": PROJECT, **secret}
        return self._classes[0](model_id=CHAT, **account, **self._reach)

    def software_account(self) -> Any:
        return self._account(apikey=self._server.key).chat(self._hello).message.content

    def software_password(self) -> Any:
        return self._account(password=self._server.key).chat(self._hello).message.content

    # ------------------------------------------------------------------ trouble

    def unknown_model(self) -> Any:
        return error_of(lambda: self._built(model_id="no/such-model").chat(self._hello))

    def unknown_model_unchecked(self) -> Any:
        return error_of(lambda: self._built(model_id="no/such-model", validate_model=False).chat(self._hello))

    def bad_parameter(self) -> Any:
        return error_of(lambda: self._llm.chat(self._hello, temperature=5.0))

    def misspelt_parameter(self) -> Any:
        return error_of(lambda: self._llm.chat(self._hello, temperatur=0.5))

    def wrong_key(self) -> Any:
        return error_of(lambda: self._account(apikey="wrong-key").chat(self._hello))

    def refused_token(self) -> Any:
        return error_of(lambda: self._built(token=REVOKED_TOKEN).chat(self._hello))

    def overloaded_once(self) -> Any:
        self._server.tell("/now/overloaded")
        return self._llm.chat(self._hello).message.content

    def limited_once(self) -> Any:
        self._server.tell("/now/limited")
        return self._llm.chat(self._hello).message.content

    def tokens_run_out(self) -> Any:
        self._server.tell("/now/short-tokens")
        llm = self._account(apikey=SECOND_KEY)
        first = llm.chat(self._hello).message.content
        time.sleep(TOKEN_SECONDS)
        return [first, llm.chat(self._hello).message.content]

    def token_refused_early(self) -> Any:
        llm = self._account(apikey=THIRD_KEY)
        llm.chat(self._hello)
        self._server.tell("/now/tokens-expire")
        return llm.chat(self._hello).message.content
