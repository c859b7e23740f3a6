"""Whatever the pure modules of the core are given, they hold: right values or the package's own errors."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.trying import tried
from tests.support.canaries import leaks
from wx_integrations.core import advice, profiles, schemas, secrets, token_sources
from wx_integrations.core.connection import Connection
from wx_integrations.core.environment import ENVIRONMENT, fill_from_environment
from wx_integrations.core.wire.models import ModelSpec

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

# --------------------------------------------------------------------------- schemas

KEYWORDS = ("type", "properties", "items", "anyOf", "enum", "default", "description", "$ref", "const", "required")
REFERENCES = (
    "#",
    "#/$defs/a",
    "#/$defs/b",
    "#/definitions/a",
    "#/properties/x",
    "#/$defs/none",
    "other.json",
    "#/$defs/a/items",
)
NODES = st.recursive(
    st.booleans() | st.sampled_from(REFERENCES).map(lambda ref: {"$ref": ref}) | st.just({"type": "string"}) | JSON,
    lambda inner: (
        st.dictionaries(st.sampled_from(KEYWORDS), inner | st.lists(inner, max_size=2), max_size=4)
        | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2).map(lambda named: {"properties": named})
    ),
    max_leaves=10,
)
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just("object"),
        "properties": st.dictionaries(st.sampled_from(["x", "y"]), NODES, max_size=2),
        "items": NODES,
        "$defs": st.dictionaries(st.sampled_from(["a", "b"]), NODES, max_size=2),
        "definitions": st.dictionaries(st.sampled_from(["a"]), NODES, max_size=1),
    },
)


INTO = {
    "$defs": {"a": {"items": {"anyOf": [{"$ref": "#/$defs/a/items"}]}}},
    "properties": {"x": {"$ref": "#/$defs/a/items"}},
}
ESCAPED = {
    "$defs": {"a/b ~": {"items": {"$ref": "#/$defs/a~1b%20~0"}}},
    "properties": {"x": {"$ref": "#/$defs/a~1b%20~0"}},
}


@given(SCHEMAS)
@example(INTO)
@example(ESCAPED)
def test_any_schema_is_written_out_once_and_for_all_or_refused(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    written = tried(lambda: schemas.inline(schema))
    if written is None:
        return
    assert repr(schema) == repr(before)
    left = _references(written)
    assert left or repr(schemas.inline(written)) == repr(written)
    for ref in left:
        if ref.startswith("#/$defs/") and schemas._target(schema, ref) is not None:
            assert schemas._target(written, ref) is not None  # what stays can be followed


@given(NODES.filter(lambda node: isinstance(node, dict) and "$ref" not in repr(node)))
def test_a_schema_without_references_stays_as_it_is(schema: dict[str, Any]) -> None:
    written = schemas.inline(schema)
    assert repr(written) == repr({key: value for key, value in schema.items() if key not in schemas.DEFINITIONS})


def _references(node: Any) -> list[str]:
    """Return the references of a schema; beneath `properties` names stand that may look like keywords."""
    if isinstance(node, list):
        return [ref for item in node for ref in _references(item)]
    if not isinstance(node, dict):
        return []
    found = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    for key, item in node.items():
        named = key in (*schemas.DEFINITIONS, "properties") and isinstance(item, dict)
        if key not in ("default", "enum", "const"):
            found += _references([*item.values()] if named else item)
    return found


# --------------------------------------------------------------------------- models

SPECS = st.fixed_dictionaries(
    {"model_id": st.text(max_size=20)},
    optional={
        "functions": st.lists(st.fixed_dictionaries({"id": st.text(max_size=12)}), max_size=3) | st.none(),
        "task_ids": st.lists(st.text(max_size=9), max_size=3) | st.none(),
        "model_limits": st.fixed_dictionaries({}, optional={"max_sequence_length": st.integers()}) | st.none(),
        "lifecycle": st.lists(
            st.fixed_dictionaries(
                {"id": st.sampled_from(["available", "deprecated", "withdrawn", "x"])},
                optional={"start_date": st.text(max_size=10), "alternative_model_ids": st.lists(st.text(max_size=9))},
            ),
            max_size=3,
        ),
    },
)


@given(st.lists(SPECS, max_size=4), st.text(max_size=20))
def test_any_model_list_gives_profiles_and_advice(listed: list[dict[str, Any]], model_id: str) -> None:
    specs = [ModelSpec.model_validate(spec) for spec in listed]
    for spec in specs:
        assert profiles.from_spec(spec).model_id == spec.model_id
        assert isinstance(advice.advice(spec.model_id, specs, function="text_chat"), str | None)
    assert isinstance(advice.advice(model_id, specs), str | None)


# --------------------------------------------------------------------------- secrets

SECRETS = st.text("abcdefXYZ0123456789+/=%& ü", min_size=6, max_size=20)


@given(st.text(max_size=30), SECRETS, st.text(max_size=30))
def test_a_secret_is_struck_wherever_it_stands(before: str, secret: str, after: str) -> None:
    struck = secrets.redact(f"{before}{secret}{after}".encode(), [secret])
    assert secret.encode() not in struck or secret in secrets.HIDDEN


@given(
    st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12))),
    st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode),
)
@example([], b'{"config": {"apiKey": 7}, "password": ["x"]}')
def test_the_secrets_of_any_request_can_be_listed(headers: list[tuple[str, str]], body: bytes) -> None:
    assert all(isinstance(secret, str) for secret in secrets.sent_secrets(headers, body))


@given(JSON)
def test_anything_can_be_sealed_and_refused_without_being_shown(value: Any) -> None:
    settings = {
        "url": "https://x.example",
        **dict.fromkeys(("api_key", "headers", "proxies", "tool_configs"), value),
    }
    secrets.seal(settings)
    assert not isinstance(settings["api_key"], str)
    assert not isinstance(settings["headers"], str | list)


@given(
    st.dictionaries(
        st.sampled_from(["X-Api-Key", "apiKey", "password", "token"]), st.just("canary") | st.just(["canary"])
    )
)
def test_hidden_dictionaries_are_equal_and_show_nothing(plain: dict[str, Any]) -> None:
    hidden = secrets.Guarded(plain)
    assert hidden == plain
    assert copy.deepcopy(hidden) == plain
    assert leaks(f"{hidden!r} {hidden}") == []


# --------------------------------------------------------------------------- tokens and settings


@given(st.text() | st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join) | JSON.map(json.dumps))
def test_any_token_has_a_lifetime_that_makes_sense_or_none(token: str) -> None:
    lifetime = token_sources.lifetime_of(token)
    assert lifetime is None or (math.isfinite(lifetime) and lifetime > 0)


@given(JSON | st.tuples(st.text(), JSON))
def test_whatever_a_token_function_gives(answer: Any) -> None:
    token = tried(lambda: token_sources.called_token(answer))
    if token is None:
        return
    assert token.value.get_secret_value().isascii()
    assert token.lifetime is None or token.lifetime > 0


TEXTS = st.text(max_size=12) | st.sampled_from(["us-south", "https://x.example", "key", "true", "2024-03-14"])


@given(st.dictionaries(st.sampled_from(sorted(ENVIRONMENT)), TEXTS | st.none(), max_size=5))
def test_any_settings_make_a_connection_or_are_refused(settings: dict[str, Any]) -> None:
    connection = tried(lambda: Connection(**settings))
    if connection is None:
        return
    assert connection.hosts.ml.startswith(("https://", "http://"))
    assert connection == Connection.from_dict(connection.to_dict())


@given(
    st.dictionaries(st.sampled_from(sorted(ENVIRONMENT)), TEXTS, max_size=3),
    st.dictionaries(st.sampled_from([names[0] for names in ENVIRONMENT.values()]), TEXTS, max_size=5),
)
def test_any_environment_fills_what_is_open_and_nothing_else(given_: dict[str, str], environ: dict[str, str]) -> None:
    filled = fill_from_environment(given_, environ)
    for name, value in given_.items():
        if name not in ("use_private_token_url", "allow_http"):
            assert secrets.opened(filled[name]) == value
    with pytest.MonkeyPatch.context() as patched:
        for names in ENVIRONMENT.values():
            for name in names:
                patched.delenv(name, raising=False)
        made = tried(lambda: Connection.from_env(environ, **given_))
    assert made is None or made.hosts.ml
