"""Generated texts as LangChain results: whole answers and folded streams; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from wx_integrations.core.calls import Deployment, Model, Target
from wx_integrations.core.errors import StreamBroken, UnexpectedResponse
from wx_integrations.core.wire import text as wire
from wx_integrations.core.wire.rare import Warning as WireWarning
from wx_integrations.langchain.metadata import normal_reason

_UNFINISHED = "not_finished"
_FAILED = "the model failed while writing (stop_reason error)"


def to_result(answers: Sequence[wire.Generation], target: Target) -> LLMResult:
    """Return the answers to several prompts, in order, as LangChain's result.

    Raises:
        UnexpectedResponse: an answer has no text, or says that the model failed.
    """
    return LLMResult(generations=[_generations(answer) for answer in answers], llm_output=output(answers, target))


def output(answers: Iterable[wire.Generation], target: Target) -> dict[str, Any]:
    """Return what LangChain calls `llm_output`: the tokens of all answers together, and the model."""
    read = written = 0
    name = None
    for answer in answers:
        name = answer.model_id or name
        for result in answer.results:
            read += result.input_token_count or 0
            written += result.generated_token_count or 0
    return summary(read, written, name, target)


def summary(read: int, written: int, name: str | None, target: Target) -> dict[str, Any]:
    """Return `llm_output` for a number of tokens read and written."""
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return {
        "token_usage": usage,
        "model_name": name or target.name,
        "model_id": target.model_id if isinstance(target, Model) else None,
        "deployment_id": target.deployment_id if isinstance(target, Deployment) else None,
    }


def _generations(answer: wire.Generation) -> list[Generation]:
    if not answer.results:
        raise UnexpectedResponse("the answer has no results", status=200, hint="Ask again")
    shared = about(answer)
    made = []
    for result in answer.results:
        if _reason(result) == "error":
            raise UnexpectedResponse(_FAILED, status=200, excerpt=result.generated_text)
        made.append(Generation(text=result.generated_text, generation_info={**details(result), **shared}))
    return made


def notes(answer: wire.Generation) -> list[WireWarning]:
    """Return the service's notes about a request."""
    return list((answer.system and answer.system.warnings) or ())


def about(answer: wire.Generation) -> dict[str, Any]:
    """Return what the top level of an answer says, without empty entries."""
    said = {"model_name": answer.model_id, "model_version": answer.model_version, "created_at": answer.created_at}
    if warnings := notes(answer):
        said["warnings"] = [note.model_dump(exclude_none=True) for note in warnings]
    return {name: value for name, value in said.items() if value is not None}


def details(result: wire.GenerationResult) -> dict[str, Any]:
    """Return what a result says beside its text; `stop_reason` is as it came, `finish_reason` in OpenAI's words."""
    said = result.model_dump(exclude={"generated_text"}, exclude_none=True)
    return {**said, "finish_reason": normal_reason(_reason(result), called=False)}


def _reason(result: wire.GenerationResult) -> str | None:
    """Return the stop reason in lower case: the API reference writes upper case, the service lower."""
    return result.stop_reason.lower() if result.stop_reason else None


class Fold:
    """Turns the frames of one stream into LangChain chunks.

    The chunks carry text only; what the answer says about itself comes once,
    in the last chunk, because LangChain adds chunks up.

    Attributes:
        notes: the service's notes about the request.
    """

    def __init__(self) -> None:
        self.notes: list[WireWarning] = []
        self.read = 0
        self.written = 0
        self._about: dict[str, Any] = {}
        self._details: dict[str, Any] = {}
        self._text: list[str] = []
        self._said = False

    @property
    def model_name(self) -> str | None:
        """The model that answered."""
        name = self._about.get("model_name")
        return name if isinstance(name, str) else None

    def feed(self, frame: wire.Generation) -> GenerationChunk | None:
        """Return a frame's text, or None when it has none.

        Raises:
            StreamBroken: the model failed.
        """
        self.notes += notes(frame)
        self._about = {**about(frame), **self._about}
        pieces = []
        for result in frame.results:
            if _reason(result) == "error":
                raise StreamBroken(_FAILED, arrived=tuple(self._text))
            self._said = True
            pieces.append(result.generated_text)
            self._take(result)
        text = "".join(pieces)
        self._text.append(text)
        return GenerationChunk(text=text) if text else None

    def _take(self, result: wire.GenerationResult) -> None:
        # Counts run up (recorded 2025): the prompt's comes in the first frame and is 0 later.
        self.read = max(self.read, result.input_token_count or 0)
        self.written = max(self.written, result.generated_token_count or 0)
        said = details(result)
        if _reason(result) in (None, _UNFINISHED):
            said = {name: value for name, value in said.items() if name not in ("stop_reason", "finish_reason")}
        self._details = _joined(self._details, said)

    def finish(self) -> GenerationChunk:
        """Return the last chunk: no text, and everything the answer said about itself.

        Raises:
            StreamBroken: no frame had a result.
        """
        if not self._said:
            raise StreamBroken("the stream holds no answer")
        counts = {"input_token_count": self.read, "generated_token_count": self.written}
        return GenerationChunk(text="", generation_info={**self._details, **counts, **self._about})


def _joined(so_far: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, with lists (tokens, detected entities) one after the other and the later of anything else."""
    joined = dict(so_far)
    for name, value in more.items():
        before = joined.get(name)
        if isinstance(value, list) and isinstance(before, list):
            joined[name] = [*before, *value]
        elif isinstance(value, dict) and isinstance(before, dict):
            joined[name] = _joined(before, value)
        else:
            joined[name] = value
    return joined
