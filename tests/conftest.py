"""What every test begins with."""

from __future__ import annotations

import pytest

from wx_integrations.core import limiter, session


@pytest.fixture(autouse=True)
def no_sessions_of_others() -> None:
    """Forget what lives on: equal logins share a session, and the port of a test's server may come again."""
    session._registry.sessions.clear()
    limiter._limiters.clear()
