"""Canaries while models run: callbacks, LangSmith, event streams, logs and errors show none, whatever happens."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import langsmith.run_trees
import langsmith.utils
import pytest
import requests
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import LangChainTracer
from langsmith import Client

from tests.langchain.chatting import Caller
from tests.support.canaries import PROJECT, leaks, told_by
from tests.support.echo import TROUBLES, Hostile, echoed, granting
from tests.support.server import Server, answer
from wx_integrations.core.agent_tools import AgentTool
from wx_integrations.core.errors import WatsonxError
from wx_integrations.core.wire.tools import UtilityTool
from wx_integrations.langchain import (
    ChatWatsonx,
    WatsonxEmbeddings,
    WatsonxLLM,
    WatsonxRerank,
    WatsonxTool,
    WatsonxToolkit,
    init_chat_model,
)

pytestmark = pytest.mark.filterwarnings("ignore::wx_integrations.langchain.WatsonxWarning")
TAVILY = {"apiKey": "canary-tavily"}


class Seen(BaseCallbackHandler):
    """Everything that any callback is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.told: list[str] = []
        self.errors: list[BaseException] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def note(*args: Any, **kwargs: Any) -> None:
            self.events.append(name)
            self.told.append(f"{args!r} {kwargs!r} {dumps([args, kwargs])}")
            self.errors += [one for one in (*args, *kwargs.values()) if isinstance(one, BaseException)]

        return note


class AsyncSeen(Seen, AsyncCallbackHandler):
    """The same, awaited."""

    def __getattribute__(self, name: str) -> Any:
        note = super().__getattribute__(name)
        if not name.startswith("on_"):
            return note

        async def anote(*args: Any, **kwargs: Any) -> None:
            note(*args, **kwargs)

        return anote


class LangSmith(requests.Session):
    """Takes what would go to LangSmith."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: list[str] = []

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        data = kwargs.get("data") or args
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else repr(data)
        self.payloads.append(f"{method} {url} {text}")
        answer = requests.Response()
        answer.status_code, answer._content = 200, b"{}"
        return answer


class Watch:
    """All that watches runs: callbacks of both kinds, LangSmith, logs."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.log = log
        self.session = LangSmith()
        options: dict[str, Any] = {"auto_batch_tracing": False, "info": {}, "session": self.session}
        self.langsmith = Client("https://langsmith.invalid", api_key="ls", **options)
        self.seen, self.awaited = Seen(), AsyncSeen()
        self.told: list[str] = []

    def config(self) -> dict[str, Any]:
        return {"callbacks": [self.seen, self.awaited, LangChainTracer(client=self.langsmith)]}

    def leaks(self) -> dict[str, list[str]]:
        """Return who saw a canary."""
        self.langsmith.flush()
        everything = {
            "callbacks": "\n".join(self.seen.told + self.awaited.told),
            "langsmith": "\n".join(self.session.payloads),
            "log": self.log.text + "".join(repr(vars(record)) for record in self.log.records),
            "told": "\n".join(self.told),
        }
        for error in self.seen.errors + self.awaited.errors:
            everything |= {f"error {name}": text for name, text in told_by(error).items()}
        return {name: found for name, text in everything.items() if (found := leaks(text))}


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Everything is watched; tracing is on by the environment as well, which has canaries of its own."""
    caplog.set_level(logging.DEBUG)
    made = Watch(caplog)
    cached: Any = langsmith.utils.get_env_var
    for name in ("API_KEY", "TOKEN", "PASSWORD", "ZEN_API_KEY"):
        monkeypatch.setenv(f"WATSONX_{name}", "canary-of-the-environment")
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setattr(langsmith.run_trees, "_CLIENT", made.langsmith)
    cached.cache_clear()
    yield made
    made.langsmith.cleanup()
    cached.cache_clear()


@pytest.fixture
def hostile() -> Hostile:
    return Hostile()


@pytest.fixture
def service(hostile: Hostile) -> Iterator[dict[str, Any]]:
    """What every adapter of the service is made with."""
    with Server(hostile) as server:
        headers = {"X-Api-Key": "canary-header"}
        login = {"url": server.url, "api_key": "canary-key", "project_id": PROJECT, "headers": headers}
        yield {**login, "max_retries": 0, "timeout": httpx.Timeout(10, read=0.5)}


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def runnables(service: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what can be run, and with what."""
    chat = ChatWatsonx(model_id="m", max_completion_tokens=9, **service)
    about = UtilityTool(name="TavilySearch", description="d", config_schema={"type": "object"})
    kit = WatsonxToolkit(tool_configs={"GoogleSearch": {}}, **service)
    rerank = WatsonxRerank(model_id="m", **service)
    return {
        "chat": (chat, "hi"),
        "with tools": (chat.bind_tools([weather]), "hi"),
        "chain": (ChatPromptTemplate.from_messages([("user", "{q}")]) | chat | RunnableLambda(str), {"q": "hi"}),
        "configurable": (init_chat_model("watsonx:m", configurable_fields="any", **service), "hi"),
        "llm": (WatsonxLLM(model_id="m", **service), "hi"),
        "rerank": (rerank, {"query": "q", "documents": [Document("a"), Document("b")]}),
        "tool": (WatsonxTool.of(AgentTool(about, kit.toolbox.source, TAVILY)), "x"),
        "embeddings": (RunnableLambda(WatsonxEmbeddings(model_id="m", **service).embed_query), "a"),
    }


