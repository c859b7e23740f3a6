"""Text generations as LlamaIndex completions: whole ones, and streams folded."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import CompletionResponse, LogProb

from wx_integrations.core.calls import ends_generation
from wx_integrations.core.errors import StreamBroken, UnexpectedResponse
from wx_integrations.core.wire.chat import Usage
from wx_integrations.core.wire.text import Generation, GenerationResult
from wx_integrations.llamaindex.answers import IN_PROGRESS, facts_of, raw_of, warnings_of
from wx_integrations.llamaindex.logprobs import of_generation


def from_generation(generation: Generation) -> CompletionResponse:
    """Return a whole text generation.

    Raises:
        UnexpectedResponse: the answer has no text.
    """
    if not generation.results:
        raise UnexpectedResponse("the answer has no results", status=200, hint="Ask again")
    result = generation.results[0]
    usage = _generation_usage(result, None)
    return CompletionResponse(
        text=result.generated_text,
        raw=raw_of(generation, usage),
        logprobs=of_generation(result.generated_tokens),
        additional_kwargs=facts_of(usage, result.stop_reason, generation.model_id, warnings_of(generation.system)),
    )


class TextFold:
    """Folds the frames of a text generation stream."""

    def __init__(self) -> None:
        self._text = ""
        self._usage: Usage | None = None
        self._model: str | None = None
        self._warnings: list[dict[str, Any]] = []
        self._logprobs: list[list[LogProb]] = []
        self._said = False

    def end(self) -> None:
        """Check that there was an answer.

        Raises:
            StreamBroken: no frame had a result.
        """
        if not self._said:
            raise StreamBroken("the stream holds no answer")

    def feed(self, frame: Generation) -> CompletionResponse | None:
        """Take the next frame; frames without a result (the first of old streams) say nothing."""
        self._model = frame.model_id or self._model
        self._warnings = self._warnings + warnings_of(frame.system)
        if not frame.results:
            return None
        result = frame.results[0]
        self._text += result.generated_text
        self._usage = _generation_usage(result, self._usage)
        self._logprobs = self._logprobs + (of_generation(result.generated_tokens) or [])
        self._said = True
        ended = ends_generation(frame)
        facts = facts_of(self._usage, result.stop_reason if ended else None, self._model, self._warnings)
        if not ended:
            facts[IN_PROGRESS] = True
        return CompletionResponse(
            text=self._text,
            delta=result.generated_text,
            raw=raw_of(frame, self._usage if ended else None),
            logprobs=self._logprobs or None,
            additional_kwargs=facts,
        )


def _generation_usage(result: GenerationResult, before: Usage | None) -> Usage | None:
    """Return the counts so far: input tokens come once, generated ones as a running total."""
    if result.input_token_count is None and result.generated_token_count is None:
        return before
    prompt = max(result.input_token_count or 0, before.prompt_tokens if before else 0)
    generated = max(result.generated_token_count or 0, before.completion_tokens if before else 0)
    return Usage(prompt_tokens=prompt, completion_tokens=generated, total_tokens=prompt + generated)
