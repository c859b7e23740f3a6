"""Tool calls in any interleaving and any pieces, and whatever else a server may send."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.counting import lines_run
from tests.core.streamed import check, counter, delta, objects, pieces_of, values
from wx_integrations.core.toolcalls import Assembler, CallDelta, whole_calls
from wx_integrations.core.wire.frames import ToolCallDelta, chunk_reader

# --------------------------------------------------------------------------- any interleaving, any fragmentation


@dataclass(frozen=True)
class Said:
    """A call as the model meant it."""

    choice: int
    index: int
    name: str
    arguments: dict[str, Any]

    @property
    def id(self) -> str:
        return f"call-{self.choice}-{self.index}"


cuts = st.lists(st.integers(0, 200), max_size=6)
Writer = Callable[[st.DrawFn, Said], list[Any]]


def fragments(draw: st.DrawFn, text: str) -> list[str]:
    return pieces_of(text, draw(cuts))


def granite_3_3(draw: st.DrawFn, call: Said) -> list[Any]:
    whole = delta(json.dumps(call.arguments), index=call.index, name="")
    return [delta("", index=call.index, id=call.id, name=call.name), whole]


def granite_4(draw: st.DrawFn, call: Said) -> list[Any]:
    text = json.dumps(call.arguments, indent=draw(st.sampled_from([None, 2])), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(1, 3))):
        text = json.dumps(text, ensure_ascii=draw(st.booleans()))
    rest = [delta(piece, index=call.index, name="") for piece in fragments(draw, text)]
    return [delta("", index=call.index, id=call.id, name=call.name), *rest]


def llama_4(draw: st.DrawFn, call: Said) -> list[Any]:
    first, *rest = fragments(draw, json.dumps(call.arguments))
    return [
        delta(first, index=call.index, name=call.name),
        *(delta(piece, index=call.index, name="") for piece in rest),
    ]


def mistral_2024(draw: st.DrawFn, call: Said) -> list[Any]:
    start = [delta("", index=call.index, id=call.id, name=""), delta("", index=call.index, name=call.name)]
    return [*start, *(delta(piece, index=call.index, name="") for piece in fragments(draw, json.dumps(call.arguments)))]


def mistral_2512(draw: st.DrawFn, call: Said) -> list[Any]:
    """Whole objects, of which all but one lack some of the values."""
    drafts = draw(st.lists(st.sets(st.sampled_from([*call.arguments, ""])), max_size=4))
    texts = [json.dumps({key: call.arguments[key] for key in kept if key in call.arguments}) for kept in drafts]
    texts.insert(draw(st.integers(0, len(texts))), json.dumps(call.arguments))
    rest = [delta(text, index=call.index, name="") for text in texts]
    return [delta("", index=call.index, id=call.id, name=call.name), *rest]


def gpt_oss(draw: st.DrawFn, call: Said) -> list[Any]:
    text = json.dumps(call.arguments) if call.arguments else draw(st.sampled_from(["", "null", '"null"', '""', "{}"]))
    rest = [delta(piece, index=call.index, name="") for piece in fragments(draw, text)]
    return [delta("", index=call.index, id=call.id, name=call.name), *rest]


def gateway(draw: st.DrawFn, call: Said) -> list[Any]:
    rest = [delta(piece, index=call.index, id="", name="") for piece in fragments(draw, json.dumps(call.arguments))]
    return [delta("", index=call.index, id=call.id, name=call.name), *rest]


def repeating(draw: st.DrawFn, call: Said) -> list[Any]:
    pieces = fragments(draw, json.dumps(call.arguments))
    return [delta(piece, index=call.index, id=call.id, name=call.name) for piece in pieces]


def by_id(draw: st.DrawFn, call: Said) -> list[Any]:
    """No index at all; the id in every delta."""
    return [delta(piece, id=call.id, name=call.name) for piece in fragments(draw, json.dumps(call.arguments))]


def as_object(draw: st.DrawFn, call: Said) -> list[Any]:
    return [delta(call.arguments, index=call.index, id=call.id, name=call.name)]


INTERLEAVING: list[Writer] = [granite_3_3, granite_4, llama_4, mistral_2024, mistral_2512, gpt_oss, gateway, repeating]
INTERLEAVING += [as_object]


@st.composite
def said_calls(draw: st.DrawFn) -> list[Said]:
    places = [(choice, index) for choice in range(draw(st.integers(1, 2))) for index in range(draw(st.integers(0, 3)))]
    return [Said(choice, index, draw(st.sampled_from(["f", "g", "get"])), draw(objects)) for choice, index in places]


def interleaved(draw: st.DrawFn, streams: list[tuple[int, list[Any]]]) -> list[tuple[int, Any]]:
    """Merge (choice, deltas) streams, each in its own order, the first deltas of a choice's calls in theirs."""
    merged = []
    waiting = [(choice, list(deltas)) for choice, deltas in streams]
    begun = [False] * len(waiting)
    while any(deltas for _, deltas in waiting):
        ready = [
            place
            for place, (choice, deltas) in enumerate(waiting)
            if deltas and all(begun[before] for before in range(place) if waiting[before][0] == choice)
        ]
        place = draw(st.sampled_from(ready))
        begun[place] = True
        merged.append((waiting[place][0], waiting[place][1].pop(0)))
    return merged


