"""Whatever the pure modules of the LangChain room are given, they hold: right values or the package's own errors."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import ValidationError

from tests.fuzz.test_pure_core import JSON
from tests.fuzz.trying import tried
from wx_integrations.core.wire.chat import Completion, Usage
from wx_integrations.langchain import arguments, choices, guardrails, metadata, parameters, schemas
from wx_integrations.langchain.answers import Reading, to_result
from wx_integrations.langchain.messages import linked_media, to_wire

KINDS = (
    *("text", "image", "image_url", "video", "video_url", "audio", "input_audio", "file", "text-plain", "thinking"),
    *("reasoning", "tool_use", "tool_call", "non_standard", "tool_result", "refusal", "server_tool_call", "x"),
)
BLOCKS = st.text(max_size=8) | st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "text": st.text(max_size=8) | JSON,
        "url": st.sampled_from(["data:image/png;base64,AAAA", "https://x.example/a.png", "x", ""]) | JSON,
        "base64": st.sampled_from(["AAAA", "", "!"]) | JSON,
        "mime_type": st.sampled_from(["image/png", "text/plain", "x"]) | JSON,
        "image_url": st.sampled_from(["data:image/png;base64,AAAA", {"url": "data:image/png;base64,AAAA"}]) | JSON,
        "input_audio": st.just({"data": "AAAA", "format": "wav"}) | JSON,
        "source": JSON,
        "value": JSON,
        "id": JSON,
        "name": JSON,
        "args": JSON,
        "extras": JSON,
    },
)
CONTENTS = st.text(max_size=12) | st.lists(BLOCKS, max_size=4)
CALLS = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(max_size=6), "args": st.dictionaries(st.text(max_size=4), JSON, max_size=2)},
        optional={"id": st.text(max_size=6) | st.none()},
    ).map(lambda call: {"id": None, "type": "tool_call", **call}),
    max_size=2,
)


def messages() -> st.SearchStrategy[BaseMessage]:
    return st.one_of(
        CONTENTS.map(HumanMessage),
        CONTENTS.map(SystemMessage),
        st.builds(AIMessage, CONTENTS, tool_calls=CALLS),
        st.builds(ToolMessage, CONTENTS, tool_call_id=st.text(max_size=4)),
    )


@given(st.lists(messages(), min_size=1, max_size=3), st.booleans())
def test_any_messages_go_out_whole_or_are_refused(given_: list[BaseMessage], gateway: bool) -> None:
    sent = tried(lambda: to_wire(given_, gateway=gateway))
    assert all(isinstance(url, str) for url in linked_media(given_))
    if sent is None:
        return
    text = json.dumps([message.to_wire() for message in sent], ensure_ascii=False)
    for message in given_:
        for said in texts(message.content):
            assert json.dumps(said, ensure_ascii=False)[1:-1] in text
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                assert json.dumps(call["id"], ensure_ascii=False) in text


def texts(content: Any) -> list[str]:
    """Return what a user said in so many words."""
    if isinstance(content, str):
        return [content]
    plain = [block for block in content if isinstance(block, str)]
    return plain + [block["text"] for block in content if isinstance(block, dict) and block.get("type") == "text"]


# --------------------------------------------------------------------------- tools, schemas, choices

FUNCTIONS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["function", "object", "custom", "web_search"]) | JSON,
        "name": st.text(max_size=8) | JSON,
        "title": st.text(max_size=8) | JSON,
        "description": st.text(max_size=8) | JSON,
        "parameters": st.dictionaries(st.sampled_from(["type", "properties", "required"]), JSON) | JSON,
        "input_schema": JSON,
        "properties": st.dictionaries(st.text(max_size=4), JSON, max_size=2) | JSON,
        "function": st.dictionaries(st.sampled_from(["name", "parameters", "description", "strict"]), JSON) | JSON,
        "json_schema": JSON,
        "schema": JSON,
        "strict": JSON,
    },
)


@given(FUNCTIONS | JSON)
def test_any_dictionary_is_a_tool_or_refused(tool: Any) -> None:
    made = tried(lambda: schemas.wire_tools([tool]))
    assert made is None or made[0].function.name


@given(FUNCTIONS | JSON, st.sampled_from([None, True, False]))
def test_any_dictionary_is_an_output_schema_or_refused(schema: Any, strict: bool | None) -> None:
    for make in (schemas.function_of, schemas.json_schema_format):
        made = tried(lambda make=make: make(schema, strict=strict))  # type: ignore[misc]
        assert made is None or made.get("name") or made["json_schema"]["name"]
    formatted = tried(lambda: schemas.response_format_of(schema))
    assert formatted is None or "type" in formatted


@given(
    st.dictionaries(
        st.sampled_from(["tool_choice", "tool_choice_option", "parallel_tool_calls", "force_once", "tools"]), JSON
    ),
    st.lists(st.text(min_size=1, max_size=5), max_size=3, unique=True),
)
def test_any_choice_gives_one_field_or_is_refused(given_: dict[str, Any], names: list[str]) -> None:
    chosen = tried(lambda: choices.choice_of(given_, names))
    assert chosen is None or len(chosen) <= 1


@given(st.dictionaries(st.sampled_from([*guardrails.NAMES, "x"]), JSON, max_size=4))
def test_any_guardrails_are_sent_or_refused(given_: dict[str, Any]) -> None:
    sent = tried(lambda: guardrails.moderations_of(given_))
    assert sent is None or isinstance(sent, dict)


@given(st.dictionaries(st.sampled_from([*parameters.NAMES]), JSON, max_size=4), JSON)
def test_any_parameters_are_sent_or_refused(given_: dict[str, Any], params: Any) -> None:
    merged = tried(lambda: parameters.merged(arguments.params_as_dict(params), given_))
    assert tried(lambda: parameters.check(merged or {}, "x")) is None


# --------------------------------------------------------------------------- answers

MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=12) | st.none(),
        "reasoning_content": st.text(max_size=8) | st.none(),
        "refusal": st.text(max_size=8) | st.none(),
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {"function": st.fixed_dictionaries({}, optional={"name": st.text(max_size=4), "arguments": JSON})},
                optional={"id": st.text(max_size=4), "index": st.integers(0, 3)},
            ),
            max_size=2,
        ),
    },
)
COMPLETIONS = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {"index": st.integers(0, 2)},
                optional={
                    "message": MESSAGES,
                    "finish_reason": st.sampled_from(["stop", "length", "error", "x", None]),
                },
            ),
            max_size=2,
        )
    },
    optional={
        "usage": st.dictionaries(st.sampled_from(["prompt_tokens", "total_tokens"]), st.integers()),
        "model_id": st.text(),
    },
)


@given(COMPLETIONS, st.booleans())
def test_any_answer_says_all_that_it_says(data: dict[str, Any], thoughts: bool) -> None:
    completion = Completion.model_validate(data)
    result = tried(lambda: to_result(completion, Reading(thoughts=thoughts)))
    if result is None:
        return
    assert len(result.generations) == len(data["choices"])
    for choice, generation in zip(data["choices"], result.generations, strict=True):
        message = generation.message
        assert isinstance(message, AIMessage)
        said = (choice.get("message") or {}).get("content") or ""
        assert thoughts or message.content == said
        called = [call for call in (choice.get("message") or {}).get("tool_calls", []) if any(_told(call))]
        assert len(message.tool_calls) + len(message.invalid_tool_calls) == len(called)


def _told(call: dict[str, Any]) -> list[Any]:
    arguments = call["function"].get("arguments")
    return [call.get("id"), call["function"].get("name"), arguments if arguments is None else arguments != ""]


@given(
    st.dictionaries(
        st.sampled_from([*Usage.model_fields]), st.integers(-5, 50) | st.dictionaries(st.text(), JSON), max_size=4
    )
)
def test_any_usage_is_counted(data: dict[str, Any]) -> None:
    try:
        usage = Usage.model_validate(data)
    except ValidationError:
        return
    counted = metadata.usage_metadata(usage)
    assert counted is not None
    assert counted["input_tokens"] == usage.prompt_tokens
