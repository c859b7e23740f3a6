"""Canaries in every credential of the LangChain adapters; nothing that a user prints or stores shows one."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import SecretStr

from tests.support.canaries import CLOUD, CREDENTIALS, PROJECT, leaks, leaks_of, leaks_told_by
from wx_integrations.core.agent_tools import AgentTool
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError
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
from wx_integrations.langchain.configurable import ConfigurableChatWatsonx

ADAPTERS: dict[str, type[Any]] = {
    "chat": ChatWatsonx,
    "llm": WatsonxLLM,
    "embeddings": WatsonxEmbeddings,
    "rerank": WatsonxRerank,
    "toolkit": WatsonxToolkit,
}
TAVILY = {"apiKey": "canary-tavily", "maxResults": 3}
NO_PICKLE = ("pickle", "pickle 0")


def made(name: str, **settings: Any) -> Any:
    own: dict[str, Any] = {"tool_configs": {"TavilySearch": TAVILY}} if name == "toolkit" else {"model_id": "m"}
    return ADAPTERS[name](project_id=PROJECT, **own, **settings)


def weather(city: str) -> str:
    """Tell the weather."""
    return city


# --------------------------------------------------------------------------- at rest


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_shows_none(name: str, kind: str) -> None:
    adapter = made(name, **CREDENTIALS[kind])
    _ = adapter.session
    assert leaks_of(adapter, without=NO_PICKLE if kind == "token_function" else ()) == {}
    given = made(name, connection=Connection(**CREDENTIALS[kind]))
    assert leaks_of(given, without=NO_PICKLE if kind == "token_function" else ()) == {}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_what_langchain_is_told_shows_none(kind: str) -> None:
    """Cache keys, identities and parameters, which caches and tracers keep."""
    for name in ("chat", "llm"):
        model = made(name, **CREDENTIALS[kind])
        told = [model._identifying_params, model._get_ls_params(), model.lc_secrets, model.lc_attributes]
        told += [model._get_llm_string() if name == "chat" else model.asdict(), model._llm_type, model.InputType]
        told += [model.config_specs, model.get_output_jsonschema(), model.configurable_fields]
        assert leaks(repr(told)) == []


def derived(model: ChatWatsonx) -> dict[str, Runnable[Any, Any]]:
    """Return what users make of a model."""
    prompt = ChatPromptTemplate.from_messages([("user", "{q}")])
    return {
        "bound": model.bind(stop=["x"]),
        "with tools": model.bind_tools([weather]),
        "structured": model.with_structured_output({"title": "T", "type": "object", "properties": {}}),
        "configured": model.with_config(tags=["t"]),
        "retrying": model.with_retry(),
        "falling back": model.with_fallbacks([model]),
        "chain": prompt | model | RunnableLambda(str),
    }


@pytest.mark.parametrize("kind", ["api_key", "token_function", "headers", "proxies"])
def test_what_is_made_of_a_model_shows_none(kind: str) -> None:
    for runnable in derived(made("chat", **CREDENTIALS[kind])).values():
        graph = runnable.get_graph()
        shown = f"{runnable!r} {runnable} {vars(runnable)} {graph!r} {graph.to_json(with_schemas=True)}"
        shown += f"{graph.draw_mermaid()} {runnable.get_name()} {runnable.get_input_jsonschema()}"
        shown += f"{dumps(runnable)} {dumpd(runnable)}"
        assert leaks(shown) == []


def test_a_tool_s_settings_are_not_shown() -> None:
    about = UtilityTool(name="TavilySearch", description="d", config_schema={"type": "object"})
    kit = made("toolkit", url=CLOUD, api_key="canary-key")
    tool = WatsonxTool.of(AgentTool(about, kit.toolbox.source, TAVILY))
    for one in (tool, tool.with_tool_config(TAVILY), tool.bound, kit.toolbox):
        assert leaks_of(one, without=("the vars of vars", "asdict")) == {}
    assert tool.tool_config == TAVILY  # for whoever asks
    assert tool.bound.sent_config() == TAVILY
    assert leaks(dumps(tool)) == []
    assert tool.model_dump()["tool_config"] == {"maxResults": 3}


def test_refused_arguments_are_not_shown() -> None:
    for name in ADAPTERS:
        for wrong in ({"api_key": "canary "}, {"nonsense": 1}, {"headers": "canary"}, {"timeout": "x"}, {"url": "x:y"}):
            with pytest.raises(ConfigurationError) as caught:
                made(name, **{"url": CLOUD, "api_key": "canary-key", **wrong})
            assert leaks_told_by(caught.value) == {}


# --------------------------------------------------------------------------- JSON and pickles


@pytest.mark.filterwarnings("ignore:.*is in beta")
@pytest.mark.parametrize("kind", [kind for kind in CREDENTIALS if kind != "token_function"])
@pytest.mark.parametrize("name", ["chat", "llm"])
def test_json_names_the_variables_and_comes_back(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(name, **CREDENTIALS[kind])
    text = dumps(model, pretty=True)
    assert leaks(text + repr(dumpd(model)) + repr(model.lc_secrets) + repr(model.lc_attributes)) == []
    for secret in ("api_key", "token", "password", "zen_api_key"):
        if secret in CREDENTIALS[kind]:
            assert json.loads(text)["kwargs"][secret] == {"lc": 1, "type": "secret", "id": [model.lc_secrets[secret]]}
            monkeypatch.setenv(model.lc_secrets[secret], CREDENTIALS[kind][secret])
    again = load(
        json.loads(text), allowed_objects=[type(model)], valid_namespaces=["wx_integrations"], secrets_from_env=True
    )
    for secret in model.lc_secrets:
        assert getattr(again.settled_connection, secret) == getattr(model.settled_connection, secret)
    if kind not in ("headers", "authorization", "proxies"):  # those stay behind
        assert again.settled_connection == model.settled_connection


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("kind", ["api_key", "token", "password", "zen_api_key", "headers", "proxies"])
def test_pickles_carry_secrets_only_if_asked(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = made(name, **CREDENTIALS[kind])
    _ = adapter.session
    data = pickle.dumps(adapter)
    assert leaks(data.decode("latin-1")) == []
    restored = pickle.loads(data)
    assert leaks_of(restored) == {}
    secret = kind if kind in ("api_key", "token", "password", "zen_api_key") else "token"
    monkeypatch.setenv(f"WATSONX_{secret.upper()}", CREDENTIALS[kind][secret])
    again = pickle.loads(data)
    assert getattr(again.settled_connection, secret) == getattr(adapter.settled_connection, secret)
    shipped = pickle.dumps(made(name, **CREDENTIALS[kind], pickle_secrets=True))
    assert leaks(shipped.decode("latin-1"))
    assert getattr(pickle.loads(shipped).settled_connection, secret) == getattr(adapter.settled_connection, secret)


# --------------------------------------------------------------------------- chosen at run time


def configurable(**settings: Any) -> ConfigurableChatWatsonx:
    given = {"url": CLOUD, "project_id": PROJECT, **settings}
    model = init_chat_model("watsonx:m", configurable_fields="any", **given)
    assert isinstance(model, ConfigurableChatWatsonx)
    return model


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_configurable_model_shows_none(kind: str) -> None:
    model = configurable(**CREDENTIALS[kind])
    _ = model.model({"configurable": {"temperature": 0.5}})
    assert leaks_of(model, without=(*NO_PICKLE, "deepcopy") if kind == "token_function" else NO_PICKLE) == {}
    assert leaks_of(model.bind_tools([weather]), without=(*NO_PICKLE, "deepcopy")) == {}


def test_a_configurable_model_s_refusals_show_none() -> None:
    for wrong in ({"nonsense": 1}, {"timeout": "x"}, {"headers": {"Authorization": "canary\n"}}):
        with pytest.raises(ConfigurationError) as caught:
            init_chat_model("watsonx:m", url=CLOUD, api_key="canary-key", project_id=PROJECT, **wrong)
        assert leaks_told_by(caught.value) == {}
        with pytest.raises(ConfigurationError) as caught:
            configurable(api_key="canary-key", **wrong).model()
        assert leaks_told_by(caught.value) == {}
    with pytest.raises(ConfigurationError) as caught:
        configurable().model({"configurable": {"timeout": "x", "api_key": SecretStr("canary-key")}})
    assert leaks_told_by(caught.value) == {}


@pytest.mark.parametrize("of", [str, SecretStr])
@pytest.mark.parametrize("name", ["api_key", "token"])
def test_each_key_gets_a_model_of_its_own(of: Callable[[str], Any], name: str) -> None:
    """Whoever gives another key must not be served with somebody else's."""
    model = configurable()
    models = [model.model({"configurable": {name: of(f"canary-{number}")}}) for number in (1, 2, 1)]
    secrets = [getattr(one.settled_connection, name).get_secret_value() for one in models]
    assert secrets == ["canary-1", "canary-2", "canary-1"]
    assert models[0] is models[2]


