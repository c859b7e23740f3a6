"""The Model Gateway's OpenAI-shaped names, and the translation from and to ours.

Source: the official SDKs' gateway types (the API reference page predates it).
A parameter that the gateway does not know is refused by name, never dropped.
"""

from typing import Any

from wx_integrations.core.wire.chat import ChatRequest, Usage
from wx_integrations.core.wire.embeddings import Embedding, Embeddings
from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.text import Generation, GenerationResult

_CHAT_FIELDS = frozenset(
    {
        *("messages", "tools", "tool_choice", "parallel_tool_calls", "n", "seed", "stop", "temperature", "top_p"),
        *("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"),
        *("max_tokens", "max_completion_tokens", "response_format", "reasoning_effort"),
    }
)
_GENERATION_NAMES = {
    "max_new_tokens": "max_tokens",
    "random_seed": "seed",
    "stop_sequences": "stop",
    "temperature": "temperature",
    "top_p": "top_p",
}


class GatewayChatRequest(ChatRequest):
    """A conversation with what only the gateway knows."""

    parallel_tool_calls: bool | None = None
    """Whether one answer may hold several calls."""


class NotOnTheGateway(ValueError):
    """A parameter that the gateway does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not known to the Model Gateway; use model_id or deployment_id, or leave it out")
        self.name = name


def translate(body: Sent) -> dict[str, Any]:
    """Return a request in the gateway's words.

    Raises:
        NotOnTheGateway: a parameter has no counterpart.
    """
    data = body.to_wire()
    if "messages" in data:
        return _chat(data)
    if "inputs" in data:
        return _embeddings(data)
    return _completion(data)


def _chat(data: dict[str, Any]) -> dict[str, Any]:
    option = data.pop("tool_choice_option", None)
    if option is not None:
        data["tool_choice"] = option
    for name in data:
        if name not in _CHAT_FIELDS:
            raise NotOnTheGateway(name)
    return data


def _embeddings(data: dict[str, Any]) -> dict[str, Any]:
    for name in data:
        if name != "inputs":
            raise NotOnTheGateway(name)
    return {"input": data["inputs"]}


def _completion(data: dict[str, Any]) -> dict[str, Any]:
    parameters = data.pop("parameters", None) or {}
    prompt = data.pop("input", "")
    for name in data:
        raise NotOnTheGateway(name)
    sent = {"prompt": prompt}
    for name, value in parameters.items():
        if name not in _GENERATION_NAMES:
            raise NotOnTheGateway(name)
        sent[_GENERATION_NAMES[name]] = value
    return sent


class _TextChoice(Received):
    index: int = 0
    text: str
    finish_reason: str | None = None
    logprobs: Any = None


class _TextCompletion(Received):
    model: str | None = None
    created: Any = None
    choices: list[_TextChoice]
    usage: Usage | None = None


class _EmbeddingItem(Received):
    index: int
    embedding: list[float]


class _EmbeddingList(Received):
    model: str | None = None
    data: list[_EmbeddingItem]
    usage: Usage | None = None


def generation(content: bytes) -> Generation:
    """Read `/completions` as a generation; finish reasons keep the gateway's spelling."""
    answer = _TextCompletion.model_validate_json(content)
    usage = answer.usage
    # The usage frame of a stream may come without choices; its counts belong to the text all the same.
    results = [
        GenerationResult(
            generated_text=choice.text,
            stop_reason=choice.finish_reason or "not_finished",
            generated_token_count=usage.completion_tokens if usage else None,
            input_token_count=usage.prompt_tokens if usage else None,
            **({"logprobs": choice.logprobs} if choice.logprobs else {}),
        )
        for choice in answer.choices or ([_TextChoice(text="")] if usage else [])
    ]
    return Generation(model_id=answer.model, created_at=answer.created, results=results)


def embeddings(content: bytes) -> Embeddings:
    """Read the gateway's `/embeddings`, whose items carry their index."""
    answer = _EmbeddingList.model_validate_json(content)
    items = sorted(answer.data, key=lambda item: item.index)
    if [item.index for item in items] != list(range(len(items))):
        raise ValueError("the embeddings' indices are not 0, 1, 2, ...")
    return Embeddings(
        model_id=answer.model,
        results=[Embedding(embedding=item.embedding) for item in items],
        input_token_count=answer.usage.prompt_tokens if answer.usage else 0,
    )
