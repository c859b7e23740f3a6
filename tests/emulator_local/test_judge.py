"""Reranking by a judge, and by nearness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator_local.fake_engine import FakeEngine
from wx_integrations.emulator.local.engine import Frame
from wx_integrations.emulator.local.judge import _leaning, cosine, judge, shortened


class Judge(FakeEngine):
    """Says yes with the probability that is written in the passage."""

    def ask(self, path: str, body: Mapping[str, Any]) -> Frame:
        self.asked.append({"path": path, **body})
        yes = float(str(body["prompt"]).partition("Document: ")[2].split("<")[0].split()[0])
        likeliest = [{"token": " Yes", "logprob": math.log(yes)}, {"token": "no", "logprob": math.log(1 - yes)}]
        return {"tokens_evaluated": 10, "completion_probabilities": [{"top_logprobs": likeliest}]}


def test_scores_are_the_logit_of_yes() -> None:
    engine = Judge()
    ranked = judge(engine, "which?", ["0.9 good", "0.2 bad"], 100)
    assert ranked.scores == pytest.approx([math.log(9), -math.log(4)])
    assert ranked.token_count == 20
    assert [body["n_predict"] for body in engine.asked] == [1, 1]
    assert "Query: which?" in engine.asked[0]["prompt"]


def test_what_passages_share_is_read_once() -> None:
    engine = Judge()
    judge(engine, "which?", ["0.9", "0.2", "0.5"], 100)
    assert [body["cache_prompt"] for body in engine.asked] == [False, True, True]


def test_long_passages_are_cut_to_fit() -> None:
    engine = Judge()
    judge(engine, "which?", ["0.9 " + "word " * 500], 10)
    assert engine.asked[0]["prompt"].count("word") == 9


def test_a_silent_judge_leans_nowhere() -> None:
    assert judge(FakeEngine(""), "which?", ["x"], 10).scores == [0.0]


def test_no_passages_need_no_judge() -> None:
    assert judge(Judge(), "which?", [], 10).scores == []


@given(st.text(max_size=200), st.integers(1, 300))
def test_shortened_is_a_start(text: str, room: int) -> None:
    short = shortened(FakeEngine(), text, room)
    assert text.startswith(short)
    assert len(short.split(" ")) <= max(room, len(text.encode()))


def test_all_spellings_of_yes_count_and_silence_has_a_floor() -> None:
    assert _leaning([{"token": "Yes", "logprob": math.log(0.3)}, {"token": " yes", "logprob": math.log(0.3)}]) == (
        pytest.approx(math.log(0.6) - math.log(1e-6))
    )
    assert _leaning([{"token": "maybe", "logprob": -0.1}]) == 0.0


def test_cosine_of_unit_vectors() -> None:
    assert cosine([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]) == pytest.approx([1.0, 0.0, 0.6])
