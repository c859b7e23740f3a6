"""Structured predictions: how they are asked for, and what is never taken for a result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, ValidationError

from tests.llamaindex.conformance import Invoice, Recorder
from tests.llamaindex.conformance import recorder as recorder
from tests.llamaindex.conftest import Colour, Script, Service, call, chunk, completion, usage_chunk
from wx_integrations.core.errors import OutputTruncated, UnexpectedResponse

PROMPT = PromptTemplate("Invoice number {number} for the customer 'Ada'.")
WHOLE = '{"number": 42, "customer": "Ada"}'
streamed_too = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def texts(text: str, finish_reason: str | None = "stop", *, streamed: bool) -> Any:
    if not streamed:
        return completion(text, finish_reason=finish_reason)
    halves = [text[: len(text) // 2], text[len(text) // 2 :]]
    return [*(chunk({"content": half}) for half in halves), chunk({}, finish_reason), usage_chunk()]


def calls(arguments: str, finish_reason: str = "tool_calls", *, streamed: bool) -> Any:
    if not streamed:
        return completion(None, tool_calls=[call("c1", "Invoice", arguments)], finish_reason=finish_reason)
    return [
        chunk({"tool_calls": [call("c1", "Invoice", arguments[:9], 0)]}),
        chunk({"tool_calls": [call(None, "", arguments[9:], 0)]}),
        chunk({}, finish_reason),
        usage_chunk(),
    ]


async def predicted(colour: Colour, llm: Any, streamed: bool, **options: Any) -> Any:
    return await colour.last(llm, "structured_predict", Invoice, PROMPT, number=42, streamed=streamed, **options)


# --------------------------------------------------------------------------- how it is asked


@streamed_too
async def test_by_schema_where_the_profile_says_so(streamed: bool, colour: Colour) -> None:
    script = Script(texts(WHOLE, streamed=streamed))
    result = await predicted(colour, script.llm("meta-llama/llama-3-3-70b-instruct"), streamed)
    assert result == Invoice(number=42, customer="Ada")
    [body] = script.requests
    shape = body["response_format"]
    assert shape["type"] == "json_schema"
    assert shape["json_schema"]["name"] == "Invoice"
    assert shape["json_schema"]["schema"]["required"] == ["number", "customer"]
    assert "strict" not in shape["json_schema"]
    assert "tools" not in body


@streamed_too
async def test_by_a_forced_call_otherwise(streamed: bool, colour: Colour) -> None:
    script = Script(calls(WHOLE, streamed=streamed))
    result = await predicted(colour, script.llm("mistralai/mistral-large"), streamed)
    assert result == Invoice(number=42, customer="Ada")
    [body] = script.requests
    assert [tool["function"]["name"] for tool in body["tools"]] == ["Invoice"]
    assert body["tool_choice_option"] == "required"
    assert "response_format" not in body


@pytest.mark.parametrize(
    ("settings", "by_schema"),
    [
        ({"model_id": "mistralai/mistral-large", "structured_output": "json_schema"}, True),
        ({"model_id": "meta-llama/llama-3-3-70b-instruct", "structured_output": "function_calling"}, False),
        (
            {"model_id": "meta-llama/llama-3-3-70b-instruct", "pydantic_program_mode": PydanticProgramMode.FUNCTION},
            False,
        ),
        ({"model_id": "openai/gpt-oss-120b"}, True),
        ({"model_id": "somebody/something-new"}, False),
    ],
    ids=str,
)
@streamed_too
async def test_the_user_decides(settings: dict[str, Any], by_schema: bool, streamed: bool, colour: Colour) -> None:
    script = Script(texts(WHOLE, streamed=streamed) if by_schema else calls(WHOLE, streamed=streamed))
    assert (await predicted(colour, script.llm(**settings), streamed)).customer == "Ada"
    assert ("response_format" in script.requests[0]) is by_schema


@streamed_too
async def test_by_prompt_for_models_that_can_do_neither(streamed: bool, colour: Colour) -> None:
    """The framework writes the schema into the prompt, and reads the text."""
    generated = {"results": [{"generated_text": WHOLE, "stop_reason": "eos_token"}]}
    script = Script([generated] if streamed else generated)
    assert await predicted(colour, script.llm("google/flan-ul2"), streamed) == Invoice(number=42, customer="Ada")
    assert '"customer"' in script.requests[0]["input"]


@streamed_too
async def test_strict_and_further_arguments(streamed: bool, colour: Colour) -> None:
    script = Script(texts(WHOLE, streamed=streamed))
    llm = script.llm("meta-llama/llama-3-3-70b-instruct", strict=True, system_prompt="Be exact.")
    asked = {"temperature": 0.5, "tool_choice": "auto"}
    await predicted(colour, llm, streamed, llm_kwargs=asked)
    [body] = script.requests
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["temperature"] == 0.5
    assert "tool_choice_option" not in body
    assert body["messages"][0] == {"role": "system", "content": "Be exact."}
    assert asked == {"temperature": 0.5, "tool_choice": "auto"}


async def test_nested_classes_are_written_out(colour: Colour) -> None:
    class Order(BaseModel):
        invoices: list[Invoice]

    script = Script(completion('{"invoices": []}'))
    llm = script.llm("meta-llama/llama-3-3-70b-instruct")
    assert await colour.call(llm, "structured_predict", Order, PROMPT, number=1) == Order(invoices=[])
    assert "$ref" not in json.dumps(script.requests[0])


# --------------------------------------------------------------------------- while it arrives


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_partial_objects_grow_into_the_whole_one(method: str, colour: Colour) -> None:
    script = Script((texts if method == "json_schema" else calls)(WHOLE, streamed=True))
    llm = script.llm(structured_output=method)
    objects = await colour.stream(llm, "stream_structured_predict", Invoice, PROMPT, number=42)
    assert objects[-1] == Invoice(number=42, customer="Ada")
    assert isinstance(objects[-1], Invoice)
    assert not isinstance(objects[0], Invoice)
    assert objects[0].customer is None


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_events_of_a_whole_prediction(method: str, colour: Colour, recorder: Recorder) -> None:
    script = Script((texts if method == "json_schema" else calls)(WHOLE, streamed=False))
    result = await predicted(colour, script.llm(structured_output=method), False)
    assert recorder.names("LLM") == [
        "LLMStructuredPredictStartEvent",
        "LLMChatStartEvent",
        "LLMChatEndEvent",
        "LLMStructuredPredictEndEvent",
    ]
    assert recorder.last("LLMStructuredPredictStartEvent").template_args == {"number": 42}
    assert recorder.last("LLMStructuredPredictEndEvent").output == result


async def test_events_of_a_prediction(colour: Colour, recorder: Recorder) -> None:
    script = Script(texts(WHOLE, streamed=True))
    llm = script.llm(structured_output="json_schema")
    objects = await colour.stream(llm, "stream_structured_predict", Invoice, PROMPT, number=42)
    names = recorder.names("LLMStructuredPredict")
    assert names[0] == "LLMStructuredPredictStartEvent"
    assert names.count("LLMStructuredPredictInProgressEvent") == len(objects)
    assert names[-1] == "LLMStructuredPredictEndEvent"


# --------------------------------------------------------------------------- what is no result


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@streamed_too
async def test_truncation_raises(method: str, streamed: bool, colour: Colour) -> None:
    make = texts if method == "json_schema" else calls
    script = Script(make(WHOLE[:-8], "length", streamed=streamed))
    with pytest.raises(OutputTruncated) as caught:
        await predicted(colour, script.llm(structured_output=method), streamed)
    assert caught.value.text == WHOLE[:-8]


@streamed_too
async def test_json_that_only_looks_whole_is_truncated_too(streamed: bool, colour: Colour) -> None:
    script = Script(texts(WHOLE, "length", streamed=streamed))
    with pytest.raises(OutputTruncated, match="Raise max_tokens"):
        await predicted(colour, script.llm(structured_output="json_schema"), streamed)


@streamed_too
async def test_an_answer_that_does_not_fit(streamed: bool, colour: Colour) -> None:
    script = Script(texts('{"number": "many"}', streamed=streamed))
    with pytest.raises(ValidationError):
        await predicted(colour, script.llm(structured_output="json_schema"), streamed)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@streamed_too
async def test_no_answer(method: str, streamed: bool, colour: Colour) -> None:
    script = Script(texts("", streamed=streamed))
    with pytest.raises((UnexpectedResponse, ValueError), match=r"empty|at least one tool call"):
        await predicted(colour, script.llm(structured_output=method), streamed)


async def test_a_refusal_says_so(colour: Colour) -> None:
    script = Script(completion(None, refusal="I will not"))
    with pytest.raises(UnexpectedResponse, match="the model refuses: I will not"):
        await predicted(colour, script.llm(structured_output="json_schema"), False)


async def test_a_blocked_input_says_so(colour: Colour) -> None:
    blocked = completion() | {"choices": [], "system": {"warnings": [{"message": "Unsuitable input detected."}]}}
    with pytest.raises(UnexpectedResponse, match="Unsuitable input detected"):
        await predicted(colour, Script(blocked).llm(structured_output="json_schema"), False)


async def test_a_stream_without_a_frame(colour: Colour) -> None:
    from wx_integrations.llamaindex.structured import Reading

    with pytest.raises(UnexpectedResponse, match="without an answer"):
        Reading(Script().llm(), Invoice, "json_schema").whole()


# --------------------------------------------------------------------------- as a model


@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")  # the framework's own
async def test_a_structured_model_streams(service: Service, colour: Colour) -> None:
    structured = service.llm().as_structured_llm(Invoice)
    message = [ChatMessage(content="Invoice number 42 for the customer 'Ada'.")]
    if colour.name == "sync":
        last = list(structured.stream_chat(message))[-1]
    else:
        last = [response async for response in await structured.astream_chat(message)][-1]
    assert isinstance(last.raw, Invoice)
    assert last.raw.number == 42
