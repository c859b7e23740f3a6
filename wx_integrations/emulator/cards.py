"""The models that the deterministic brain pretends to serve; the names are the service's, the answers are not."""

from __future__ import annotations

from wx_integrations.emulator.brain import ModelCard

_NOTE = "Emulated: no weights, answers by rule."
_CHAT = ("text_chat", "text_generation")
_AVAILABLE = {"id": "available", "start_date": "2024-01-01"}


def _language(model_id: str, provider: str, *functions: str, params: str = "", context: int = 131_072) -> ModelCard:
    label = model_id.partition("/")[2]
    return ModelCard(model_id, label, provider, _NOTE, functions or _CHAT, context, 16_384, params)


def _vectors(model_id: str, provider: str, function: str, context: int, params: str) -> ModelCard:
    label = model_id.partition("/")[2]
    functions = (function, "similarity") if function == "embedding" else (function,)
    return ModelCard(model_id, label, provider, _NOTE, functions, context, 0, params)


def _ageing(card: ModelCard, *stages: tuple[str, str]) -> ModelCard:
    later = tuple(
        {"id": stage, "start_date": date, "alternative_model_ids": ["ibm/granite-4-h-small"]} for stage, date in stages
    )
    return ModelCard(
        card.model_id,
        card.label,
        card.provider,
        card.description,
        card.functions,
        card.max_sequence_length,
        card.max_output_tokens,
        card.number_params,
        lifecycle=(_AVAILABLE, *later),
    )


CARDS: tuple[ModelCard, ...] = (
    _language("ibm/granite-4-h-small", "IBM", params="32b"),
    _language("ibm/granite-3-3-8b-instruct", "IBM", params="8b"),
    _language("ibm/granite-3-8b-instruct", "IBM", params="8b"),
    _language("meta-llama/llama-3-3-70b-instruct", "Meta", params="70b"),
    _language("meta-llama/llama-4-maverick-17b-128e-instruct-fp8", "Meta", *_CHAT, "image_chat", params="400b"),
    _language("mistralai/mistral-medium-2505", "Mistral AI", *_CHAT, "image_chat"),
    _language("mistralai/mistral-large-2512", "Mistral AI", *_CHAT, "image_chat"),
    _language("openai/gpt-oss-120b", "OpenAI", "text_chat", params="120b"),
    _language("emulator/all-senses", "wx_integrations", *_CHAT, "image_chat", "audio_chat", "video_chat"),
    _language("emulator/short-sighted", "wx_integrations", context=256),
    _language("google/flan-ul2", "Google", "text_generation", params="20b", context=4096),
    _ageing(
        _language("ibm/granite-13b-instruct-v2", "IBM", "text_generation", params="13b", context=8192),
        ("deprecated", "2025-01-01"),
    ),
    _ageing(
        _language("google/flan-t5-xxl", "Google", "text_generation", params="11b", context=4096),
        ("deprecated", "2024-06-01"),
        ("withdrawn", "2025-01-01"),
    ),
    _vectors("ibm/slate-125m-english-rtrvr", "IBM", "embedding", 512, "125m"),
    _vectors("ibm/slate-30m-english-rtrvr", "IBM", "embedding", 512, "30m"),
    _vectors("ibm/granite-embedding-278m-multilingual", "IBM", "embedding", 512, "278m"),
    _vectors("intfloat/multilingual-e5-large", "Intel", "embedding", 512, "560m"),
    _vectors("sentence-transformers/all-minilm-l6-v2", "UKP Lab", "embedding", 256, "23m"),
    _vectors("cross-encoder/ms-marco-minilm-l-12-v2", "UKP Lab", "rerank", 512, "33m"),
)
