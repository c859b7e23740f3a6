"""Answers of the service as LlamaIndex responses, whole or folded from a stream.

`raw` is the service's JSON as data, with `usage` where the framework's token
counter looks for it. `additional_kwargs` of a response holds the token counts,
`finish_reason`, `model` and the service's `warnings`, such as why an input was
not answered; in streams also `thinking_delta`, and `in_progress` until the
answer is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from wx_integrations.core.calls import ends_chat
from wx_integrations.core.errors import StreamBroken, UnexpectedResponse
from wx_integrations.core.inline import ThoughtSplitter
from wx_integrations.core.toolcalls import AssembledCall, Assembler, whole_calls
from wx_integrations.core.wire.chat import THINK, Completion, Delta, Usage
from wx_integrations.core.wire.frames import ABOUT, Chunk, StreamChoice, StreamDelta, model_of, notes_of, usage_of
from wx_integrations.core.wire.rare import SystemDetails, Warning  # noqa: A004
from wx_integrations.core.wire.shapes import Received
from wx_integrations.llamaindex.logprobs import of_chat

IN_PROGRESS = "in_progress"

CUT = ("length", "time_limit", "cancelled", "error")
"""Finish reasons of answers that are not whole."""


def from_completion(completion: Completion, *, single_call: bool = False) -> ChatResponse:
    """Return a whole chat answer; of several choices (`n`) the first, the others are in `raw`.

    Args:
        single_call: keep the first tool call only, as the framework asks for when parallel calls are off.

    Raises:
        UnexpectedResponse: the answer says nothing, nor why.
    """
    choice = min(completion.choices, key=lambda choice: choice.index, default=None)
    if (choice is None or choice.message is None) and not _explains(completion):
        raise UnexpectedResponse("the answer has no message", status=200, hint="Ask again")
    said = (choice.message if choice else None) or Delta()
    finish_reason = choice.finish_reason if choice else None
    calls = whole_calls(said.tool_calls or (), cut=finish_reason in CUT)
    written, text = "", said.content or ""
    if THINK in text:
        splitter = ThoughtSplitter()
        parts = (splitter.feed(text), splitter.finish())
        written, text = ("".join(part) for part in zip(*parts, strict=True))
    return ChatResponse(
        message=_message(
            text, thoughts(said) + written, calls[:1] if single_call else calls, refusal=said.refusal or ""
        ),
        raw=raw_of(completion),
        logprobs=of_chat(choice.logprobs if choice else None),
        additional_kwargs=facts_of(
            completion.usage, finish_reason, completion.model_name, warnings_of(completion.system)
        ),
    )


_NOTHING = StreamDelta()
_UNTOLD = StreamChoice()


class Fold:
    """Folds the frames of a chat stream: each response shows the running whole and what is new.

    Thoughts that a model writes between tags at the start of its text become
    thinking blocks. Frames of further choices (`n`) are in `raw` only.
    """

    def __init__(self, *, single_call: bool = False) -> None:
        self._single_call = single_call
        self._text = ""
        self._thoughts = ""
        self._refusal = ""
        self._splitter = ThoughtSplitter()
        self._assembler = Assembler()
        self._logprobs: list[list[LogProb]] = []
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self._model: str | None = None
        self._warnings: list[dict[str, Any]] = []
        self._whole = False
        self._explained = False
        self._index: int | None = None
        self._called = False
        self._last: ChatResponse | None = None

    def feed(self, frame: Chunk) -> ChatResponse:
        """Take the next frame and return the answer so far.

        Raises:
            StreamBroken: the frame holds a choice twice.
        """
        if not frame.keys().isdisjoint(ABOUT):
            self._note(frame)
        if self._model is None:
            self._model = model_of(frame)
        choice = self._told(frame)
        said = choice.get("delta") or _NOTHING
        text, thought = said.get("content") or "", said.get("reasoning_content") or said.get("reasoning") or ""
        if text and not self._splitter.passes:
            written, text = self._splitter.feed(text)
            thought += written
        if refusal := said.get("refusal"):
            self._refusal += refusal
        if calls := said.get("tool_calls"):
            self._assembler.feed(0, calls)
            self._called = True
        if logprobs := choice.get("logprobs"):
            self._logprobs = self._logprobs + (of_chat(logprobs) or [])
        if reason := choice.get("finish_reason"):
            self._finish_reason = reason
            self._assembler.finish(0, cut=reason in CUT)
        if (self._usage is not None or self._finish_reason) and ends_chat(frame):
            self._whole = True
            written, held_back = self._splitter.finish()
            thought, text = thought + written, text + held_back
        return self._respond(text, thought, frame)

    def _note(self, frame: Chunk) -> None:
        """Take what a frame says about the answer."""
        self._usage = usage_of(frame) or self._usage
        notes = notes_of(frame)
        self._warnings = self._warnings + _noted(notes)
        self._explained = self._explained or bool(frame.get("moderations") or frame.get("detections") or notes)

    def _told(self, frame: Chunk) -> StreamChoice:
        """Return a frame's part of the choice that is told: the first choice of the first frame that has any."""
        choices = frame.get("choices", ())
        found = None
        for choice in choices:
            index = choice.get("index", 0)
            if self._index is None:
                self._index = min(choice.get("index", 0) for choice in choices)
            if index == self._index:
                if found is not None:
                    raise StreamBroken("a frame holds the same choice twice")
                found = choice
        return found or _UNTOLD

    def end(self) -> ChatResponse | None:
        """Return a last response if the stream ended before the last one could be whole.

        Raises:
            StreamBroken: there was no answer in the stream, nor why.
        """
        if self._index is None and not self._explained:
            raise StreamBroken("the stream holds no answer")
        thought, text = self._splitter.finish()
        held_back = self._assembler.finish()
        if self._last is None or (self._whole and not (held_back or text or thought)):
            return None
        self._whole = True
        return self._respond(text, thought, self._last.raw)

    def _respond(self, text: str, thought: str, raw: Any) -> ChatResponse:
        self._text += text
        self._thoughts += thought
        calls = self._assembler.calls(0) if self._called else []
        facts = facts_of(self._usage, self._finish_reason, self._model, self._warnings)
        if thought:
            facts["thinking_delta"] = thought
        if not self._whole:
            facts[IN_PROGRESS] = True
        self._last = ChatResponse(
            message=_message(
                self._text, self._thoughts, calls[:1] if self._single_call else calls, refusal=self._refusal
            ),
            delta=text,
            raw=raw,
            logprobs=self._logprobs or None,
            additional_kwargs=facts,
        )
        return self._last


