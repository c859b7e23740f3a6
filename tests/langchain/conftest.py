"""Fixtures of the LangChain tests."""

from __future__ import annotations

import pytest

from tests.langchain.chatting import Caller, Stage


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """Both colours, one after the other."""
    return Caller(request.param)


@pytest.fixture
def stage() -> Stage:
    """An emulator that answers by rule."""
    return Stage()
