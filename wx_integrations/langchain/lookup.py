"""Asking the service's model list: profiles, and advice when it refuses a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime

from langchain_core.language_models import ModelProfile

from wx_integrations.core import calls, profiles
from wx_integrations.core.advice import advice
from wx_integrations.core.client import AsyncClient, Client
from wx_integrations.core.errors import ConfigurationError, ServiceError, WatsonxError
from wx_integrations.core.wire.models import ModelSpec, ModelSpecsPage
from wx_integrations.langchain.profiles import converted


def advise(error: ServiceError, model_id: str, client: Client) -> None:
    """Replace an error's hint by what the model list knows about the model, if it knows something."""
    with contextlib.suppress(WatsonxError):
        _hint(error, model_id, client.run(calls.model_specs()))


async def aadvise(error: ServiceError, model_id: str, client: AsyncClient) -> None:
    """Replace an error's hint by what the model list knows about the model, if it knows something."""
    with contextlib.suppress(WatsonxError):
        _hint(error, model_id, await client.run(calls.model_specs()))


def _hint(error: ServiceError, model_id: str, page: ModelSpecsPage) -> None:
    error.hint = advice(model_id, page.resources) or error.hint


def profile(model_id: str, client: Client) -> ModelProfile:
    """Return a model's profile from the live list.

    Raises:
        ConfigurationError: the list does not have it.
    """
    return _profile(model_id, client.run(calls.model_specs(filters=f"modelid_{model_id}")))


async def aprofile(model_id: str, client: AsyncClient) -> ModelProfile:
    """Return a model's profile from the live list.

    Raises:
        ConfigurationError: the list does not have it.
    """
    return _profile(model_id, await client.run(calls.model_specs(filters=f"modelid_{model_id}")))


def _profile(model_id: str, page: ModelSpecsPage) -> ModelProfile:
    spec = find(model_id, page.resources)
    if spec is None:
        raise ConfigurationError(
            f"{model_id} is not in the model list of this region",
            hint="Check model_id and region (WATSONX_URL); `wx models` lists what there is",
            field="model_id",
        )
    return listed(spec, today=datetime.now(UTC).date().isoformat())


def listed(spec: ModelSpec, *, today: str) -> ModelProfile:
    """Return the profile of an entry of the live model list; `today` (ISO 8601) tells which stage it is in."""
    facts = converted(profiles.from_spec(spec))
    if spec.label:
        facts["name"] = spec.label
    if stage := _stage(spec, today):
        facts["status"] = stage
    return facts


def _stage(spec: ModelSpec, today: str) -> str | None:
    """Return the stage of its life that a model is in."""
    begun = [stage for stage in spec.lifecycle or () if (stage.start_date or "")[:10] <= today]
    return max(begun, key=lambda stage: stage.start_date or "").id if begun else None


def find(model_id: str, specs: Iterable[ModelSpec]) -> ModelSpec | None:
    """Return a model's entry of the list, or None."""
    return next((spec for spec in specs if spec.model_id == model_id), None)
