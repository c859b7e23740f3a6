"""Embedding: what is cut, what is refused, what is counted."""

from __future__ import annotations

import pytest

from tests.emulator_local.fake_engine import FakeEmbedder
from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.local.vectors import embed


def test_vectors_keep_the_order_and_tokens_are_counted() -> None:
    embedder = FakeEmbedder()
    embedded = embed(embedder, ["a", "b" * 40, "c"], None, 16 * 4)
    assert [vector.index(max(vector)) for vector in embedded.vectors] == [0, 1, 2]
    assert embedded.token_count == 3 + 42 + 3


def test_many_texts_go_in_batches() -> None:
    embedder = FakeEmbedder()
    embedded = embed(embedder, ["a"] * 150, None, 10)
    assert [len(batch) for batch in embedder.given] == [64, 64, 22]
    assert len(embedded.vectors) == 150


def test_truncation_keeps_the_start_and_the_end_mark() -> None:
    embedder = FakeEmbedder()
    embedded = embed(embedder, ["abcdefgh"], 5, 512)
    assert embedder.given == [[[1, ord("a"), ord("b"), ord("c"), 2]]]
    assert embedded.token_count == 5


def test_truncation_beyond_the_limit_means_the_limit() -> None:
    embedder = FakeEmbedder()
    embed(embedder, ["a" * 100], 1000, 20)
    assert len(embedder.given[0][0]) == 20


def test_a_text_that_is_too_long_is_refused_with_its_place_and_both_numbers() -> None:
    with pytest.raises(Refusal, match=r"inputs\[1\] has 32 tokens; the model reads at most 20") as caught:
        embed(FakeEmbedder(), ["a", "b" * 30], None, 20)
    assert (caught.value.status, caught.value.code) == (400, "invalid_input_argument")
    assert "truncate_input_tokens" in caught.value.message


@pytest.mark.parametrize("truncate", [-1, 0, 2])
def test_truncation_to_nothing_is_refused(truncate: int) -> None:
    with pytest.raises(Refusal, match="truncate_input_tokens"):
        embed(FakeEmbedder(), ["a"], truncate, 20)


def test_short_texts_are_not_tokenized_first() -> None:
    embedder = FakeEmbedder()
    embed(embedder, ["short"], None, 512)
    assert embedder.given == [["short"]]
