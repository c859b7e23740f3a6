"""What users of other watsonx.ai integrations reported about chat, each as a test; named by the public thread."""

from __future__ import annotations

import asyncio
import json
import typing
from pathlib import Path
from typing import Any, TypedDict

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.langchain.chatting import LIMIT, MODEL, PROJECT, URL, Caller, Stage, calls_of, frames, scripted, whole
from wx_integrations.core.errors import (
    ConfigurationError,
    InvalidRequest,
    NotFound,
    OutputTruncated,
    Unauthorized,
)
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Calling
from wx_integrations.emulator.faults import StaleToken
from wx_integrations.emulator.service import Deployed
from wx_integrations.emulator.transport import EmulatorTransport
from wx_integrations.langchain import ChatWatsonx

GOLDEN = Path(__file__).parent.parent / "golden" / "tool_streams"


@tool
def get_current_time(country: str) -> str:
    """Get the time in a country."""
    return f"noon in {country}"


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


JOKE = {"setup": "Knock knock", "punchline": "Who is there?"}


async def test_langchain_ibm_152_no_tool_is_forced_unless_asked(stage: Stage, caller: Caller) -> None:
    message = await caller.invoke(stage.model().bind_tools([get_current_time]), "Hello")
    assert message.tool_calls == []
    assert not {"tool_choice", "tool_choice_option"} & set(stage.sent)


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("kind", ["pydantic", "typed dict", "json schema"])
async def test_langchain_ibm_157_schemas_are_json_on_the_wire(method: Any, kind: str, caller: Caller) -> None:
    class JokeDict(TypedDict):
        """A joke."""

        setup: str
        punchline: str

    schema: Any = {"pydantic": Joke, "typed dict": JokeDict, "json schema": Joke.model_json_schema()}[kind]
    stage, brain = scripted()
    name = "JokeDict" if kind == "typed dict" else "Joke"
    brain.reply(Calling(name, json.dumps(JOKE)) if method == "function_calling" else json.dumps(JOKE))
    assert await caller.invoke(stage.model().with_structured_output(schema, method=method), "joke")
    assert None not in json.loads(json.dumps(stage.sent)).values()


async def test_langchain_ibm_162_list_content_of_tool_messages(stage: Stage, caller: Caller) -> None:
    history = [
        HumanMessage("go"),
        AIMessage("", tool_calls=[{"name": "get_current_time", "args": {}, "id": "c1"}]),
        ToolMessage([{"type": "text", "text": "noon"}], tool_call_id="c1"),
    ]
    await caller.invoke(stage.model(), history)
    assert stage.sent["messages"][-1]["content"] == "noon"


async def test_langchain_ibm_63_parameters_of_text_generation_are_refused(stage: Stage, caller: Caller) -> None:
    for given in ({"max_new_tokens": 20}, {"decoding_method": "greedy"}, {"params": {"max_new_tokens": 20}}):
        with pytest.raises(ConfigurationError, match="belongs to text generation"):
            stage.model(**given)
        with pytest.raises(ConfigurationError, match="belongs to text generation"):
            await caller.invoke(stage.model(), "hello", **given)
    assert stage.chats() == []


