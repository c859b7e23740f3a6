"""What tests of tool calls share: JSON values, texts in pieces, deltas, and what holds for any stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from wx_integrations.core.toolcalls import Assembler, CallDelta

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=4)


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    """Cut a text; equal cuts give empty pieces."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


def delta(arguments: Any = None, *, index: int | None = None, id: str | None = None, name: str | None = None) -> Any:
    """A delta as it arrives, keys left out when not given."""
    function = {"name": name, "arguments": arguments}
    given = {"index": index, "id": id, "function": {key: value for key, value in function.items() if value is not None}}
    return {key: value for key, value in given.items() if value is not None}


def counter() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"made-{next(numbers)}"


def check(shown: Sequence[CallDelta], assembler: Assembler) -> None:
    """What holds for any stream: id and name once and first, pieces that add up, a value or an error."""
    pieces: dict[tuple[int, int], list[CallDelta]] = {}
    for piece in shown:
        pieces.setdefault((piece.choice, piece.index), []).append(piece)
    for choice in {choice for choice, _ in pieces}:
        calls = assembler.calls(choice)
        assert [call.index for call in calls] == sorted(index for chosen, index in pieces if chosen == choice)
        for call in calls:
            first, *rest = pieces[choice, call.index]
            assert (first.id, first.name) == (call.id, call.name)
            assert first.id
            assert all(piece.id is None and piece.name is None and piece.arguments for piece in rest)
            assert "".join(piece.arguments for piece in [first, *rest]) == call.arguments
            assert (call.parsed is None) != (call.error is None)
            assert call.parsed is None or json.loads(call.arguments) == call.parsed
