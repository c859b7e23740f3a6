"""Canaries in every credential of the LlamaIndex adapters; nobody who prints, stores or watches them sees one."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported there
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import ToolMetadata
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import PrivateAttr

from tests.llamaindex.conftest import Colour
from tests.support.canaries import CLOUD, CREDENTIALS, PROJECT, leaks, leaks_of, leaks_told_by, told_by
from tests.support.echo import TROUBLES, Hostile
from tests.support.server import Server
from wx_integrations.core.agent_tools import AgentTool
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.tools import UtilityTool
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank, WatsonxToolSpec
from wx_integrations.llamaindex.tool_spec import WatsonxFunctionTool

ADAPTERS: dict[str, type[Any]] = {
    "llm": WatsonxLLM,
    "embeddings": WatsonxEmbeddings,
    "rerank": WatsonxRerank,
    "tools": WatsonxToolSpec,
}
TAVILY = {"apiKey": "canary-tavily", "maxResults": 3}
NO_PICKLE = ("pickle", "pickle 0")


def made(name: str, **settings: Any) -> Any:
    own: dict[str, Any] = {"tool_configs": {"TavilySearch": TAVILY}} if name == "tools" else {"model_id": "m"}
    return ADAPTERS[name](project_id=PROJECT, **own, **settings)


def tavily(spec: WatsonxToolSpec) -> WatsonxFunctionTool:
    about = UtilityTool(name="TavilySearch", description="d", config_schema={"type": "object"})
    return WatsonxFunctionTool(AgentTool(about, spec.toolbox.source, TAVILY))


# --------------------------------------------------------------------------- at rest


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_shows_none(name: str, kind: str) -> None:
    for adapter in (made(name, **CREDENTIALS[kind]), made(name, connection=Connection(**CREDENTIALS[kind]))):
        _ = adapter.session
        assert leaks_of(adapter, without=NO_PICKLE if kind == "token_function" else ()) == {}
        if name != "tools":
            assert leaks(f"{adapter.to_dict()} {adapter.to_json()} {adapter.class_name()}") == []
        if hasattr(adapter, "to_payload"):
            assert leaks(repr(adapter.to_payload())) == []
        if name == "llm":
            assert leaks(f"{adapter.metadata!r} {adapter.as_structured_llm(UtilityTool)!r} {adapter.tokenizer!r}") == []


def test_a_tool_s_settings_are_not_shown() -> None:
    tool = tavily(made("tools", url=CLOUD, api_key="canary-key"))
    assert leaks_of(tool, without=("the vars of vars",)) == {}
    assert leaks_of(tool.tool, without=("the vars of vars", "asdict")) == {}
    assert leaks(f"{tool.metadata!r} {tool.metadata.to_openai_tool()}") == []


def test_copies_of_a_tool_keep_its_settings_and_pickles_what_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tavily(made("tools", url=CLOUD, api_key="canary-key"))
    for copied in (copy.copy(tool), copy.deepcopy(tool)):
        assert copied.tool.sent_config() == TAVILY
    told = WatsonxFunctionTool(tool.tool, ToolMetadata(description="another", name="search"))
    monkeypatch.setenv("WATSONX_API_KEY", "canary-there")
    again = pickle.loads(pickle.dumps(told))
    assert (again.metadata.name, again.metadata.description) == ("search", "another")
    assert again.tool.config == {"maxResults": 3}
    assert copy.deepcopy(told).metadata.name == "search"


def test_refused_arguments_are_not_shown() -> None:
    for name in ADAPTERS:
        for wrong in ({"api_key": "canary "}, {"nonsense": 1}, {"headers": "canary"}, {"timeout": "x"}, {"url": "x:y"}):
            with pytest.raises(ConfigurationError) as caught:
                made(name, **{"url": CLOUD, "api_key": "canary-key", **wrong})
            assert leaks_told_by(caught.value) == {}


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("kind", ["api_key", "token", "password", "zen_api_key", "headers", "proxies"])
def test_pickles_carry_secrets_only_if_asked(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = made(name, **CREDENTIALS[kind])
    _ = adapter.session
    data = pickle.dumps(adapter)
    assert leaks(data.decode("latin-1")) == []
    assert leaks_of(pickle.loads(data)) == {}
    secret = kind if kind in ("api_key", "token", "password", "zen_api_key") else "token"
    monkeypatch.setenv(f"WATSONX_{secret.upper()}", CREDENTIALS[kind][secret])
    again = pickle.loads(data)
    assert getattr(again.settled_connection, secret) == getattr(adapter.settled_connection, secret)
    shipped = pickle.dumps(made(name, **CREDENTIALS[kind], pickle_secrets=True))
    assert leaks(shipped.decode("latin-1"))
    assert pickle.loads(shipped).settled_connection.pickle_secrets


# --------------------------------------------------------------------------- watched


class Watch:
    """All that LlamaIndex tells: events, spans, callbacks."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.log = log
        self.kinds: set[str] = set()
        self.told: list[str] = []
        self.errors: list[BaseException] = []

    def note(self, kind: str, *values: Any) -> None:
        self.kinds.add(kind)
        for value in values:
            self.told.append(f"{value!r} {value}")
            self.errors += [value] if isinstance(value, BaseException) else []
            if isinstance(value, dict):
                self.errors += [one for one in value.values() if isinstance(one, BaseException)]

    def leaks(self, *, frames: bool = True) -> dict[str, list[str]]:
        everything = {"told": "\n".join(self.told)}
        everything["log"] = self.log.text + "".join(repr(vars(record)) for record in self.log.records)
        for error in self.errors:
            everything |= {f"error {name}": text for name, text in told_by(error, frames=frames).items()}
        return {name: found for name, text in everything.items() if (found := leaks(text))}


