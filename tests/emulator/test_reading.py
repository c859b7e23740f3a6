"""Reading prompts without weights: tokens, names, numbers, tools, answers from a context."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator.lab import ADD, MULTIPLY, STRING, WEATHER, Lab, data_of, error_of, tool
from wx_integrations.emulator.reading import answer_from
from wx_integrations.emulator.words import Prompt, stem, tokenize, words

SEARCH = tool("search", "Search the web for facts.", query=STRING)
AUTO = {"tool_choice_option": "auto"}
REQUIRED = {"tool_choice_option": "required"}


@given(st.text())
def test_tokens_are_the_text_again(text: str) -> None:
    assert "".join(tokenize(text)) == text


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    prompt = Prompt(text)
    assert isinstance([prompt.stems, prompt.numbers, prompt.texts, prompt.expression, prompt.joined_names()], list)


def test_words_and_stems() -> None:
    assert words("getWeather_for my-city 3x") == ["get", "weather", "for", "my", "city", "3x"]
    assert stem("adder") == stem("adding") == stem("adds") == stem("Add")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What is the weather in San Francisco, CA?", ["San Francisco, CA"]),
        ("Tell me about the Bank of England", ["Bank of England"]),
        ("Erick is 27", ["Erick"]),
        ("Using the tool, generate a Pirate greeting.", ["Pirate"]),
        ("HELLO", []),
        ("I am here", []),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert Prompt(text).names == names


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("weather in Paris and London", ["Paris", "London"]),
        ("weather in Paris, Rome and London", ["Paris", "Rome", "London"]),
        ("weather in Paris and in London", ["Paris", "London"]),
        ("weather in San Francisco, CA", []),
        ("Ann met Bob", []),
        ("compare 'red wine' and 'white wine'", ["red wine", "white wine"]),
    ],
)
def test_lists(text: str, listed: list[str]) -> None:
    assert Prompt(text).joined_names() == listed


# --------------------------------------------------------------------------- tools


@pytest.mark.parametrize(
    ("prompt", "calls"),
    [
        ("What is the weather in Rome?", [("get_weather", {"city": "Rome"})]),
        (
            "What is the weather in Paris and London?",
            [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "London"})],
        ),
        ("What is 3 + 4", [("add", {"a": 3, "b": 4})]),
        ("What is 6 times 7?", [("multiply", {"a": 6, "b": 7})]),
        ("Multiply 3 by 4 and add 5 and 6", [("multiply", {"a": 3, "b": 4}), ("add", {"a": 5, "b": 6})]),
        ("Add 3 and 4, then multiply the result by 2", [("add", {"a": 3, "b": 4})]),
        ("Please call multiply(8, 9)", [("multiply", {"a": 8, "b": 9})]),
        ("Who was Alan Turing?", [("search", {"query": "Who was Alan Turing?"})]),
        ("Tell me a joke", []),
        ("Hello!", []),
        ("Thanks, that was great", []),
    ],
)
def test_auto_calls_what_the_prompt_asks_for(prompt: str, calls: list[Any]) -> None:
    assert Lab().calls(prompt, [WEATHER, ADD, MULTIPLY, SEARCH], **AUTO) == calls
    assert Lab().calls(prompt, [WEATHER, ADD, MULTIPLY, SEARCH]) == calls


def test_none_required_and_forced() -> None:
    lab = Lab()
    assert lab.calls("weather in Rome", [WEATHER, ADD], tool_choice_option="none") == []
    assert lab.calls("Hello!", [ADD, WEATHER], **REQUIRED) == [("add", {"a": 0, "b": 0})]
    forced = {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
    assert lab.calls("Hello!", [ADD, WEATHER], **forced) == [("get_weather", {"city": "city: Hello!"})]


def test_tools_without_arguments() -> None:
    bare = {"type": "function", "function": {"name": "now", "description": "Tell the time."}}
    assert Lab().calls("What time is it now?", [bare]) == [("now", {})]
    assert Lab().calls("call now()", [tool("now", "Tell the time.")]) == [("now", {})]


def after(prompt: str, *rounds: tuple[str, dict[str, Any], str]) -> list[dict[str, Any]]:
    """Return a conversation in which tools were called and answered."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    for number, (name, arguments, result) in enumerate(rounds):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"id": f"call{number}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call{number}", "content": result})
    return messages


def test_after_a_result_it_answers_with_the_result() -> None:
    messages = after("What is the weather in Rome?", ("get_weather", {"city": "Rome"}, "Sunny, 21 degrees"))
    message = Lab().message(messages, tools=[WEATHER, ADD])
    assert message == {"role": "assistant", "content": "get_weather says: Sunny, 21 degrees"}


def test_one_tool_after_another_with_the_result_of_the_first() -> None:
    tools = [SEARCH, MULTIPLY]
    prompt = "Search for the population of Rome, then multiply the result by 2"
    assert Lab().calls(prompt, tools) == [("search", {"query": prompt})]
    first = ("search", {"query": prompt}, "Rome has 2800000 people")
    assert Lab().calls(after(prompt, first), tools) == [("multiply", {"a": 2800000, "b": 2})]
    second = ("multiply", {"a": 2800000, "b": 2}, "5600000")
    assert "5600000" in Lab().message(after(prompt, first, second), tools=tools)["content"]