def check_stream(said: list[Said], stream: list[tuple[int, Any]], new_id: Callable[[], str]) -> None:
    assembler = Assembler(new_id)
    shown: list[CallDelta] = []
    for choice, frames in itertools.groupby(stream, key=lambda item: item[0]):
        shown += assembler.feed(choice, [frame for _, frame in frames])
    shown += assembler.finish()
    check(shown, assembler)
    for choice in (0, 1):
        expected = [(call.name, call.arguments) for call in said if call.choice == choice]
        assert [(call.name, call.parsed) for call in assembler.calls(choice)] == expected


@given(st.data(), said_calls())
@settings(max_examples=200)
def test_any_interleaving_of_any_fragmentation_gives_the_calls_that_were_meant(
    data: st.DataObject, said: list[Said]
) -> None:
    @st.composite
    def streams(draw: st.DrawFn) -> list[tuple[int, Any]]:
        writers = [draw(st.sampled_from(INTERLEAVING)) for _ in said]
        written = [(call.choice, writer(draw, call)) for call, writer in zip(said, writers, strict=True)]
        return interleaved(draw, [(choice, deltas) for choice, deltas in written])

    check_stream(said, data.draw(streams()), counter())


@given(st.data(), said_calls())
def test_calls_told_apart_by_id_alone_interleave_too(data: st.DataObject, said: list[Said]) -> None:
    @st.composite
    def streams(draw: st.DrawFn) -> list[tuple[int, Any]]:
        return interleaved(draw, [(call.choice, by_id(draw, call)) for call in said])

    check_stream(said, data.draw(streams()), counter())


@given(st.data(), said_calls(), st.sampled_from(INTERLEAVING))
def test_calls_without_index_follow_each_other(data: st.DataObject, said: list[Said], writer: Writer) -> None:
    @st.composite
    def streams(draw: st.DrawFn) -> list[tuple[int, Any]]:
        written = [(call.choice, piece) for call in said for piece in writer(draw, call)]
        # without an id, a second call of a tool is only told from the first once that is complete
        return [(choice, {**piece, "index": None}) for choice, piece in written]

    if writer is llama_4 or writer is gpt_oss:
        said = [call for place, call in enumerate(said) if call.name not in [before.name for before in said[:place]]]
    check_stream(said, data.draw(streams()), counter())


# --------------------------------------------------------------------------- anything at all

names = st.none() | st.sampled_from(["", "f", "g"]) | st.text(max_size=3)
any_arguments = (
    st.none() | values | st.text('{}"\\: null1', max_size=6) | st.sampled_from(["{}", '{"a": 1}', '"{', "null"])
)
any_deltas = st.fixed_dictionaries(
    {
        "index": st.none() | st.integers(-1, 3),
        "id": st.none() | st.sampled_from(["", "a", "b"]),
        "function": st.fixed_dictionaries({"name": names, "arguments": any_arguments}),
    }
)


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(any_deltas, max_size=4)), max_size=8), st.booleans())
@settings(max_examples=250)
def test_anything_gives_calls_that_hold_together(frames: list[tuple[int, list[ToolCallDelta]]], cut: bool) -> None:
    assembler = Assembler(counter())
    shown: list[CallDelta] = []
    for choice, deltas in frames:
        shown += assembler.feed(choice, deltas)
        check(shown, assembler)
    shown += assembler.finish(cut=cut)
    check(shown, assembler)
    for _, deltas in frames:
        for call in whole_calls(deltas, cut=cut):
            assert (call.parsed is None) != (call.error is None)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_arguments_of_any_json_type_pass_the_wire(value: Any) -> None:
    body = json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [{"function": {"arguments": value}}]}}]})
    (choice,) = chunk_reader()(body.encode())["choices"]
    assert choice["delta"] is not None
    for call in whole_calls(choice["delta"]["tool_calls"] or ()):
        assert call.error == "the call names no function"


REPEATS: dict[str, Callable[[int], Any]] = {
    "fragments": lambda n: delta("x", index=0, id="a" if n == 0 else "", name="f" if n == 0 else ""),
    "a name in every delta, no index": lambda n: delta("}" if n else '{"x": "', name="f"),
    "a name in every delta, no index, double-encoded": lambda n: delta("}" if n else '"{\\"x\\": \\"', name="f"),
    "whole objects": lambda n: delta('{"x": "y"}' if n else '{"x": "' + "z" * 5000 + '"}', index=0, name="f"),
    "new calls": lambda n: delta("{}", index=n, id=str(n), name="f"),
    "new names": lambda n: delta("{", index=0, name=f"f{n}"),
}


@pytest.mark.parametrize("case", REPEATS)
def test_work_grows_with_the_number_of_deltas(case: str) -> None:
    def feed(frames: list[Any]) -> None:
        assembler = Assembler(lambda: "id")
        for frame in frames:
            assembler.feed(0, [frame])
        assembler.finish()
        assembler.calls()

    few, many = ([REPEATS[case](n) for n in range(count)] for count in (100, 1000))
    assert lines_run(lambda: feed(many)) < lines_run(lambda: feed(few)) * 11
