"""What LangChain wants to know about a model, from the shipped table or the live model list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from langchain_core.language_models import ModelProfile

from wx_integrations.core import profiles
from wx_integrations.core.wire.text import ModelSpec


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
    return _converted(known) if known is not None else None


def listed(spec: ModelSpec, *, today: str) -> ModelProfile:
    """Return the profile of an entry of the live model list; `today` (ISO 8601) tells which stage it is in."""
    facts = _converted(profiles.from_spec(spec))
    if spec.label:
        facts["name"] = spec.label
    if stage := _stage(spec, today):
        facts["status"] = stage
    return facts


def _converted(known: profiles.ModelProfile) -> ModelProfile:
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


def _stage(spec: ModelSpec, today: str) -> str | None:
    """Return the stage of its life that a model is in."""
    begun = [stage for stage in spec.lifecycle or () if (stage.start_date or "")[:10] <= today]
    return max(begun, key=lambda stage: stage.start_date or "").id if begun else None


def find(model_id: str, specs: Iterable[ModelSpec]) -> ModelSpec | None:
    """Return a model's entry of the list, or None."""
    return next((spec for spec in specs if spec.model_id == model_id), None)
