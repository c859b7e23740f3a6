"""Rerank answers read into scores, and scores put in order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.bulking import Bench
from wx_integrations.core.errors import UnexpectedResponse
from wx_integrations.core.ranker import Ranked, best, read_scores
from wx_integrations.emulator.faults import Malformed

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def body(*results: object, **more: object) -> bytes:
    return json.dumps({"model_id": "m", "results": results, "input_token_count": 7, **more}).encode()


def result(index: object, score: object = 0.5) -> dict[str, object]:
    return {"index": index, "score": score}


def test_scores_go_to_their_documents() -> None:
    content = body(result(2, 1.5), result(0, -3), {**result(1, 1e-9), "input": {"text": "x"}})
    scores, count = read_scores(content, 4, most=3)
    assert (scores, count) == ([-3.0, 1e-9, 1.5, None], 7)
    assert type(scores[0]) is float


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"null", "no ranking"),
        (b'{"results":5}', "no ranking"),
        (b'{"errors":[]}', "no ranking"),
        (body(7), "no index"),
        (body({"index": 0}), "no score"),
        (body(result(2)), "others than the 2 documents"),
        (body(result(-1)), "others than"),
        (body(result(True)), "others than"),
        (body(result(0.0)), "others than"),
        (body(result("0")), "others than"),
        (body(result(0), result(0)), "a document twice"),
        (body(result(0, "1")), "no number"),
        (body(result(0, None)), "no number"),
        (body(result(0, True)), "no number"),
        (body(result(0, 10**400)), "too large"),
        (b'{"results":[{"index":0,"score":1e999}]}', "too large"),
        (b'{"results":[{"index":0,"score":NaN}]}', "expected value"),
        (body(result(0), input_token_count="7"), "number of tokens"),
        (body(result(0)), "2 documents should be ranked, but the answer ranks 1"),
    ],
)
def test_what_does_not_fit_is_refused(content: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_scores(content, 2)


def test_it_is_an_unexpected_response_to_the_caller() -> None:
    bench = Bench()
    bench.emulator.faults.add(Malformed("types"), path="text/rerank")
    with pytest.raises(UnexpectedResponse, match="no ranking"):
        bench.ranker().rank("q", ["text 1"])
    assert len(bench.emulator.journal.find("text/rerank")) == 1


@given(st.lists(st.none() | FINITE, max_size=30), st.none() | st.integers(1, 5), st.none() | FINITE)
def test_the_best_come_first_and_ties_keep_their_order(
    scores: list[float | None], top_n: int | None, threshold: float | None
) -> None:
    found = best(scores, top_n, threshold)
    whole = [
        (-score, index)
        for index, score in enumerate(scores)
        if score is not None and (threshold is None or score >= threshold)
    ]
    assert found == [index for _, index in sorted(whole)][:top_n]


def test_index_and_score_go_together() -> None:
    assert [*Ranked([3, 1], [0.5, -2.0])] == [(3, 0.5), (1, -2.0)]