def completion_of(response: ChatResponse) -> CompletionResponse:
    """Return a chat answer as a completion, with everything it carries."""
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
        additional_kwargs={**response.message.additional_kwargs, **response.additional_kwargs},
    )


def chat_of(response: CompletionResponse) -> ChatResponse:
    """Return a completion as the assistant's answer."""
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, content=response.text),
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
        additional_kwargs=response.additional_kwargs,
    )


# --------------------------------------------------------------------------- parts


def thoughts(said: Delta) -> str:
    """Return the reasoning, whichever of its two names it came under."""
    return said.reasoning_content or said.reasoning or ""


def _message(text: str, thought: str, calls: Sequence[AssembledCall], *, refusal: str) -> ChatMessage:
    blocks: list[ContentBlock] = []
    kwargs: dict[str, Any] = {}
    if thought:
        blocks.append(ThinkingBlock(content=thought))
    if text or not calls:
        blocks.append(TextBlock(text=text))
    for call in calls:
        kwargs_or_text = call.arguments if call.parsed is None else call.parsed
        blocks.append(ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=kwargs_or_text))
    if calls:  # the framework's streaming of structured output looks here
        kwargs["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    if refusal:
        kwargs["refusal"] = refusal
    if not kwargs:
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=kwargs)


def _explains(answer: Completion) -> bool:
    """Whether an answer without a message says why: a moderation, or a warning."""
    return bool(answer.moderations or answer.detections or answer.warnings)


def facts_of(
    usage: Usage | None, finish_reason: str | None, model: str | None, warnings: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what an answer says about itself, as LlamaIndex keeps it."""
    facts: dict[str, Any] = {}
    if usage is not None:
        facts["prompt_tokens"] = usage.prompt_tokens
        facts["completion_tokens"] = usage.completion_tokens
        facts["total_tokens"] = usage.total_tokens
    if finish_reason:
        facts["finish_reason"] = finish_reason
    if model:
        facts["model"] = model
    if warnings:
        facts["warnings"] = warnings
    return facts


def warnings_of(system: SystemDetails | None) -> list[dict[str, Any]]:
    """Return the service's notes about the request."""
    return _noted((system and system.warnings) or ())


def _noted(notes: Iterable[Warning]) -> list[dict[str, Any]]:
    return [note.model_dump(mode="json", exclude_unset=True) for note in notes]


def raw_of(answer: Received, usage: Usage | None = None) -> dict[str, Any]:
    """Return an answer as it came, with counts if they are given."""
    data = answer.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if usage is not None:
        data["usage"] = usage.model_dump(mode="json", exclude_none=True)
    return data
