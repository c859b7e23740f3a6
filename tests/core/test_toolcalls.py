"""Tool calls as models stream them: recorded streams, every way of saying which call is meant, and anything else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.core.streamed import check, counter, delta
from wx_integrations.core.sse import DONE, Decoder
from wx_integrations.core.toolcalls import AssembledCall, Assembler, CallDelta, new_call_id, whole_calls
from wx_integrations.core.wire.chat import Completion
from wx_integrations.core.wire.frames import FunctionDelta, ToolCallDelta, chunk_reader

GOLDEN = Path(__file__).parent.parent / "golden" / "tool_streams"


def assemble(*frames: Any, choice: int = 0) -> tuple[list[CallDelta], list[AssembledCall]]:
    """What an assembler shows for these deltas (one frame each) and the calls it ends with."""
    assembler = Assembler(counter())
    shown = [piece for frame in frames for piece in assembler.feed(choice, [frame])]
    shown += assembler.finish()
    check(shown, assembler)
    return shown, assembler.calls(choice)


def summary(calls: Sequence[AssembledCall]) -> list[tuple[str, str, Any]]:
    return [(call.id, call.name, call.arguments if call.parsed is None else call.parsed) for call in calls]


# --------------------------------------------------------------------------- recorded streams


def replay(name: str) -> tuple[list[CallDelta], list[AssembledCall], str, list[str]]:
    """Decode a recorded stream: pieces as shown, calls, text, finish reasons."""
    decoder, assembler = Decoder(), Assembler(counter())
    data = (GOLDEN / f"{name}.sse").read_bytes()
    shown: list[CallDelta] = []
    text, reasons = "", []
    for event, frame in [*decoder.feed(data), *decoder.close()]:
        if event != "message" or frame == DONE:
            continue
        for choice in chunk_reader()(frame).get("choices", ()):
            said, reason = choice["delta"], choice.get("finish_reason")
            assert said is not None
            text += said.get("content") or ""
            shown += assembler.feed(choice["index"], said.get("tool_calls") or ())
            reasons += [reason] if reason else []
    shown += assembler.finish()
    check(shown, assembler)
    return shown, assembler.calls(), text, reasons


TWO_AND_TWO = {"firstNumber": 2, "secondNumber": 2}

RECORDED: dict[str, tuple[list[tuple[str, str, Any]], list[str], str]] = {
    "granite-3-3-8b": (
        [
            ("chatcmpl-tool-0a1b9ab8d9e84a1d9d2f4b6f5b0a7c11", "sum", TWO_AND_TWO),
            ("chatcmpl-tool-5a3c1f0e7f6b4d6e8a9b0c1d2e3f4a55", "sub", TWO_AND_TWO),
        ],
        ["", "", '{"firstNumber": 2, "secondNumber": 2}', '{"firstNumber": 2, "secondNumber": 2}'],
        "",
    ),
    "granite-4-h-small": (
        [("chatcmpl-tool-ce5a84405758488fb88eab9d50e908d5", "get_current_time", {"country": "Italy"})],
        ["", '{\n  "', "country", '":', ' "', "It", "aly", '"\n}'],
        "",
    ),
    "llama-4-maverick": (
        [("made-1", "sum", TWO_AND_TWO)],
        ['{"', "firstNumber", '":', " 2", ', "', "secondNumber", '": ', "2}"],
        "",
    ),
    "mistral-large-2024": (
        [("chatcmpl-tool-b4e9d7c8f6a94f9f8c8a4e6d7d0a3b21", "sum", TWO_AND_TWO)],
        ["", '{"', "firstNumber", '": ', "2", ', "secondNumber', '": ', "2", "}"],
        "",
    ),
    "mistral-large-2512": (
        [("ENqBTHVxT", "get_current_time", {"country": "Italy"})],
        ["", '{"country": "Italy"}'],
        "I'll look up the time in Italy.",
    ),
    "gpt-oss-120b": (
        [("chatcmpl-tool-8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b3a", "get_current_time", {"country": "Italy"})],
        ["", '{"', "country", '":"', "Italy", '"}'],
        "",
    ),
    "llama-3-3-70b-json-schema": ([], [], '{"name": "Ada"}'),
    "gateway": (
        [("toolu_01A09q90qw90lq917835lq9", "get_current_time", {"country": "Italy"})],
        ["", '{"country"', ': "It', 'aly"}'],
        "Let me check.",
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_stream(name: str) -> None:
    calls, pieces, text = RECORDED[name]
    shown, assembled, said, reasons = replay(name)
    assert summary(assembled) == calls
    assert [piece.arguments for piece in shown] == pieces
    assert said == text
    assert reasons == ["tool_calls"]


def test_every_recorded_stream_is_tested() -> None:
    assert {path.stem for path in GOLDEN.glob("*.sse")} == set(RECORDED)


def test_a_recorded_answer_that_was_not_streamed() -> None:
    completion = Completion.model_validate_json(
        r"""{"id":"chatcmpl-3a7d590b3ec34f89a007f7f16c7c682b","object":"chat.completion",
        "model_id":"ibm/granite-4-h-small","model":"ibm/granite-4-h-small",
        "choices":[{"index":0,"message":{"role":"assistant","tool_calls":[
        {"id":"chatcmpl-tool-ce5a84405758488fb88eab9d50e908d5","type":"function",
        "function":{"name":"get_current_time","arguments":"\"{\\n  \\\"country\\\": \\\"Italy\\\"\\n}\""}}]},
        "finish_reason":"tool_calls"}],"created":1764688210,"model_version":"4.0.0",
        "created_at":"2025-12-02T15:10:11.178Z",
        "usage":{"completion_tokens":28,"prompt_tokens":192,"total_tokens":220}}"""
    )
    message = completion.choices[0].message
    assert message is not None
    assert whole_calls(message.tool_calls or ()) == [
        AssembledCall(
            index=0,
            id="chatcmpl-tool-ce5a84405758488fb88eab9d50e908d5",
            name="get_current_time",
            arguments='{\n  "country": "Italy"\n}',
            parsed={"country": "Italy"},
            error=None,
        )
    ]


# --------------------------------------------------------------------------- id and name


def test_a_call_is_shown_from_when_its_name_is_known() -> None:
    assembler = Assembler(counter())
    assert assembler.feed(0, [delta("", index=0, id="a", name="")]) == []
    assert assembler.feed(0, [delta('{"x"', index=0)]) == []
    assert assembler.calls() == []
    assert assembler.feed(0, [delta("", index=0, name="f")]) == [CallDelta(0, 0, "a", "f", '{"x"')]
    assert assembler.feed(0, [delta(": 1}", index=0)]) == [CallDelta(0, 0, None, None, ": 1}")]
    assert assembler.finish() == []
    assert summary(assembler.calls()) == [("a", "f", {"x": 1})]


def test_an_id_without_a_function_counts() -> None:
    _, calls = assemble(ToolCallDelta(index=0, id="a"), delta("{}", index=0, name="f"))
    assert summary(calls) == [("a", "f", {})]


def test_repeated_ids_and_names_are_dropped() -> None:
    frames = [delta(text, index=0, id="a", name="g") for text in ("", '{"x"', ": 1", "}", "")]
    shown, calls = assemble(*frames)
    assert summary(calls) == [("a", "g", {"x": 1})]
    assert [(piece.id, piece.name) for piece in shown] == [("a", "g"), (None, None), (None, None), (None, None)]


def test_the_first_id_counts_even_if_another_comes() -> None:
    _, calls = assemble(delta("{", index=0, id="a", name="f"), delta("", index=0, id="b"), delta("}", index=0, id="c"))
    assert summary(calls) == [("a", "f", {})]


def test_a_made_id_stays_when_the_service_sends_one_later() -> None:
    shown, calls = assemble(delta("{", index=0, name="f"), delta("}", index=0, id="late"))
    assert summary(calls) == [("made-1", "f", {})]
    assert shown[0] == CallDelta(0, 0, "made-1", "f", "{")


def test_made_ids_look_like_the_services_own() -> None:
    assembler = Assembler()
    shown = assembler.feed(0, [delta("", index=0, name="f"), delta("", index=1, name="f")])
    ids = [piece.id or "" for piece in shown]
    assert all(re.fullmatch(r"chatcmpl-tool-[0-9a-f]{32}", id) for id in [*ids, new_call_id()])
    assert len(set(ids)) == 2
    assert [call.id for call in assembler.calls()] == ids
    (whole,) = whole_calls([delta("{}", name="f", id="")])
    assert re.fullmatch(r"chatcmpl-tool-[0-9a-f]{32}", whole.id)


def test_a_call_without_a_name_is_shown_at_the_end_with_an_error() -> None:
    shown, calls = assemble(delta("{}", index=0, id="a"))
    assert shown == [CallDelta(0, 0, "a", "", "{}")]
    assert calls == [AssembledCall(0, "a", "", "{}", None, "the call names no function")]
    assert whole_calls([delta("{}", id="a")]) == calls


def test_deltas_that_say_nothing_are_no_call() -> None:
    empty = [delta(), delta(""), delta(index=0), delta("", index=3, id="", name=""), ToolCallDelta(type="function")]
    shown, calls = assemble(*empty)
    assert shown == []
    assert calls == whole_calls(empty) == []


# --------------------------------------------------------------------------- which call is meant


def test_parallel_calls_interleave_over_index() -> None:
    _, calls = assemble(
        delta("", index=0, id="a", name="f"),
        delta("", index=1, id="b", name="g"),
        delta('{"x"', index=0),
        delta('"{\\"y', index=1),
        delta(": 1}", index=0),
        delta('\\": 2}"', index=1),
    )
    assert summary(calls) == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]


def test_several_calls_in_one_frame() -> None:
    assembler = Assembler()
    shown = assembler.feed(0, [delta("{}", index=0, id="a", name="f"), delta('{"y', index=1, id="b", name="g")])
    assert [(piece.index, piece.id, piece.arguments) for piece in shown] == [(0, "a", ""), (1, "b", '{"y')]
    assembler.feed(0, [delta('": 2}', index=1)])
    assembler.finish()
    assert summary(assembler.calls()) == [("a", "f", {}), ("b", "g", {"y": 2})]


def test_indices_are_counted_anew_in_order_of_appearance() -> None:
    _, calls = assemble(delta("{}", index=7, id="a", name="f"), delta("{}", index=-2, id="b", name="g"))
    assert [(call.index, call.id) for call in calls] == [(0, "a"), (1, "b")]


def test_choices_are_apart() -> None:
    assembler = Assembler()
    for choice, text in ((1, '{"x"'), (0, '{"y"'), (1, ": 1}"), (0, ": 2}")):
        assembler.feed(choice, [delta(text, index=0, id=f"id{choice}", name="f")])
    assert assembler.finish(1) == []
    assert assembler.finish(5) == []
    assert summary(assembler.calls(0)) == [("id0", "f", {"y": 2})]
    assert summary(assembler.calls(1)) == [("id1", "f", {"x": 1})]
    assert assembler.calls(2) == []


def test_the_end_of_one_choice_leaves_the_others_held() -> None:
    assembler = Assembler()
    for choice in (0, 1):
        assembler.feed(choice, [delta("{}", index=0, id=f"id{choice}", name="f")])
    assert assembler.finish(1) == [CallDelta(1, 0, None, None, "{}")]
    assert assembler.finish() == [CallDelta(0, 0, None, None, "{}")]
    assert assembler.finish() == []


WITHOUT_INDEX: dict[str, tuple[list[Any], list[tuple[str, str, Any]]]] = {
    "goes on with the last call": (
        [delta("", id="a", name="f"), delta('{"x"'), delta(": 1}")],
        [("a", "f", {"x": 1})],
    ),
    "a new id opens a call": (
        [delta('{"x"', id="a", name="f"), delta(": 1}"), delta("", id="b", name="f"), delta('{"x": 2}')],
        [("a", "f", {"x": 1}), ("b", "f", {"x": 2})],
    ),
    "a new id opens a call, its name comes later": (
        [delta("", id="a"), delta("{}", name="f"), delta("", id="b"), delta("", name="f"), delta('{"x": 2}')],
        [("a", "f", {}), ("b", "f", {"x": 2})],
    ),
    "ids interleave": (
        [
            delta('{"x"', id="a", name="f"),
            delta('{"y"', id="b", name="g"),
            delta(": 1}", id="a"),
            delta(": 2}", id="b"),
        ],
        [("a", "f", {"x": 1}), ("b", "g", {"y": 2})],
    ),
    "a new name opens a call": (
        [delta("", name="f"), delta("", name="g")],
        [("made-1", "f", {}), ("made-2", "g", {})],
    ),
    "the same name after a complete call opens another": (
        [delta('{"x": 1}', name="f"), delta('{"x":', name="f"), delta(" 2}"), delta('{"x": 3}', name="f")],
        [("made-1", "f", {"x": 1}), ("made-2", "f", {"x": 2}), ("made-3", "f", {"x": 3})],
    ),
    "the same name after a complete double-encoded call opens another": (
        [delta('"{\\"x', name="f"), delta('\\": 1}"', name="f"), delta('{"x": 2}', name="f")],
        [("made-1", "f", {"x": 1}), ("made-2", "f", {"x": 2})],
    ),
    "the same name after a complete nothing opens another": (
        [delta('"null"', name="f"), delta("null", name="f"), delta('""', name="f"), delta('{"x": 1}', name="f")],
        [("made-1", "f", {}), ("made-2", "f", {}), ("made-3", "f", {}), ("made-4", "f", {"x": 1})],
    ),
    "the same name after nothing is a repeat": (
        [delta("", name="f"), delta(" ", name="f"), delta('{"x": 1}', name="f")],
        [("made-1", "f", {"x": 1})],
    ),
    "the same name within a call is a repeat": (
        [delta('{"x"', name="f"), delta(': "}"', name="f"), delta("}", name="f")],
        [("made-1", "f", {"x": "}"})],
    ),
    "a late id belongs to the call before": (
        [delta('{"x"', name="f"), delta(": 1", id="late"), delta("}", id="late")],
        [("made-1", "f", {"x": 1})],
    ),
    "an index from the second delta on": (
        [delta("", id="a", name="f"), delta('{"x"', index=0), delta(": 1}", index=0, id="a")],
        [("a", "f", {"x": 1})],
    ),
    "an index from the second delta on, by id": (
        [delta("", id="a", name="f"), delta('{"x"', index=0, id="a", name="f"), delta(": 1}", index=0)],
        [("a", "f", {"x": 1})],
    ),
    "an index from the second call on": (
        [delta("{}", id="a", name="f"), delta("{}", index=1, id="b", name="g")],
        [("a", "f", {}), ("b", "g", {})],
    ),
}


@pytest.mark.parametrize("case", WITHOUT_INDEX)
def test_without_index(case: str) -> None:
    frames, expected = WITHOUT_INDEX[case]
    assert summary(assemble(*frames)[1]) == expected


ONE_INDEX: dict[str, tuple[list[Any], list[tuple[str, str, Any]]]] = {
    "whole calls with their own ids": (
        [delta('{"x": 1}', index=0, id="a", name="f"), delta('{"x": 2}', index=0, id="b", name="f")],
        [("a", "f", {"x": 1}), ("b", "f", {"x": 2})],
    ),
    "calls in fragments with their own ids": (
        [
            *(delta('{"x"', index=0, id="a", name="f"), delta(": 1}", index=0)),
            *(delta('{"x"', index=0, id="b", name="f"), delta(": 2}", index=0)),
        ],
        [("a", "f", {"x": 1}), ("b", "f", {"x": 2})],
    ),
    "other id and other name": (
        [delta("", index=0, id="a", name="f"), delta("", index=0, id="b", name="g")],
        [("a", "f", {}), ("b", "g", {})],
    ),
    "other name, no ids": (
        [delta('{"x": 1}', index=0, name="f"), delta('{"y": 2}', index=0, name="g")],
        [("made-1", "f", {"x": 1}), ("made-2", "g", {"y": 2})],
    ),
    "other name within a call": (
        [delta('{"x"', index=0, name="f"), delta(": 1}", index=0, name="g")],
        [("made-1", "f", {"x": 1})],
    ),
    "an id made anew for each delta": (
        [
            delta('{"x"', index=0, id="a", name="f"),
            delta(": 1", index=0, id="b"),
            delta("}", index=0, id="c", name="f"),
        ],
        [("a", "f", {"x": 1})],
    ),
    "the same name is the same call": (
        [delta('{"x": ""}', index=0, name="f"), delta('{"x": 2}', index=0, name="f")],
        [("made-1", "f", {"x": 2})],
    ),
    "the same id is the same call": (
        [delta('{"x": ""}', index=0, id="a", name="f"), delta('{"x": 2}', index=0, id="a", name="f")],
        [("a", "f", {"x": 2})],
    ),
}


@pytest.mark.parametrize("case", ONE_INDEX)
def test_servers_that_send_every_call_as_index_0(case: str) -> None:
    frames, expected = ONE_INDEX[case]
    assert summary(assemble(*frames)[1]) == expected


# --------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "parsed", "text"),
    [
        ({"a": {"b": [1, None]}}, {"a": {"b": [1, None]}}, '{"a":{"b":[1,null]}}'),
        ({}, {}, "{}"),
        (None, {}, "{}"),
        ("", {}, "{}"),
        ("null", {}, "{}"),
        ('"null"', {}, "{}"),
        ('""', {}, "{}"),
        ([{"a": 1}], None, '[{"a":1}]'),
        (12, None, "12"),
        (False, None, "false"),
        ({"a": float("nan")}, None, '{"a":NaN}'),
        ("{'a': 1}", None, "{'a': 1}"),
        ('{"a": 1} ok', None, '{"a": 1} ok'),
        ('"{\\"a\\": 1}" ok', None, '"{\\"a\\": 1}" ok'),
        ('"hi"', None, '"hi"'),
    ],
)
def test_arguments_of_a_call_that_was_not_streamed(arguments: Any, parsed: Any, text: str) -> None:
    given = ToolCallDelta(id="a", function=FunctionDelta(name="f", arguments=arguments))
    (call,) = whole_calls([given])
    assert (call.id, call.name, call.parsed, call.arguments) == ("a", "f", parsed, text)
    assert (call.error is None) == (parsed is not None)
    if arguments is not None:
        assert summary(assemble(given)[1])[0][:2] == ("a", "f")


def test_an_object_as_arguments_may_be_revised_like_any_whole_object() -> None:
    _, calls = assemble(delta({"x": ""}, index=0, id="a", name="f"), delta({"x": "y"}, index=0), delta({}, index=0))
    assert summary(calls) == [("a", "f", {"x": "y"})]


def test_missing_arguments_of_an_answer_cut_at_a_limit_are_not_an_empty_object() -> None:
    assembler = Assembler()
    assembler.feed(0, [delta("", index=0, id="a", name="f"), delta('{"x": 1', index=1, id="b", name="g")])
    assert assembler.finish(cut=True) == []
    errors = [(call.arguments, call.parsed, call.error and call.error[:29]) for call in assembler.calls()]
    assert errors == [("", None, "the arguments are not JSON (E"), ('{"x": 1', None, "the arguments are not JSON (E")]
    (call,) = whole_calls([delta("", id="a", name="f")], cut=True)
    assert (call.arguments, call.parsed) == ("", None)


def test_the_running_whole() -> None:
    assembler = Assembler()
    snapshots = []
    for text in ("", '{"x": {"y"', ": 1}", ", ", '"z": 2}', " "):
        assembler.feed(0, [delta(text, index=0, id="a", name="f")])
        (call,) = assembler.calls()
        assert assembler.calls()[0] is call
        snapshots.append((call.arguments, call.parsed))
    assert snapshots == [
        ("", None),
        ('{"x": {"y"', None),
        ('{"x": {"y": 1}', None),
        ('{"x": {"y": 1}, ', None),
        ('{"x": {"y": 1}, "z": 2}', {"x": {"y": 1}, "z": 2}),
        ('{"x": {"y": 1}, "z": 2} ', None),
    ]
    assembler.finish()
    assert assembler.calls()[0].parsed == {"x": {"y": 1}, "z": 2}


def test_arguments_after_the_end_are_shown_and_the_call_is_malformed() -> None:
    assembler = Assembler()
    assembler.feed(0, [delta("", index=0, id="a", name="f")])
    assert assembler.finish(0) == [CallDelta(0, 0, None, None, "{}")]
    assert assembler.feed(0, [delta('{"x": 1}', index=0)]) == [CallDelta(0, 0, None, None, '{"x": 1}')]
    assert assembler.finish() == []
    (call,) = assembler.calls()
    assert (call.parsed, call.error) == (None, "more arguments arrived after the call had ended")


def test_a_call_may_begin_after_the_end_of_another() -> None:
    assembler = Assembler()
    assembler.feed(0, [delta("{}", index=0, id="a", name="f")])
    assembler.finish(0)
    assembler.feed(0, [delta('{"x": 1}', index=1, id="b", name="g")])
    assert assembler.finish(0) == [CallDelta(0, 1, None, None, '{"x": 1}')]
    assert summary(assembler.calls()) == [("a", "f", {}), ("b", "g", {"x": 1})]
