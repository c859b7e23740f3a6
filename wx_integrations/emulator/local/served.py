"""How the local models show themselves: cards that name what runs, and the hosted ids they stand in for."""

from __future__ import annotations

from pathlib import Path

from wx_integrations.emulator.brain import ModelCard
from wx_integrations.emulator.cards import CARDS
from wx_integrations.emulator.local.catalogue import LocalModel
from wx_integrations.emulator.local.errors import FetchError
from wx_integrations.emulator.local.gguf import read_metadata

_CHAT_FAMILIES = (
    "ibm/granite-[0-9]*",
    "ibm/granite-code-*",
    "ibm/granite-vision-*",
    "meta-llama/*",
    "mistralai/*",
    "mistral-large*",
    "openai/gpt-oss-*",
    "google/*",
    "deepseek-ai/*",
    "qwen/*",
    "huggingfacetb/*",
)
_EMBEDDING_FAMILIES = ("ibm/slate-*", "ibm/granite-embedding-*", "intfloat/*", "sentence-transformers/*")
_RERANK_FAMILIES = ("cross-encoder/*",)


def chat_card(model: LocalModel, context: int, *, reranks: bool) -> ModelCard:
    """Return the card of a model that chats."""
    return _language_card(
        model.model_id, model.label, model.provider, model.description, model.number_params, context, reranks=reranks
    )


def own_card(path: Path, context: int) -> ModelCard:
    """Return the card of the user's own model file.

    Raises:
        FetchError: the file is not there or is not a model.
    """
    try:
        facts = read_metadata(path)
    except OSError as error:
        raise FetchError(
            str(path), f"The file cannot be read: {error.strerror}.", "Give the path of a GGUF file."
        ) from error
    except ValueError as error:
        raise FetchError(str(path), f"{error}.", "Give the path of a GGUF file (version 2 or 3).") from error
    architecture = facts.get("general.architecture", "")
    known = int(facts.get(f"{architecture}.context_length", context))
    name = str(facts.get("general.name") or path.stem)
    return _language_card(
        f"local/{path.stem.lower()}",
        name,
        "local",
        f"Runs on this machine from {path.name}.",
        str(facts.get("general.size_label", "")).lower(),
        min(context, known),
        reranks=True,
    )


def _language_card(
    model_id: str, label: str, provider: str, description: str, params: str, context: int, *, reranks: bool
) -> ModelCard:
    functions = ("text_chat", "text_generation", *(("rerank",) if reranks else ()))
    aliases = (*hosted("text_chat", "text_generation"), *(hosted("rerank") if reranks else ()))
    patterns = (*_CHAT_FAMILIES, *(_RERANK_FAMILIES if reranks else ()))
    aliases = tuple(alias for alias in aliases if alias != model_id)
    return ModelCard(
        model_id, label, provider, description, functions, context, context, params, aliases, alias_patterns=patterns
    )


def embedding_card(model: LocalModel, *, reranks: bool) -> ModelCard:
    """Return the card of a model that embeds and, where no judge is there, ranks by nearness."""
    functions = ("embedding", "similarity", *(("rerank",) if reranks else ()))
    aliases = (*hosted("embedding"), *(hosted("rerank") if reranks else ()))
    patterns = (*_EMBEDDING_FAMILIES, *(_RERANK_FAMILIES if reranks else ()))
    aliases = tuple(alias for alias in aliases if alias != model.model_id)
    return ModelCard(
        model.model_id,
        model.label,
        model.provider,
        model.description,
        functions,
        model.context,
        0,
        model.number_params,
        aliases,
        alias_patterns=patterns,
    )


def hosted(*functions: str) -> tuple[str, ...]:
    """Return the ids of the hosted models that have one of these functions."""
    return tuple(
        card.model_id
        for card in CARDS
        if set(functions) & set(card.functions) and not card.model_id.startswith("emulator/")
    )
