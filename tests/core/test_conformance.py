"""Values and JSON Schemas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core.conformance import violations

RAG = {
    "type": "object",
    "properties": {
        "vectorIndexId": {"type": "string"},
        "projectId": {"type": "string"},
        "spaceId": {"type": "string"},
    },
    "required": ["vectorIndexId"],
    "oneOf": [{"required": ["projectId"]}, {"required": ["spaceId"]}],
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {"anything": 1}),
        ({"type": "integer"}, 5.0),
        ({"type": ["string", "null"]}, None),
        ({"enum": [1, "a"]}, 1.0),
        ({"minimum": 1, "maximum": 3}, 3),
        ({"multipleOf": 0.1}, 0.3),
        ({"pattern": "b"}, "abc"),
        ({"pattern": "(?<js>x)"}, "abc"),
        ({"items": {"type": "string"}}, ["a"]),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1]),
        ({"additionalProperties": {"type": "integer"}}, {"a": 1}),
        ({"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False}, {"xy": 1}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1),
        ({"not": {"type": "string"}}, 1),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}, "a"),
        ({"contains": {"const": 1}}, [2, 1]),
        ({"minimum": 5}, "text"),
        (RAG, {"vectorIndexId": "i", "projectId": "p"}),
    ],
)
def test_conforming(schema: dict[str, Any], value: Any) -> None:
    assert violations(schema, value) == []


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "string"}, 1, "must be string"),
        ({"type": "integer"}, True, "must be integer"),
        ({"type": "number"}, True, "must be number"),
        ({"type": ["string", "null"]}, 1, "must be string or null"),
        ({"enum": [1, "a"]}, True, "must be one of 1, 'a'"),
        ({"const": 1}, 2, "must be 1"),
        ({"properties": {"n": {"maximum": 20}}}, {"n": 21}, "n: must be at most 20"),
        ({"exclusiveMinimum": 1}, 1, "must be more than 1"),
        ({"exclusiveMaximum": 1}, 1, "must be less than 1"),
        ({"minimum": 1}, 0, "must be at least 1"),
        ({"multipleOf": 2}, 3, "must be a multiple of 2"),
        ({"minLength": 2}, "a", "must have at least 2 characters"),
        ({"maxLength": 2}, "abc", "must have at most 2 characters"),
        ({"pattern": "^b"}, "abc", "must match ^b"),
        ({"required": ["a"]}, {}, "a: is required"),
        ({"properties": {"a": {"required": ["b"]}}}, {"a": {}}, "a.b: is required"),
        ({"properties": {"size": {}}, "additionalProperties": False}, {"siez": 1}, "did you mean 'size'?"),
        ({"items": {"type": "string"}}, ["a", 1], "[1]: must be string"),
        ({"minItems": 1}, [], "must have at least 1 items"),
        ({"maxProperties": 1}, {"a": 1, "b": 2}, "must have at most 1 properties"),
        ({"uniqueItems": True}, [1, 1.0], "must not hold the same twice"),
        ({"contains": {"const": 1}}, [2], "lacks an item"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "at least one is needed"),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3, "fits 2 of its 2 forms"),
        ({"not": {"type": "string"}}, "a", "not allowed"),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, "b: is required"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "b: is required with a"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "ab: must have at most 1 characters"),
        ({"properties": {"a": False}}, {"a": 1}, "a: is not allowed"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}, 1, "must be string"),
        (RAG, {}, "vectorIndexId: is required"),
        (RAG, {"vectorIndexId": "i"}, "projectId or spaceId is required"),
        (RAG, {"vectorIndexId": "i", "projectId": "p", "spaceId": "s"}, "only one is allowed of projectId or spaceId"),
    ],
)
def test_breaking(schema: dict[str, Any], value: Any, words: str) -> None:
    found = violations(schema, value)
    assert words in "; ".join(map(str, found))


def test_values_are_never_shown() -> None:
    schema = {"properties": {"apiKey": {"type": "integer", "enum": [1]}}, "required": ["apiKey"]}
    assert "hush" not in str(violations(schema, {"apiKey": "hush"}))


def test_names_the_schema_does_not_know() -> None:
    schema: dict[str, Any] = {"properties": {"maxResults": {}}}
    assert violations(schema, {"maxResult": 1}) == []
    (found,) = violations(schema, {"maxResult": 1}, known_only=True)
    assert str(found) == "maxResult: is not known; did you mean 'maxResults'?"
    assert violations({**schema, "additionalProperties": True}, {"x": 1}, known_only=True) == []


def test_recursive_schemas_end() -> None:
    schema = {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"properties": {"below": {"$ref": "#/$defs/tree"}}, "type": "object"}},
    }
    value: dict[str, Any] = {}
    for _ in range(40):
        value = {"below": value}
    assert violations(schema, value) == []
    assert violations(schema, {"below": {"below": 1}})
    assert violations({"$ref": "#"}, 1) == []


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(value=JSON_VALUES)
def test_every_value_conforms_to_itself(value: Any) -> None:
    assert violations({"const": value}, value) == []
    assert violations({"enum": [value]}, value) == []
    assert violations({"not": {"const": value}}, value)
    assert violations({"type": ["object", "array", "string", "number", "boolean", "null"]}, value) == []
