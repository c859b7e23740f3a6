"""Structured output: every schema, every method, and the truth about what is not whole."""

from __future__ import annotations

import itertools
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field
from pydantic.v1 import BaseModel as BaseModelV1

from tests.langchain.chatting import MODEL, Caller, Stage, frames, scripted
from wx_integrations.core.errors import ConfigurationError, OutputTruncated
from wx_integrations.emulator.brain import Calling
from wx_integrations.emulator.scripted import calling
from wx_integrations.langchain.structured import default_method

METHODS = ("json_schema", "function_calling", "json_mode", "guided_json")
QUESTION = "Who is it? Ada is 36. Answer as JSON with 'name' and 'age' keys."
ADA = {"name": "Ada", "age": 36}
BODY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class PersonV1(BaseModelV1):
    """A person."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: Annotated[str, ..., "The name"]
    age: int


SCHEMAS: dict[str, Any] = {
    "pydantic": Person,
    "pydantic v1": PersonV1,
    "typed dict": PersonDict,
    "json schema": {"title": "Person", "description": "A person.", **BODY},
    "untitled json schema": BODY,
    "openai name and schema": {"name": "Person", "schema": BODY},
    "openai function": {"name": "Person", "description": "A person.", "parameters": BODY},
    "openai tool": {"type": "function", "function": {"name": "Person", "parameters": BODY}},
    "openai response format": {"type": "json_schema", "json_schema": {"name": "Person", "schema": BODY}},
}
NAMES = {"pydantic v1": "PersonV1", "typed dict": "PersonDict", "untitled json schema": "output"}


def plain(value: Any) -> Any:
    return (
        value.dict()
        if isinstance(value, BaseModelV1)
        else value.model_dump()
        if hasattr(value, "model_dump")
        else value
    )


def script(method: str, *answers: Any) -> Stage:
    """Return a stage that answers with these contents, as the method makes a model answer."""
    stage, brain = scripted()
    for answer in answers:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        if method == "function_calling":
            brain.reply(Calling("Person", text))
        else:
            brain.reply(*text)
    return stage


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", SCHEMAS)
async def test_every_schema_with_every_method(kind: str, method: Any, caller: Caller) -> None:
    schema = SCHEMAS[kind]
    stage, brain = scripted()
    model = stage.model().with_structured_output(schema, method=method)
    name = NAMES.get(kind, "Person")
    for _ in range(2):
        brain.reply(Calling(name, json.dumps(ADA)) if method == "function_calling" else json.dumps(ADA))
    value = await caller.invoke(model, QUESTION)
    assert plain(value) == ADA
    sent_whole(stage, method, name)
    values = await caller.stream(model, QUESTION)
    assert plain(values[-1]) == ADA
    if isinstance(schema, type) and issubclass(schema, BaseModel | BaseModelV1):
        assert len(values) == 1
        assert isinstance(value, schema)
        assert isinstance(values[0], schema)


def sent_whole(stage: Stage, method: str, name: str) -> None:
    """Check what was asked for."""
    sent = stage.sent
    if method == "json_mode":
        assert sent["response_format"] == {"type": "json_object"}
        return
    if method == "json_schema":
        assert sent["response_format"]["type"] == "json_schema"
        inner = sent["response_format"]["json_schema"]
        assert inner["name"] == name
        assert None not in inner.values()
        body = inner["schema"]
    elif method == "guided_json":
        body = sent["guided_json"]
    else:
        assert sent["tool_choice"] == {"type": "function", "function": {"name": name}}
        body = sent["tools"][0]["function"]["parameters"]
    assert body["type"] == "object"
    assert set(body["properties"]) == {"name", "age"}
    assert set(body["required"]) == {"name", "age"}
    assert "$ref" not in json.dumps(sent)


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "guided_json"])
async def test_the_emulator_answers_every_method(method: Any, stage: Stage, caller: Caller) -> None:
    value = await caller.invoke(stage.model().with_structured_output(Person, method=method), QUESTION)
    assert isinstance(value, Person)


def test_the_default_method_is_what_the_profile_says() -> None:
    assert default_method({"structured_output": True}) == "json_schema"
    assert default_method({"tool_calling": True}) == "function_calling"
    assert default_method(None) == "function_calling"


async def test_the_profile_chooses(caller: Caller) -> None:
    stage = Stage()
    await caller.invoke(stage.model(model_id=MODEL).with_structured_output(Person), QUESTION)
    assert stage.sent["response_format"]["type"] == "json_schema"
    await caller.invoke(stage.model(model_id="ibm/granite-3-8b-instruct").with_structured_output(Person), QUESTION)
    assert stage.sent["tool_choice"]["function"]["name"] == "Person"


@pytest.mark.parametrize("kind", ["pydantic", "json schema", "openai name and schema"])
@pytest.mark.parametrize("strict", [True, False, None])
async def test_strict_is_honoured_for_every_kind(kind: str, strict: bool | None, caller: Caller) -> None:
    stage = script("json_schema", ADA)
    model = stage.model().with_structured_output(SCHEMAS[kind], method="json_schema", strict=strict)
    await caller.invoke(model, QUESTION)
    inner = stage.sent["response_format"]["json_schema"]
    assert inner.get("strict") is strict
    assert (inner["schema"].get("additionalProperties") is False) is bool(strict)


def test_strict_within_an_openai_dictionary_counts() -> None:
    stage = script("json_schema", ADA)
    schema = {"name": "Person", "schema": BODY, "strict": True}
    stage.model().with_structured_output(schema, method="json_schema").invoke(QUESTION)
    assert stage.sent["response_format"]["json_schema"]["strict"] is True


def test_nested_schemas_are_written_out() -> None:
    class Team(BaseModel):
        lead: Person
        members: list[Person]

    stage = script("json_schema", {"lead": ADA, "members": []})
    stage.model().with_structured_output(Team, method="json_schema").invoke(QUESTION)
    assert "$ref" not in json.dumps(stage.sent)
    assert "$defs" not in json.dumps(stage.sent)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"schema": None}, "needs a schema"),
        ({"schema": Person, "method": "magic"}, "not known"),
        ({"schema": Person, "method": "json_mode", "strict": True}, "no meaning"),
        ({"schema": Person, "temprature": 1}, "Did you mean 'temperature'"),
    ],
)
def test_nonsense_is_refused_at_once(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Stage().model().with_structured_output(**given)


async def test_json_mode_needs_no_schema(caller: Caller) -> None:
    stage = script("json_mode", [1, 2])
    assert await caller.invoke(stage.model().with_structured_output(method="json_mode"), QUESTION) == [1, 2]


async def test_further_settings_go_along(caller: Caller) -> None:
    stage = script("json_schema", ADA)
    model = stage.model().with_structured_output(Person, method="json_schema", temperature=0.3)
    await caller.invoke(model, QUESTION)
    assert stage.sent["temperature"] == 0.3
    assert "ls_structured_output_format" not in stage.sent


# --------------------------------------------------------------------------- streams


async def test_dictionaries_grow(caller: Caller) -> None:
    for method in ("json_schema", "function_calling"):
        stage = script(method, {"name": "Ada Lovelace", "age": 36})
        model = stage.model().with_structured_output(SCHEMAS["json schema"], method=method)
        values = await caller.stream(model, QUESTION)
        assert values[-1] == {"name": "Ada Lovelace", "age": 36}
        assert len(values) > 2
        for earlier, later in itertools.pairwise(values):
            assert earlier.keys() <= later.keys()


# --------------------------------------------------------------------------- what is not whole


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["pydantic", "json schema"])
async def test_a_cut_answer_is_an_error_never_half_an_object(kind: str, method: Any, caller: Caller) -> None:
    stage, brain = scripted()
    cut = '{"name": "Ada", "age": 3'
    for _ in range(2):
        brain.reply(Calling("Person", cut) if method == "function_calling" else cut, finish="length")
    model = stage.model().with_structured_output(SCHEMAS[kind], method=method)
    with pytest.raises(OutputTruncated) as truncated:
        await caller.invoke(model, QUESTION)
    assert truncated.value.text == cut
    assert "max_completion_tokens" in str(truncated.value)
    with pytest.raises(OutputTruncated):
        await caller.stream(model, QUESTION)


async def test_an_answer_that_fits_but_was_cut_is_still_an_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(json.dumps(ADA), finish="time_limit")
    with pytest.raises(OutputTruncated, match="time_limit"):
        await caller.invoke(stage.model().with_structured_output(Person, method="json_schema"), QUESTION)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "answered nothing"),
        ("I am sorry", "not JSON"),
        ('{"name": "Ada"', "not JSON"),
        ('{"name": "Ada"}', "does not fit Person"),
        ('{"name": "Ada", "age": "old"}', "does not fit Person"),
        ("[1]", "does not fit Person"),
    ],
)
async def test_what_does_not_fit_is_an_error_with_the_text(text: str, reason: str, caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(text)
    with pytest.raises(OutputParserException, match=reason) as refused:
        await caller.invoke(stage.model().with_structured_output(Person, method="json_schema"), QUESTION)
    assert refused.value.llm_output == text


async def test_an_answer_without_the_call_is_an_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("I would call Person.")
    with pytest.raises(OutputParserException, match="without calling Person"):
        await caller.invoke(stage.model().with_structured_output(Person, method="function_calling"), QUESTION)


async def test_broken_arguments_are_an_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(Calling("Person", "{'name': 1}"))
    with pytest.raises(OutputParserException, match="not a JSON object") as refused:
        await caller.invoke(stage.model().with_structured_output(Person, method="function_calling"), QUESTION)
    assert refused.value.llm_output == "{'name': 1}"


async def test_a_refusal_is_an_error(caller: Caller) -> None:
    stage, brain = scripted()
    said = {"role": "assistant", "refusal": "I will not."}
    brain.replay({"id": "1", "model_id": MODEL, "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})
    with pytest.raises(OutputParserException, match="refused: I will not"):
        await caller.invoke(stage.model().with_structured_output(Person, method="json_schema"), QUESTION)


async def test_a_finish_for_calls_that_never_came_is_ignored(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(json.dumps(ADA), finish="tool_calls")
    value = await caller.invoke(stage.model().with_structured_output(Person, method="json_schema"), QUESTION)
    assert value == Person(**ADA)


async def test_a_fenced_block_counts_as_its_content(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(f"```json\n{json.dumps(ADA)}\n```")
    assert await caller.invoke(stage.model().with_structured_output(Person, method="json_mode"), QUESTION)


async def test_thoughts_before_the_json_do_not_matter(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(f"<think>hm</think>{json.dumps(ADA)}")
    value = await caller.invoke(stage.model().with_structured_output(Person, method="json_schema"), QUESTION)
    assert value == Person(**ADA)


# --------------------------------------------------------------------------- raw


@pytest.mark.parametrize("method", METHODS)
async def test_raw_comes_along(method: Any, caller: Caller) -> None:
    stage = script(method, ADA)
    model = stage.model().with_structured_output(Person, method=method, include_raw=True)
    result = await caller.invoke(model, QUESTION)
    assert isinstance(result["raw"], AIMessage)
    assert result["parsed"] == Person(**ADA)
    assert result["parsing_error"] is None


async def test_raw_carries_the_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply('{"name"', finish="length")
    model = stage.model().with_structured_output(Person, method="json_schema", include_raw=True)
    result = await caller.invoke(model, QUESTION)
    assert result["parsed"] is None
    assert isinstance(result["parsing_error"], OutputTruncated)
    assert result["raw"].content == '{"name"'


# --------------------------------------------------------------------------- pydantic's finer points


async def test_values_are_read_as_json_also_by_strict_models(caller: Caller) -> None:
    class Event(BaseModel):
        model_config = ConfigDict(strict=True)
        day: date
        tags: tuple[str, ...]
        kind: Literal["a", "b"]

    value = {"day": "2026-01-02", "tags": ["x"], "kind": "a"}
    for method in ("json_schema", "function_calling"):
        stage, brain = scripted()
        brain.reply(Calling("Event", json.dumps(value)) if method == "function_calling" else json.dumps(value))
        model = stage.model().with_structured_output(Event, method=method)
        assert await caller.invoke(model, QUESTION) == Event(day=date(2026, 1, 2), tags=("x",), kind="a")


async def test_aliases(caller: Caller) -> None:
    class Aliased(BaseModel):
        full_name: str = Field(alias="fullName")

    stage, brain = scripted()
    brain.reply('{"fullName": "Ada"}')
    value = await caller.invoke(stage.model().with_structured_output(Aliased, method="json_schema"), QUESTION)
    assert value.full_name == "Ada"
    assert set(stage.sent["response_format"]["json_schema"]["schema"]["properties"]) == {"fullName"}


async def test_a_recorded_stream_with_finish_tool_calls(caller: Caller) -> None:
    recorded = Path(__file__).parent.parent / "golden" / "tool_streams" / "llama-3-3-70b-json-schema.sse"
    stage, brain = scripted()
    brain.replay(recorded.read_bytes())
    schema = {"title": "Name", "type": "object", "properties": {"name": {"type": "string"}}}
    values = await caller.stream(stage.model().with_structured_output(schema, method="json_schema"), QUESTION)
    assert values[-1] == {"name": "Ada"}


async def test_a_response_format_can_be_a_class(caller: Caller) -> None:
    stage = script("json_schema", ADA, ADA)
    await caller.invoke(stage.model(response_format=Person), QUESTION)
    by_field = stage.sent["response_format"]
    await caller.invoke(stage.model(), QUESTION, response_format=Person)
    assert stage.sent["response_format"] == by_field
    assert by_field["json_schema"]["name"] == "Person"


def test_a_class_as_response_format_survives_json(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Stage().model(response_format=Person, guided_json=Person)
    assert model.response_format["json_schema"]["name"] == "Person"
    assert model.guided_json["properties"].keys() == {"name", "age"}
    assert "not_implemented" not in json.dumps(dumpd(model))


@pytest.mark.parametrize(
    "given",
    [
        {"type": "json_object", "schema": BODY},
        {"type": "json_schema", "json_schema": {"name": "P", "schema": BODY}, "strict": True},
        {"type": "json_schema", "json_schema": {"name": "P", "schema": BODY, "strickt": True}},
        7,
    ],
)
def test_a_response_format_with_more_than_the_api_knows_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="response_format"):
        Stage().model(response_format=given)


def test_names_are_made_fit_for_the_wire() -> None:
    stage, brain = scripted()
    brain.reply(Calling("My_schema_", json.dumps(ADA))).reply(json.dumps(ADA))
    schema = {"title": "My schema!", **BODY}
    for method in ("function_calling", "json_schema"):
        assert stage.model().with_structured_output(schema, method=method).invoke(QUESTION) == ADA
        assert "My_schema_" in json.dumps(stage.sent)


async def test_references_in_guided_json_are_written_out(caller: Caller) -> None:
    stage = script("guided_json", ADA)
    body = {"$defs": {"N": {"type": "string"}}, "type": "object", "properties": {"name": {"$ref": "#/$defs/N"}}}
    await caller.invoke(stage.model(guided_json=body), QUESTION)
    assert stage.sent["guided_json"] == {"type": "object", "properties": {"name": {"type": "string"}}}


async def test_empty_streams_give_nothing_but_an_error(caller: Caller) -> None:
    stage, brain = scripted()
    head = {"id": "1", "model_id": MODEL, "created": 1}
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    brain.replay(frames(json.dumps(end)))
    with pytest.raises(OutputParserException, match="answered nothing"):
        await caller.stream(stage.model().with_structured_output(Person, method="json_schema"), QUESTION)


async def test_calling_another_tool_instead_is_an_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(calling("other", x=1))
    with pytest.raises(OutputParserException, match="only tool calls"):
        await caller.invoke(stage.model().with_structured_output(Person, method="json_schema"), QUESTION)
