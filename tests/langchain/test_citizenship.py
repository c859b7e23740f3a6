"""A good citizen of LangChain: cache, copies, serialization, configuration, tracing, tokens, profiles."""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import pickle
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField

import wx_integrations.langchain as package
from tests.langchain.chatting import LIMIT, MODEL, PROJECT, URL, Caller, Stage, scripted
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, RateLimited, Unauthorized
from wx_integrations.emulator.faults import Broken, Status
from wx_integrations.langchain import ChatWatsonx, WatsonxWarning, init_chat_model
from wx_integrations.langchain.configurable import ConfigurableChatWatsonx
from wx_integrations.langchain.counting import estimate

OTHER = "meta-llama/llama-3-3-70b-instruct"
BASE: dict[str, Any] = {"model_id": MODEL, "url": URL, "api_key": "very-secret", "project_id": PROJECT}


@pytest.fixture
def cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


# --------------------------------------------------------------------------- cache


@pytest.mark.usefixtures("cache")
async def test_the_cache_answers_the_same_question_once(stage: Stage, caller: Caller) -> None:
    model = stage.model()
    first = await caller.invoke(model, "hello")
    second = await caller.invoke(model, "hello")
    assert first.content == second.content
    assert len(stage.chats()) == 1


DIFFERENT: dict[str, dict[str, Any]] = {
    "model": {"model_id": OTHER},
    "project": {"project_id": "other"},
    "space": {"project_id": None, "space_id": "space"},
    "deployment": {"deployment_id": "mine"},
    "gateway": {"model": MODEL},
    "endpoint": {"url": "https://eu-de.ml.cloud.ibm.com"},
    "temperature": {"temperature": 0.7},
    "params": {"params": {"seed": 7}},
    "limit": {"max_completion_tokens": 7},
    "stop": {"stop": ["x"]},
    "output version": {"output_version": "v1"},
    "reading": {"thinking_tags": False},
}


@pytest.mark.parametrize("difference", DIFFERENT)
def test_two_models_never_share_an_entry(difference: str) -> None:
    stage = Stage()
    one, other = stage.model(), stage.model(**DIFFERENT[difference])
    assert one._get_llm_string() != other._get_llm_string()
    assert one._get_llm_string() == stage.model()._get_llm_string()