RUNNABLES = ("chat", "with tools", "chain", "configurable", "llm", "rerank", "tool", "embeddings")


@pytest.mark.parametrize("name", RUNNABLES)
async def test_runs_that_go_well(caller: Caller, service: dict[str, Any], watch: Watch, name: str) -> None:
    runnable, given = runnables(service)[name]
    answer = await caller.invoke(runnable, given, watch.config())
    watch.told += [repr(answer), dumps(answer)]
    watch.told += [repr(piece) for piece in await caller.stream(runnable, given, watch.config())]
    events = [event async for event in runnable.astream_events(given, watch.config(), version="v2")]
    watch.told += [repr(events), dumps(events)]
    assert events or name == "llm"  # LangChain forgets those of LLMs beside callbacks that are run inline
    assert watch.leaks() == {}
    assert len(watch.seen.events) >= 2
    assert len(watch.session.payloads) >= 2
    assert json.loads(watch.session.payloads[0].split(" ", 2)[2])["inputs"]


@pytest.mark.filterwarnings("ignore:.*astream_log:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("name", ["chat", "llm", "chain"])
async def test_the_log_of_a_stream(service: dict[str, Any], watch: Watch, name: str) -> None:
    runnable, given = runnables(service)[name]
    patches = [patch async for patch in runnable.astream_log(given, config=watch.config())]
    watch.told += [repr(patches), dumps([patch.ops for patch in patches])]
    assert patches
    assert watch.leaks() == {}


FAILING = [("chat", trouble) for trouble in TROUBLES]
FAILING += [(name, trouble) for name in RUNNABLES[1:] for trouble in ("401 echo", "200 html", "cut")]


@pytest.mark.parametrize(("name", "trouble"), FAILING)
async def test_runs_that_fail(
    caller: Caller, hostile: Hostile, service: dict[str, Any], watch: Watch, name: str, trouble: str
) -> None:
    runnable, given = runnables(service)[name]
    hostile.call = TROUBLES[trouble]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each in its own way
        await caller.invoke(runnable, given, watch.config())
    watch.told += told_by(caught.value).values()
    assert watch.leaks() == {}
    assert {"on_llm_error", "on_chain_error", "on_tool_error"} & set(watch.seen.events) or name == "configurable"


STREAMING = [("chat", trouble) for trouble in TROUBLES] + [("llm", "stream error"), ("llm", "stream cut")]


@pytest.mark.parametrize(("name", "trouble"), STREAMING)
async def test_streams_that_fail(
    caller: Caller, hostile: Hostile, service: dict[str, Any], watch: Watch, name: str, trouble: str
) -> None:
    """What a server streamed is in the frames as it came, so the frames do not count."""
    runnable, given = runnables(service)[name]
    hostile.call = TROUBLES[trouble]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each in its own way
        await caller.stream(runnable, given, watch.config())
    watch.told += told_by(caught.value, frames=False).values()
    watch.seen.errors.clear()
    watch.awaited.errors.clear()
    assert watch.leaks() == {}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_logins_that_fail(
    caller: Caller, hostile: Hostile, service: dict[str, Any], watch: Watch, trouble: str
) -> None:
    runnable, given = runnables(service)["chat"]
    hostile.token = TROUBLES[trouble]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each in its own way
        await caller.invoke(runnable, given, watch.config())
    watch.told += told_by(caught.value).values()
    assert watch.leaks() == {}


async def test_a_tool_s_secret_is_sent_and_not_seen(
    caller: Caller, hostile: Hostile, service: dict[str, Any], watch: Watch
) -> None:
    bodies: list[str] = []

    def call(seen: Any) -> Any:
        bodies.append(echoed(seen))
        return TROUBLES["400 echo"](seen)

    hostile.call, hostile.token = call, granting
    tool, given = runnables(service)["tool"]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # ToolException
        await caller.invoke(tool, given, watch.config())
    assert any("canary-tavily" in body for body in bodies)
    watch.told += told_by(caught.value).values()
    assert watch.leaks() == {}


async def test_tasks_and_generators_show_none(service: dict[str, Any]) -> None:
    runnable, given = runnables(service)["chat"]
    task = asyncio.create_task(runnable.ainvoke(given))
    await asyncio.sleep(0)
    stream = runnable.astream(given)
    first = await anext(stream)
    assert leaks(f"{task!r} {task.get_stack()!r} {stream!r} {first!r} {asyncio.all_tasks()!r}") == []
    await stream.aclose()
    await task


@pytest.mark.parametrize("trouble", ["407", "reset", "hang"])
async def test_fetched_media_show_neither_the_proxy_s_password_nor_a_signature(
    caller: Caller, service: dict[str, Any], watch: Watch, trouble: str
) -> None:
    link = "http://1.1.1.1/cat.png?signature=canary-signature"
    refusal = answer(407, "who are you")
    with Server(lambda seen: refusal if trouble == "407" else TROUBLES[trouble](seen)) as proxy:
        proxies = {"http": f"http://me:canary-proxy@127.0.0.1:{proxy.port}"}
        chat = ChatWatsonx(model_id="m", media_urls="fetch", **{**service, "proxies": proxies})
        picture = HumanMessage([{"type": "image_url", "image_url": {"url": link}}])
        if trouble == "hang":
            task = asyncio.create_task(chat.ainvoke([picture]))
            await asyncio.to_thread(proxy.next)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as left:
                await task
            told = told_by(left.value)
        else:
            with pytest.raises(WatsonxError) as caught:
                await caller.invoke(chat, [picture])
            told = told_by(caught.value)
    assert proxy.seen[0].header("proxy-authorization")
    # The messages are the user's, with the link in them; they are in LangChain's frames, and in the request.
    shown = {name: text for name, text in told.items() if "locals" not in name and name not in ("rich", "1 vars")}
    assert {name: found for name, text in shown.items() if (found := leaks(text))} == {}
    for name in ("traceback with locals", "rich", "0 locals"):
        assert "canary-proxy" not in told[name]
        assert "bWU6Y2FuYXJ5LXByb3h5" not in told[name]


@pytest.mark.parametrize("prefix", [None, "my"])
@pytest.mark.parametrize("name", ["api_key", "token"])
async def test_secrets_chosen_at_run_time_go_no_further(
    caller: Caller, service: dict[str, Any], watch: Watch, name: str, prefix: str | None
) -> None:
    """LangChain puts what is configurable into traces, all texts but "api_key"."""
    settings = {key: value for key, value in service.items() if key != "api_key"}
    model = init_chat_model("watsonx:m", configurable_fields="any", config_prefix=prefix, **settings)
    chosen = {f"{prefix}_{name}" if prefix else name: "canary-chosen", "other": "seen"}
    config = {**watch.config(), "configurable": chosen}
    await caller.invoke(model, "hi", config)
    await caller.stream(model, "hi", config)
    schema = {"title": "T", "type": "object", "properties": {}}
    await caller.invoke(model.with_structured_output(schema, include_raw=True), "hi", config)
    assert watch.leaks() == {}
    assert "seen" in "".join(watch.session.payloads)
    assert chosen["other"] == "seen"
    assert len(chosen) == 2  # what was given stays as it was
