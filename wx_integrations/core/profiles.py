"""What is known about watsonx.ai models: limits and capabilities, each row with its source and date.

The table only says what a source says. `None` means unknown, and a model that
is not in the table has no profile: nothing is guessed from a model's name.
The live model list (`calls.model_specs`) is newer; `from_spec` turns one of its
entries into a profile.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wx_integrations.core.wire.models import ModelSpec


class ModelProfile(NamedTuple):
    """A model's limits and capabilities; None where the source does not say.

    Attributes:
        context_window: tokens of input and output together (`max_sequence_length`);
            for embedding and rerank models the tokens of one input.
        max_output_tokens: the most tokens of one answer.
        chat: answers `text/chat`.
        text_generation: answers `text/generation`.
        tool_calling: calls tools in chat.
        structured_output: follows `response_format` of type `json_schema`.
        reasoning: can think before it answers.
        embedding_dimension: length of an embedding.
        source: where the row comes from.
        date: when the source said so, ISO 8601, as exact as known.
    """

    model_id: str
    source: str
    date: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    chat: bool | None = None
    text_generation: bool | None = None
    tool_calling: bool | None = None
    structured_output: bool | None = None
    image_inputs: bool | None = None
    audio_inputs: bool | None = None
    video_inputs: bool | None = None
    reasoning: bool | None = None
    embedding: bool | None = None
    rerank: bool | None = None
    embedding_dimension: int | None = None

    @property
    def max_input_tokens(self) -> int | None:
        """The most tokens of input: the context window, from which the answer's tokens still go."""
        return self.context_window


def profile_of(model_id: str | None) -> ModelProfile | None:
    """Return what the shipped table knows about a model of the catalogue, or None."""
    return PROFILES.get(model_id) if model_id else None


def from_spec(spec: "ModelSpec", *, date: str = "live") -> ModelProfile:
    """Return the profile of an entry of the model list.

    The list says functions, tasks and limits; what it leaves open
    (structured output, reasoning) is filled from the shipped table.
    """
    functions = None if spec.functions is None else {function.id for function in spec.functions}
    limits = spec.model_limits
    known = profile_of(spec.model_id)

    def can(function: str) -> bool | None:
        return None if functions is None else function in functions

    tools = None if spec.task_ids is None else "function_calling" in spec.task_ids
    return ModelProfile(
        model_id=spec.model_id,
        source="foundation_model_specs",
        date=date,
        context_window=limits.max_sequence_length if limits else None,
        max_output_tokens=limits.max_output_tokens if limits else None,
        chat=can("text_chat"),
        text_generation=can("text_generation"),
        tool_calling=tools,
        structured_output=known.structured_output if known else None,
        image_inputs=can("image_chat"),
        audio_inputs=can("audio_chat"),
        video_inputs=can("video_chat"),
        reasoning=known.reasoning if known else None,
        embedding=can("embedding"),
        rerank=can("rerank"),
        embedding_dimension=limits.embedding_dimension if limits else None,
    )


# --------------------------------------------------------------------------- the table

_LISTING = "foundation_model_specs of eu-de, recorded in the tests of IBM's watsonx.ai Java SDK"
_LISTING_DATE = "2025-09"
_JAVA_DOCS = "IBM's watsonx.ai Java SDK: documentation of the model list, recorded chats"
_PROVIDER = "IBM's watsonx.ai provider for the Vercel AI SDK: README"
_HUB = "IBM watsonx Developer Hub: tool calling"

_STRUCTURED = frozenset({"ibm/granite-4-h-small", "meta-llama/llama-3-3-70b-instruct", "openai/gpt-oss-120b"})
"""Answered `json_schema`: the README of the provider above, and a chat recorded by the Java SDK (llama)."""

_REASONING = frozenset({"ibm/granite-3-3-8b-instruct", "openai/gpt-oss-120b"})
"""Think when asked to: `control: thinking` of the API reference (Granite), recorded `reasoning_content` (gpt-oss)."""

