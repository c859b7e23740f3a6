"""WatsonxToolkit and WatsonxTool: what models see, what goes over the wire, what comes back; both colours."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import ToolMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import BaseTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool

from tests.langchain.chatting import Caller
from tests.support.tool_service import BASE, PLATFORM, PROJECT, ToolService, golden
from wx_integrations.core.agent_tools import TEXT_INPUT, AgentTool
from wx_integrations.core.errors import ConfigurationError, NotFound, Unauthorized
from wx_integrations.core.wire.tools import UtilityTool
from wx_integrations.langchain.chat_models import ChatWatsonx
from wx_integrations.langchain.schemas import tool_of
from wx_integrations.langchain.tools import WatsonxTool, WatsonxToolkit, convert_to_watsonx_tool


@pytest.fixture
def service() -> ToolService:
    return ToolService()


@pytest.fixture
def toolkit(service: ToolService) -> WatsonxToolkit:
    return WatsonxToolkit(**service.settings())


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": "call-1", "name": name, "args": arguments}


# --------------------------------------------------------------------------- the toolkit


def test_construction_asks_nothing(service: ToolService, toolkit: WatsonxToolkit) -> None:
    assert toolkit.toolbox.scope == {"project_id": PROJECT}
    assert not service.requests


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_tools_are_listed_once(service: ToolService, toolkit: WatsonxToolkit, colour: str) -> None:
    if colour == "sync":
        tools, again, one = toolkit.get_tools(), toolkit.get_tools(), toolkit.get_tool("Weather")
    else:
        tools, again = await toolkit.aget_tools(), await toolkit.aget_tools()
        one = await toolkit.aget_tool("Weather")
    assert [tool.name for tool in tools] == [listed["name"] for listed in service.listed]
    assert all(isinstance(tool, BaseTool) for tool in tools)
    assert again == tools
    assert one in tools
    assert service.listings == 1
    assert (service.requests[0].url.host, service.requests[0].url.path) == (PLATFORM, BASE)
    toolkit.refresh()
    toolkit.get_tools()
    assert service.listings == 2


def test_the_callers_list_is_the_callers(toolkit: WatsonxToolkit) -> None:
    toolkit.get_tools().clear()
    assert toolkit.get_tools()


def test_unknown_tools_are_refused(toolkit: WatsonxToolkit) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'GoogleSearch'"):
        toolkit.get_tool("GogleSearch")
    with pytest.raises(ValueError, match=r"A tool with the given name \(Nothing\) was not found"):
        toolkit.get_tool(tool_name="Nothing")


def test_unknown_arguments_are_refused(service: ToolService) -> None:
    with pytest.raises(ConfigurationError, match="tool_configs"):
        WatsonxToolkit(**service.settings(tool_config={}))


def test_the_end_of_the_service(service: ToolService, toolkit: WatsonxToolkit) -> None:
    service.refuse(404, {"code": 404, "error": "Not Found", "message": "gone"})
    with pytest.raises(NotFound, match="watsonx Orchestrate"):
        toolkit.get_tools()


def test_environment(service: ToolService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_API_KEY", "k")
    monkeypatch.setenv("WATSONX_URL", "https://eu-de.ml.cloud.ibm.com")
    monkeypatch.setenv("WATSONX_SPACE_ID", "s")
    kit = WatsonxToolkit()
    assert kit.settled_connection.hosts.platform == "https://api.eu-de.dataplatform.cloud.ibm.com"
    assert kit.toolbox.scope == {"space_id": "s"}


# --------------------------------------------------------------------------- what models see


def test_schemas_are_the_services_own(toolkit: WatsonxToolkit) -> None:
    crawler = toolkit.get_tool("WebCrawler")
    schema = golden("list")["resources"][1]["input_schema"]
    assert crawler.args == schema["properties"]
    assert crawler.args_schema == schema
    search = toolkit.get_tool("GoogleSearch")
    assert search.args_schema == TEXT_INPUT
    assert search.tool_config_schema == golden("list")["resources"][0]["config_schema"]


def test_models_are_told_the_precise_instruction(toolkit: WatsonxToolkit) -> None:
    python = toolkit.get_tool("PythonInterpreter")
    assert python.description.startswith("Run Python code and return the console output.")
    assert python.agent_description == python.description
    assert toolkit.get_tool("TavilySearch").description == "Search the web."


def test_the_form_of_the_chat_api(toolkit: WatsonxToolkit) -> None:
    weather = toolkit.get_tool("Weather")
    expected = {
        "type": "function",
        "function": {
            "name": "Weather",
            "description": "Find the weather for a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"title": "location", "description": "Name of the location", "type": "string"},
                    "country": {"title": "country", "description": "Name of the state or country", "type": "string"},
                },
                "required": ["location"],
            },
        },
    }
    assert convert_to_watsonx_tool(weather) == expected
    assert tool_of(weather) == expected
    langchains = convert_to_openai_tool(weather)
    assert langchains["function"]["parameters"]["properties"]["country"] == {
        "description": "Name of the state or country",
        "type": "string",
    }


async def test_what_chat_models_send(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}
    sent: list[Any] = []

    def chat(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"id": "x", "model_id": "m", "created": 1, **answer})

    transport = httpx.MockTransport(chat)
    model = ChatWatsonx(
        url="https://us-south.ml.cloud.ibm.com",
        token="t",
        model_id="m",
        project_id=PROJECT,
        httpx_client=httpx.Client(transport=transport),
        async_httpx_client=httpx.AsyncClient(transport=transport),
    )
    await caller.invoke(model.bind_tools(toolkit.get_tools()), "hi")
    told = {tool["function"]["name"]: tool["function"]["parameters"] for tool in sent[0]["tools"]}
    assert told == {
        listed["name"]: listed.get("input_schema") or copy.deepcopy(dict(TEXT_INPUT)) for listed in service.listed
    }


TITLES = st.text(min_size=1, max_size=8)
NAMES = st.sampled_from(["location", "title", "q", "properties", "type", "input", "config", "run_manager", "self", "ü"])


def leaf() -> st.SearchStrategy[dict[str, Any]]:
    notes = st.fixed_dictionaries({}, optional={"title": TITLES, "description": st.text(max_size=12)})
    kinds = st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("string")},
            optional={
                "pattern": st.sampled_from([r"^(https?://)?([\da-z\.-]+)$", "^[A-Z]{3}$"]),
                "default": st.text(max_size=3),
                "maxLength": st.integers(0, 9),
                "format": st.sampled_from(["uri", "date"]),
            },
        ),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["integer", "number"])},
            optional={"minimum": st.integers(-3, 3), "maximum": st.integers(4, 9), "default": st.integers(-3, 9)},
        ),
        st.fixed_dictionaries({"type": st.just("boolean")}, optional={"default": st.booleans()}),
        st.fixed_dictionaries(
            {"enum": st.lists(st.text(max_size=3) | st.integers(), min_size=1, max_size=3, unique=True)},
            optional={"default": st.just({"title": "a value, not a note"})},
        ),
    )
    return st.builds(lambda kind, note: {**kind, **note}, kinds, notes)


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def made(properties: dict[str, Any], needed: bool, more: dict[str, Any]) -> dict[str, Any]:
        required = {"required": sorted(properties)[:1]} if needed and properties else {}
        return {"type": "object", "properties": properties, **required, **more}

    further = st.fixed_dictionaries(
        {}, optional={"additionalProperties": st.just(False), "title": TITLES, "description": st.text(max_size=5)}
    )
    return st.builds(made, st.dictionaries(NAMES, inner, max_size=3), st.booleans(), further)


def arrays(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda item: {"type": "array", "items": item}, inner)


def choices(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda word, forms: {word: forms}, st.sampled_from(["oneOf", "anyOf"]), st.lists(inner, min_size=1, max_size=2)
    )


SCHEMAS = objects(st.recursive(leaf(), lambda inner: objects(inner) | arrays(inner) | choices(inner), max_leaves=5))


@settings(deadline=None)
@given(schema=SCHEMAS)
def test_any_schema_survives(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    about = UtilityTool(name="Any", description="Anything", input_schema=schema)
    tool = WatsonxTool.of(AgentTool(about, NoSource()))
    assert tool.args == before["properties"]
    assert tool.args_schema == before
    expected = {"type": "function", "function": {"name": "Any", "description": "Anything", "parameters": before}}
    assert tool_of(tool) == expected
    assert convert_to_watsonx_tool(tool) == expected
    assert json.loads(json.dumps(tool_of(tool))) == expected
    assert schema == before


class NoSource:
    """A source that is never asked."""

    def tools(self) -> list[UtilityTool]:
        raise AssertionError

    async def atools(self) -> list[UtilityTool]:
        raise AssertionError

    def run(self, name: str, input: Any, config: Any) -> str:
        raise AssertionError

    async def arun(self, name: str, input: Any, config: Any) -> str:
        raise AssertionError


def test_a_schema_without_properties() -> None:
    about = UtilityTool(name="Any", description="Anything", input_schema={"type": "object"})
    assert WatsonxTool.of(AgentTool(about, NoSource())).args == {}


# --------------------------------------------------------------------------- running


async def test_a_text(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    search = toolkit.get_tool("GoogleSearch")
    text = golden("run_answer_googlesearch")["output"]
    assert await caller.invoke(search, {"input": "Search IBM"}) == text
    assert await caller.invoke(search, "Search IBM") == text
    assert service.runs == [{"tool_name": "GoogleSearch", "input": "Search IBM"}] * 2


async def test_run_and_arun(service: ToolService, toolkit: WatsonxToolkit) -> None:
    rag = toolkit.get_tool("RAGQuery")
    rag.set_tool_config({"vectorIndexId": "v"})
    assert rag.run("How?").startswith("Working in projects")
    assert (await rag.arun("How?")).startswith("Working in projects")
    assert (
        service.runs
        == [{"tool_name": "RAGQuery", "input": "How?", "config": {"vectorIndexId": "v", "projectId": PROJECT}}] * 2
    )


async def test_a_tool_call(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    message = await caller.invoke(toolkit.get_tool("Weather"), call("Weather", location="naples", country=None))
    assert isinstance(message, ToolMessage)
    assert message.content == "Current weather in naples, italy:\nTemperature: 26.9°C\n"
    assert message.artifact == message.content
    assert (message.status, message.tool_call_id, message.name) == ("success", "call-1", "Weather")
    assert service.runs == [{"tool_name": "Weather", "input": {"location": "naples"}}]


async def test_decoded_outputs_are_artifacts(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    search = await caller.invoke(toolkit.get_tool("GoogleSearch"), call("GoogleSearch", input="x"))
    assert search.content == golden("run_answer_googlesearch")["output"]
    assert search.artifact == json.loads(search.content)
    page = await caller.invoke(toolkit.get_tool("WebCrawler"), call("WebCrawler", url="https://ibm.com"))
    assert page.content == golden("run_answer_webcrawler")["output"]
    assert page.artifact["contentType"] == "text/html;charset=utf-8"


async def test_images(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    service.outputs["PythonInterpreter"] = "IMAGE(https://host/plot.png)"
    message = await caller.invoke(toolkit.get_tool("PythonInterpreter"), call("PythonInterpreter", input="plot()"))
    assert message.content == "IMAGE(https://host/plot.png)"
    assert message.artifact == [{"type": "image", "url": "https://host/plot.png"}]


async def test_arguments_with_awkward_names(service: ToolService, caller: Caller) -> None:
    names = ["self", "config", "run_manager", "callbacks", "args", "kwargs", "input", "tool_input"]
    service.listed = [
        {
            "name": "Weather",
            "description": "d",
            "input_schema": {"type": "object", "properties": {name: {"type": "string"} for name in names}},
        }
    ]
    tool = WatsonxToolkit(**service.settings()).get_tool("Weather")
    arguments = dict.fromkeys(names, "x")
    await caller.invoke(tool, arguments)
    await caller.invoke(tool, call("Weather", **dict.fromkeys(names, "x")))
    assert [body["input"] for body in service.runs] == [arguments, arguments]


# --------------------------------------------------------------------------- settings


async def test_settings(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    search = toolkit.get_tool("GoogleSearch")
    config = {"maxResults": 3}
    three = search.with_tool_config(config)
    await caller.invoke(three, "a")
    await caller.invoke(search, "b")
    search.set_tool_config({"maxResults": 5})
    await caller.invoke(toolkit.get_tool("GoogleSearch"), "c")
    search.set_tool_config(None)
    await caller.invoke(search, "d")
    config["maxResults"] = 9
    await caller.invoke(three, "e")
    assert [body.get("config") for body in service.runs] == [
        {"maxResults": 3},
        None,
        {"maxResults": 5},
        None,
        {"maxResults": 3},
    ]


def test_wrong_settings_name_the_field(toolkit: WatsonxToolkit) -> None:
    search = toolkit.get_tool("GoogleSearch")
    with pytest.raises(ConfigurationError) as caught:
        search.set_tool_config({"maxResults": 50})
    assert caught.value.field == "maxResults"
    assert search.tool_config is None
    with pytest.raises(ConfigurationError, match="maxResults"):
        search.with_tool_config({"maxresults": 5})


async def test_settings_of_the_toolkit(service: ToolService, caller: Caller) -> None:
    kit = WatsonxToolkit(**service.settings(tool_configs={"GoogleSearch": {"maxResults": 2}}))
    await caller.invoke(kit.get_tool("GoogleSearch"), "x")
    assert service.runs[0]["config"] == {"maxResults": 2}
    with pytest.raises(ConfigurationError, match="GoogleSearch"):
        WatsonxToolkit(**service.settings(tool_configs={"GogleSearch": {}})).get_tools()


async def test_missing_settings_are_the_programs_fault(
    service: ToolService, toolkit: WatsonxToolkit, caller: Caller
) -> None:
    with pytest.raises(ConfigurationError, match="vectorIndexId"):
        await caller.invoke(toolkit.get_tool("RAGQuery"), call("RAGQuery", input="x"))
    assert not service.runs


async def test_space_of_the_connection(service: ToolService, caller: Caller) -> None:
    kit = WatsonxToolkit(**service.settings(project_id=None, space_id="s"))
    await caller.invoke(kit.get_tool("RAGQuery").with_tool_config({"vectorIndexId": "v"}), "x")
    assert service.runs[0]["config"] == {"vectorIndexId": "v", "spaceId": "s"}


async def test_langchains_own_with_config_still_works(toolkit: WatsonxToolkit, caller: Caller) -> None:
    tagged = toolkit.get_tool("GoogleSearch").with_config(tags=["mine"])
    assert await caller.invoke(tagged, "x")


async def test_settings_as_a_configurable_field(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    search = toolkit.get_tool("GoogleSearch").configurable_fields(tool_config=ConfigurableField(id="search"))
    await caller.invoke(search, {"input": "x"}, config={"configurable": {"search": {"maxResults": 7}}})
    assert service.runs[0]["config"] == {"maxResults": 7}


# --------------------------------------------------------------------------- failures


async def test_failures_are_told_to_the_model(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    service.listed and toolkit.get_tools()
    service.refuse(401)
    message = await caller.invoke(toolkit.get_tool("GoogleSearch"), call("GoogleSearch", input="x"))
    assert message.status == "error"
    assert message.content.startswith("GoogleSearch failed: HTTP 401 Unauthorized: Access denied: jwt expired")


async def test_failures_are_raised_to_programs(service: ToolService, toolkit: WatsonxToolkit, caller: Caller) -> None:
    search = toolkit.get_tool("GoogleSearch")
    service.refuse(401)
    with pytest.raises(ToolException, match="jwt expired") as caught:
        await caller.invoke(search, {"input": "x"})
    assert isinstance(caught.value.__cause__, Unauthorized)


async def test_handling_can_be_chosen(service: ToolService, caller: Caller) -> None:
    def handle(error: ToolException) -> str:
        return f"Sorry: {error}"

    for choice, direct, told in (
        (True, "GoogleSearch failed", "GoogleSearch failed"),
        ("Try again.", "Try again.", "Try again."),
        (handle, "Sorry: GoogleSearch failed", "Sorry: GoogleSearch failed"),
    ):
        search = WatsonxToolkit(**service.settings(handle_tool_error=choice)).get_tool("GoogleSearch")
        service.refuse(401)
        assert (await caller.invoke(search, "x")).startswith(direct)
        service.refuse(401)
        assert (await caller.invoke(search, call("GoogleSearch", input="x"))).content.startswith(told)
    never = WatsonxToolkit(**service.settings(handle_tool_error=False)).get_tool("GoogleSearch")
    service.refuse(401)
    with pytest.raises(ToolException):
        await caller.invoke(never, call("GoogleSearch", input="x"))


async def test_wrong_arguments_are_told_to_the_model(
    service: ToolService, toolkit: WatsonxToolkit, caller: Caller
) -> None:
    message = await caller.invoke(toolkit.get_tool("Weather"), call("Weather", city="Naples"))
    assert message.status == "error"
    assert message.content == "Weather input: location: is required"
    assert not service.runs


async def test_a_broken_connection_is_told_to_the_model(toolkit: WatsonxToolkit, caller: Caller) -> None:
    search = toolkit.get_tool("GoogleSearch")

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    transport = httpx.MockTransport(broken)
    other = WatsonxToolkit(
        url="https://us-south.ml.cloud.ibm.com",
        token="t",
        max_retries=0,
        httpx_client=httpx.Client(transport=transport),
        async_httpx_client=httpx.AsyncClient(transport=transport),
    )
    moved = search.model_copy(update={"source": other.toolbox.source})
    message = await caller.invoke(moved, call("GoogleSearch", input="x"))
    assert message.status == "error"
    assert "GoogleSearch failed" in message.content


# --------------------------------------------------------------------------- copies and other sources


def test_pickles_hold_no_secrets(service: ToolService, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = WatsonxToolkit(
        url="https://us-south.ml.cloud.ibm.com",
        api_key="very-secret",
        tool_configs={"TavilySearch": {"apiKey": "hush-hush", "maxResults": 3}},
    )
    data = pickle.dumps(kit)
    assert b"very-secret" not in data
    assert b"hush-hush" not in data
    monkeypatch.setenv("WATSONX_API_KEY", "from-env")
    assert pickle.loads(data).tool_configs == {"TavilySearch": {"maxResults": 3}}
    assert "hush-hush" not in repr(kit)

    about = next(UtilityTool.model_validate(one) for one in service.listed if one["name"] == "TavilySearch")
    tool = WatsonxTool.of(AgentTool(about, kit.toolbox.source, {"apiKey": "hush-hush", "maxResults": 3}))
    data = pickle.dumps(tool)
    assert b"very-secret" not in data
    assert b"hush-hush" not in data
    assert "hush-hush" not in repr(tool)
    revived = pickle.loads(data)
    assert revived.args == tool.args
    assert revived.tool_config == {"maxResults": 3}
    assert copy.deepcopy(tool).tool_config == {"apiKey": "hush-hush", "maxResults": 3}


class Shout:
    """Another backend, without a connection."""

    def tools(self) -> list[UtilityTool]:
        return [UtilityTool(name="Shout", description="Say it louder")]

    async def atools(self) -> list[UtilityTool]:
        return self.tools()

    def run(self, name: str, input: Any, config: Any) -> str:
        return str(input).upper()

    async def arun(self, name: str, input: Any, config: Any) -> str:
        return self.run(name, input, config)


async def test_another_source_needs_no_connection(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATSONX_API_KEY", "WATSONX_APIKEY", "WATSONX_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WATSONX_URL", "https://eu-de.ml.cloud.ibm.com")
    kit = WatsonxToolkit(source=Shout())
    assert [tool.name for tool in await kit.aget_tools()] == ["Shout"]
    assert await caller.invoke(kit.get_tool("Shout"), "hello") == "HELLO"
