"""A short storm; `python -m tests.soak` is the long one."""

from __future__ import annotations

import pytest

from tests.soak.trial import ACCOUNTS, Trial


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_call_ends_in_a_right_answer_or_the_right_error(tls: bool) -> None:
    figures = Trial(200, seed=20_261_120, tls=tls).run()
    assert figures.wrong == []
    assert figures.right + sum(figures.errors.values()) == 200 + ACCOUNTS
    assert figures.right > 100
    assert figures.errors
    assert sum(figures.troubles.values()) > 50
    assert figures.exchanges == figures.expiries + ACCOUNTS
    assert set(figures.left.values()) == {0}
