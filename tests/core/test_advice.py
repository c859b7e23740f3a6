"""What to say when the service refuses a model."""

from __future__ import annotations

import pytest

from wx_integrations.core.advice import advice, concerns_model
from wx_integrations.core.errors import InvalidRequest, NotFound, RateLimited
from wx_integrations.core.wire.models import ModelSpec


def spec(model_id: str, *functions: str, **lifecycle: list[str]) -> ModelSpec:
    stages = [{"id": stage, "alternative_model_ids": names} for stage, names in lifecycle.items()]
    return ModelSpec.model_validate(
        {"model_id": model_id, "functions": [{"id": name} for name in functions], "lifecycle": stages}
    )


SPECS = [
    spec("ibm/granite-4-h-small", "text_chat", available=[]),
    spec("meta-llama/llama-3-3-70b-instruct", "text_chat"),
    spec("google/flan-ul2", "text_generation"),
    spec("ibm/granite-13b-instruct-v2", "text_generation", available=[], withdrawn=["ibm/granite-4-h-small"]),
    spec("ibm/gone", "text_chat", withdrawn=[]),
]


@pytest.mark.parametrize("model_id", ["ibm/granite-4.0-h-small", "granite-4-h-smal", "IBM/granite-4-h-small"])
def test_a_misspelt_model_gets_a_suggestion(model_id: str) -> None:
    assert advice(model_id, SPECS) == "Did you mean 'ibm/granite-4-h-small'?"


def test_a_retired_model_names_its_successor() -> None:
    said = advice("ibm/granite-13b-instruct-v2", SPECS)
    assert said == "ibm/granite-13b-instruct-v2 is withdrawn; its successor is 'ibm/granite-4-h-small'"


def test_a_model_without_the_function_names_others_that_have_it() -> None:
    said = advice("google/flan-ul2", SPECS)
    assert said is not None
    assert said.startswith("google/flan-ul2 does not offer text_chat; models that do: ")
    assert "'ibm/granite-4-h-small'" in said


def test_a_function_nobody_offers() -> None:
    assert advice("google/flan-ul2", SPECS, function="rerank") == "google/flan-ul2 does not offer rerank"


def test_a_withdrawn_model_without_successor() -> None:
    assert advice("ibm/gone", SPECS) == "ibm/gone is withdrawn"


def test_a_stage_counts_from_its_date_on() -> None:
    stages = [
        {"id": "deprecated", "start_date": "2026-01-01", "alternative_model_ids": ["ibm/next"]},
        {"id": "withdrawn", "start_date": "2099-01-01"},
    ]
    dated = ModelSpec.model_validate({"model_id": "ibm/old", "functions": [{"id": "text_chat"}], "lifecycle": stages})
    assert advice("ibm/old", [dated], today="2025-12-31") is None
    assert advice("ibm/old", [dated], today="2026-01-01") == "ibm/old is deprecated; its successor is 'ibm/next'"
    assert advice("ibm/old", [dated], today="2099-01-01") == "ibm/old is withdrawn; its successor is 'ibm/next'"
    missing = advice("ibm/old", [dated], function="rerank", today="2026-01-01")
    assert missing == "ibm/old does not offer rerank"


def test_nothing_to_say() -> None:
    assert advice("ibm/granite-4-h-small", SPECS) is None
    assert advice("xyz", SPECS) is None


def test_which_refusals_concern_the_model() -> None:
    assert concerns_model(NotFound("m", status=404, code="model_not_supported"))
    assert concerns_model(InvalidRequest("m", status=400, code="model_no_support_for_function"))
    assert not concerns_model(RateLimited("m", status=429, code="rate_limit_reached_requests"))
    assert not concerns_model(NotFound("m", status=404, code="deployment_not_found"))
