"""What campaigns have found: each answer that was once read wrongly, by every public class that reads its kind."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fuzz.campaign import Campaign
from tests.fuzz.mutations import Case
from tests.fuzz.seeds import Answer, Kind, Seed

EVENTS = "text/event-stream"


def stream(*data: str) -> bytes:
    return "".join(f"data: {item}\n\n" for item in data).encode()


def chat(choice: str, more: str = "") -> bytes:
    return f'{{"model_id": "m", "choices": [{choice}]{more}}}'.encode()


def said(content: str, index: int = 0, reason: str = "null") -> str:
    return f'{{"index": {index}, "delta": {{"content": "{content}"}}, "finish_reason": {reason}}}'


def frame(*choices: str, model: str = '"model_id": "m", ') -> str:
    return f'{{{model}"choices": [{", ".join(choices)}]}}'


def called(arguments: str, reason: str = "null") -> str:
    function = f'{{"name": "f", "arguments": "{arguments}"}}'
    calls = f'[{{"index": 0, "id": "c", "function": {function}}}]'
    return f'{{"index": 0, "delta": {{"tool_calls": {calls}}}, "finish_reason": {reason}}}'


def scored(tokens: str) -> bytes:
    message = '{"role": "assistant", "content": "Yes"}'
    return chat(f'{{"index": 0, "message": {message}, "finish_reason": "stop", "logprobs": {{"content": {tokens}}}}}')


def generated(tokens: str) -> bytes:
    result = f'{{"generated_text": "a", "stop_reason": "eos_token", "generated_tokens": {tokens}}}'
    return f'{{"results": [{result}]}}'.encode()


ANSWERS: dict[str, tuple[Kind, bytes]] = {
    "an error where a gateway's text should be": ("gateway_generation", b'{"errors": [null]}'),
    "no results": ("generation", b'{"model_id": "m", "results": []}'),
    "results that are missing": ("generation", b'{"model_id": "m"}'),
    "a result without a text": ("generation", b'{"model_id": "m", "results": [{"stop_reason": "eos_token"}]}'),
    "no choices": ("chat", chat("")),
    "a choice without a message": ("chat", chat('{"index": 0, "finish_reason": "stop"}')),
    "a call without a function": (
        "chat",
        chat('{"index": 0, "message": {"tool_calls": [{"id": "c"}]}, "finish_reason": "tool_calls"}'),
    ),
    "a token without log probability": ("chat", scored('[{"token": "Yes"}]')),
    "a log probability as text": ("chat", scored('[{"token": "Yes", "logprob": "-1"}]')),
    "an infinite log probability": ("chat", scored('[{"token": "Yes", "logprob": -1e999}]')),
    "tokens as numbers": ("chat", scored("[7]")),
    "tokens as a number": ("chat", scored("7")),
    "tokens as an object": ("chat", scored('{"token": "Yes"}')),
    "bytes as a number": ("chat", scored('[{"token": "Yes", "logprob": -1, "bytes": 7}]')),
    "bytes as text": ("chat", scored('[{"token": "Yes", "logprob": -1, "bytes": "89"}]')),
    "bytes as an object": ("chat", scored('[{"token": "Yes", "logprob": -1, "bytes": {"89": 1}}]')),
    "bytes as texts": ("chat", scored('[{"token": "Yes", "logprob": -1, "bytes": ["89"]}]')),
    "bytes as truths": ("chat", scored('[{"token": "Yes", "logprob": -1, "bytes": [true]}]')),
    "alternatives as a number": ("chat", scored('[{"token": "Yes", "logprob": -1, "top_logprobs": 7}]')),
    "generated tokens without text": ("generation", generated('[{"logprob": -1}]')),
    "generated tokens with a number as text": ("generation", generated('[{"logprob": -1, "text": 7}]')),
    "generated alternatives as a number": ("generation", generated('[{"logprob": -1, "text": "a", "top_tokens": 7}]')),
    "an infinite number in a vector": ("embeddings", b'{"results": [{"embedding": [0.5, 1e999]}]}'),
    "a number too large for a float": ("embeddings", b'{"results": [{"embedding": [%s]}]}' % (b"1" * 400)),
    "a number too large for 32 bits": ("embeddings", b'{"results": [{"embedding": [1e300]}]}'),
    "text in a vector": ("embeddings", b'{"results": [{"embedding": ["0.5"]}]}'),
    "null in a vector": ("embeddings", b'{"results": [{"embedding": [null]}]}'),
    "a truth in a vector": ("embeddings", b'{"results": [{"embedding": [true]}]}'),
    "tokens read as text": ("embeddings", b'{"results": [{"embedding": [0.5]}], "input_token_count": "7"}'),
    "tokens read as null": ("embeddings", b'{"results": [{"embedding": [0.5]}], "input_token_count": null}'),
    "usage as a list": (
        "gateway_embeddings",
        b'{"data": [{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [1.5]}], "usage": [1]}',
    ),
    "truths as indices": (
        "gateway_embeddings",
        b'{"data": [{"index": false, "embedding": [0.5]}, {"index": true, "embedding": [1.5]}]}',
    ),
    "a megabyte of space as a tool's output": ("tool_run", b'{"output": "%s"}' % (b" " * 1_000_000)),
    "a megabyte of lines as a tool's output": ("tool_run", b'{"output": "%s"}' % (b"\\n" * 500_000)),
    "a tool with a zero byte in its name": ("tool_list", b'{"resources": [{"name": "a\\u0000b", "description": "d"}]}'),
    "vectors that are never closed": ("embeddings", b'{"results": [' + b'{"embedding": [' * 60_000),
    "a fence before a megabyte of lines": (
        "chat",
        chat(f'{{"index": 0, "message": {{"content": "```{chr(92) + "n"}{(chr(92) + "n") * 300_000}x"}}}}'),
    ),
}
STREAMS: dict[str, tuple[Kind, bytes]] = {
    "nothing but its end": ("chat_stream", stream("[DONE]")),
    "text that is nothing but its end": ("generation_stream", stream("[DONE]")),
    "frames without choices": ("chat_stream", stream(frame(), "[DONE]")),
    "frames without results": ("generation_stream", stream('{"model_id": "m", "results": []}', "[DONE]")),
    "a gateway's frames without choices": ("gateway_generation_stream", stream('{"choices": []}', "[DONE]")),
    "a result without a text": ("generation_stream", stream('{"results": [{"stop_reason": "eos_token"}]}')),
    "an error in a gateway's frame": ("gateway_generation_stream", stream('{"error": {"message": "no"}}', "[DONE]")),
    "another choice in the middle": (
        "chat_stream",
        stream(frame(said("a")), frame(said("b", index=1)), frame(said("c", reason='"stop"'))),
    ),
    "a choice that is not the first": ("chat_stream", stream(frame(said("a", index=1, reason='"stop"')))),
    "a choice twice in a frame": ("chat_stream", stream(frame(said("a"), said("b", reason='"stop"')))),
    "a model that is named late": (
        "chat_stream",
        stream(frame(said("a"), model=""), frame(said("b", reason='"stop"'))),
    ),
    "a large piece of arguments": (
        "chat_stream",
        stream(frame(called('{\\"a\\": \\"')), frame(called("y" * 40_000)), frame(called('\\"}', '"tool_calls"'))),
    ),
    "much that is no object as arguments, and a broken frame": (
        "chat_stream",
        stream(frame(called("x" * 60_000)), '{"choices": 7}'),
    ),
    "arguments nested too deeply, and a broken frame": (
        "chat_stream",
        stream(frame(called('{\\"a\\":' * 5_000)), '{"choices": 7}'),
    ),
    "a long name in arguments, and a broken frame": (
        "chat_stream",
        stream(frame(called('{\\"' + "x" * 60_000)), '{"choices": 7}'),
    ),
    "a very long name in whole arguments": (
        "chat_stream",
        stream(frame(called('{\\"' + "x" * 60_000)), frame(called('\\": 1}', '"tool_calls"'))),
    ),
    "objects in a row that carry as much as each other": (
        "chat_stream",
        stream(frame(called('{\\"a\\": \\"\\"}')), frame(called("{}", '"tool_calls"'))),
    ),
    "a thought without an end": ("chat_stream", stream(frame(said("<think>" * 50, reason='"stop"')))),
    "arguments with something behind them": (
        "chat_stream",
        stream(frame(called('{\\"a\\": 1} ' + "x" * 40_000, '"tool_calls"'))),
    ),
    "arguments nested too deeply": ("chat_stream", stream(frame(called('{\\"a\\":' * 5_000, '"tool_calls"')))),
    "brackets without end": ("chat_stream", stream(frame(called("[" * 100_000, '"tool_calls"')))),
}


def test_a_broken_checksum_is_noticed_though_the_stream_is_whole(campaign: Campaign) -> None:
    body = bytearray(gzip.compress(stream(frame(said("a", reason='"stop"')), "[DONE]")))
    body[-5] ^= 1
    answer = Answer(bytes(body), content_type=EVENTS, headers={"content-encoding": "gzip"}, cuts=(len(body) - 8,))
    campaign.figures.findings.clear()
    campaign.try_case(Case(Seed("checksum", "chat_stream", answer), answer, "found"))
    assert [str(finding) for finding in campaign.figures.findings] == []


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    made = Campaign()
    yield made
    made.close()


@pytest.mark.parametrize("what", [*ANSWERS, *(f"stream: {name}" for name in STREAMS)])
def test_it_is_read_rightly_or_refused(campaign: Campaign, what: str) -> None:
    streamed = what.startswith("stream: ")
    kind, body = STREAMS[what.removeprefix("stream: ")] if streamed else ANSWERS[what]
    answer = Answer(body, content_type=EVENTS if streamed else "application/json")
    before: Any = campaign.figures.runs
    campaign.figures.findings.clear()
    campaign.try_case(Case(Seed(what, kind, answer), answer, "found"))
    assert [str(finding) for finding in campaign.figures.findings] == []
    assert campaign.figures.runs - before >= 3
