"""What LangChain wants to know about a model, from the shipped table."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.language_models import ModelProfile

from wx_integrations.core import profiles


class ShippedProfile(dict[str, Any]):
    """A profile that we found ourselves, with the model it is for."""

    def __init__(self, model_id: str, facts: ModelProfile) -> None:
        super().__init__(facts)
        self.model_id = model_id

    def __reduce__(self) -> tuple[Any, ...]:
        return (ShippedProfile, (self.model_id, dict(self)))


def shipped(model_id: str | None) -> ModelProfile | None:
    """Return the shipped table's profile of a model of the catalogue, or None if it is not in it."""
    known = profiles.profile_of(model_id)
    return converted(known) if known is not None else None


def converted(known: profiles.ModelProfile) -> ModelProfile:
    """Return what is known in LangChain's words; what is not known is left out."""
    found: dict[str, Any] = {
        "max_input_tokens": known.max_input_tokens,
        "max_output_tokens": known.max_output_tokens,
        "tool_calling": known.tool_calling,
        "structured_output": known.structured_output,
        "image_inputs": known.image_inputs,
        "audio_inputs": known.audio_inputs,
        "video_inputs": known.video_inputs,
        "reasoning_output": known.reasoning,
        # facts of the API, whichever the model: see the API reference, "Text chat"
        "text_inputs": True,
        "text_outputs": True,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
        "pdf_inputs": False,
        "image_url_inputs": False,
        "image_tool_message": False,
        "pdf_tool_message": False,
    }
    facts = {name: value for name, value in found.items() if value is not None}
    return cast(ModelProfile, ShippedProfile(known.model_id, cast(ModelProfile, facts)))