async def test_langchain_ibm_26_structured_output_is_never_cut_quietly(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply('{"setup": "Knock', finish="length")
    with pytest.raises(OutputTruncated):
        await caller.invoke(stage.model().with_structured_output(Joke, method="json_schema"), "joke")


async def test_langchain_ibm_24_there_is_no_hidden_limit(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("ok")
    with pytest.warns(UserWarning, match="unspecified_max_token"):
        await caller.invoke(stage.model(max_completion_tokens=None), "hello")
    assert not {"max_tokens", "max_completion_tokens", "max_new_tokens"} & set(stage.sent)


async def test_langchain_ibm_46_response_format_per_call(stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model(), "json please", response_format={"type": "json_object"})
    assert stage.sent["response_format"] == {"type": "json_object"}


async def test_langchain_ibm_45_a_private_instance_names_the_private_url(caller: Caller) -> None:
    stage, brain = scripted()
    brain.refuse(403, "forbidden", "can not call public host with a private instance")
    with pytest.raises(Unauthorized, match=r"private\.<region>"):
        await caller.invoke(stage.model(), "hello")


def test_langchain_ibm_71_an_empty_credential_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"api_key.*WATSONX_API_KEY"):
        ChatWatsonx(model_id=MODEL, url=URL, project_id=PROJECT)
    with pytest.raises(ConfigurationError, match=r"api_key \(WATSONX_API_KEY\) is empty"):
        ChatWatsonx(model_id=MODEL, url=URL, project_id=PROJECT, api_key="")


async def test_langchain_ibm_23_a_whole_endpoint_as_url(stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model(url=f"{URL}/ml/v1/text/chat?version=2023-05-29"), "hello")
    assert stage.emulator.journal.last.path == "/ml/v1/text/chat"


@pytest.mark.parametrize(
    ("arguments", "meaning"),
    [('"{\\"country\\": \\"Italy\\"}"', {"country": "Italy"}), ("{'country': 'Italy'}", None)],
)
async def test_langchain_ibm_117_double_encoded_or_python_arguments(
    arguments: str, meaning: dict[str, Any] | None, caller: Caller
) -> None:
    stage, brain = scripted()
    call = {"id": "c1", "type": "function", "function": {"name": "get_current_time", "arguments": arguments}}
    said = {"role": "assistant", "tool_calls": [call]}
    brain.replay({"id": "1", "model_id": MODEL, "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})
    message = await caller.invoke(stage.model().bind_tools([get_current_time]), "time?")
    assert [call["args"] for call in message.tool_calls] == ([meaning] if meaning else [])
    assert [call["args"] for call in message.invalid_tool_calls] == ([] if meaning else [arguments])


def test_langchain_35170_tools_on_a_model_with_fallbacks(stage: Stage) -> None:
    both = stage.model().with_fallbacks([stage.model(model_id="openai/gpt-oss-120b")])
    both.bind_tools([get_current_time]).invoke("hello")
    assert len(stage.sent["tools"]) == 1
    assert typing.get_type_hints(ChatWatsonx.bind_tools)["tools"]


async def test_langchain_32885_gpt_oss_in_an_agents_loop(caller: Caller) -> None:
    for streaming in (True, False):
        stage, brain = scripted()
        if streaming:
            brain.replay((GOLDEN / "gpt-oss-120b.sse").read_bytes())
        else:
            brain.call("get_current_time", country="Italy")
        brain.reply("Noon.")
        agent = create_agent(stage.model(model_id="openai/gpt-oss-120b", streaming=streaming), [get_current_time])
        result = await caller.invoke(agent, {"messages": [HumanMessage("time?")]})
        assert result["messages"][-1].content == "Noon."
        assert [message["role"] for message in stage.sent["messages"]] == ["user", "assistant", "tool"]
        assert "reasoning" not in json.dumps(stage.sent)


async def test_litellm_9219_an_expired_token_is_renewed(caller: Caller) -> None:
    stage = Stage()
    stage.emulator.faults.add(StaleToken(), path="text/chat", nth=[2])
    model = stage.model()
    for _ in range(2):
        assert (await caller.invoke(model, "hello")).content == "You said: hello"
    stage.emulator.journal.expect("/identity/token", times=2)


def test_litellm_15294_granite_io_184_several_event_loops() -> None:
    model = Stage().model()

    async def both() -> str:
        chunks = [chunk async for chunk in model.astream("hello")]
        return str((await model.ainvoke("hello")).text) + str(whole(chunks).text)

    assert [asyncio.run(both()) for _ in range(3)] == ["You said: helloYou said: hello"] * 3


async def test_litellm_9979_the_exact_keys_of_tool_choice(stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model().bind_tools([get_current_time], tool_choice="required"), "hello")
    assert stage.sent["tool_choice_option"] == "required"
    assert set(stage.sent) == {
        "model_id",
        "project_id",
        "max_completion_tokens",
        "messages",
        "tools",
        "tool_choice_option",
    }


async def test_litellm_11837_10941_deployments_get_no_model_and_no_scope(caller: Caller) -> None:
    stage = Stage(options={"deployments": {"mine": Deployed(MODEL)}})
    for scope in ({}, {"project_id": None, "space_id": "space"}):
        model = stage.model(deployment_id="mine", **scope)
        await caller.invoke(model, "hello")
        await caller.stream(model, "hello")
        assert set(stage.sent) == {"max_completion_tokens", "messages"}


def test_litellm_12904_three_separate_fields() -> None:
    with pytest.raises(ConfigurationError, match="both model_id and deployment_id"):
        Stage().model(model_id=MODEL, deployment_id="d")
    with pytest.raises(ConfigurationError, match="both project_id and space_id"):
        Stage().model(space_id="s")
    model = Stage().model(deployment_id="d", project_id=None, space_id="s")
    assert (model.deployment_id, model.space_id) == ("d", "s")


@pytest.mark.parametrize("where", ["constructor", "call"])
async def test_litellm_16083_reasoning_effort(where: str, stage: Stage, caller: Caller) -> None:
    given = {"reasoning_effort": "low"}
    model = stage.model(model_id="openai/gpt-oss-120b", **(given if where == "constructor" else {}))
    message = await caller.invoke(model, "hello", **(given if where == "call" else {}))
    assert stage.sent["reasoning_effort"] == "low"
    assert message.content_blocks[0]["type"] == "reasoning"


async def test_litellm_7040_a_model_that_cannot_chat_is_explained(stage: Stage, caller: Caller) -> None:
    with pytest.raises((InvalidRequest, NotFound), match="does not offer text_chat; models that do"):
        await caller.invoke(stage.model(model_id="google/flan-ul2"), "hello")


async def test_beeai_403_roles_are_checked_before_sending(stage: Stage, caller: Caller) -> None:
    with pytest.raises(ConfigurationError, match=r"messages\[1\].*role 'critic'"):
        await caller.invoke(stage.model(), [HumanMessage("x"), ChatMessage(content="y", role="critic")])
    assert stage.chats() == []


async def test_beeai_1076_repeated_ids_and_names_are_not_added_up(caller: Caller) -> None:
    def delta(arguments: str) -> str:
        call = {"index": 0, "id": "c1", "function": {"name": "get_current_time", "arguments": arguments}}
        choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
        return json.dumps({"id": "1", "model_id": MODEL, "choices": [choice]})

    end = json.dumps({"id": "1", "model_id": MODEL, "choices": [], "usage": {"prompt_tokens": 1}})
    stage, brain = scripted()
    brain.replay(frames(delta(""), delta('{"country": '), delta('"Italy"}'), end))
    message = whole(await caller.stream(stage.model().bind_tools([get_current_time]), "time?"))
    assert calls_of(message) == [("get_current_time", {"country": "Italy"})]
    assert message.tool_calls[0]["id"] == "c1"


async def test_beeai_1055_a_bounded_second_try(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("Here you are").reply(json.dumps(JOKE))
    structured = stage.model().with_structured_output(Joke, method="json_schema")
    retrying = structured.with_retry(
        retry_if_exception_type=(OutputParserException,), stop_after_attempt=2, wait_exponential_jitter=False
    )
    assert await caller.invoke(retrying, "joke") == Joke(**JOKE)
    assert len(stage.chats()) == 2


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
async def test_beeai_746_every_response_format_has_a_type(method: Any, caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(json.dumps(JOKE))
    await caller.invoke(stage.model().with_structured_output(Joke, method=method), "joke")
    assert stage.sent["response_format"]["type"] in ("json_schema", "json_object")


async def test_beeai_313_a_stream_is_one(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("a", "b", "c")
    chunks = await caller.stream(stage.model(), "hello")
    assert [chunk.text for chunk in chunks if chunk.text] == ["a", "b", "c"]
    assert stage.emulator.journal.last.path == "/ml/v1/text/chat_stream"


def test_beeai_3_tokenization_carries_the_project(stage: Stage) -> None:
    stage.model().get_num_tokens("hello")
    assert stage.emulator.journal.last.body["project_id"] == PROJECT


async def test_langflow_8396_calls_as_text_can_be_recovered(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply('<tool_call>[{"name": "get_current_time", "arguments": {"country": "Italy"}}]')
    message = await caller.invoke(stage.model(recover_tool_calls=True).bind_tools([get_current_time]), "time?")
    assert calls_of(message) == [("get_current_time", {"country": "Italy"})]


async def test_langflow_10857_a_forced_call_is_forced_once(stage: Stage, caller: Caller) -> None:
    bound = stage.model().bind_tools([get_current_time], tool_choice="any", force_once=True)
    question = HumanMessage("time in Italy?")
    asked = await caller.invoke(bound, [question])
    assert stage.sent["tool_choice_option"] == "required"
    results = [ToolMessage("noon", tool_call_id=call["id"]) for call in asked.tool_calls]
    answer = await caller.invoke(bound, [question, asked, *results])
    assert "tool_choice_option" not in stage.sent
    assert answer.tool_calls == []
    await caller.invoke(bound, [question, asked, *results, answer, HumanMessage("and in Spain?")])
    assert stage.sent["tool_choice_option"] == "required"


async def test_langflow_13671_the_gateway_is_asked_only_by_name(stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model(), "hello")
    assert stage.emulator.journal.last.path == "/ml/v1/text/chat"
    with pytest.raises(NotFound, match="model"):
        await caller.invoke(stage.model(model="no-such-model"), "hello")
    assert stage.emulator.journal.last.path == "/ml/gateway/v1/chat/completions"


async def test_langflow_7818_a_model_without_tool_calling_is_explained(caller: Caller) -> None:
    stage, brain = scripted()
    text = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    brain.refuse(400, "invalid_request_entity", text)
    with pytest.raises(InvalidRequest, match="not set up for tool calling"):
        await caller.invoke(stage.model().bind_tools([get_current_time], tool_choice="auto"), "time?")


def test_crewai_2984_unknown_model_ids_are_never_blocked_here() -> None:
    for model_id in ("ibm/granite-99", "watsonx/ibm/granite-4-h-small", "my-own-model"):
        assert Stage().model(model_id=model_id).target.name == model_id


async def test_altk_boost_117_a_retired_model_fails_late_and_names_its_successor(stage: Stage, caller: Caller) -> None:
    model = stage.model(model_id="google/flan-t5-xxl")
    assert len(stage.emulator.journal) == 0
    with pytest.raises(NotFound, match="successor is 'ibm/granite-4-h-small'"):
        await caller.invoke(model, "hello")


async def test_ragas_1548_finish_reasons_evaluators_know(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("a", finish="eos_token").reply("b", finish="max_tokens")
    for expected, raw in (("stop", "eos_token"), ("length", "max_tokens")):
        metadata = (await caller.invoke(stage.model(), "hello")).response_metadata
        assert (metadata["finish_reason"], metadata["finish_reason_raw"]) == (expected, raw)


async def test_openllmetry_3692_usage_and_model_through_callbacks(stage: Stage, caller: Caller) -> None:
    with get_usage_metadata_callback() as usage:
        await caller.invoke(stage.model(), "hello")
    assert usage.usage_metadata[MODEL]["total_tokens"] > 0


async def test_cuga_agent_89_schemas_with_references_are_written_out(caller: Caller) -> None:
    class Pair(BaseModel):
        first: Joke
        second: Joke

    stage, brain = scripted()
    answer = json.dumps({"first": JOKE, "second": JOKE})
    brain.reply(answer).reply(Calling("Pair", answer)).reply(answer)
    for method in ("json_schema", "function_calling", "guided_json"):
        await caller.invoke(stage.model().with_structured_output(Pair, method=method), "two jokes")
        assert "$ref" not in json.dumps(stage.sent)
        assert "$defs" not in json.dumps(stage.sent)


async def test_beeai_1179_a_misspelt_model_gets_a_suggestion(stage: Stage, caller: Caller) -> None:
    with pytest.raises(NotFound, match="Did you mean 'ibm/granite-4-h-small'"):
        await caller.invoke(stage.model(model_id="ibm/granite-4.0-h-small"), "hello")


async def test_langchainjs_11234_a_token_url_of_ones_own(caller: Caller) -> None:
    transport = EmulatorTransport(Emulator())
    model = ChatWatsonx(
        model_id=MODEL,
        url=URL,
        api_key="key",
        project_id=PROJECT,
        max_completion_tokens=LIMIT,
        auth_url="https://iam.test.cloud.ibm.com",
        httpx_client=httpx.Client(transport=transport),
        async_httpx_client=httpx.AsyncClient(transport=transport),
    )
    await caller.invoke(model, "hello")
    assert transport.emulator.journal[0].host == "iam.test.cloud.ibm.com"
