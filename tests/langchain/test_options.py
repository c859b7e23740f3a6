"""Another timeout or retry policy for one call, or for a copy: what goes over the wire, and what stays as it was."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage
from langchain_core.tools import ToolException

from tests.support.server import HANG, Script, Server, answer, frames, stream
from tests.support.tokens import iam
from wx_integrations import ConfigurationError, RetryPolicy, StreamBroken, TimedOut, Unavailable
from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings, WatsonxLLM, WatsonxRerank, WatsonxToolkit

Start = Callable[..., Server]
ONCE = RetryPolicy(retry_total=0)
SHORT = httpx.Timeout(10, read=0.05)
BUSY = answer(503, "busy", content_type="text/plain")
Calls = dict[str, Callable[[Any, dict[str, Any]], Any]]


@pytest.fixture
def serve() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *answers: stack.enter_context(Server(Script(*answers, token=iam())))


def made(adapter: type[Any], server: Server, **settings: Any) -> Any:
    given = {"url": server.url, "api_key": "k", "project_id": "p", "model_id": "m", "timeout": 10}
    policy = RetryPolicy(retry_total=2, retry_backoff_factor=0.0)
    return adapter(**{**given, "retry": policy, **settings})


DOCUMENTS = [Document(page_content="a")]
CALLS: dict[tuple[type[Any], str], Callable[[Any, dict[str, Any]], Any]] = {
    (ChatWatsonx, "invoke"): lambda model, options: model.invoke("hi", **options),
    (ChatWatsonx, "stream"): lambda model, options: list(model.stream("hi", **options)),
    (ChatWatsonx, "batch"): lambda model, options: model.batch(["hi"], **options),
    (ChatWatsonx, "bind"): lambda model, options: model.bind(**options).invoke("hi"),
    (ChatWatsonx, "bind_tools"): lambda model, options: model.bind_tools([], **options).invoke("hi"),
    (ChatWatsonx, "structured"): lambda model, options: model.with_structured_output(
        {"title": "x", "type": "object", "properties": {}}, **options
    ).invoke("hi"),
    (WatsonxLLM, "invoke"): lambda model, options: model.invoke("hi", **options),
    (WatsonxLLM, "stream"): lambda model, options: list(model.stream("hi", **options)),
    (WatsonxLLM, "generate"): lambda model, options: model.generate(["hi"], **options),
    (WatsonxEmbeddings, "embed_documents"): lambda model, options: model.embed_documents(["hi"], **options),
    (WatsonxEmbeddings, "embed_query"): lambda model, options: model.embed_query("hi", **options),
    (WatsonxRerank, "rerank"): lambda model, options: model.rerank(["a"], "hi", **options),
    (WatsonxRerank, "compress_documents"): lambda model, options: model.compress_documents(DOCUMENTS, "hi", **options),
    (WatsonxRerank, "invoke"): lambda model, options: model.invoke({"query": "hi", "documents": DOCUMENTS}, **options),
}


async def _all(pieces: Any) -> list[Any]:
    return [piece async for piece in pieces]


ACALLS: dict[tuple[type[Any], str], Callable[[Any, dict[str, Any]], Any]] = {
    (ChatWatsonx, "ainvoke"): lambda model, options: model.ainvoke("hi", **options),
    (ChatWatsonx, "astream"): lambda model, options: _all(model.astream("hi", **options)),
    (ChatWatsonx, "astream_events"): lambda model, options: _all(model.astream_events("hi", version="v2", **options)),
    (WatsonxLLM, "ainvoke"): lambda model, options: model.ainvoke("hi", **options),
    (WatsonxLLM, "astream"): lambda model, options: _all(model.astream("hi", **options)),
    (WatsonxEmbeddings, "aembed_documents"): lambda model, options: model.aembed_documents(["hi"], **options),
    (WatsonxEmbeddings, "aembed_query"): lambda model, options: model.aembed_query("hi", **options),
    (WatsonxRerank, "arerank"): lambda model, options: model.arerank(["a"], "hi", **options),
    (WatsonxRerank, "acompress_documents"): lambda model, options: model.acompress_documents(
        DOCUMENTS, "hi", **options
    ),
}
IDS = [f"{adapter.__name__}.{name}" for adapter, name in CALLS]
AIDS = [f"{adapter.__name__}.{name}" for adapter, name in ACALLS]


def sent(server: Server) -> list[Any]:
    return [seen for seen in server.seen if seen.path != "/identity/token"]


@pytest.mark.parametrize("how", ["call", "copy"])
@pytest.mark.parametrize("kind", CALLS, ids=IDS)
def test_a_policy_and_a_timeout_for_one_call(serve: Start, kind: tuple[type[Any], str], how: str) -> None:
    server = serve(BUSY)
    model, call = made(kind[0], server), CALLS[kind]

    def ask(**options: Any) -> Any:
        return call(model, options) if how == "call" else call(model.with_options(**options), {})

    with pytest.raises(Unavailable) as caught:
        ask(retry=ONCE)
    assert len(sent(server)) == caught.value.attempts == 1
    with pytest.raises(Unavailable):
        call(model, {})
    assert len(sent(server)) == 4
    assert all(not {"retry", "timeout"} & {*seen.json, *(seen.json.get("parameters") or ())} for seen in sent(server))
    server.handler = Script([HANG], token=iam())
    with pytest.raises(TimedOut):
        ask(timeout=SHORT, retry=ONCE)
    assert len(server.calls("/identity/token")) == 1


@pytest.mark.parametrize("how", ["call", "copy"])
@pytest.mark.parametrize("kind", ACALLS, ids=AIDS)
async def test_a_policy_and_a_timeout_for_one_call_async(serve: Start, kind: tuple[type[Any], str], how: str) -> None:
    server = serve(BUSY)
    model, call = made(kind[0], server), ACALLS[kind]

    async def ask(**options: Any) -> Any:
        return await (call(model, options) if how == "call" else call(model.with_options(**options), {}))

    with pytest.raises(Unavailable) as caught:
        await ask(retry=ONCE)
    assert len(sent(server)) == caught.value.attempts == 1
    with pytest.raises(Unavailable):
        await call(model, {})
    assert len(sent(server)) == 4
    server.handler = Script([HANG], token=iam())
    with pytest.raises(TimedOut):
        await ask(timeout=SHORT, retry=ONCE)
    assert len(server.calls("/identity/token")) == 1


@pytest.mark.parametrize("changed", ["options", "connection"])
def test_a_toolkit_s_copy_has_tools_of_its_own(serve: Start, changed: str) -> None:
    tool = {"name": "A", "description": "a", "input_schema": {"type": "object", "properties": {}}}
    server = serve(answer(200, {"resources": [tool]}))
    policy = RetryPolicy(retry_total=2, retry_backoff_factor=0.0)
    toolkit = WatsonxToolkit(url=server.url, token="one", project_id="p", retry=policy)
    assert [one.name for one in toolkit.get_tools()] == ["A"]
    if changed == "options":
        copied = toolkit.with_options(retry=ONCE)
    else:
        copied = toolkit.model_copy(update={"token": "two", "retry": ONCE})
    (own,), (former,) = copied.get_tools(), toolkit.get_tools()
    server.handler = Script(BUSY)
    for runnable, requests in ((own, 1), (former, 3)):
        server.seen.clear()
        with pytest.raises(ToolException, match="503"):
            runnable.invoke({})
        assert len(server.seen) == requests
    assert server.seen[-1].header("authorization") == "Bearer one"


@pytest.mark.parametrize("adapter", [ChatWatsonx, WatsonxLLM])
def test_the_wait_for_the_next_chunk_is_bounded_for_one_call(serve: Start, adapter: type[Any]) -> None:
    first: dict[str, Any] = {"id": "1", "choices": [{"index": 0, "delta": {"content": "a"}}]}
    if adapter is WatsonxLLM:
        first = {"results": [{"generated_text": "a", "stop_reason": "not_finished"}]}
    server = serve(stream(*frames(first), HANG, end=False))
    with pytest.raises(StreamBroken, match="no more data arrived in time"):
        list(made(adapter, server).stream("hi", timeout=httpx.Timeout(10, read=0.5)))
    assert sent(server)[0].left.wait(10)


@pytest.mark.parametrize(("name", "value"), [("retry", 3), ("retry", {"total": 1}), ("timeout", "5"), ("timeout", -1)])
@pytest.mark.parametrize("adapter", [ChatWatsonx, WatsonxLLM, WatsonxEmbeddings, WatsonxRerank])
def test_what_is_none_is_refused_by_name(serve: Start, adapter: type[Any], name: str, value: Any) -> None:
    server = serve(BUSY)
    model = made(adapter, server)
    first = next(call for kind, call in CALLS.items() if kind[0] is adapter)
    with pytest.raises(ConfigurationError, match=name):
        first(model, {name: value})
    with pytest.raises(ConfigurationError, match=name):
        model.with_options(**{name: value})
    assert server.seen == []


def test_the_cache_does_not_tell_calls_apart_by_them(serve: Start) -> None:
    body = {
        "id": "1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
    }
    server = serve(answer(200, body))
    model = made(ChatWatsonx, server, cache=InMemoryCache(), max_completion_tokens=9)
    answers = [model.invoke("hi"), model.invoke("hi", timeout=5), model.with_options(retry=ONCE).invoke("hi")]
    assert len(sent(server)) == 1
    assert all(isinstance(one, AIMessage) and one.content == "a" for one in answers)
    assert not {"retry", "timeout"} & set(model._get_invocation_params(timeout=5, retry=ONCE))


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
@pytest.mark.parametrize("adapter", [ChatWatsonx, WatsonxLLM])
def test_a_copy_keeps_them_wherever_it_goes(serve: Start, adapter: type[Any]) -> None:
    model = made(adapter, serve(BUSY), pickle_secrets=True, verify=None)
    copied = model.with_options(timeout=7, retry=ONCE)
    assert copied != model
    assert (copied.client.retry, model.client.retry.retry_total) == (ONCE, 2)
    assert copied.with_options(timeout=8).client.retry == ONCE
    assert copied.model_copy(update={"temperature": 1.0}).client.retry == ONCE
    assert copied.model_copy(update={"retry": RetryPolicy(retry_total=9)}).client.retry.retry_total == 9
    assert pickle.loads(pickle.dumps(copied)).client.retry == ONCE
    again = loads(
        dumps(copied),
        secrets_map={"WATSONX_API_KEY": "k"},
        allowed_objects=[adapter],
        valid_namespaces=["wx_integrations"],
    )
    assert (again.client.retry, again.client._plan.timeout["read"]) == (ONCE, 7)