class Events(BaseEventHandler):
    _watch: Watch = PrivateAttr()

    def handle(self, event: BaseEvent, **_: Any) -> None:
        self._watch.note("event", event, event.model_dump(), getattr(event, "exception", None))
        self._watch.note(type(event).__name__, vars(event))


class Spans(BaseSpanHandler[BaseSpan]):
    _watch: Watch = PrivateAttr()

    def new_span(self, *args: Any, **kwargs: Any) -> BaseSpan:
        return self._noted("span", args, kwargs)

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> BaseSpan:
        return self._noted("span end", args, kwargs)

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> BaseSpan:
        return self._noted("span dropped", args, kwargs)

    def _noted(self, kind: str, args: Any, kwargs: dict[str, Any]) -> BaseSpan:
        self._watch.note(kind, *args, kwargs, *kwargs.values())
        return BaseSpan(id_=str(kwargs.get("id_") or args[0]))


class Callbacks(BaseCallbackHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__([], [])
        self.watch = watch

    def on_event_start(self, *args: Any, **kwargs: Any) -> str:
        self.watch.note("callback", *args, kwargs, *kwargs.values())
        return str(kwargs.get("event_id", ""))

    def on_event_end(self, *args: Any, **kwargs: Any) -> None:
        self.watch.note("callback end", *args, kwargs, *kwargs.values())

    def start_trace(self, *args: Any, **kwargs: Any) -> None:
        self.watch.note("trace", *args, kwargs)

    def end_trace(self, *args: Any, **kwargs: Any) -> None:
        self.watch.note("trace end", *args, kwargs)


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Iterator[Watch]:
    caplog.set_level(logging.DEBUG)
    made, root = Watch(caplog), get_dispatcher("root")
    events, spans = Events(), Spans()
    events._watch = spans._watch = made
    before = list(root.event_handlers), list(root.span_handlers)
    root.add_event_handler(events)
    root.add_span_handler(spans)
    yield made
    root.event_handlers, root.span_handlers = before


@pytest.fixture
def hostile() -> Hostile:
    return Hostile()


@pytest.fixture
def service(hostile: Hostile, watch: Watch) -> Iterator[dict[str, Any]]:
    """What every adapter of the service is made with."""
    with Server(hostile) as server:
        login = {"url": server.url, "api_key": "canary-key", "headers": {"X-Api-Key": "canary-header"}}
        manager = CallbackManager([Callbacks(watch)])
        limits = {"max_retries": 0, "timeout": httpx.Timeout(10, read=0.5)}
        yield {**login, **limits, "project_id": PROJECT, "callback_manager": manager}


class Run:
    """Runs each adapter, in one colour."""

    def __init__(self, colour: Colour, service: dict[str, Any]) -> None:
        self.colour = colour
        self.service = service

    async def __call__(self, name: str) -> Any:
        call = self.colour.call
        hi = [ChatMessage(content="hi")]
        if name in ("chat", "complete", "stream"):
            llm = WatsonxLLM(model_id="m", **self.service)
            if name == "stream":
                return await self.colour.stream(llm, "stream_chat", hi)
            return await call(llm, name, hi if name == "chat" else "hi")
        if name == "embeddings":
            return await call(WatsonxEmbeddings(model_id="m", **self.service), "get_text_embedding_batch", ["a"])
        if name == "rerank":
            nodes = [NodeWithScore(node=TextNode(text=text)) for text in "ab"]
            ranker = WatsonxRerank(model_id="m", **self.service)
            return await call(ranker, "postprocess_nodes", nodes, query_str="q")
        settings = {key: value for key, value in self.service.items() if key != "callback_manager"}
        return await call(tavily(WatsonxToolSpec(**settings)), "call", "x")


RUNS = ("chat", "complete", "stream", "embeddings", "rerank", "tool")


@pytest.mark.parametrize("name", RUNS)
async def test_runs_that_go_well(colour: Colour, service: dict[str, Any], watch: Watch, name: str) -> None:
    answer = await Run(colour, service)(name)
    watch.note("answer", answer)
    assert watch.leaks() == {}
    assert {"event", "callback"} <= watch.kinds or name == "tool"
    assert "span" in watch.kinds or name in ("tool", "rerank")


FAILING = [("chat", trouble) for trouble in TROUBLES]
FAILING += [(name, trouble) for name in RUNS[1:] for trouble in ("401 echo", "200 html", "cut")]


@pytest.mark.parametrize(("name", "trouble"), FAILING)
async def test_runs_that_fail(
    colour: Colour, hostile: Hostile, service: dict[str, Any], watch: Watch, name: str, trouble: str
) -> None:
    hostile.call = TROUBLES[trouble]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each in its own way
        await Run(colour, service)(name)
    watch.note("raised", caught.value)
    assert watch.leaks() == {}
    assert "span dropped" in watch.kinds or name in ("tool", "stream", "rerank")


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_logins_that_fail(
    colour: Colour, hostile: Hostile, service: dict[str, Any], watch: Watch, trouble: str
) -> None:
    hostile.token = TROUBLES[trouble]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each in its own way
        await Run(colour, service)("chat")
    watch.note("raised", caught.value)
    assert watch.leaks() == {}


@pytest.mark.parametrize("trouble", ["stream error", "stream cut"])
async def test_streams_that_fail(
    colour: Colour, hostile: Hostile, service: dict[str, Any], watch: Watch, trouble: str
) -> None:
    """What a server streamed is in the frames as it came, so the frames do not count."""
    hostile.call = TROUBLES[trouble]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each in its own way
        await Run(colour, service)("stream")
    watch.note("raised", caught.value)
    assert watch.leaks(frames=False) == {}
