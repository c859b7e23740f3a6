"""Tool calls in two constrained steps, with a scripted engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator_local.fake_engine import FakeEmbedder, FakeEngine
from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.emulator.brain import Calling, Finish, Piece, Refusal
from wx_integrations.emulator.local.choosing import AskingChooser, NearnessChooser, transcript
from wx_integrations.emulator.local.conversation import Turn
from wx_integrations.emulator.local.engine import TimeUp
from wx_integrations.emulator.local.sampling import chat_sampling
from wx_integrations.emulator.local.tools import call_tool, takes_nothing


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = tool("weather", "Tell the weather in a city.", city={"type": "string"})
ADD = tool("add", "Add two numbers.", a={"type": "number"}, b={"type": "number"})
TIME = tool("time", "Tell the time.")
ASKED = {"role": "user", "content": "How is the weather in Rome?"}


def called(identifier: str, name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "tool_calls": [{"id": identifier, "type": "function", "function": function}]}


def result(identifier: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": content}


def request(*messages: Any, tools: Any = (WEATHER, ADD), **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": list(messages) or [ASKED], "tools": list(tools), **fields})


def forced(name: str) -> dict[str, Any]:
    return {"tool_choice": {"type": "function", "function": {"name": name}}}


def call(engine: FakeEngine, asked: ChatRequest, deadline: float | None = None) -> list[Piece] | None:
    return call_tool(engine, AskingChooser(engine), asked, chat_sampling(asked), deadline)


def test_a_tool_is_chosen_and_its_schema_filled() -> None:
    engine = FakeEngine("weather", '{"city": "Rome"}')
    assert call(engine, request()) == [Calling("weather", '{"city": "Rome"}'), Finish("tool_calls", 7, 2)]
    beginning, choice, fill = engine.asked
    assert choice["prompt"].startswith(beginning["prompt"])
    assert beginning["n_predict"] == 0
    assert choice["grammar"] == 'root ::= "weather" | "add" | "answer"'
    assert "- weather(city): Tell the weather in a city." in choice["prompt"]
    assert "User: How is the weather in Rome?" in choice["prompt"]
    assert choice["scratch"] is beginning["scratch"] is True
    assert "scratch" not in fill
    assert '"city": {"type": "string"}' in fill["prompt"]
    assert fill["grammar"] in engine.grammars


def test_the_examples_are_read_alone_before_every_choice() -> None:
    engine = FakeEngine("answer", "answer")
    chooser = AskingChooser(engine)
    for _ in range(2):
        assert call_tool(engine, chooser, request(), chat_sampling(request()), None) is None
    firsts = [body["prompt"] for body in engine.asked if body["n_predict"] == 0]
    assert len(firsts) == 2
    assert firsts[0] == firsts[1]
    assert firsts[0].endswith("<user>")


def test_answer_means_text() -> None:
    assert call(FakeEngine("answer"), request()) is None


def test_a_tool_named_answer_can_be_called() -> None:
    engine = FakeEngine("answer", "{}")
    asked = request(tools=[tool("answer", x={"type": "string"})])
    assert call(engine, asked) == [Calling("answer", "{}"), Finish("tool_calls", 7, 2)]
    assert engine.asked[1]["grammar"] == 'root ::= "answer" | "answer_in_text"'


def test_required_leaves_no_way_out() -> None:
    engine = FakeEngine("add", '{"a": 1, "b": 2}')
    pieces = call(engine, request(tool_choice_option="required"))
    assert pieces is not None
    assert pieces[0] == Calling("add", '{"a": 1, "b": 2}')
    assert engine.asked[1]["grammar"] == 'root ::= "weather" | "add"'


@pytest.mark.parametrize("fields", [forced("weather"), {"tool_choice_option": "required", "tools": [WEATHER]}])
def test_nothing_to_choose_skips_the_first_step(fields: dict[str, Any]) -> None:
    engine = FakeEngine('{"city": "Rome"}')
    pieces = call(engine, request(**fields))
    assert pieces is not None
    assert pieces[0] == Calling("weather", '{"city": "Rome"}')
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"properties": {}, "additionalProperties": False},
    ],
)
def test_a_tool_without_arguments_gets_none(parameters: Any) -> None:
    engine = FakeEngine("time")
    time = {"type": "function", "function": {"name": "time", "parameters": parameters}}
    pieces = call(engine, request(tools=[time]))
    assert pieces is not None
    assert pieces[0] == Calling("time", "{}")


@pytest.mark.parametrize(
    "parameters",
    [{"properties": {"a": {}}}, {"properties": {}, "additionalProperties": True}, {"anyOf": []}, {"$ref": "#/$defs/A"}],
)
def test_a_schema_that_says_more_takes_something(parameters: Any) -> None:
    assert not takes_nothing(parameters)


ROME = [ASKED, called("1", "weather", city="Rome"), result("1", "sunny")]


def test_the_same_call_never_comes_twice_in_a_row() -> None:
    assert call(FakeEngine("weather", '{ "city" : "Rome" }'), request(*ROME)) is None
    other = call(FakeEngine("weather", '{"city": "Oslo"}'), request(*ROME))
    assert other is not None
    assert other[0] == Calling("weather", '{"city": "Oslo"}')


def test_the_same_call_may_come_again_later() -> None:
    later = [*ROME, {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "And now?"}]
    pieces = call(FakeEngine("weather", '{"city": "Rome"}'), request(*later))
    assert pieces is not None
    assert pieces[0] == Calling("weather", '{"city": "Rome"}')


def test_a_call_that_must_be_made_is_made_again() -> None:
    pieces = call(FakeEngine('{"city": "Rome"}'), request(*ROME, **forced("weather")))
    assert pieces is not None
    assert pieces[0] == Calling("weather", '{"city": "Rome"}')


def test_one_of_two_parallel_calls_is_not_repeated_either() -> None:
    both = called("1", "weather", city="Rome")
    both["tool_calls"] += called("2", "weather", city="Oslo")["tool_calls"]
    history = [ASKED, both, result("1", "sunny"), result("2", "rain")]
    assert call(FakeEngine("weather", '{"city": "Oslo"}'), request(*history)) is None


def test_results_are_part_of_what_is_read() -> None:
    engine = FakeEngine("answer")
    call(engine, request(*ROME))
    assert (
        'Assistant: I call weather({"city": "Rome"}).\nweather({"city": "Rome"}) returned:\nsunny' in engine.prompts[0]
    )


def test_what_was_called_before_is_not_to_be_repeated() -> None:
    engine = FakeEngine("weather", '{"city": "Oslo"}')
    call(engine, request(*ROME))
    assert "Do not repeat a call" in engine.prompts[-1]
    fresh = FakeEngine("weather", '{"city": "Oslo"}')
    call(fresh, request())
    assert "Do not repeat a call" not in fresh.prompts[-1]


def test_arguments_cut_off_say_length() -> None:
    pieces = call(FakeEngine("weather", '{"city": "Ro', reason="limit"), request(max_tokens=5))
    assert pieces == [Calling("weather", '{"city": "Ro'), Finish("length", 7, 2)]


def test_the_requests_limits_and_chance_hold_for_arguments() -> None:
    engine = FakeEngine("weather", "{}")
    call(engine, request(max_tokens=55, temperature=0.5, top_p=0.9, seed=7, stop=["}"]), deadline=123.0)
    fill = engine.asked[-1]
    assert (fill["n_predict"], fill["temperature"], fill["top_p"], fill["seed"]) == (55, 0.5, 0.9, 7)
    assert "stop" not in fill
    assert engine.asked[-2]["temperature"] == 0
    assert engine.deadlines == [123.0] * 3


def test_a_deadline_ends_it() -> None:
    assert call(FakeEngine(TimeUp()), request()) == [Finish("time_limit", 0, 0)]


def test_a_schema_that_cannot_be_enforced_is_refused() -> None:
    with pytest.raises(Refusal):
        call(FakeEngine("weather", refuses=["city"]), request())


def test_a_long_conversation_keeps_instructions_and_the_newest_turns() -> None:
    turns = [Turn(role="system", content="Be brief.")]
    turns += [Turn(role="user", content=f"{number} " + "x" * 5000) for number in range(20)]
    text = transcript(turns)
    assert text.startswith("Instructions: Be brief.\n")
    assert "19 xxx" in text
    assert "[...]" in text
    assert "0 xxx" not in text.partition("\n")[2][:20]
    assert len(text) < 9000


# --------------------------------------------------------------------------- models too small to decide


def near(asked: ChatRequest, *script: str) -> tuple[list[Piece] | None, FakeEmbedder]:
    embedder = FakeEmbedder()
    return call_tool(FakeEngine(*script), NearnessChooser(embedder), asked, chat_sampling(asked), None), embedder


def test_the_nearest_description_is_chosen() -> None:
    pieces, _ = near(request({"role": "user", "content": "tell me the weather"}), '{"city": "Rome"}')
    assert pieces is not None
    assert pieces[0] == Calling("weather", '{"city": "Rome"}')


def test_what_is_near_to_nothing_is_text() -> None:
    assert near(request({"role": "user", "content": "zzzz"}))[0] is None
    must = request({"role": "user", "content": "zzzz"}, tool_choice_option="required")
    assert near(must, "{}")[0] is not None


def test_a_small_model_answers_after_a_result() -> None:
    pieces, embedder = near(request(*ROME))
    assert pieces is None
    assert embedder.given == []


def test_long_messages_fit_the_embedder() -> None:
    _, embedder = near(request({"role": "user", "content": "weather " * 1000}), "{}")
    assert all(len(item) <= 256 for item in embedder.given[0])
