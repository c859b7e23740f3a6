"""The model list: its shape, filters and pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.emulator.lab import VERSION, Lab, data_of, error_of
from wx_integrations.core.wire.models import ModelSpecsPage
from wx_integrations.emulator.cards import CARDS
from wx_integrations.emulator.deterministic import DeterministicBrain

SPECS = "/ml/v1/foundation_model_specs"
ANONYMOUS = {"authorization": ""}


def listed(lab: Lab, **query: str) -> Any:
    return data_of(lab.send("GET", SPECS, query={"version": VERSION, **query}, headers=ANONYMOUS))


def ids(**query: str) -> list[str]:
    return [row["model_id"] for row in listed(Lab(), **query)["resources"]]


def test_the_list_is_open_to_all_and_reads_as_the_wire_says() -> None:
    page = ModelSpecsPage.model_validate(listed(Lab()))
    assert page.total_count == len(CARDS)
    assert page.next is None
    first = page.resources[0]
    assert first.model_limits is not None
    assert (first.model_id, first.model_limits.max_sequence_length) == ("ibm/granite-4-h-small", 131072)
    assert [function.id for function in first.functions or []] == ["text_chat", "text_generation"]
    assert first.lifecycle is not None


@pytest.mark.parametrize("row", listed(Lab())["resources"], ids=lambda row: row["model_id"])
def test_every_required_field_is_there(row: dict[str, Any]) -> None:
    required = "model_id label provider source short_description input_tier output_tier number_params"
    assert set(required.split()) <= set(row)


@pytest.mark.parametrize(
    ("filters", "some", "none"),
    [
        ("function_rerank", "cross-encoder/ms-marco-minilm-l-12-v2", "ibm/granite-4-h-small"),
        ("modelid_ibm/granite-4-h-small", "ibm/granite-4-h-small", "ibm/granite-3-3-8b-instruct"),
        ("!lifecycle_withdrawn", "ibm/granite-13b-instruct-v2", "google/flan-t5-xxl"),
        ("lifecycle_withdrawn", "google/flan-t5-xxl", "ibm/granite-4-h-small"),
        ("provider_ibm,function_embedding:and", "ibm/slate-125m-english-rtrvr", "intfloat/multilingual-e5-large"),
        ("provider_ibm,function_embedding:or", "intfloat/multilingual-e5-large", "google/flan-ul2"),
        ("function_text_chat,!lifecycle_withdrawn:and", "openai/gpt-oss-120b", "google/flan-ul2"),
        ("task_reranking", "cross-encoder/ms-marco-minilm-l-12-v2", "google/flan-ul2"),
        ("tier_class_1", "google/flan-ul2", "nothing"),
        (
            "source_meta,!function_image_chat:and",
            "meta-llama/llama-3-3-70b-instruct",
            "meta-llama/llama-4-maverick-17b-128e-instruct-fp8",
        ),
    ],
)
def test_filters(filters: str, some: str, none: str) -> None:
    found = ids(filters=filters)
    assert some in found
    assert none not in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filters", "colour_red"),
        ("filters", ""),
        ("filters", "function_rerank,"),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "x"),
        ("start", "nowhere"),
    ],
)
def test_bad_queries(name: str, value: str) -> None:
    reply = Lab().send("GET", SPECS, query={"version": VERSION, name: value}, headers=ANONYMOUS)
    error = error_of(reply)
    assert error["status"] == 400
    assert error["target"] == {"type": "parameter", "name": name}


def test_pages_follow_their_links() -> None:
    lab = Lab()
    seen: list[str] = []
    query = {"limit": "7", "filters": "!lifecycle_withdrawn"}
    while True:
        page = listed(lab, **query)
        seen += [row["model_id"] for row in page["resources"]]
        assert page["limit"] == 7
        assert urlsplit(page["first"]["href"]).path == SPECS
        if "next" not in page:
            break
        query = {name: values[0] for name, values in parse_qs(urlsplit(page["next"]["href"]).query).items()}
    assert seen == ids(filters="!lifecycle_withdrawn")


def test_lifecycle_follows_the_clock() -> None:
    lab = Lab()
    lab.clock.now = 1_717_300_000.0  # June 2024: deprecated, not yet withdrawn
    found = listed(lab, filters="lifecycle_deprecated")["resources"]
    assert "google/flan-t5-xxl" in [row["model_id"] for row in found]


def test_aliases_are_listed_and_answer_under_the_real_name() -> None:
    card = replace(CARDS[0], model_id="local/qwen", aliases=("ibm/granite-4-h-small",))
    lab = Lab(DeterministicBrain([card]))
    assert [row["model_id"] for row in listed(lab)["resources"]] == ["local/qwen", "ibm/granite-4-h-small"]
    assert data_of(lab.chat())["model_id"] == "local/qwen"


def test_tasks() -> None:
    page = data_of(Lab().send("GET", "/ml/v1/foundation_model_tasks", headers=ANONYMOUS))
    assert set(page["resources"][0]) == {"task_id", "label", "description", "rank"}
