"""Another timeout or retry policy for some calls: the same token, the same connections, the same limiter."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.server import HANG, Script, Server, answer
from tests.support.tokens import iam
from wx_integrations.core.calls import model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, TimedOut, Unavailable
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.session import Session

CALL = model_specs()
OK = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})
BUSY = answer(503, "busy", content_type="text/plain")
SHORT = httpx.Timeout(10, read=0.25)
ONCE = RetryPolicy(retry_total=0)
Serve = Callable[..., Server]


def connect(server: Server, **settings: Any) -> Connection:
    return Connection(**{"url": server.url, "api_key": "k", "timeout": 10, "max_retries": 2, **settings})


def test_a_session_with_other_options_keeps_to_them(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script(BUSY, token=iam()))
    session = colour.session(connect(server), time.waiting)
    for one, requests in ((session.with_options(retry=ONCE), 1), (session, 3)):
        server.seen.clear()
        with pytest.raises(Unavailable) as caught:
            colour.run(one, CALL)
        assert len(server.calls("/ml/v1/foundation_model_specs")) == requests == caught.value.attempts
    with pytest.raises(Unavailable) as caught:  # the call's own policy comes first
        colour.run(session.with_options(retry=ONCE), CALL, retry=RetryPolicy(retry_total=1))
    assert caught.value.attempts == 2
    server.handler = Script([HANG])
    with pytest.raises(TimedOut):
        colour.run(session.with_options(retry=ONCE).with_options(timeout=SHORT), CALL)
    with pytest.raises(TimedOut) as caught_late:
        colour.request(session.with_options(timeout=0.25, retry=ONCE), "GET", "/v2/x")
    assert caught_late.value.attempts == 1


def test_token_connections_and_limiter_are_shared(colour: Colour, serve: Serve) -> None:
    server = serve(script := Script(OK, token=iam()))
    session = colour.session(connect(server))
    colour.run(session, CALL)
    other = session.with_options(timeout=3, retry=ONCE)
    colour.run(other, CALL)
    colour.run(other.with_options(timeout=4), CALL)
    assert (script.tokens, server.accepted) == (1, 1)
    assert other.limiter is session.limiter
    assert (other.client.retry, session.client.retry.retry_total) == (ONCE, 2)
    assert session.with_options() is session
    colour.close_clients(other)  # which are those of the session
    colour.run(session, CALL)
    assert server.accepted == 2


def test_a_token_that_is_set_counts_for_all(colour: Colour, serve: Serve) -> None:
    server = serve(Script(OK))
    session = colour.session(connect(server, api_key=None, token="one"))
    session.with_options(timeout=3).client.set_token("two")
    colour.run(session, CALL)
    assert server.seen[0].header("authorization") == "Bearer two"


def test_it_is_pickled_and_copied_with_its_options() -> None:
    session = Session.of(Connection(url="https://cpd.example.com", token="t", version="5.2", pickle_secrets=True))
    other = session.with_options(timeout=3, retry=ONCE)
    again = pickle.loads(pickle.dumps(other))
    assert again._root is session
    assert again.client.retry == ONCE
    assert again.client._plan.timeout["read"] == 3
    assert copy.copy(other) is other
    assert copy.deepcopy(other) is other


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan, "5"])
def test_a_timeout_that_is_none_is_refused_at_once(timeout: Any) -> None:
    session = Session.of(Connection(url="https://cpd.example.com", token="t", version="5.2"))
    with pytest.raises(ConfigurationError, match="timeout"):
        session.with_options(timeout=timeout)


def test_a_session_with_other_options_keeps_the_session() -> None:
    """Or the next adapter would fetch a token of its own."""
    connection = Connection(url="https://cpd.example.com", token="t", version="5.2")
    other = Session.of(connection).with_options(timeout=3)
    assert Session.of(connection) is other._root
