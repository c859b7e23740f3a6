"""The model table: known models, unknown models, and the live list."""

from __future__ import annotations

import pytest

from wx_integrations.core.profiles import PROFILES, from_spec, profile_of
from wx_integrations.core.wire.models import ModelSpec


def test_a_listed_chat_model() -> None:
    profile = profile_of("meta-llama/llama-3-3-70b-instruct")
    assert profile is not None
    assert (profile.context_window, profile.max_input_tokens, profile.max_output_tokens) == (131072, 131072, 8192)
    assert profile.chat is True
    assert profile.tool_calling is True
    assert profile.structured_output is True
    assert profile.image_inputs is False
    assert profile.reasoning is None


def test_a_model_that_only_continues_text() -> None:
    profile = profile_of("google/flan-ul2")
    assert profile is not None
    assert profile.chat is False
    assert profile.text_generation is True
    assert profile.tool_calling is False


def test_an_embedding_model_has_a_dimension_and_no_output_limit() -> None:
    profile = profile_of("ibm/slate-125m-english-rtrvr-v2")
    assert profile is not None
    assert (profile.context_window, profile.embedding_dimension, profile.max_output_tokens) == (512, 768, None)
    assert profile.embedding is True


@pytest.mark.parametrize("model_id", ["ibm/granite-99-huge", "granite-4-h-small", "", None])
def test_nothing_is_guessed_for_an_unknown_model(model_id: str | None) -> None:
    assert profile_of(model_id) is None


def test_what_the_source_leaves_open_stays_open() -> None:
    profile = profile_of("ibm/granite-4-h-small")
    assert profile is not None
    assert profile.context_window == 131072
    assert profile.max_output_tokens is None
    assert profile.image_inputs is None


def test_every_row_has_a_source_a_date_and_sane_limits() -> None:
    assert len(PROFILES) >= 36
    for model_id, profile in PROFILES.items():
        assert model_id == profile.model_id
        assert profile.source
        assert profile.date
        if profile.context_window is not None and profile.max_output_tokens is not None:
            assert 0 < profile.max_output_tokens <= profile.context_window


def test_rows_do_not_change() -> None:
    profile = profile_of("mistralai/mistral-large")
    with pytest.raises(AttributeError):
        profile.chat = False  # type: ignore[union-attr,misc]
    with pytest.raises(TypeError):
        PROFILES["x"] = profile  # type: ignore[index]


def test_a_live_entry_becomes_a_profile() -> None:
    spec = ModelSpec.model_validate(
        {
            "model_id": "openai/gpt-oss-120b",
            "functions": [{"id": "text_chat"}, {"id": "audio_chat"}],
            "task_ids": ["function_calling", "generation"],
            "model_limits": {"max_sequence_length": 1000, "max_output_tokens": 500},
        }
    )
    profile = from_spec(spec, date="2026-10-01")
    assert (profile.context_window, profile.max_output_tokens, profile.date) == (1000, 500, "2026-10-01")
    assert (profile.chat, profile.text_generation, profile.audio_inputs, profile.image_inputs) == (
        True,
        False,
        True,
        False,
    )
    assert profile.tool_calling is True
    assert profile.structured_output is True  # the list does not say; the table does
    assert profile.reasoning is True


def test_a_bare_live_entry_says_nothing() -> None:
    profile = from_spec(ModelSpec(model_id="new/model"))
    assert profile.model_id == "new/model"
    assert profile.chat is None
    assert profile.tool_calling is None
    assert profile.context_window is None
