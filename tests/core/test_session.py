"""One session for equal connections, as long as somebody holds it."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable

import pytest

from tests.support.colour import Colour
from tests.support.server import Script, Server, answer
from tests.support.tokens import iam
from wx_integrations.core.calls import model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.session import Session

URL = "https://us-south.ml.cloud.ibm.com"
OK = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})


class Adapter(ModelFields):
    """Stands for an adapter."""


def test_ten_adapters_make_one_exchange_over_one_connection(colour: Colour, serve: Callable[..., Server]) -> None:
    server = serve(script := Script(OK, token=iam()))
    adapters = [
        Adapter(model_id=f"m{number}", url=server.url, api_key="k", project_id=f"p{number % 3}") for number in range(10)
    ]
    assert server.accepted == 0
    for adapter in adapters:
        if colour.name == "sync":
            adapter.client.run(model_specs())
        else:
            colour.wait(adapter.async_client.run(model_specs()))
    assert script.tokens == 1
    assert len(server.seen) == 11
    assert server.accepted == 1
    colour.close_clients(adapters[0].session)


def test_a_session_lasts_as_long_as_it_is_held() -> None:
    connection = Connection(url=URL, api_key="k", headers={"X-Only": "here"})
    session = Session.of(connection)
    equal = Connection(url=URL, api_key="k", headers={"X-Only": "here"}, project_id="p")
    assert Session.of(equal) is session
    seen = weakref.ref(session)
    del session
    gc.collect()
    assert seen() is None
    assert Session.of(equal).connection is equal


def test_copies_are_the_session_itself() -> None:
    session = Session.of(Connection(url=URL, api_key="k"))
    assert copy.copy(session) is session
    assert copy.deepcopy([session])[0] is session
    assert repr(session) == f"Session({URL})"


def test_a_pickled_session_is_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session.of(Connection(url=URL, api_key="canary", project_id="p"))
    data = pickle.dumps(session)
    assert b"canary" not in data
    monkeypatch.setenv("WATSONX_API_KEY", "canary")
    assert pickle.loads(data) is session


def test_settings_changed_by_hand_are_for_everybody_of_the_session() -> None:
    session = Session.of(Connection(url=URL, api_key="k", headers={"X-Hand": "1"}))
    session.client.set_token("by-hand")
    assert session.client._shared.auth is session.async_client._shared.auth
    one, two = (Adapter(model_id="m", connection=session.connection, project_id=project) for project in ("p", "q"))
    assert one.session is two.session is session
    one.set_token("again")
    assert two.client._shared is session.client._shared