def test_each_header_gets_a_model_of_its_own() -> None:
    model = configurable(api_key="canary-key")
    models = [model.model({"configurable": {"headers": {"X-Api-Key": f"canary-{number}"}}}) for number in (1, 2)]
    assert [one.settled_connection.headers for one in models] == [{"X-Api-Key": "canary-1"}, {"X-Api-Key": "canary-2"}]


def test_a_configurable_model_s_pickle_carries_secrets_only_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = configurable(api_key="canary-key", temperature=0.5)
    _ = model.model()
    data = pickle.dumps(model)
    assert leaks(data.decode("latin-1")) == []
    with pytest.raises(ConfigurationError, match="WATSONX_API_KEY"):
        pickle.loads(data).model()
    monkeypatch.setenv("WATSONX_API_KEY", "canary-there")
    again = pickle.loads(data).model()
    assert (again.temperature, again.api_key) == (0.5, SecretStr("canary-there"))
    shipped = pickle.dumps(configurable(api_key="canary-key", pickle_secrets=True))
    assert pickle.loads(shipped).model().api_key == SecretStr("canary-key")
    for kind in ("headers", "proxies"):
        with pytest.raises(ConfigurationError, match=f"{kind}.*pickle_secrets=True"):
            pickle.dumps(configurable(**CREDENTIALS[kind]))
    assert pickle.loads(pickle.dumps(configurable(api_key="k", headers={"X-Trace": "7"}))).model().headers == {
        "X-Trace": "7"
    }
