"""WatsonxToolSpec: what models see, what goes over the wire, what comes back; both colours."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import TextBlock
from llama_index.core.tools import FunctionTool, ToolMetadata

from tests.llamaindex.conftest import Colour
from tests.support.tool_service import BASE, PLATFORM, PROJECT, ToolService, golden
from wx_integrations.core.agent_tools import TEXT_INPUT, AgentTool
from wx_integrations.core.errors import ConfigurationError, NotFound, Unauthorized
from wx_integrations.core.wire.tools import UtilityTool
from wx_integrations.llamaindex.tool_spec import WatsonxFunctionTool, WatsonxToolSpec
from wx_integrations.llamaindex.tools import to_wire


@pytest.fixture
def service() -> ToolService:
    return ToolService()


@pytest.fixture
def spec(service: ToolService) -> WatsonxToolSpec:
    return WatsonxToolSpec(**service.settings())


def one(spec: WatsonxToolSpec, name: str) -> WatsonxFunctionTool:
    (tool,) = spec.to_tool_list([name])
    assert isinstance(tool, WatsonxFunctionTool)
    return tool


async def tools_of(spec: WatsonxToolSpec, colour: Colour, *args: Any) -> list[FunctionTool]:
    return spec.to_tool_list(*args) if colour.name == "sync" else await spec.to_tool_list_async(*args)


# --------------------------------------------------------------------------- the list


async def test_tools_are_listed_when_needed_and_once(
    service: ToolService, spec: WatsonxToolSpec, colour: Colour
) -> None:
    assert not service.requests
    tools = await tools_of(spec, colour)
    assert [tool.metadata.name for tool in tools] == [listed["name"] for listed in service.listed]
    assert all(isinstance(tool, FunctionTool) for tool in tools)
    await tools_of(spec, colour)
    assert service.listings == 1
    assert (service.requests[0].url.host, service.requests[0].url.path) == (PLATFORM, BASE)
    spec.refresh()
    await tools_of(spec, colour)
    assert service.listings == 2


async def test_some_tools(spec: WatsonxToolSpec, colour: Colour) -> None:
    tools = await tools_of(spec, colour, ["Weather", ("GoogleSearch", "ignored")])
    assert [tool.metadata.name for tool in tools] == ["Weather", "GoogleSearch"]
    with pytest.raises(ConfigurationError, match="Did you mean 'GoogleSearch'"):
        await tools_of(spec, colour, ["GogleSearch"])


async def test_another_description(spec: WatsonxToolSpec, colour: Colour) -> None:
    told = {"Weather": ToolMetadata(name="Weather", description="Only for Italy")}
    (weather,) = await tools_of(spec, colour, ["Weather"], told)
    assert weather.metadata.description == "Only for Italy"
    with pytest.raises(ConfigurationError, match="Wether"):
        await tools_of(spec, colour, None, {"Wether": ToolMetadata(name="Wether", description="d")})


def test_unknown_arguments_are_refused(service: ToolService) -> None:
    with pytest.raises(ConfigurationError, match="tool_configs"):
        WatsonxToolSpec(**service.settings(tool_config={}))


async def test_the_end_of_the_service(service: ToolService, spec: WatsonxToolSpec, colour: Colour) -> None:
    service.refuse(410, {"code": 410, "error": "Gone", "message": "gone"})
    with pytest.raises(NotFound, match="watsonx Orchestrate"):
        await tools_of(spec, colour)


# --------------------------------------------------------------------------- what models see


def test_schemas_are_the_services_own(service: ToolService, spec: WatsonxToolSpec) -> None:
    for listed, tool in zip(service.listed, spec.to_tool_list(), strict=True):
        schema = listed.get("input_schema") or TEXT_INPUT
        assert tool.metadata.get_parameters_dict() == schema
        assert json.loads(tool.metadata.fn_schema_str) == schema
        assert tool.metadata.fn_schema is not None
        assert tool.metadata.fn_schema.model_json_schema() == schema
        assert tool.metadata.description == listed.get("agent_description", listed["description"])
        expected = {"name": listed["name"], "description": tool.metadata.description, "parameters": schema}
        assert tool.metadata.to_openai_tool(skip_length_check=True) == {"type": "function", "function": expected}
        assert to_wire([tool])[0].to_wire() == {"type": "function", "function": expected}


def test_schemas_are_handed_out_as_copies(spec: WatsonxToolSpec) -> None:
    weather = one(spec, "Weather")
    weather.metadata.get_parameters_dict()["properties"].clear()
    assert weather.metadata.get_parameters_dict()["properties"]


NAMES = st.sampled_from(["location", "title", "q", "type", "input", "args", "ü"])
LEAVES = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", "boolean"])},
    optional={
        "title": st.text(max_size=5),
        "description": st.text(max_size=5),
        "default": st.text(max_size=2),
        "pattern": st.just("^a+$"),
        "enum": st.lists(st.text(max_size=2), min_size=1, max_size=2),
    },
)


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
        optional={"title": st.text(max_size=3), "required": st.lists(NAMES, max_size=2, unique=True)},
    )


@settings(deadline=None)
@given(schema=objects(st.recursive(LEAVES, objects, max_leaves=4)))
def test_any_schema_survives(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    about = UtilityTool(name="Any", description="Anything", input_schema=schema)
    tool = WatsonxFunctionTool(AgentTool(about, Shout()))
    function = {"name": "Any", "description": "Anything", "parameters": before}
    assert tool.metadata.to_openai_tool() == {"type": "function", "function": function}
    assert to_wire([tool])[0].to_wire() == {"type": "function", "function": function}
    assert schema == before


# --------------------------------------------------------------------------- running


async def test_a_text(service: ToolService, spec: WatsonxToolSpec, colour: Colour) -> None:
    search = one(spec, "GoogleSearch")
    output = await colour.call(search, "call", input="Search IBM")
    assert output.content == golden("run_answer_googlesearch")["output"]
    assert output.blocks == [TextBlock(text=output.content)]
    assert output.raw_output == json.loads(output.content)
    assert (output.tool_name, output.is_error) == ("GoogleSearch", False)
    await colour.call(search, "call", "Search IBM")
    assert service.runs == [{"tool_name": "GoogleSearch", "input": "Search IBM"}] * 2


async def test_a_schema(service: ToolService, spec: WatsonxToolSpec, colour: Colour) -> None:
    output = await colour.call(one(spec, "Weather"), "call", location="naples", country=None)
    assert output.content.startswith("Current weather in naples")
    assert output.raw_output == output.content
    assert service.runs == [{"tool_name": "Weather", "input": {"location": "naples"}}]


async def test_twice_encoded_outputs_and_images(service: ToolService, spec: WatsonxToolSpec, colour: Colour) -> None:
    page = await colour.call(one(spec, "WebCrawler"), "call", url="https://ibm.com")
    assert page.raw_output["contentType"] == "text/html;charset=utf-8"
    assert page.content == golden("run_answer_webcrawler")["output"]
    service.outputs["PythonInterpreter"] = "IMAGE(https://host/plot.png)"
    drawn = await colour.call(one(spec, "PythonInterpreter"), "call", input="plot()")
    assert drawn.content == "IMAGE(https://host/plot.png)"
    assert drawn.raw_output == [{"type": "image", "url": "https://host/plot.png"}]


def test_calling_the_tool_itself(spec: WatsonxToolSpec) -> None:
    assert one(spec, "Weather")(location="naples").content.startswith("Current weather")


async def test_arguments_with_awkward_names(service: ToolService, colour: Colour) -> None:
    names = ["self", "args", "kwargs", "ctx", "input", "fn"]
    service.listed = [
        {
            "name": "Weather",
            "description": "d",
            "input_schema": {"type": "object", "properties": {name: {"type": "string"} for name in names}},
        }
    ]
    tool = one(WatsonxToolSpec(**service.settings()), "Weather")
    arguments = dict.fromkeys(names, "x")
    await (tool.acall(**arguments) if colour.name == "async" else _done(tool.call(**arguments)))
    assert service.runs[0]["input"] == arguments


async def _done(value: Any) -> Any:
    return value


# --------------------------------------------------------------------------- settings


async def test_settings(service: ToolService, colour: Colour) -> None:
    spec = WatsonxToolSpec(**service.settings(tool_configs={"GoogleSearch": {"maxResults": 2}}))
    search = one(spec, "GoogleSearch")
    three = search.with_config({"maxResults": 3})
    await colour.call(search, "call", "a")
    await colour.call(three, "call", "b")
    search.set_tool_config(None)
    await colour.call(search, "call", "c")
    assert [body.get("config") for body in service.runs] == [{"maxResults": 2}, {"maxResults": 3}, None]
    with pytest.raises(ConfigurationError) as caught:
        search.with_config({"maxResults": 50})
    assert caught.value.field == "maxResults"


async def test_project_of_the_connection(service: ToolService, spec: WatsonxToolSpec, colour: Colour) -> None:
    rag = one(spec, "RAGQuery")
    with pytest.raises(ConfigurationError, match="vectorIndexId"):
        await colour.call(rag, "call", "What is a project?")
    assert not service.runs
    await colour.call(rag.with_config({"vectorIndexId": "v"}), "call", "What is a project?")
    assert service.runs[0]["config"] == {"vectorIndexId": "v", "projectId": PROJECT}


# --------------------------------------------------------------------------- failures, copies, other sources


async def test_failures_are_raised_with_readable_words(
    service: ToolService, spec: WatsonxToolSpec, colour: Colour
) -> None:
    search = one(spec, "GoogleSearch")
    service.refuse(401)
    with pytest.raises(Unauthorized, match="Access denied: jwt expired"):
        await colour.call(search, "call", "x")
    with pytest.raises(ConfigurationError, match="Weather input: location: is required"):
        await colour.call(one(spec, "Weather"), "call", city="Naples")


def test_pickles_hold_no_secrets(service: ToolService, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = WatsonxToolSpec(
        url="https://us-south.ml.cloud.ibm.com",
        api_key="very-secret",
        tool_configs={"TavilySearch": {"apiKey": "hush-hush", "maxResults": 3}},
    )
    assert "hush-hush" not in repr(spec)
    data = pickle.dumps(spec)
    about = next(UtilityTool.model_validate(listed) for listed in service.listed if listed["name"] == "TavilySearch")
    tool = WatsonxFunctionTool(AgentTool(about, spec.toolbox.source, {"apiKey": "hush-hush", "maxResults": 3}))
    more = pickle.dumps(tool)
    for secret in (b"very-secret", b"hush-hush"):
        assert secret not in data
        assert secret not in more
    monkeypatch.setenv("WATSONX_API_KEY", "from-env")
    assert pickle.loads(data).tool_configs == {"TavilySearch": {"maxResults": 3}}
    assert pickle.loads(more).metadata.get_parameters_dict() == tool.metadata.get_parameters_dict()


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


async def test_another_source_needs_no_connection(colour: Colour) -> None:
    (shout,) = await tools_of(WatsonxToolSpec(source=Shout()), colour)
    assert (await colour.call(shout, "call", "hello")).content == "HELLO"
