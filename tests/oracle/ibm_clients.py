"""Runs IBM's own clients against a server and prints what they got as one JSON object.

Executed by an interpreter that has them; imports nothing of this repository.
Usage: python ibm_clients.py URL CA_FILE API_KEY
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

CHAT, GENERATION = "ibm/granite-4-h-small", "ibm/granite-3-3-8b-instruct"
EMBEDDING, RERANK = "ibm/slate-125m-english-rtrvr", "cross-encoder/ms-marco-minilm-l-12-v2"
PROJECT = "12ac4cf1-252f-424b-b52d-5cdd9814987f"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASK = [{"role": "user", "content": "What is the weather in Rome?"}]
HELLO = [{"role": "user", "content": "Hello"}]
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
Steps = dict[str, Callable[[], Any]]


def sdk_steps(url: str, ca: str, token: str) -> Steps:
    """The SDK itself."""
    from ibm_watsonx_ai import APIClient, Credentials
    from ibm_watsonx_ai.foundation_models import Embeddings, ModelInference, Rerank

    api = APIClient(Credentials(url=url, token=token, verify=ca), project_id=PROJECT)
    chat = ModelInference(model_id=CHAT, api_client=api)
    text = ModelInference(model_id=GENERATION, api_client=api, params={"max_new_tokens": 9})
    deployed = ModelInference(deployment_id=PROJECT, api_client=api)
    gate = _gateway(api)

    def say(message: dict[str, Any]) -> Any:
        return message["choices"][0]["message"]["content"]

    json_schema = {"type": "json_schema", "json_schema": {"name": "Person", "schema": PERSON}}
    return {
        "chat": lambda: say(chat.chat(messages=HELLO)),
        "chat_params": lambda: say(chat.chat(messages=HELLO, params={"max_tokens": 2, "temperature": 0, "n": 1})),
        "chat_async": lambda: say(asyncio.run(chat.achat(messages=HELLO))),
        "chat_stream": lambda: "".join(
            chunk["choices"][0]["delta"].get("content") or ""
            for chunk in chat.chat_stream(messages=HELLO)
            if chunk["choices"]
        ),
        "chat_json": lambda: say(
            chat.chat(messages=[{"role": "user", "content": "My name is Ada"}], params={"response_format": json_schema})
        ),
        "tools": lambda: chat.chat(messages=ASK, tools=[TOOL], tool_choice_option="auto")["choices"][0]["message"][
            "tool_calls"
        ][0]["function"],
        "tools_forced": lambda: chat.chat(
            messages=ASK, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "get_weather"}}
        )["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        "generate": lambda: text.generate_text("Once upon a time"),
        "generate_batch": lambda: len(text.generate_text(["one", "two", "three"])),
        "generate_details": lambda: sorted(text.generate("Once")["results"][0]),
        "generate_stream": lambda: "".join(text.generate_text_stream("Once upon a time")),
        "tokenize": lambda: text.tokenize("Write a tag line", return_tokens=True)["result"],
        "details": lambda: text.get_details()["model_id"],
        "deployment_chat": lambda: say(deployed.chat(messages=HELLO)),
        "deployment_generate": lambda: deployed.generate_text("Once upon a time"),
        "embed": lambda: len(Embeddings(model_id=EMBEDDING, api_client=api).embed_documents(["a", "b", "c"])),
        "embed_query": lambda: len(Embeddings(model_id=EMBEDDING, api_client=api).embed_query("a")),
        "embed_many": lambda: len(
            Embeddings(model_id=EMBEDDING, api_client=api).embed_documents([f"text {i}" for i in range(1500)])
        ),
        "rerank": lambda: [
            row["index"]
            for row in Rerank(model_id=RERANK, api_client=api).generate(
                query="granite rock", inputs=["bananas are yellow", "granite is a rock"]
            )["results"]
        ],
        "specs": lambda: len(api.foundation_models.get_model_specs()["resources"]) > 5,
        "chat_models": lambda: (
            CHAT in [spec["model_id"] for spec in api.foundation_models.get_chat_model_specs()["resources"]]
        ),
        **gate,
    }


def account_steps(url: str, ca: str, key: str) -> Steps:
    """The SDK with credentials instead of a token: cloud and software."""
    from ibm_watsonx_ai import APIClient, Credentials
    from ibm_watsonx_ai.foundation_models import ModelInference

    cloud = {"url": url, "platform_url": url, "auth_url": f"{url}/identity/token", "verify": ca}

    def chat(**credentials: Any) -> str:
        api = APIClient(Credentials(**credentials), project_id=PROJECT)
        answer = ModelInference(model_id=CHAT, api_client=api).chat(messages=HELLO)
        return str(answer["choices"][0]["message"]["content"])

    def name_of_error(step: Callable[[], Any]) -> str:
        try:
            step()
        except Exception as error:
            return type(error).__name__
        return "no error"

    def unknown_model() -> Any:
        api = APIClient(Credentials(**cloud, api_key=key), project_id=PROJECT)
        return ModelInference(model_id="no/such-model", api_client=api)

    return {
        "saas_chat": lambda: chat(**cloud, api_key=key),
        "cpd_chat": lambda: chat(url=url, username="u", api_key=key, verify=ca),
        "wrong_key": lambda: name_of_error(lambda: chat(**cloud, api_key="wrong")),
        "unknown_model": lambda: name_of_error(unknown_model),
    }


def _gateway(api: Any) -> Steps:
    from ibm_watsonx_ai.gateway import Gateway

    gate = Gateway(api_client=api)
    return {
        "gateway_chat": lambda: gate.chat.completions.create(model=CHAT, messages=HELLO)["choices"][0]["message"][
            "content"
        ],
        "gateway_stream": lambda: "".join(
            chunk["choices"][0]["delta"]["content"]
            for chunk in gate.chat.completions.create(model=CHAT, messages=HELLO, stream=True)
        ),
        "gateway_completion": lambda: gate.completions.create(model=CHAT, prompt="Once")["choices"][0]["text"],
        "gateway_embeddings": lambda: len(gate.embeddings.create(model=EMBEDDING, input=["a", "b"])["data"]),
    }


def langchain_steps(url: str, ca: str, token: str) -> Steps:
    """IBM's adapters for LangChain."""
    from langchain_core.documents import Document
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_ibm import ChatWatsonx, WatsonxEmbeddings, WatsonxLLM, WatsonxRerank

    where = {"url": url, "token": token, "project_id": PROJECT, "verify": ca}
    chat = ChatWatsonx(model_id=CHAT, **where)
    bound = chat.bind_tools([TOOL])
    rerank = WatsonxRerank(model_id=RERANK, **where)

    def loop() -> str:
        question = HumanMessage("What is the weather in Rome?")
        call = bound.invoke([question])
        result = ToolMessage("Sunny.", tool_call_id=call.tool_calls[0]["id"])
        return str(bound.invoke([question, call, result]).content)

    def streamed_call() -> Any:
        whole: Any = None
        for chunk in bound.stream("What is the weather in Rome?"):
            whole = chunk if whole is None else whole + chunk
        return whole.tool_calls[0]["args"]

    llm = WatsonxLLM(model_id=GENERATION, params={"max_new_tokens": 9}, **where)
    embeddings = WatsonxEmbeddings(model_id=EMBEDDING, **where)
    return {
        "lc_invoke": lambda: chat.invoke("Hello").content,
        "lc_usage": lambda: chat.invoke("Hello").usage_metadata["total_tokens"] > 0,
        "lc_stop": lambda: chat.invoke("Hello", stop=["zzz"]).content,
        "lc_stream": lambda: "".join(str(chunk.content) for chunk in chat.stream("Hello")),
        "lc_ainvoke": lambda: asyncio.run(chat.ainvoke("Hello")).content,
        "lc_tools": lambda: bound.invoke("What is the weather in Rome?").tool_calls[0]["args"],
        "lc_tools_stream": streamed_call,
        "lc_tools_loop": loop,
        "lc_structured": lambda: chat.with_structured_output({"title": "Person", **PERSON}).invoke("I am called Ada"),
        "lc_json_mode": lambda: chat.with_structured_output(None, method="json_mode").invoke("JSON please"),
        "lc_logprobs": lambda: "logprobs" in chat.invoke("Hello", logprobs=True, top_logprobs=2).response_metadata,
        "lc_llm": lambda: llm.invoke("Once upon a time"),
        "lc_llm_stream": lambda: "".join(llm.stream("Once upon a time")),
        "lc_llm_tokens": lambda: llm.get_num_tokens("Once upon a time") > 0,
        "lc_embed": lambda: len(embeddings.embed_documents(["a", "b"])),
        "lc_rerank": lambda: rerank.rerank([Document("bananas"), Document("granite rock")], "granite")[0]["index"],
        "lc_compress": lambda: (
            rerank.compress_documents([Document("x"), Document("granite")], "granite")[0].page_content
        ),
        "lc_gateway": lambda: ChatWatsonx(model=CHAT, url=url, token=token, verify=ca).invoke("Hello").content,
    }


