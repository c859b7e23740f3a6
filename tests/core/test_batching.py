"""Texts into batches."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations import ConfigurationError
from wx_integrations.core.batching import Batch, Room, batches, check_texts, estimate_tokens, size_of, slices

TEXTS = st.lists(st.text(max_size=30), max_size=60)
BOUND = st.none() | st.integers(min_value=1, max_value=100)


def tokens_of(text: str, room: Room) -> int:
    return estimate_tokens(text) if room.per_text is None else min(estimate_tokens(text), room.per_text)


@given(TEXTS, st.integers(1, 10), BOUND, BOUND, BOUND)
def test_every_text_goes_once_and_in_order_and_no_batch_is_too_large(
    texts: list[str], count: int, tokens: int | None, size: int | None, per_text: int | None
) -> None:
    room = Room(count, tokens, size, per_text)
    made = list(batches(texts, room))
    assert [text for batch in made for text in batch.texts] == texts
    assert [batch.start for batch in made] == [sum(len(b.texts) for b in made[:place]) for place in range(len(made))]
    for batch in made:
        assert 1 <= len(batch.texts) <= count
        if len(batch.texts) > 1:
            assert size is None or sum(map(size_of, batch.texts)) <= size
            assert tokens is None or sum(tokens_of(text, room) for text in batch.texts) <= tokens


@given(TEXTS, st.integers(1, 10), BOUND)
def test_a_batch_is_full_before_the_next_begins(texts: list[str], count: int, size: int | None) -> None:
    made = list(batches(texts, Room(count, None, size)))
    for batch, following in itertools.pairwise(made):
        more = [*batch.texts, following.texts[0]]
        assert len(more) > count or (size is not None and sum(map(size_of, more)) > size)


@given(TEXTS, st.integers(1, 10), BOUND, BOUND, BOUND)
def test_slices_are_the_same_batches(
    texts: list[str], count: int, tokens: int | None, size: int | None, per_text: int | None
) -> None:
    room = Room(count, tokens, size, per_text)
    sliced = list(slices(texts, room))
    assert [text for batch in sliced for text in batch.texts] == texts
    assert sliced == list(batches(texts, room))


def test_texts_are_taken_only_as_needed() -> None:
    taken = []

    def endless() -> Any:
        for number in range(10**9):
            taken.append(number)
            yield str(number)

    assert next(batches(endless(), Room(3))).texts == ["0", "1", "2"]
    assert len(taken) == 3


@given(st.lists(st.text(max_size=3), min_size=2, max_size=50), st.integers(0, 1000))
def test_halves_make_the_whole(texts: list[str], start: int) -> None:
    first, second = Batch(start, texts).halves()
    assert first.texts + second.texts == texts
    assert (first.start, second.start, second.end) == (start, first.end, start + len(texts))
    assert 0 <= len(first.texts) - len(second.texts) <= 1


@pytest.mark.parametrize(("text", "size"), [("abc", 3), ("äb", 3), ("漢字", 6), ("half \ud83d", 8), ("", 0)])
def test_size_is_in_bytes(text: str, size: int) -> None:
    assert size_of(text) == size
    assert estimate_tokens(text) == 1 + size // 3


def test_good_texts_pass() -> None:
    check_texts(["a", " b "], "texts", allow_empty=False)
    check_texts(["", " "], "texts", allow_empty=True)
    check_texts([], "texts", allow_empty=False)
    check_texts(["é漢\U0001f600", "a"], "texts", allow_empty=False)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("abc", "documents is a single str. Give a list of texts: documents=[...]"),
        (b"abc", "documents is a single bytes. Give a list of texts: documents=[...]"),
        (["a", None, 3], "documents[1] is NoneType, not text; documents[2] is int, not text"),
        (["a", ""], "documents[1] is empty. Leave it out, or set empty='send' to leave it to the service"),
        (
            [" "] * 7,
            "; ".join(f"documents[{n}] is empty" for n in range(5))
            + "; and 2 more. Leave it out, or set empty='send' to leave it to the service",
        ),
        (
            ["é", "a\ud83d", ""],
            "documents[1] holds half of a surrogate pair, which is no character; documents[2] is empty. "
            "Decode it with errors='replace', or leave it out",
        ),
    ],
)
def test_bad_texts_are_refused_by_index(texts: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_texts(texts, "documents", allow_empty=False)
    assert str(raised.value) == message
    assert raised.value.field == "documents"
