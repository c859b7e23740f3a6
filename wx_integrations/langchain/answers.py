"""Answers of the service as LangChain results: whole completions and folded streams; pure."""

from collections.abc import Collection
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from wx_integrations.core.errors import UnexpectedResponse
from wx_integrations.core.wire import chat as wire
from wx_integrations.core.wire.chat import THINK, Choice, Completion, Delta, Usage
from wx_integrations.langchain.metadata import (
    PROVIDER,
    facts,
    is_blocked,
    normal_reason,
    token_usage,
    usage_metadata,
    was_cut,
)


class Reading(NamedTuple):
    """How to read an answer.

    Attributes:
        thoughts: part an answer that begins with `<think>` into reasoning and text.
        written: names of tools whose calls are recovered from the text; empty for none.
        first_call_only: keep the first tool call of an answer and drop the others.
    """

    thoughts: bool = True
    written: Collection[str] = ()
    first_call_only: bool = False


# --------------------------------------------------------------------------- whole answers


def to_result(completion: Completion, reading: Reading) -> ChatResult:
    """Return a whole answer as LangChain's result, one generation per choice.

    Raises:
        UnexpectedResponse: the answer has no choices, one says nothing nor why, or says that it failed.
    """
    about = facts(completion)
    shared: dict[str, Any] = {"model_provider": PROVIDER, **about}
    if completion.usage is not None:
        shared["token_usage"] = token_usage(completion.usage)
    blocked = is_blocked(completion.warnings)
    if blocked is not None and not any(_says(choice.message) for choice in completion.choices):
        return _blocked_result(blocked, shared, completion.usage)
    if not completion.choices:
        raise UnexpectedResponse(
            "the answer has no choices", status=200, hint="Ask again; if it stays, quote the answer's id to support"
        )
    if not explains(completion) and any(choice.message is None for choice in completion.choices):
        raise UnexpectedResponse("the answer has a choice without a message", status=200, hint="Ask again")
    generations = [_generation(choice, shared, completion.usage, reading) for choice in completion.choices]
    for later in generations[1:]:
        later.message.usage_metadata = None  # type: ignore[attr-defined]  # the counts are those of all choices
    return ChatResult(generations=generations, llm_output={"model_name": completion.model_name, **_usage(shared)})


def explains(completion: Completion) -> bool:
    """Whether an answer without a message says why: a moderation, or a warning."""
    return bool(completion.moderations or completion.detections or completion.warnings)


def _usage(shared: dict[str, Any]) -> dict[str, Any]:
    return {"token_usage": shared["token_usage"]} if "token_usage" in shared else {}


def _says(message: Delta | None) -> bool:
    return message is not None and bool(message.content or message.tool_calls or message.refusal)


def _blocked_result(words: str, shared: dict[str, Any], usage: Usage | None) -> ChatResult:
    message = AIMessage(
        content="",
        additional_kwargs={"refusal": words},
        response_metadata={**shared, "finish_reason": "content_filter", "finish_reason_raw": None},
        usage_metadata=usage_metadata(usage),
    )
    return ChatResult(
        generations=[ChatGeneration(message=message)], llm_output={"model_name": shared.get("model_name")}
    )


def _generation(choice: Choice, shared: dict[str, Any], usage: Usage | None, reading: Reading) -> ChatGeneration:
    said = choice.message or Delta()
    text, thought, written = _parted(said, reading)
    if choice.finish_reason == "error":
        raise UnexpectedResponse("the model failed while answering (finish_reason error)", status=200, excerpt=text)
    made: dict[str, Any] = {}
    if said.tool_calls or written:
        from wx_integrations.langchain.called import calls_of  # few answers call a tool

        made = calls_of(
            said.tool_calls or (), written, cut=was_cut(choice.finish_reason), first_only=reading.first_call_only
        )
    reason = normal_reason(choice.finish_reason, called=bool(made))
    metadata = {**shared, "finish_reason": reason, "finish_reason_raw": choice.finish_reason}
    if choice.logprobs is not None:
        metadata["logprobs"] = choice.logprobs
    extra: dict[str, Any] = {}
    if thought:
        extra["reasoning_content"] = thought
    if said.refusal:
        extra["refusal"] = said.refusal
    message = AIMessage(
        content=text,
        additional_kwargs=extra,
        response_metadata=metadata,
        usage_metadata=usage_metadata(usage),
        **made,
    )
    return ChatGeneration(message=message, generation_info={"finish_reason": reason})


def _parted(said: Delta, reading: Reading) -> "tuple[str, str, list[wire.ToolCallDelta]]":
    """Return the text and the reasoning of a whole message, and the calls that were written as text."""
    text = said.content or ""
    thought = said.reasoning_content or said.reasoning or ""
    if reading.thoughts and THINK in text:
        from wx_integrations.core.inline import ThoughtSplitter  # few answers need it

        splitter = ThoughtSplitter()
        first, last = splitter.feed(text), splitter.finish()
        thought, text = thought + first[0] + last[0], first[1] + last[1]
    if not (reading.written and text):
        return text, thought, []
    from wx_integrations.core.inline import WrittenCalls
    from wx_integrations.langchain.called import as_delta

    finder = WrittenCalls(reading.written)
    shown, found = finder.feed(text)
    rest, more = finder.finish()
    return shown + rest, thought, [as_delta(call, position) for position, call in enumerate([*found, *more])]