def llamaindex_steps(url: str, ca: str, token: str) -> Steps:
    """IBM's adapters for LlamaIndex."""
    from llama_index.core.llms import ChatMessage
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.core.tools import FunctionTool

    ibm = importlib.import_module
    where = {"url": url, "token": token, "project_id": PROJECT, "verify": ca}
    llm = ibm("llama_index.llms.ibm").WatsonxLLM(model_id=GENERATION, max_new_tokens=9, **where)
    embeddings = ibm("llama_index.embeddings.ibm").WatsonxEmbeddings(model_id=EMBEDDING, **where)
    rerank = ibm("llama_index.postprocessor.ibm").WatsonxRerank(model_id=RERANK, top_n=1, **where)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in ("bananas", "granite is a rock")]

    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        return "Sunny."

    tool = FunctionTool.from_defaults(get_weather)
    say = [ChatMessage(role="user", content="Hello")]
    return {
        "li_complete": lambda: llm.complete("Once upon a time").text,
        "li_stream_complete": lambda: list(llm.stream_complete("Once upon a time"))[-1].text,
        "li_chat": lambda: llm.chat(say).message.content,
        "li_stream_chat": lambda: list(llm.stream_chat(say))[-1].message.content,
        "li_tools": lambda: (
            llm.get_tool_calls_from_response(llm.chat_with_tools([tool], user_msg="What is the weather in Rome?"))[
                0
            ].tool_kwargs
        ),
        "li_embed": lambda: len(embeddings.get_text_embedding_batch(["a", "b"])),
        "li_rerank": lambda: rerank.postprocess_nodes(nodes, query_str="granite")[0].node.text,
    }


FAMILIES = {
    "ibm_watsonx_ai": sdk_steps,
    "langchain_ibm": langchain_steps,
    "llama_index.llms.ibm": llamaindex_steps,
}


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def run(url: str, ca: str, key: str) -> dict[str, Any]:
    """Run every step of every installed client; a step's failure is its result."""
    warnings.simplefilter("ignore")
    results: dict[str, Any] = {}
    for module, build in FAMILIES.items():
        if not _installed(module):
            continue
        steps = build(url, ca, "x")
        if build is sdk_steps:
            steps |= account_steps(url, ca, key)
        for name, step in steps.items():
            try:
                results[name] = {"ok": step()}
            except Exception as error:
                results[name] = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-1500:]}
    return results


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(*sys.argv[1:4]), default=str) + "\n")
