"""Another timeout or retry policy for one call, or for a copy: what goes over the wire, and what stays as it was."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool

from tests.support.server import HANG, Script, Server, answer
from tests.support.tokens import iam
from wx_integrations import ConfigurationError, RetryPolicy, TimedOut, Unavailable
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank, WatsonxToolSpec

Start = Callable[..., Server]
ONCE = RetryPolicy(retry_total=0)
SHORT = httpx.Timeout(10, read=0.05)
BUSY = answer(503, "busy", content_type="text/plain")
HI = [ChatMessage(content="hi")]
NODES = [NodeWithScore(node=TextNode(text="a"))]
TOOLS = [FunctionTool.from_defaults(lambda a: a, name="f")]


@pytest.fixture
def serve() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *answers: stack.enter_context(Server(Script(*answers, token=iam())))


def made(adapter: type[Any], server: Server, **settings: Any) -> Any:
    given = {"url": server.url, "api_key": "k", "project_id": "p", "model_id": "m", "timeout": 10}
    policy = RetryPolicy(retry_total=2, retry_backoff_factor=0.0)
    return adapter(**{**given, "retry": policy, **settings})


def sent(server: Server) -> list[Any]:
    return [seen for seen in server.seen if seen.path != "/identity/token"]


METHODS: dict[str, tuple[Any, ...]] = {
    "chat": (HI,),
    "complete": ("hi",),
    "stream_chat": (HI,),
    "stream_complete": ("hi",),
    "chat_with_tools": (TOOLS, "hi"),
    "stream_chat_with_tools": (TOOLS, "hi"),
}


@pytest.mark.parametrize("how", ["call", "copy"])
@pytest.mark.parametrize("generate", [False, True], ids=["chat", "generation"])
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_policy_and_a_timeout_for_one_call(
    serve: Start, method: str, colour: str, generate: bool, how: str
) -> None:
    if generate and "tools" in method:
        return
    server = serve(BUSY)
    llm = made(WatsonxLLM, server, use_text_generation=generate)

    async def ask(model: Any, options: dict[str, Any]) -> Any:
        if colour == "sync":
            found = getattr(model, method)(*METHODS[method], **options)
            return list(found) if "stream" in method else found
        found = await getattr(model, f"a{method}")(*METHODS[method], **options)
        return [item async for item in found] if "stream" in method else found

    async def once(**options: Any) -> Any:
        return await (ask(llm, options) if how == "call" else ask(llm.with_options(**options), {}))

    with pytest.raises(Unavailable) as caught:
        await once(retry=ONCE)
    assert len(sent(server)) == caught.value.attempts == 1
    with pytest.raises(Unavailable):
        await ask(llm, {})
    assert len(sent(server)) == 4
    assert all(not {"retry", "timeout"} & {*seen.json, *(seen.json.get("parameters") or ())} for seen in sent(server))
    server.handler = Script([HANG], token=iam())
    with pytest.raises(TimedOut):
        await once(timeout=SHORT, retry=ONCE)
    assert len(server.calls("/identity/token")) == 1


RETRIEVAL: dict[tuple[type[Any], str], tuple[tuple[Any, ...], dict[str, Any]]] = {
    (WatsonxEmbeddings, "get_text_embedding"): (("a",), {}),
    (WatsonxEmbeddings, "get_query_embedding"): (("a",), {}),
    (WatsonxEmbeddings, "get_text_embedding_batch"): ((["a"],), {}),
    (WatsonxRerank, "postprocess_nodes"): ((NODES,), {"query_str": "a"}),
}


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("kind", RETRIEVAL, ids=lambda kind: kind[1])
async def test_a_policy_and_a_timeout_for_a_copy(serve: Start, kind: tuple[type[Any], str], colour: str) -> None:
    """The framework's methods take no further arguments here."""
    server = serve(BUSY)
    adapter = made(kind[0], server)
    args, kwargs = RETRIEVAL[kind]

    async def ask(one: Any) -> Any:
        if colour == "sync":
            return getattr(one, kind[1])(*args, **kwargs)
        name = kind[1].replace("get_", "aget_") if kind[1].startswith("get_") else f"a{kind[1]}"
        return await getattr(one, name)(*args, **kwargs)

    with pytest.raises(Unavailable) as caught:
        await ask(adapter.with_options(retry=ONCE))
    assert len(sent(server)) == caught.value.attempts == 1
    with pytest.raises(Unavailable):
        await ask(adapter)
    assert len(sent(server)) == 4
    server.handler = Script([HANG], token=iam())
    with pytest.raises(TimedOut):
        await ask(adapter.with_options(timeout=SHORT, retry=ONCE))
    assert len(server.calls("/identity/token")) == 1


@pytest.mark.parametrize("changed", ["options", "connection"])
def test_tools_and_tokens_of_a_copy_are_its_own(serve: Start, changed: str) -> None:
    tool = {"name": "A", "description": "a", "input_schema": {"type": "object", "properties": {}}}
    server = serve(answer(200, {"resources": [tool]}))
    policy = RetryPolicy(retry_total=2, retry_backoff_factor=0.0)
    spec = WatsonxToolSpec(url=server.url, token="one", project_id="p", retry=policy)
    llm = made(WatsonxLLM, server, api_key=None, token="one")
    assert [one.metadata.name for one in spec.to_tool_list()] == ["A"]
    tokenizer = llm.tokenizer

    def changed_one(adapter: Any) -> Any:
        if changed == "options":
            return adapter.with_options(retry=ONCE)
        return adapter.model_copy(update={"token": "two", "retry": ONCE})

    (own,), (former,) = changed_one(spec).to_tool_list(), spec.to_tool_list()
    calls = [(own.call, 1), (former.call, 3)]
    calls += [(lambda: changed_one(llm).tokenizer("a"), 1), (lambda: tokenizer("a"), 3)]
    server.handler = Script(BUSY)
    for call, requests in calls:
        server.seen.clear()
        with pytest.raises(Unavailable):
            call()
        assert len(server.seen) == requests


@pytest.mark.parametrize(("name", "value"), [("retry", 3), ("retry", {"total": 1}), ("timeout", "5"), ("timeout", -1)])
def test_what_is_none_is_refused_by_name(serve: Start, name: str, value: Any) -> None:
    server = serve(BUSY)
    llm = made(WatsonxLLM, server)
    for method in ("chat", "stream_chat"):
        with pytest.raises(ConfigurationError, match=name):
            getattr(llm, method)(HI, **{name: value})  # a stream as well, before it is read
    with pytest.raises(ConfigurationError, match=name):
        llm.with_options(**{name: value})
    assert server.seen == []


@pytest.mark.parametrize("adapter", [WatsonxLLM, WatsonxEmbeddings, WatsonxRerank])
def test_a_copy_keeps_them_wherever_it_goes(serve: Start, adapter: type[Any]) -> None:
    model = made(adapter, serve(BUSY), pickle_secrets=True, verify=None)
    copied = model.with_options(timeout=7, retry=ONCE)
    assert (copied.client.retry, model.client.retry.retry_total) == (ONCE, 2)
    assert copied.with_options(timeout=8).client.retry == ONCE
    assert copied.model_copy(update={"retry": RetryPolicy(retry_total=9)}).client.retry.retry_total == 9
    again = pickle.loads(pickle.dumps(copied))
    assert (again.client.retry, again.client._plan.timeout["read"]) == (ONCE, 7)