@pytest.mark.parametrize(
    "given",
    [
        {"model": OTHER},
        {"temperature": 0.7},
        {"stop": ["x"]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tool_choice": "auto"},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_two_kinds_of_call_never_share_an_entry(given: dict[str, Any]) -> None:
    model = Stage().model()
    assert model._get_llm_string(**given) != model._get_llm_string()


def test_a_copy_with_other_settings_has_a_key_of_its_own() -> None:
    model = Stage().model()
    _ = model._serialized
    changed = model.model_copy(update={"temperature": 0.7})
    assert changed._get_llm_string() != model._get_llm_string()
    assert changed._serialized["kwargs"]["temperature"] == 0.7


def test_no_secret_in_the_key() -> None:
    assert "very-secret" not in ChatWatsonx(**BASE)._get_llm_string()


# --------------------------------------------------------------------------- copies


def test_model_copy_counts(stage: Stage) -> None:
    model = stage.model(temperature=0.1)
    model.model_copy(update={"temperature": 0.9}).invoke("hello")
    assert stage.sent["temperature"] == 0.9
    model.model_copy(update={"model_id": OTHER}).invoke("hello")
    assert stage.sent["model_id"] == OTHER
    model.invoke("hello")
    assert (stage.sent["temperature"], stage.sent["model_id"]) == (0.1, MODEL)
    with pytest.raises(ConfigurationError, match="Did you mean 'temperature'"):
        model.model_copy(update={"temprature": 0.9})
    with pytest.raises(ConfigurationError, match="temperature"):
        model.model_copy(update={"temperature": 9.0})


def test_the_profile_follows_a_copy() -> None:
    model = ChatWatsonx(**BASE)
    assert model.model_copy(update={"model_id": "ibm/unknown"}).profile is None


def test_deepcopy_shares_the_session(stage: Stage) -> None:
    model = stage.model()
    model.invoke("hello")
    copied = copy.deepcopy(model)
    assert copied.session is model.session
    copied.invoke("hello")
    stage.emulator.journal.expect("/identity/token", times=1)
    assert copy.copy(model).model_id == MODEL


def test_pickles_leave_the_secrets_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ChatWatsonx(**BASE, temperature=0.3)
    model.get_num_tokens("")
    data = pickle.dumps(model)
    assert b"very-secret" not in data
    monkeypatch.setenv("WATSONX_API_KEY", "from-the-environment")
    restored = pickle.loads(data)
    assert restored.temperature == 0.3
    assert restored.settled_connection.api_key.get_secret_value() == "from-the-environment"
    assert restored._get_llm_string() == model._get_llm_string()


async def test_a_pickle_without_secrets_says_which_one_is_missing(caller: Caller) -> None:
    restored = pickle.loads(pickle.dumps(ChatWatsonx(**BASE)))
    with pytest.raises(ConfigurationError, match="WATSONX_API_KEY"):
        await caller.invoke(restored, "hello")


def test_pickles_carry_the_secrets_if_asked() -> None:
    data = pickle.dumps(ChatWatsonx(**BASE, pickle_secrets=True))
    assert b"very-secret" in data
    assert pickle.loads(data).api_key.get_secret_value() == "very-secret"


def test_bound_and_structured_models_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_API_KEY", "k")
    bound = ChatWatsonx(**BASE).bind_tools([{"name": "f", "parameters": {"type": "object", "properties": {}}}])
    assert pickle.loads(pickle.dumps(bound)).kwargs == bound.kwargs  # type: ignore[attr-defined]


# --------------------------------------------------------------------------- serialization


def test_json_holds_secrets_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ChatWatsonx(**BASE, temperature=0.3, stop=["x"], timeout=7, max_retries=1, verify=False)
    text = dumps(model)
    assert "very-secret" not in text
    assert json.loads(text)["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["WATSONX_API_KEY"]}
    monkeypatch.setenv("WATSONX_API_KEY", "very-secret")
    loaded = revived(text)
    assert loaded.settled_connection == model.settled_connection
    assert loaded.parameters == model.parameters
    assert loaded._get_llm_string() == model._get_llm_string()
    assert model.lc_secrets["api_key"] == "WATSONX_API_KEY"
    assert model.lc_secrets["token"] == "WATSONX_TOKEN"
    assert ChatWatsonx.get_lc_namespace() == ["wx_integrations", "langchain", "chat_models"]


@pytest.mark.filterwarnings("ignore:.*is in beta")
def revived(text: str) -> ChatWatsonx:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loads is in beta
        loaded = loads(text, allowed_objects=[ChatWatsonx], valid_namespaces=["wx_integrations"], secrets_from_env=True)
    assert isinstance(loaded, ChatWatsonx)
    return loaded


def test_a_connection_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(url=URL, api_key="very-secret", space_id="s", retry_total=2, timeout=9)
    model = ChatWatsonx(model_id=MODEL, connection=connection)
    text = dumps(model)
    assert "very-secret" not in text
    monkeypatch.setenv("WATSONX_API_KEY", "very-secret")
    assert revived(text).settled_connection == connection


def test_proxies_with_credentials_of_a_given_connection_stay_behind() -> None:
    connection = Connection(region="us-south", api_key="k", project_id="p", proxies={"https": "http://u:pass@proxy:1"})
    text = dumps(ChatWatsonx(model_id="m", connection=connection))
    assert "pass@" not in text
    assert "proxy:1" not in text


def test_proxies_with_credentials_stay_behind() -> None:
    model = ChatWatsonx(**BASE, proxies={"https": "http://user:pass@proxy:1"}, headers={"X-Secret": "hidden"})
    text = dumps(model)
    assert "pass" not in text
    assert "hidden" not in text


def test_printing_shows_no_secret() -> None:
    model = ChatWatsonx(**BASE)
    assert "very-secret" not in f"{model!r} {model} {model.asdict()}"


# --------------------------------------------------------------------------- configuration


async def test_configurable_fields(stage: Stage, caller: Caller) -> None:
    model = stage.model(temperature=0.1, params={"top_p": 0.5}).configurable_fields(
        temperature=ConfigurableField(id="heat"),
        model_id=ConfigurableField(id="which"),
        top_p=ConfigurableField(id="p"),
    )
    await caller.invoke(model, "hello")
    assert (stage.sent["temperature"], stage.sent["model_id"], stage.sent["top_p"]) == (0.1, MODEL, 0.5)
    config = {"configurable": {"heat": 0.9, "which": OTHER, "p": 0.7}}
    await caller.invoke(model, "hello", config)
    assert (stage.sent["temperature"], stage.sent["model_id"], stage.sent["top_p"]) == (0.9, OTHER, 0.7)
    stage.emulator.journal.expect("/identity/token", times=1)


def test_a_configured_model_has_its_own_profile() -> None:
    base = ChatWatsonx(**BASE)
    model = base.configurable_fields(model_id=ConfigurableField(id="which"))
    chosen, _ = model.prepare({"configurable": {"which": "ibm/unknown"}})  # type: ignore[attr-defined]
    assert base.profile is not None
    assert chosen.profile is None


def test_an_explicit_profile_stays() -> None:
    model = ChatWatsonx(**BASE, profile={"max_input_tokens": 5})
    assert model.profile == {"max_input_tokens": 5}


async def test_configurable_alternatives(caller: Caller) -> None:
    stage = Stage()
    model = stage.model().configurable_alternatives(
        ConfigurableField(id="llm"), default_key="granite", llama=stage.model(model_id=OTHER)
    )
    await caller.invoke(model, "hello")
    assert stage.sent["model_id"] == MODEL
    await caller.invoke(model, "hello", {"configurable": {"llm": "llama"}})
    assert stage.sent["model_id"] == OTHER


async def test_fallbacks_also_with_tools(caller: Caller) -> None:
    stage = Stage()
    stage.emulator.faults.add(Status(500), path="text/chat", nth=[1])
    tool = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    model = stage.model(max_retries=0).with_fallbacks([stage.model(model_id=OTHER)])
    message = await caller.invoke(model.bind_tools([tool]), "hello")
    assert message.response_metadata["model_name"] == OTHER
    assert [sent["model_id"] for sent in stage.chats()] == [MODEL, OTHER]
    assert all(len(sent["tools"]) == 1 for sent in stage.chats())


async def test_with_retry(caller: Caller) -> None:
    stage = Stage()
    stage.emulator.faults.add(Status(429), path="text/chat", nth=[1])
    model = stage.model(max_retries=0).with_retry(
        retry_if_exception_type=(RateLimited,), wait_exponential_jitter=False, stop_after_attempt=2
    )
    assert (await caller.invoke(model, "hello")).content == "You said: hello"
    assert len(stage.chats()) == 2


async def test_a_rate_limiter_is_asked(stage: Stage, caller: Caller) -> None:
    class Counting(InMemoryRateLimiter):
        asked = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.asked += 1
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            self.asked += 1
            return True

    limiter = Counting(requests_per_second=1)
    model = stage.model(rate_limiter=limiter)
    await caller.invoke(model, "hello")
    await caller.stream(model, "hello")
    assert limiter.asked == 2


async def test_in_a_chain(stage: Stage, caller: Caller) -> None:
    chain = ChatPromptTemplate.from_messages([("human", "hello {name}")]) | stage.model()
    assert (await caller.invoke(chain, {"name": "Ada"})).content == "You said: hello Ada"


# --------------------------------------------------------------------------- tracing


class Tracer(BaseCallbackHandler):
    """Keeps what callbacks are told."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.tokens: list[Any] = []
        self.ends: list[Any] = []
        self.errors: list[BaseException] = []

    def on_chat_model_start(self, serialized: dict[str, Any], messages: Any, **kwargs: Any) -> None:
        self.starts.append({"serialized": serialized, **kwargs})

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.ends.append(response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self.errors.append(error)


async def test_callbacks_are_told_everything(stage: Stage, caller: Caller) -> None:
    tracer = Tracer()
    model = stage.model(temperature=0.1, stop=["x"], params={"seed": 3})
    await caller.invoke(model, "hello", {"callbacks": [tracer]}, temperature=0.5, model=OTHER)
    [start] = tracer.starts
    params = start["invocation_params"]
    assert params["model"] == OTHER
    assert params["model_id"] == OTHER
    assert (params["temperature"], params["seed"], params["stop"]) == (0.5, 3, ["x"])
    assert (params["max_completion_tokens"], params["project_id"], params["url"]) == (LIMIT, PROJECT, URL)
    metadata = start["metadata"]
    assert metadata["ls_provider"] == "ibm"
    assert metadata["ls_model_type"] == "chat"
    assert metadata["ls_model_name"] == OTHER
    assert metadata["ls_temperature"] == 0.5
    assert metadata["ls_max_tokens"] == LIMIT
    assert metadata["ls_stop"] == ["x"]
    assert "key" not in json.dumps(start["serialized"]["kwargs"]["api_key"]).lower().replace("watsonx_api_key", "")


async def test_tokens_are_seen_as_they_come(stage: Stage, caller: Caller) -> None:
    tracer = Tracer()
    await caller.stream(stage.model(), "hello", {"callbacks": [tracer]})
    assert "".join(tracer.tokens) == "You said: hello"
    inside = Tracer()
    await caller.invoke(stage.model(streaming=True), "hello", {"callbacks": [inside]})
    assert "".join(inside.tokens) == "You said: hello"


async def test_usage_is_added_up_by_callbacks(stage: Stage, caller: Caller) -> None:
    with get_usage_metadata_callback() as usage:
        await caller.invoke(stage.model(), "hello")
        await caller.stream(stage.model(), "hello")
    counts = usage.usage_metadata[MODEL]
    assert counts["total_tokens"] == counts["input_tokens"] + counts["output_tokens"] > 0


async def test_errors_reach_callbacks(stage: Stage, caller: Caller) -> None:
    tracer = Tracer()
    stage.emulator.faults.add(Status(429), path="text/chat")
    with pytest.raises(RateLimited):
        await caller.invoke(stage.model(max_retries=0), "hello", {"callbacks": [tracer]})
    assert isinstance(tracer.errors[0], RateLimited)


# --------------------------------------------------------------------------- tokens


async def count(model: ChatWatsonx, text: str, caller: Caller) -> int:
    return model.get_num_tokens(text) if caller.colour == "sync" else await model.aget_num_tokens(text)


async def test_tokens_are_counted_once_per_text(stage: Stage, caller: Caller) -> None:
    model = stage.model()
    first = await count(model, "hello there", caller)
    assert first == await count(model, "hello there", caller) > 0
    entry = stage.emulator.journal.one("text/tokenization")
    assert entry.body == {"model_id": MODEL, "project_id": PROJECT, "input": "hello there"}
    assert await count(model, "", caller) == 0


async def test_messages_and_tools_are_counted_in_one_request(stage: Stage, caller: Caller) -> None:
    model = stage.model()
    tools: list[Any] = [{"name": "f", "parameters": {"type": "object", "properties": {}}}]
    messages = [HumanMessage("hello"), AIMessage("hi")]
    if caller.colour == "sync":
        total = model.get_num_tokens_from_messages(messages, tools)
    else:
        total = await model.aget_num_tokens_from_messages(messages, tools)
    assert total > 4
    sent = stage.emulator.journal.one("text/tokenization").body["input"]
    assert "hello" in sent
    assert '"name": "f"' in sent


@pytest.mark.parametrize("fault", [Broken("refuse"), Status(404), Status(503)])
async def test_counts_are_estimated_when_nobody_can_count(fault: Any, caller: Caller) -> None:
    stage = Stage()
    stage.emulator.faults.add(fault, path="text/tokenization")
    model = stage.model(max_retries=0)
    with pytest.warns(WatsonxWarning, match="estimated"):
        assert await count(model, "hello there", caller) == estimate("hello there")
    assert await count(model, "again", caller) == estimate("again")


@pytest.mark.parametrize("named", [{"deployment_id": "mine"}, {"model": MODEL}])
async def test_deployments_and_the_gateway_have_no_tokenizer(named: dict[str, Any], caller: Caller) -> None:
    stage = Stage()
    with pytest.warns(WatsonxWarning, match="no tokenizer"):
        assert await count(stage.model(**named), "hello there", caller) == 3
    assert len(stage.emulator.journal) == 0


async def test_wrong_credentials_are_not_papered_over(caller: Caller) -> None:
    stage = Stage(options={"api_keys": ["right"]})
    with pytest.raises(Unauthorized):
        await count(stage.model(api_key="wrong"), "hello", caller)


def test_ids_need_a_tokenizer_of_your_own(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match="custom_get_token_ids"):
        stage.model().get_token_ids("hello")
    own = stage.model(custom_get_token_ids=lambda text: [1] * len(text))
    assert own.get_token_ids("abc") == [1, 1, 1]
    assert own.get_num_tokens("abc") == 3
    assert len(stage.emulator.journal) == 0


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("hello there", 3), ("日本語", 3), ("a日", 2)])
def test_estimates(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


# --------------------------------------------------------------------------- profiles


def test_a_known_model_has_a_profile() -> None:
    profile = ChatWatsonx(**BASE).profile
    assert profile is not None
    assert profile["max_input_tokens"] == 131072
    assert profile["tool_calling"] is True
    assert profile["structured_output"] is True
    assert profile["image_url_inputs"] is False


@pytest.mark.parametrize("named", [{"model_id": "ibm/new"}, {"deployment_id": "d"}, {"model": MODEL}])
def test_an_unknown_model_gets_no_invented_values(named: dict[str, Any]) -> None:
    assert Stage().model(**named).profile is None


async def test_a_profile_can_be_refreshed(stage: Stage, caller: Caller) -> None:
    model = stage.model(model_id="emulator/all-senses")
    before = model.profile
    profile = model.refresh_profile() if caller.colour == "sync" else await model.arefresh_profile()
    assert before is None
    assert model.profile == profile
    assert profile["max_input_tokens"] == 131072
    assert profile["max_output_tokens"] == 16384
    assert (profile["image_inputs"], profile["audio_inputs"], profile["video_inputs"]) == (True, True, True)
    assert (profile["name"], profile["status"]) == ("all-senses", "available")
    assert "structured_output" not in profile
    query = stage.emulator.journal.one("foundation_model_specs").query
    assert query["filters"] == "modelid_emulator/all-senses"


async def test_only_listed_models_can_be_refreshed(stage: Stage, caller: Caller) -> None:
    async def refresh(model: ChatWatsonx) -> None:
        model.refresh_profile() if caller.colour == "sync" else await model.arefresh_profile()

    with pytest.raises(ConfigurationError, match="not in the model list"):
        await refresh(stage.model(model_id="ibm/new"))
    with pytest.raises(ConfigurationError, match="only models of the catalogue"):
        await refresh(stage.model(deployment_id="d"))


# --------------------------------------------------------------------------- init_chat_model


def test_a_model_by_name() -> None:
    settings = {name: value for name, value in BASE.items() if name != "model_id"}
    for model in (
        init_chat_model(f"watsonx:{MODEL}", **settings),
        init_chat_model(f"ibm:{MODEL}", **settings),
        init_chat_model(MODEL, model_provider="watsonx", **settings),
        init_chat_model(MODEL, temperature=0, **settings),
    ):
        assert isinstance(model, ChatWatsonx)
        assert model.model_id == MODEL
    assert isinstance(init_chat_model(deployment_id="d", **settings), ChatWatsonx)
    with pytest.raises(ConfigurationError, match="provider 'openai' is not ours"):
        init_chat_model("openai:gpt-5", **settings)


async def test_a_model_chosen_at_run_time(stage: Stage, caller: Caller) -> None:
    settings = stage.settings()
    del settings["model_id"]
    model = init_chat_model(**settings)
    assert isinstance(model, ConfigurableChatWatsonx)
    for name in (f"watsonx:{MODEL}", OTHER):
        await caller.invoke(model, "hello", {"configurable": {"model": name}})
        assert stage.sent["model_id"] == name.removeprefix("watsonx:")
    await caller.stream(model, "hello", {"configurable": {"model": OTHER}})
    with pytest.raises(ConfigurationError, match="no model"):
        await caller.invoke(model, "hello")


async def test_configurable_fields_by_name_and_prefix(stage: Stage, caller: Caller) -> None:
    model = init_chat_model(
        f"watsonx:{MODEL}",
        configurable_fields=("temperature", "model"),
        config_prefix="first",
        **{name: value for name, value in stage.settings().items() if name != "model_id"},
    )
    tool = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    bound = model.bind_tools([tool])
    config = {"configurable": {"first_temperature": 0.5, "first_model": OTHER, "first_seed": 3, "temperature": 0.9}}
    await caller.invoke(bound, "hello", config)
    assert (stage.sent["temperature"], stage.sent["model_id"]) == (0.5, OTHER)
    assert len(stage.sent["tools"]) == 1
    assert "seed" not in stage.sent
    await caller.invoke(model, "hello")
    assert stage.sent["model_id"] == MODEL
    assert "tools" not in stage.sent
    stage.emulator.journal.expect("/identity/token", times=1)


async def test_any_field_and_structured_output(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply('{"a": 1}')
    settings = {name: value for name, value in stage.settings().items() if name != "model_id"}
    model = init_chat_model(MODEL, configurable_fields="any", **settings)
    schema = {"title": "A", "type": "object", "properties": {"a": {"type": "integer"}}}
    structured = model.with_structured_output(schema)
    value = await caller.invoke(structured, "hello", {"configurable": {"seed": 3, "thread_id": "1"}})
    assert value == {"a": 1}
    assert stage.sent["seed"] == 3
    assert model.get_num_tokens("hi") > 0


# --------------------------------------------------------------------------- the package itself


def test_type_hints_resolve() -> None:
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for thing in vars(module).values():
            if getattr(thing, "__module__", None) != info.name or not (callable(thing) or isinstance(thing, type)):
                continue
            typing.get_type_hints(thing)
            if isinstance(thing, type):
                for member in vars(thing).values():
                    if callable(member) and getattr(member, "__module__", None) == info.name:
                        typing.get_type_hints(member)


def test_the_public_names() -> None:
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="Nothing"):
        _ = package.Nothing


def test_without_langchain_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "import wx_integrations.langchain as package\n"
        "try:\n    package.ChatWatsonx\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 'pip install "wx-integrations[langchain]"' in shown


def test_one_model_in_many_event_loops() -> None:
    stage = Stage()
    model = stage.model()
    answers = [asyncio.run(model.ainvoke("hello")).content for _ in range(3)]
    assert answers == ["You said: hello"] * 3
