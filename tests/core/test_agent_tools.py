"""Tools for agents: what goes over the wire, what comes back, and what is refused; both colours."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tool_service import BASE, PLATFORM, PROJECT, ToolService, golden
from wx_integrations.core import calls
from wx_integrations.core.agent_tools import (
    TEXT_INPUT,
    AgentTool,
    ServiceTools,
    ToolOutput,
    ToolSource,
    decoded,
    public_config,
)
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, NotFound, Unauthorized, UnexpectedResponse
from wx_integrations.core.session import Session
from wx_integrations.core.toolbox import Toolbox
from wx_integrations.core.wire.tools import UtilityTool, UtilityTools

Run = Callable[[AgentTool, Any], Awaitable[ToolOutput]]


@pytest.fixture
def service() -> ToolService:
    return ToolService()


def source(service: ToolService, **settings: Any) -> ServiceTools:
    return ServiceTools(Session(Connection(**service.settings(**settings))))


def tool(service: ToolService, name: str, **more: Any) -> AgentTool:
    about = next(UtilityTool.model_validate(one) for one in service.listed if one["name"] == name)
    return AgentTool(about, source(service), **more)


async def _sync(tool: AgentTool, arguments: Any) -> ToolOutput:
    return tool.run(arguments)


async def _async(tool: AgentTool, arguments: Any) -> ToolOutput:
    return await tool.arun(arguments)


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    run: Run = request.param
    return run


# --------------------------------------------------------------------------- the samples of the API reference


def test_sample_list(service: ToolService) -> None:
    call = calls.list_tools()
    client = source(service).session.client
    tools = client.run(call)
    request = service.requests[0]
    assert (request.method, request.url.host, request.url.path) == ("GET", PLATFORM, BASE)
    assert not request.url.params
    assert not request.content
    parsed = UtilityTools.model_validate(golden("list"))
    assert parsed.resources == tools.resources[:3]
    assert parsed.resources[1].input_schema == golden("list")["resources"][1]["input_schema"]
    assert parsed.resources[2].input_schema is None


def test_sample_tool(service: ToolService) -> None:
    about = source(service).session.client.run(calls.get_tool("RAGQuery"))
    request = service.requests[0]
    assert (request.method, request.url.host, request.url.path) == ("GET", PLATFORM, f"{BASE}/RAGQuery")
    assert about.config_schema == golden("tool_ragquery")["config_schema"]
    assert "grounded" not in about.description
    assert about.agent_description == golden("tool_ragquery")["agent_description"]


def test_sample_run(service: ToolService) -> None:
    sample = golden("run_request")
    answer = source(service).session.client.run(calls.run_tool(sample["tool_name"], sample["input"], sample["config"]))
    request = service.requests[0]
    assert (request.method, request.url.host, request.url.path) == ("POST", PLATFORM, f"{BASE}/run")
    assert not request.url.params
    assert request.headers["authorization"] == "Bearer t"
    assert service.runs == [sample]
    assert answer.output == golden("run_answer_googlesearch")["output"]


def test_sample_run_by_path(service: ToolService) -> None:
    sample = golden("run_ragquery_request")
    call = calls.run_tool("RAGQuery", sample["input"], sample["config"], named_by="path")
    source(service).session.client.run(call)
    request = service.requests[0]
    assert (request.url.host, request.url.path) == (PLATFORM, f"{BASE}/run/RAGQuery")
    assert service.runs == [sample]


def test_names_are_escaped() -> None:
    assert calls.get_tool("a/b?c").path == f"{BASE}/a%2Fb%3Fc"
    assert calls.run_tool("a/b", "x", named_by="path").path == f"{BASE}/run/a%2Fb"


def test_a_tool_that_still_works_is_not_started_again() -> None:
    assert calls.run_tool("PythonInterpreter", "x").generates


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Weather"):
        calls.run_tool("Weather", {"location": object()})


async def test_sample_of_the_reference_through_a_tool(service: ToolService, run: Run) -> None:
    sample = golden("run_request")
    await run(tool(service, "GoogleSearch").with_config(sample["config"]), sample["input"])
    assert service.runs == [sample]


# --------------------------------------------------------------------------- inputs


async def test_text_tools(service: ToolService, run: Run) -> None:
    search = tool(service, "GoogleSearch")
    assert search.parameters == TEXT_INPUT
    await run(search, "IBM")
    await run(search, {"input": "IBM"})
    assert service.runs == [{"tool_name": "GoogleSearch", "input": "IBM"}] * 2


async def test_schema_tools(service: ToolService, run: Run) -> None:
    weather = tool(service, "Weather")
    assert weather.parameters == weather.about.input_schema
    await run(weather, {"location": "Naples"})
    await run(weather, {"location": "Naples", "country": "Italy"})
    assert [body["input"] for body in service.runs] == [
        {"location": "Naples"},
        {"location": "Naples", "country": "Italy"},
    ]


async def test_unset_optional_arguments_are_not_sent(service: ToolService, run: Run) -> None:
    await run(tool(service, "Weather"), {"location": "Naples", "country": None})
    assert service.runs[0]["input"] == {"location": "Naples"}


async def test_null_is_sent_where_it_is_a_value(service: ToolService, run: Run) -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": {}, "c": {"type": "string"}}}
    about = UtilityTool(name="Weather", description="d", input_schema=schema)
    await run(AgentTool(about, source(service)), {"a": None, "b": None, "c": None})
    assert service.runs[0]["input"] == {"a": None, "b": None}


async def test_a_bare_text_for_the_only_argument(service: ToolService, run: Run) -> None:
    await run(tool(service, "WebCrawler"), "https://ibm.com")
    assert service.runs[0]["input"] == {"url": "https://ibm.com"}
    with pytest.raises(ConfigurationError, match="location, country"):
        await run(tool(service, "Weather"), "Naples")


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("Weather", {}, "location: is required"),
        ("Weather", {"location": 5}, "location: must be string"),
        ("Weather", {"location": None}, "location: must be string"),
        ("GoogleSearch", {"query": "x"}, "input: is required"),
        ("GoogleSearch", {"input": "x", "more": 1}, "more: is not known"),
        ("GoogleSearch", {"input": 5}, "input: must be string"),
    ],
)
async def test_wrong_arguments(service: ToolService, run: Run, name: str, arguments: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await run(tool(service, name), arguments)
    assert words in str(caught.value)
    assert name in str(caught.value)
    assert not service.requests


async def test_patterns_are_left_to_the_service(service: ToolService, run: Run) -> None:
    url = "https://www.ibm.com/" + "a" * 40 + "?q=1&r=2"
    await run(tool(service, "WebCrawler"), {"url": url})
    assert service.runs[0]["input"] == {"url": url}


async def test_arguments_and_settings_are_left_alone(service: ToolService, run: Run) -> None:
    arguments = {"location": "Naples", "country": None}
    config = {"maxResults": 3}
    before = copy.deepcopy((arguments, config))
    await run(tool(service, "Weather"), arguments)
    configured = tool(service, "GoogleSearch").with_config(config)
    config["maxResults"] = 4
    await run(configured, "x")
    config["maxResults"] = 3
    assert (arguments, config) == before
    assert service.runs[1]["config"] == {"maxResults": 3}


def test_schemas_are_handed_out_as_copies(service: ToolService) -> None:
    weather = tool(service, "Weather")
    weather.parameters["properties"].clear()
    assert weather.parameters["properties"]


# --------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("GoogleSearch", {"maxResults": 21}, "maxResults: must be at most 20"),
        ("GoogleSearch", {"maxResults": "3"}, "maxResults: must be integer"),
        ("GoogleSearch", {"maxResult": 3}, "did you mean 'maxResults'?"),
        ("Weather", {"x": 1}, "takes no config"),
        ("RAGQuery", {"projectId": "p"}, "vectorIndexId: is required"),
        ("RAGQuery", {"vectorIndexId": "v", "projectId": "p", "spaceId": "s"}, "only one is allowed"),
    ],
)
def test_wrong_settings(service: ToolService, name: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tool(service, name).with_config(config)
    assert words in str(caught.value)
    assert name in str(caught.value)
    assert not service.requests


def test_the_offending_setting_is_named(service: ToolService) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tool(service, "GoogleSearch").with_config({"maxResults": 0})
    assert caught.value.field == "maxResults"


async def test_missing_settings_are_found_before_sending(service: ToolService, run: Run) -> None:
    with pytest.raises(ConfigurationError, match="vectorIndexId"):
        await run(tool(service, "RAGQuery"), "What is a project?")
    assert not service.requests


@pytest.mark.parametrize(
    ("scope", "config", "sent"),
    [
        ({"project_id": "p"}, {}, {"projectId": "p"}),
        ({"space_id": "s"}, {}, {"spaceId": "s"}),
        ({"project_id": "p"}, {"spaceId": "other"}, {"spaceId": "other"}),
        ({"project_id": "p"}, {"projectId": "other"}, {"projectId": "other"}),
    ],
)
async def test_project_or_space_of_the_connection(
    service: ToolService, run: Run, scope: dict[str, str], config: dict[str, str], sent: dict[str, str]
) -> None:
    rag = tool(service, "RAGQuery", scope=scope).with_config({"vectorIndexId": "v", **config})
    await run(rag, "What is a project?")
    assert service.runs[0] == {
        "tool_name": "RAGQuery",
        "input": "What is a project?",
        "config": {"vectorIndexId": "v", **sent},
    }


async def test_no_scope_where_none_is_asked_for(service: ToolService, run: Run) -> None:
    await run(tool(service, "GoogleSearch", scope={"project_id": "p"}), "x")
    assert "config" not in service.runs[0]


def test_the_newer_ragquery_with_several_indexes(service: ToolService) -> None:
    schema = {
        "type": "object",
        "properties": {
            "vectorIndexId": {"type": "string"},
            "vectorIndexIds": {"type": "array"},
            "projectId": {"type": "string"},
            "spaceId": {"type": "string"},
        },
        "allOf": [
            {"oneOf": [{"required": ["vectorIndexId"]}, {"required": ["vectorIndexIds"]}]},
            {"oneOf": [{"required": ["projectId"]}, {"required": ["spaceId"]}]},
        ],
    }
    rag = AgentTool(
        UtilityTool(name="RAGQuery", description="d", config_schema=schema), source(service), scope={"project_id": "p"}
    )
    assert rag.with_config({"vectorIndexIds": ["a", "b"]}).sent_config() == {
        "vectorIndexIds": ["a", "b"],
        "projectId": "p",
    }
    with pytest.raises(ConfigurationError, match="vectorIndexId or vectorIndexIds is required"):
        rag.sent_config()


def test_secret_settings_stay_out_of_sight(service: ToolService) -> None:
    tavily = tool(service, "TavilySearch").with_config({"apiKey": "hush", "maxResults": 3})
    assert tavily.sent_config() == {"apiKey": "hush", "maxResults": 3}
    assert "hush" not in repr(tavily)
    assert public_config(tavily.config) == {"maxResults": 3}
    box = Toolbox(source(service), {"TavilySearch": {"apiKey": "hush", "maxResults": 3}})
    assert "hush" not in repr(box)
    with pytest.raises(ConfigurationError) as caught:
        tavily.with_config({"apiKey": 12345678})
    assert "12345678" not in str(caught.value)


# --------------------------------------------------------------------------- outputs


async def test_json_within_text(service: ToolService, run: Run) -> None:
    output = await run(tool(service, "GoogleSearch"), "x")
    assert output.text == str(output) == golden("run_answer_googlesearch")["output"]
    assert isinstance(output.data, list)
    assert output.data[0]["url"].startswith("https://www.accuweather.com")
    assert output.artifact is output.data


async def test_json_within_json_within_text(service: ToolService, run: Run) -> None:
    output = await run(tool(service, "WebCrawler"), {"url": "https://www.ibm.com"})
    assert isinstance(output.data, dict)
    assert set(output.data) == {"url", "contentType", "content"}
    assert output.text == golden("run_answer_webcrawler")["output"]


@pytest.mark.parametrize("text", ["20", "", "true", "null", '"quoted"', "[not json", "plain text", "{", '"[1'])
def test_what_is_no_json_object_stays_text(text: str) -> None:
    output = ToolOutput.read(text)
    assert (output.text, output.data, output.artifact) == (text, None, text)


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("IMAGE(https://host/plot.png)", ("https://host/plot.png",)),
        ("IMAGE(https://host/a.png)\nIMAGE(https://host/b.png)\n", ("https://host/a.png", "https://host/b.png")),
        (
            "Result of executing generated Python code is an image:\n\nIMAGE(https://host/plot.png)",
            ("https://host/plot.png",),
        ),
        ("The function IMAGE(x) of a spreadsheet", ()),
        ('[{"text": "IMAGE(x)"}]', ()),
    ],
)
def test_images(text: str, images: tuple[str, ...]) -> None:
    output = ToolOutput.read(text)
    assert output.images == images
    assert output.text == text
    if images:
        assert output.artifact == [{"type": "image", "url": url} for url in images]


JSON_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    data=st.lists(JSON_DATA, max_size=3) | st.dictionaries(st.text(), JSON_DATA, max_size=3), wraps=st.integers(0, 3)
)
def test_data_survives_any_wrapping(data: Any, wraps: int) -> None:
    text = json.dumps(data)
    for _ in range(wraps):
        text = json.dumps(text)
    assert decoded(text) == data


@given(text=st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert ToolOutput.read(text).text == text
    assert ToolOutput.read(text).artifact is not None


def test_deep_nesting_is_text() -> None:
    assert decoded("[" * 100_000) is None


async def test_an_output_that_is_no_text(service: ToolService, run: Run) -> None:
    service.refuse(200, {"output": {"a": 1}})
    with pytest.raises(UnexpectedResponse):
        await run(tool(service, "GoogleSearch"), "x")


# --------------------------------------------------------------------------- refusals


async def test_refusals_of_the_tools_family(service: ToolService, run: Run) -> None:
    service.refuse(401)
    with pytest.raises(Unauthorized) as caught:
        await run(tool(service, "GoogleSearch"), "x")
    assert caught.value.status == 401
    assert "Access denied: jwt expired" in str(caught.value)


@pytest.mark.parametrize("status", [404, 410])
async def test_the_end_of_the_service(service: ToolService, run: Run, status: int) -> None:
    service.refuse(status, {"code": status, "error": "Not Found", "message": "Not found"})
    with pytest.raises(NotFound) as caught:
        await run(tool(service, "GoogleSearch"), "x")
    for words in ("'GoogleSearch'", "announced the end", "watsonx Orchestrate", "MCP", "`source`", "emulator"):
        assert words in str(caught.value)


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_the_end_of_the_list(service: ToolService, colour: str) -> None:
    service.requests.clear()
    service.refusals.append(httpx.Response(404, html="<!DOCTYPE html><html>gone</html>"))
    with pytest.raises(NotFound, match="watsonx Orchestrate") as caught:
        source(service).tools() if colour == "sync" else await source(service).atools()
    assert caught.value.status == 404


# --------------------------------------------------------------------------- the toolbox


def test_nothing_is_listed_before_it_is_needed_and_then_once(service: ToolService) -> None:
    box = Toolbox(source(service))
    assert service.listings == 0
    with_threads = [threading.Thread(target=box.tools) for _ in range(8)]
    for thread in with_threads:
        thread.start()
    for thread in with_threads:
        thread.join()
    assert [tool.name for tool in box.tools()] == [one["name"] for one in service.listed]
    assert service.listings == 1
    box.forget()
    box.tools()
    assert service.listings == 2


async def test_many_tasks_list_once(service: ToolService) -> None:
    box = Toolbox(source(service))
    await asyncio.gather(*(box.atools() for _ in range(8)))
    assert service.listings == 1
    assert box.tools() == await box.atools()
    assert service.listings == 1


def test_the_toolbox_serves_several_loops(service: ToolService) -> None:
    box = Toolbox(source(service))
    first = asyncio.run(box.atools())
    box.forget()
    assert [tool.name for tool in asyncio.run(box.atools())] == [tool.name for tool in first]


def test_a_failed_listing_is_tried_again(service: ToolService) -> None:
    box = Toolbox(source(service))
    service.refuse(401)
    with pytest.raises(Unauthorized):
        box.tools()
    assert box.tools()


def test_settings_by_name(service: ToolService) -> None:
    box = Toolbox(source(service), {"GoogleSearch": {"maxResults": 3}})
    assert [tool.config for tool in box.tools() if tool.config] == [{"maxResults": 3}]
    with pytest.raises(ConfigurationError, match="Did you mean 'GoogleSearch'"):
        Toolbox(source(service), {"GogleSearch": {}}).tools()
    with pytest.raises(ConfigurationError, match="maxResults"):
        Toolbox(source(service), {"GoogleSearch": {"maxResults": 99}}).tools()


def test_pickles_of_toolboxes_have_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(url="https://us-south.ml.cloud.ibm.com", api_key="very-secret", project_id=PROJECT)
    box = Toolbox(ServiceTools(Session(connection)), {"TavilySearch": {"apiKey": "hush", "maxResults": 3}})
    data = pickle.dumps(box)
    assert b"very-secret" not in data
    assert b"hush" not in data
    monkeypatch.setenv("WATSONX_API_KEY", "from-env")
    assert pickle.loads(data).configs == {"TavilySearch": {"maxResults": 3}}


class Shout:
    """Another source of tools."""

    def tools(self) -> list[UtilityTool]:
        return [UtilityTool(name="Shout", description="Say it louder")]

    async def atools(self) -> list[UtilityTool]:
        return self.tools()

    def run(self, name: str, input: Any, config: Any) -> str:
        return str(input).upper()

    async def arun(self, name: str, input: Any, config: Any) -> str:
        return self.run(name, input, config)


async def test_another_source(run: Run) -> None:
    other: ToolSource = Shout()
    (shout,) = Toolbox(other).tools()
    assert (await run(shout, "hello")).text == "HELLO"
    assert isinstance(other, ToolSource)
