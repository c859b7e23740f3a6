"""A short campaign, the recorded answers as they are, and a few large ones."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.fuzz.campaign import Campaign, unchanged
from tests.fuzz.giants import giants, large_streams
from tests.fuzz.mutations import Case
from tests.fuzz.seeds import seeds


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    made = Campaign(seed=20_261_120)
    yield made
    made.close()


def found(campaign: Campaign) -> list[str]:
    listed = [str(finding) for finding in campaign.figures.findings]
    campaign.figures.findings.clear()
    return listed


@pytest.mark.parametrize("name", [seed.name for seed in seeds()])
def test_every_reader_reads_a_recorded_answer_as_the_oracle_does(campaign: Campaign, name: str) -> None:
    seed = next(seed for seed in campaign.seeds if seed.name == name)
    before = campaign.figures.outcomes["read rightly"]
    campaign.try_case(unchanged(seed))
    assert found(campaign) == []
    refusal = name == "streams/chat_error_event"
    assert (campaign.figures.outcomes["read rightly"] > before) is not refusal


@pytest.mark.parametrize("name", [seed.name for seed in seeds()])
def test_a_byte_order_mark_changes_nothing(campaign: Campaign, name: str) -> None:
    seed = next(seed for seed in campaign.seeds if seed.name == name)
    before = campaign.figures.outcomes["read rightly"]
    campaign.try_case(Case(seed, replace(seed.answer, body=BOM_UTF8 + seed.answer.body), "byte order mark"))
    assert found(campaign) == []
    refusal = name == "streams/chat_error_event"
    assert (campaign.figures.outcomes["read rightly"] > before) is not refusal


def test_whatever_the_service_answers(campaign: Campaign) -> None:
    figures = campaign.run(300)
    assert found(campaign) == []
    assert figures.outcomes["read rightly"] > 300
    assert figures.outcomes["refused rightly"] > 300


def test_large_answers(campaign: Campaign) -> None:
    cases = [*giants(100_000), *large_streams(50_000)]
    for case in cases:
        campaign.try_case(case)
    assert found(campaign) == []
    assert len(cases) > 15


def test_fifty_megabytes() -> None:
    campaign = Campaign(only=["Client.run chat", "LC invoke", "LI chat"])
    try:
        campaign.try_case(next(giants()))
    finally:
        campaign.close()
    assert found(campaign) == []
    assert campaign.figures.outcomes["read rightly"] == 4