# model id, functions, context window, output tokens (embedding models: dimension)
_LISTED: tuple[tuple[str, str, int | None, int | None], ...] = (
    ("core42/jais-13b-chat", "generation", 2048, 2048),
    ("cross-encoder/ms-marco-minilm-l-12-v2", "rerank", None, None),
    ("google/flan-t5-xl", "generation", 4096, 4095),
    ("google/flan-t5-xxl", "generation", 4096, 4095),
    ("google/flan-ul2", "generation", 4096, 4095),
    ("ibm/granite-13b-instruct-v2", "generation", 8192, 8191),
    ("ibm/granite-20b-code-instruct", "chat generation", 8192, 4096),
    ("ibm/granite-3-2b-instruct", "chat tools generation", 131072, 8192),
    ("ibm/granite-3-3-8b-instruct", "chat tools generation", 131072, 16384),
    ("ibm/granite-3-8b-instruct", "chat tools generation", 131072, 8192),
    ("ibm/granite-34b-code-instruct", "chat generation", 8192, 8192),
    ("ibm/granite-embedding-107m-multilingual", "embedding", 512, 384),
    ("ibm/granite-embedding-278m-multilingual", "embedding", 512, 768),
    ("ibm/slate-125m-english-rtrvr", "embedding rerank", 512, 768),
    ("ibm/slate-125m-english-rtrvr-v2", "embedding rerank", 512, 768),
    ("ibm/slate-30m-english-rtrvr", "embedding rerank", 512, 384),
    ("ibm/slate-30m-english-rtrvr-v2", "embedding rerank", 512, 384),
    ("intfloat/multilingual-e5-large", "embedding rerank", 512, 1024),
    ("meta-llama/llama-2-13b-chat", "generation", 4096, 4095),
    ("meta-llama/llama-3-2-11b-vision-instruct", "chat tools image generation", 131072, 8192),
    ("meta-llama/llama-3-2-90b-vision-instruct", "chat tools image generation", 131072, 8192),
    ("meta-llama/llama-3-3-70b-instruct", "chat tools generation", 131072, 8192),
    ("meta-llama/llama-4-maverick-17b-128e-instruct-fp8", "chat tools image generation", 131072, 8192),
    ("mistralai/mistral-large", "chat tools generation", 128000, 16384),
    ("mistralai/mistral-small-3-1-24b-instruct-2503", "chat tools image generation", 128000, 16384),
    ("mistralai/mixtral-8x7b-instruct-v01", "chat generation", 32768, 16384),
    ("mistralai/pixtral-12b", "chat image generation", 128000, 8192),
    ("sdaia/allam-1-13b-instruct", "generation", 4096, 4096),
    ("sentence-transformers/all-minilm-l12-v2", "embedding rerank", 128, 384),
    ("sentence-transformers/all-minilm-l6-v2", "embedding rerank", 256, 384),
)

# Newer than the listing, or not served in its region: only what the source says.
_FURTHER: tuple[ModelProfile, ...] = (
    ModelProfile(
        "ibm/granite-4-h-small",
        _JAVA_DOCS,
        "2026-08",
        context_window=131072,
        chat=True,
        tool_calling=True,
        structured_output=True,
    ),
    ModelProfile(
        "openai/gpt-oss-120b",
        _PROVIDER + "; context window: OpenAI's model card, confirmed for watsonx.ai by cuga-agent #437",
        "2026-07",
        context_window=131072,
        chat=True,
        tool_calling=True,
        structured_output=True,
        reasoning=True,
    ),
    ModelProfile("mistralai/mistral-large-2512", _JAVA_DOCS, "2026-08", chat=True, tool_calling=True),
    ModelProfile("mistralai/mistral-medium-2505", _PROVIDER, "2026", chat=True, tool_calling=True),
    ModelProfile("meta-llama/llama-3-2-1b-instruct", _HUB, "2025", chat=True, tool_calling=True),
    ModelProfile("meta-llama/llama-3-2-3b-instruct", _HUB, "2025", chat=True, tool_calling=True),
)


def _listed() -> Iterator[ModelProfile]:
    for model_id, words, window, size in _LISTED:
        functions = frozenset(words.split())
        yield ModelProfile(
            model_id,
            _LISTING,
            _LISTING_DATE,
            context_window=window,
            max_output_tokens=None if "embedding" in functions else size,
            chat="chat" in functions,
            text_generation="generation" in functions,
            tool_calling="tools" in functions,
            structured_output=True if model_id in _STRUCTURED else None,
            image_inputs="image" in functions,
            audio_inputs=False,
            video_inputs=False,
            reasoning=True if model_id in _REASONING else None,
            embedding="embedding" in functions,
            rerank="rerank" in functions,
            embedding_dimension=size if "embedding" in functions else None,
        )


PROFILES: Mapping[str, ModelProfile] = MappingProxyType(
    {profile.model_id: profile for profile in (*_listed(), *_FURTHER)}
)
"""Every model the table knows, by its id."""
