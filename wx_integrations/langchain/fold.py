"""The frames of a stream as LangChain chunks; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk

from wx_integrations.core.errors import StreamBroken
from wx_integrations.core.inline import ThoughtSplitter, WrittenCall, WrittenCalls
from wx_integrations.core.toolcalls import Assembler, CallDelta
from wx_integrations.core.wire.chat import Usage
from wx_integrations.core.wire.frames import ABOUT, REMARKS, Chunk, StreamDelta, model_of, notes_of, usage_of
from wx_integrations.core.wire.rare import Warning as WireWarning
from wx_integrations.langchain.answers import Reading
from wx_integrations.langchain.called import as_delta
from wx_integrations.langchain.metadata import (
    PROVIDER,
    chunk_facts,
    is_blocked,
    normal_reason,
    token_usage,
    usage_metadata,
    was_cut,
)
from wx_integrations.langchain.pieces import Pieces

_SOURCE = {"model_provider": PROVIDER}


class Fold:
    """Turns the frames of one stream into LangChain chunks.

    Usage, finish reason and everything else an answer says about itself come
    once, in the last chunk (`chunk_position="last"`), because LangChain adds
    chunks up; the model's name comes in the first. Who provides it is said by
    all that LangChain reads by provider: reasoning, calls, the first, the last.

    Args:
        reading: how to read the answer.
        message_id: of every chunk. LangChain would give each the run's id
            itself, and to change a chunk costs more than to make it so.
    """

    def __init__(self, reading: Reading, message_id: str | None = None) -> None:
        self._reading = reading
        self._id = message_id
        self._thoughts = ThoughtSplitter() if reading.thoughts else None
        self._written = WrittenCalls(reading.written) if reading.written else None
        self._calls = Assembler()
        self._pieces = Pieces()
        self._facts: dict[str, Any] = {}
        self._notes: list[WireWarning] = []
        self._usage: Usage | None = None
        self._reason: str | None = None
        self._logprobs: dict[str, Any] | None = None
        self._source: dict[str, Any] | None = None
        self._said = False
        self._found = 0
        self._index: int | None = None

    def feed(self, frame: Chunk) -> list[ChatGenerationChunk]:
        """Return what a frame shows; often one chunk, sometimes none.

        Raises:
            StreamBroken: the stream holds several answers.
        """
        if self._source is None and (model := model_of(frame)):
            self._source = {**_SOURCE, "model_name": model}
        if not self._facts or not frame.keys().isdisjoint(ABOUT):
            self._note(frame)
        shown: list[ChatGenerationChunk] = []
        for choice in frame.get("choices", ()):
            index = choice.get("index", 0)
            if self._index is None:
                self._index = index
            elif index != self._index:  # LangChain adds up all chunks of a stream
                raise StreamBroken("one answer was asked for, but there are several in the stream")
            if reason := choice.get("finish_reason"):
                self._reason = reason
            if (logprobs := choice.get("logprobs")) is not None:
                self._logprobs = _joined(self._logprobs, logprobs)
            if delta := choice.get("delta"):
                self._show(index, delta, shown)
        return shown

    def _note(self, frame: Chunk) -> None:
        self._usage = usage_of(frame) or self._usage  # some models count up in every frame: the last one is right
        self._notes += notes_of(frame)
        if self._facts and all(frame.get(name) is None for name in REMARKS):
            return
        for name, value in chunk_facts(frame).items():
            if name in ("moderations", "detections", "warnings") and name in self._facts:
                value = _both(self._facts[name], value)
            self._facts[name] = value

    def _show(self, choice: int, delta: StreamDelta, shown: list[ChatGenerationChunk]) -> None:
        """Add what a delta shows to what its frame shows."""
        text = delta.get("content")
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if text and self._thoughts is not None:
            inline, text = self._thoughts.feed(text)
            thought = (thought or "") + inline
            if self._thoughts.passes:
                self._thoughts = None
        if text and self._written is not None:
            text, found = self._written.feed(text)
            shown += self._recovered(choice, found)
        if thought:
            shown.append(self._chunk("", {"reasoning_content": thought}))
        if refusal := delta.get("refusal"):
            shown.append(self._chunk("", {"refusal": refusal}))
        if text:
            self._said = True
            shown.append(self._chunk(text))
        if calls := delta.get("tool_calls"):
            shown += self._called(self._calls.feed(choice, calls))

    def _called(self, deltas: Sequence[CallDelta]) -> list[ChatGenerationChunk]:
        if self._reading.first_call_only:
            deltas = [delta for delta in deltas if delta.index == 0]
        parts = [part for delta in deltas for part in self._pieces.of(delta)]
        if len(parts) == len(deltas):
            return [self._call_chunk(parts)] if parts else []
        return [self._call_chunk([part]) for part in parts]

    def _recovered(self, choice: int, found: Collection[WrittenCall]) -> Iterator[ChatGenerationChunk]:
        for call in found:
            delta = as_delta(call, 1000 + self._found)  # beyond the indices that the model itself gives
            self._found += 1
            yield from self._called(self._calls.feed(choice, [delta]))

    def finish(self) -> Iterator[ChatGenerationChunk]:
        """Yield what was held back, and the last chunk.

        Raises:
            StreamBroken: the model said that it failed, or there was no answer in the stream, nor why.
        """
        if self._index is None and not self._facts.keys() & {"moderations", "detections", "warnings"}:
            raise StreamBroken("the stream holds no answer")
        thought, text = self._thoughts.finish() if self._thoughts is not None else ("", "")
        if self._written is not None:
            shown, found = self._written.feed(text)
            rest, more = self._written.finish()
            text = shown + rest
            yield from self._recovered(0, [*found, *more])
        if thought:
            yield self._chunk("", {"reasoning_content": thought})
        if text:
            self._said = True
            yield self._chunk(text)
        yield from self._called(self._calls.finish(cut=was_cut(self._reason)))
        if self._reason == "error":
            raise StreamBroken("the model failed while answering (finish_reason error)")
        calls = self._calls.calls()[:1] if self._reading.first_call_only else self._calls.calls()
        seals = [seal for call in calls if (seal := self._pieces.seal_of(call)) is not None]
        if seals:
            yield self._call_chunk(seals)
        yield self._last(bool(calls))

    def _take_source(self) -> dict[str, Any]:
        """Return where the answer comes from: with the model's name the first time, as LangChain adds names up."""
        source = self._source
        if source is None:
            return _SOURCE
        self._source = _SOURCE
        return source

    def _chunk(self, text: str, extra: dict[str, Any] | None = None) -> ChatGenerationChunk:
        source = self._take_source()
        if extra is None and source is _SOURCE:  # most chunks; LangChain reads text alike without, and much sooner
            message = AIMessageChunk(content=text, id=self._id)
        else:
            message = AIMessageChunk(content=text, id=self._id, response_metadata=source, additional_kwargs=extra or {})
        return ChatGenerationChunk(message=message)

    def _call_chunk(self, pieces: list[ToolCallChunk]) -> ChatGenerationChunk:
        message = AIMessageChunk(
            content="", id=self._id, response_metadata=self._take_source(), tool_call_chunks=pieces
        )
        return ChatGenerationChunk(message=message)

    def _last(self, called: bool) -> ChatGenerationChunk:
        about = {name: value for name, value in self._facts.items() if name != "model_name"}
        metadata: dict[str, Any] = {**self._take_source(), **about}
        extra: dict[str, Any] = {}
        reason = normal_reason(self._reason, called=called)
        words = is_blocked(self._notes)
        if words is not None and not (self._said or called):
            reason, extra = "content_filter", {"refusal": words}
        metadata["finish_reason"] = reason
        metadata["finish_reason_raw"] = self._reason
        if self._logprobs is not None:
            metadata["logprobs"] = self._logprobs
        if self._usage is not None:
            metadata["token_usage"] = token_usage(self._usage)
        message = AIMessageChunk(
            content="",
            id=self._id,
            additional_kwargs=extra,
            response_metadata=metadata,
            usage_metadata=usage_metadata(self._usage),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message, generation_info={"finish_reason": reason})

    @property
    def notes(self) -> list[WireWarning]:
        """What the service remarked (`system.warnings`)."""
        return self._notes


def _joined(earlier: dict[str, Any] | None, later: dict[str, Any]) -> dict[str, Any]:
    """Return log probabilities of consecutive frames in one."""
    if earlier is None:
        return dict(later)
    whole = dict(earlier)
    for name, value in later.items():
        whole[name] = [*whole[name], *value] if isinstance(value, list) and isinstance(whole.get(name), list) else value
    return whole


def _both(earlier: Any, later: Any) -> Any:
    """Return moderations, detections or warnings of several frames together."""
    if isinstance(earlier, list) and isinstance(later, list):
        return [*earlier, *later]
    if isinstance(earlier, dict) and isinstance(later, dict):
        return {**earlier, **{name: _both(earlier.get(name), value) for name, value in later.items()}}
    return later if earlier is None else earlier if later is None else later
