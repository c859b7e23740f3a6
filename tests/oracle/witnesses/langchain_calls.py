"""Calls of LangChain's adapters: the same code runs with langchain-ibm's classes and with ours."""

from __future__ import annotations

import asyncio
import time
from types import ModuleType
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from .inputs import (
    ASK_TEXT,
    CHAT,
    CHAT_PARAMETERS,
    DEPLOYMENT,
    EMBEDDING,
    GENERATION,
    GENERATION_PARAMETERS,
    MANY,
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
    THIRD_KEY,
    TOKEN,
    TOKEN_SECONDS,
    TOOL,
    USER,
)
from .performing import Calls, Server, error_of, peak


class LangchainCalls(Calls):
    """What both can do.

    Args:
        classes: the module with ChatWatsonx, WatsonxLLM, WatsonxEmbeddings and WatsonxRerank.
    """

    def __init__(self, server: Server, classes: ModuleType) -> None:
        super().__init__(server)
        self._classes = classes
        self._reach: dict[str, Any] = {"url": server.url, "verify": server.ca}
        self._where = {**self._reach, "token": TOKEN, "project_id": PROJECT}
        self._chat: Any
        self._llm: Any
        self._embeddings: Any
        self._rerank: Any

    def _built(self, **settings: Any) -> Any:
        return self._classes.ChatWatsonx(**{"model_id": CHAT, **self._where, **settings})

    # ------------------------------------------------------------------ construction

    def new_chat(self) -> Any:
        self._chat = self._built()

    def new_llm(self) -> Any:
        self._llm = self._classes.WatsonxLLM(model_id=GENERATION, params={"max_new_tokens": 9}, **self._where)

    def new_embeddings(self) -> Any:
        self._embeddings = self._classes.WatsonxEmbeddings(model_id=EMBEDDING, **self._where)

    def new_rerank(self) -> Any:
        self._rerank = self._classes.WatsonxRerank(model_id=RERANK, **self._where)

    # ------------------------------------------------------------------ chat

    def chat(self) -> Any:
        return self._chat.invoke("Hello").content

    def chat_async(self) -> Any:
        return asyncio.run(self._built().ainvoke("Hello")).content

    def chat_stream(self) -> Any:
        return "".join(str(chunk.content) for chunk in self._chat.stream("Hello"))

    def chat_stream_async(self) -> Any:
        async def read() -> str:
            return "".join([str(chunk.content) async for chunk in self._built().astream("Hello")])

        return asyncio.run(read())

    def chat_parameters(self) -> Any:
        return self._built(**CHAT_PARAMETERS).invoke("Hello").content

    def chat_stop(self) -> Any:
        return self._chat.invoke("Hello", stop=["zzz"]).content

    def chat_logprobs(self) -> Any:
        return "logprobs" in self._chat.invoke("Hello", logprobs=True, top_logprobs=2).response_metadata

    def chat_talk(self) -> Any:
        talk = [SystemMessage("Be short."), HumanMessage("Hello"), AIMessage("Hello, who is there?")]
        return self._chat.invoke([*talk, HumanMessage("Ada")]).content

    def chat_picture(self) -> Any:
        parts: Any = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
        return self._built(model_id=SEEING).invoke([HumanMessage(parts)]).content

    def chat_usage(self) -> Any:
        return dict(self._chat.invoke("Hello").usage_metadata)["total_tokens"]

    # ------------------------------------------------------------------ tools

    def tools(self) -> Any:
        return self._chat.bind_tools([TOOL]).invoke(ASK_TEXT).tool_calls[0]["args"]

    def tools_any(self) -> Any:
        return self._chat.bind_tools([TOOL], tool_choice="any").invoke(ASK_TEXT).tool_calls[0]["args"]

    def tools_named(self) -> Any:
        return self._chat.bind_tools([TOOL], tool_choice="get_weather").invoke(ASK_TEXT).tool_calls[0]["args"]

    def tools_none(self) -> Any:
        return len(self._chat.bind_tools([TOOL], tool_choice="none").invoke(ASK_TEXT).tool_calls)

    def tools_stream(self) -> Any:
        whole: Any = None
        for chunk in self._chat.bind_tools([TOOL]).stream(ASK_TEXT):
            whole = chunk if whole is None else whole + chunk
        return whole.tool_calls[0]["args"]

    def tools_function(self) -> Any:
        def get_weather(city: str) -> str:
            """Get the weather in a city."""
            return "Sunny."

        return self._chat.bind_tools([get_weather]).invoke(ASK_TEXT).tool_calls[0]["args"]

    def tools_loop(self) -> Any:
        bound = self._chat.bind_tools([TOOL])
        question = HumanMessage(ASK_TEXT)
        call = bound.invoke([question])
        result = ToolMessage("Sunny.", tool_call_id=call.tool_calls[0]["id"])
        return bound.invoke([question, call, result]).content

    def structured_by_tool(self) -> Any:
        schema = {"title": "Person", "description": "A person.", **PERSON}
        return self._chat.with_structured_output(schema, method="function_calling").invoke("My name is Ada")

    def structured_by_schema(self) -> Any:
        schema = {"title": "Person", "description": "A person.", **PERSON}
        return self._chat.with_structured_output(schema, method="json_schema").invoke("My name is Ada")

    def structured_by_json_mode(self) -> Any:
        structured = self._chat.with_structured_output(None, method="json_mode")
        return sorted(structured.invoke("Say it in JSON, please"))

    # ------------------------------------------------------------------ text generation

    def generate(self) -> Any:
        return self._llm.invoke(STORY)

    def generate_parameters(self) -> Any:
        llm = self._classes.WatsonxLLM(model_id=GENERATION, params=GENERATION_PARAMETERS, **self._where)
        return llm.invoke(STORY)

    def generate_batch(self) -> Any:
        return [row[0].text for row in self._llm.generate(["one", "two"]).generations]

    def generate_stream(self) -> Any:
        return "".join(self._llm.stream(STORY))

    def generate_stop(self) -> Any:
        return self._llm.invoke(STORY, stop=["zzz"])

    def count_tokens(self) -> Any:
        return self._llm.get_num_tokens(STORY)

    # ------------------------------------------------------------------ embeddings and rerank

    def embed_documents(self) -> Any:
        return peak(self._embeddings.embed_documents(["a", "b", "c"])[2])

    def embed_query(self) -> Any:
        return peak(self._embeddings.embed_query("a"))

    def embed_async(self) -> Any:
        return peak(asyncio.run(self._embeddings.aembed_documents(["a", "b"]))[1])

    def embed_many(self) -> Any:
        return len(self._embeddings.embed_documents(MANY))

    def embed_truncated(self) -> Any:
        params = {"truncate_input_tokens": 3}
        embeddings = self._classes.WatsonxEmbeddings(model_id=EMBEDDING, params=params, **self._where)
        return peak(embeddings.embed_documents(["one two three four five"])[0])

    def rerank(self) -> Any:
        return [row["index"] for row in self._rerank.rerank([Document(text) for text in PASSAGES], QUERY)]

    def rerank_compress(self) -> Any:
        found = self._rerank.compress_documents([Document(text) for text in PASSAGES], QUERY)
        return [document.page_content for document in found]

    def rerank_top(self) -> Any:
        params = {"truncate_input_tokens": 20, "return_options": {"top_n": 1}}
        rerank = self._classes.WatsonxRerank(model_id=RERANK, params=params, **self._where)
        return [row["index"] for row in rerank.rerank([Document(text) for text in PASSAGES], QUERY)]

    # ------------------------------------------------------------------ deployments and the gateway

    def deployment_chat(self) -> Any:
        return self._classes.ChatWatsonx(deployment_id=DEPLOYMENT, **self._where).invoke("Hello").content

    def deployment_generate(self) -> Any:
        return self._classes.WatsonxLLM(deployment_id=DEPLOYMENT, **self._where).invoke(STORY)

    def gateway_chat(self) -> Any:
        return self._classes.ChatWatsonx(model=CHAT, token=TOKEN, **self._reach).invoke("Hello").content

    def gateway_stream(self) -> Any:
        chat = self._classes.ChatWatsonx(model=CHAT, token=TOKEN, **self._reach)
        return "".join(str(chunk.content) for chunk in chat.stream("Hello"))

    # ------------------------------------------------------------------ accounts

    def _account(self, **secret: Any) -> Any:
        account = {"username": USER, "version": "5.2", "project_id": PROJECT, **secret}
        return self._classes.ChatWatsonx(model_id=CHAT, **account, **self._reach)

    def software_account(self) -> Any:
        return self._account(api_key=self._server.key).invoke("Hello").content

    def software_password(self) -> Any:
        return self._account(password=self._server.key).invoke("Hello").content

    # ------------------------------------------------------------------ trouble

    def unknown_model(self) -> Any:
        return error_of(lambda: self._built(model_id="no/such-model").invoke("Hello"))

    def unknown_model_unchecked(self) -> Any:
        return error_of(lambda: self._built(model_id="no/such-model", validate_model=False).invoke("Hello"))

    def bad_parameter(self) -> Any:
        return error_of(lambda: self._built(temperature=5.0).invoke("Hello"))

    def misspelt_parameter(self) -> Any:
        return error_of(lambda: self._chat.invoke("Hello", temperatur=0.5))

    def wrong_key(self) -> Any:
        return error_of(lambda: self._account(api_key="wrong-key").invoke("Hello"))

    def refused_token(self) -> Any:
        return error_of(lambda: self._built(token=REVOKED_TOKEN).invoke("Hello"))

    def overloaded_once(self) -> Any:
        self._server.tell("/now/overloaded")
        return self._chat.invoke("Hello").content

    def limited_once(self) -> Any:
        self._server.tell("/now/limited")
        return self._chat.invoke("Hello").content

    def tokens_run_out(self) -> Any:
        self._server.tell("/now/short-tokens")
        chat = self._account(api_key=SECOND_KEY)
        first = chat.invoke("Hello").content
        time.sleep(TOKEN_SECONDS)
        return [first, chat.invoke("Hello").content]

    def token_refused_early(self) -> Any:
        chat = self._account(api_key=THIRD_KEY)
        chat.invoke("Hello")
        self._server.tell("/now/tokens-expire")
        return chat.invoke("Hello").content