@pytest.mark.parametrize(
    "choice", [AUTO, REQUIRED, {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}]
)
def test_the_same_call_is_never_made_twice(choice: dict[str, Any]) -> None:
    messages = after("weather in Rome", ("get_weather", {"city": "Rome"}, "Error: try again"))
    assert Lab().message(messages, tools=[WEATHER], **choice)["content"] == "get_weather says: Error: try again"


def test_a_new_question_may_call_again() -> None:
    messages = [
        *after("weather in Rome", ("get_weather", {"city": "Rome"}, "Sunny")),
        {"role": "user", "content": "weather in Rome"},
    ]
    assert Lab().calls(messages, [WEATHER]) == [("get_weather", {"city": "Rome"})]


def test_required_ends_with_the_tool_that_was_not_called_yet() -> None:
    report = tool("Report", "A weather report.", city=STRING, degrees={"type": "number"})
    tools = [WEATHER, report]
    ask = "What is the weather in Oslo?"
    assert Lab().calls(ask, tools, **REQUIRED) == [("get_weather", {"city": "Oslo"})]
    messages = after(ask, ("get_weather", {"city": "Oslo"}, "sunny, 21 degrees"))
    assert Lab().calls(messages, tools, **REQUIRED) == [("Report", {"city": "Oslo", "degrees": 21})]


def test_names_listed_in_a_description_are_taken_when_spoken_of() -> None:
    handoff = tool(
        "handoff", "Hand off to another agent.\nAgents:\n{'writer': 'Writes', 'cook': 'Cooks'}", to_agent=STRING
    )
    assert Lab().calls("Hand off to the cook", [handoff]) == [("handoff", {"to_agent": "cook"})]


def test_signatures_before_descriptions_do_not_matter() -> None:
    lookup = tool("zzz", "zzz(city: str) -> str\nTells the population of a city.", city=STRING)
    assert Lab().calls("population of the city Rome", [lookup]) == [("zzz", {"city": "Rome"})]


# --------------------------------------------------------------------------- shapes


def shaped(**fields: Any) -> Any:
    return Lab().message("My name is Ada and I am 36", **fields)["content"]


PERSON = {"type": "object", "properties": {"name": STRING, "age": {"type": "integer"}}, "required": ["name", "age"]}


def test_response_formats_and_guides() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "Person", "schema": PERSON}}
    assert json.loads(shaped(response_format=schema)) == {"name": "Ada and I am 36", "age": 36}
    assert json.loads(shaped(guided_json=PERSON))["age"] == 36
    assert shaped(guided_choice=["no", "Ada"]) == "Ada"
    assert shaped(guided_regex=r"\d{2}") == "36"
    assert shaped(guided_regex=r"[x-z]{3}") == "xxx"
    assert json.loads(shaped(response_format={"type": "json_object"})) == {
        "answer": "You said: My name is Ada and I am 36"
    }
    assert shaped(response_format={"type": "text"}) == "You said: My name is Ada and I am 36"


@pytest.mark.parametrize(
    "fields", [{"guided_grammar": "root ::= 'x'"}, {"guided_regex": "("}, {"guided_json": {"enum": []}}]
)
def test_guides_beyond_rules_are_refused(fields: dict[str, Any]) -> None:
    assert error_of(Lab().chat(**fields))["status"] == 400


def test_json_asked_for_in_the_prompt() -> None:
    text = f"Extract a person as JSON of this schema: {json.dumps(PERSON)}\nText: Bob is 40"
    assert json.loads(Lab().message(text)["content"])["age"] == 40
    keys = "Tell a joke. Answer in JSON with 'setup' and 'punchline' keys."
    assert set(json.loads(Lab().message(keys, response_format={"type": "json_object"})["content"])) == {
        "setup",
        "punchline",
    }


def test_structured_output_uses_tool_results() -> None:
    schema = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"]}
    messages = after("weather in Oslo", ("get_weather", {"city": "Oslo"}, "21 degrees"))
    answer = Lab().message(
        messages, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    )
    assert json.loads(answer["content"]) == {"degrees": 21}


# --------------------------------------------------------------------------- from a context

CONTEXT = "[1] Granite is a hard rock. It is made of quartz.\n[2] Basalt is dark.\nIf you do not know, say so."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is granite made of?", "Granite is a hard rock. [1]"),
        ("Is basalt dark?", "Basalt is dark. [2]"),
        ("Who won the cup in 1999?", "I don't know."),
    ],
)
def test_answers_come_from_the_context_with_their_mark(question: str, answer: str) -> None:
    messages = [{"role": "system", "content": CONTEXT}, {"role": "user", "content": question}]
    assert Lab().message(messages)["content"] == answer


def test_without_a_question_or_a_context_it_echoes() -> None:
    assert answer_from("Hello", "Hello") is None
    assert Lab().message("What is granite?")["content"] == "You said: What is granite?"


def test_questions_labelled_in_one_prompt() -> None:
    text = "Context:\nThe office is in Gdansk.\n\nQuestion: Where is the office?\nAnswer:"
    assert Lab().message(text)["content"] == "The office is in Gdansk."


def test_generation_reads_the_same_way() -> None:
    body = {
        "model_id": "ibm/granite-3-3-8b-instruct",
        "project_id": "p",
        "input": "The sky is blue today.\nQuestion: Is the sky blue?",
    }
    result = data_of(Lab().post("/ml/v1/text/generation", body))["results"][0]
    assert result["generated_text"] == "The sky is blue today."
