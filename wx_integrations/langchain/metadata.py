"""What an answer says about itself: usage, finish reason, model, trace, warnings, moderations; pure."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from wx_integrations.core.wire import chat as wire
from wx_integrations.core.wire.chat import Completion, Usage

PROVIDER = "watsonx"
"""`response_metadata["model_provider"]` of our answers; our block translator is registered under it."""

BLOCKED = "UNSUITABLE_INPUT"
"""The warning id of an answer whose input a moderation refused (recorded 2026)."""

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "eos_token": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "token_limit": "length",
        "time_limit": "length",
        "function_call": "tool_calls",
    }
)
_CUT = frozenset({"length", "max_tokens", "token_limit", "time_limit", "cancelled"})


class WatsonxWarning(UserWarning):
    """A note of the service about a request (`system.warnings`), or ours about what it cannot do."""


def normal_reason(raw: str | None, *, called: bool) -> str | None:
    """Return the finish reason in OpenAI's words: stop, length, tool_calls, content_filter.

    Whether tools were called is decided by the calls, because some models say
    `stop` after calls and others `tool_calls` without any (recorded 2024, 2026).
    """
    reason = _REASONS.get(raw, raw) if raw else None
    if called:
        return "tool_calls" if reason in (None, "stop", "tool_calls") else reason
    return "stop" if reason == "tool_calls" else reason


def was_cut(reason: str | None) -> bool:
    """Whether a finish reason, normal or raw, says that the answer is not whole."""
    return reason in _CUT


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """Return the token counts in LangChain's shape, with details where the answer gives them."""
    if usage is None:
        return None
    total = usage.total_tokens or usage.prompt_tokens + usage.completion_tokens
    counts = UsageMetadata(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=total)
    if read := _counts(usage.prompt_tokens_details, _INPUT_DETAILS):
        counts["input_token_details"] = InputTokenDetails(**read)  # type: ignore[typeddict-item]
    if written := _counts(usage.completion_tokens_details, _OUTPUT_DETAILS):
        counts["output_token_details"] = OutputTokenDetails(**written)  # type: ignore[typeddict-item]
    return counts


def token_usage(usage: Usage) -> dict[str, Any]:
    """Return the token counts as the answer has them, without empty entries."""
    return {name: count for name, count in usage if count is not None}


_INPUT_DETAILS = {"cached_tokens": "cache_read", "cache_creation_tokens": "cache_creation"}
_OUTPUT_DETAILS = {"reasoning_tokens": "reasoning"}


def _counts(details: Mapping[str, Any] | None, names: Mapping[str, str]) -> dict[str, int]:
    if not details:
        return {}
    return {
        names.get(name, name.removesuffix("_tokens")): value
        for name, value in details.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }


_KNOWN = ("id", "created", "model_version", "moderations", "detections")
_FURTHER = ("system_fingerprint", "service_tier", "trace")


def facts(answer: Completion) -> dict[str, Any]:
    """Return what the top level of an answer says, without empty entries."""
    extra = answer.model_extra or {}
    known = {name: getattr(answer, name) for name in _KNOWN}
    return _found(answer.model_name, {**known, **{name: extra.get(name) for name in _FURTHER}}, answer.warnings)


def chunk_facts(chunk: wire.Chunk) -> dict[str, Any]:
    """Return what the top level of a frame says, without empty entries."""
    from wx_integrations.core.wire.frames import model_of, notes_of

    found = {name: chunk.get(name) for name in (*_KNOWN, *_FURTHER)}
    return _found(model_of(chunk), found, notes_of(chunk))


def _found(model: str | None, found: dict[str, Any], notes: Sequence[wire.Warning]) -> dict[str, Any]:
    found = {"model_name": model, **found}
    if notes:
        found["warnings"] = [note.model_dump(exclude_none=True) for note in notes]
    return {name: value for name, value in found.items() if value is not None}


def is_blocked(notes: Iterable[wire.Warning]) -> str | None:
    """Return the service's words if a moderation refused the input."""
    return next((note.message or BLOCKED for note in notes if note.id == BLOCKED), None)


def warn(notes: Iterable[wire.Warning]) -> None:
    """Give each note of the service as one Python warning."""
    for note in notes:
        label = f" [{note.id}]" if note.id else ""
        warnings.warn(f"watsonx.ai{label}: {note.message}", WatsonxWarning, stacklevel=2)
