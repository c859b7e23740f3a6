"""References in schemas are written out, and the caller's schema stays as it is."""

from __future__ import annotations

import copy
import json

import pytest
from pydantic import BaseModel, Field

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.schemas import inline


class Address(BaseModel):
    street: str
    city: str = Field(description="where")


class Person(BaseModel):
    name: str
    home: Address
    others: list[Address]


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Family(BaseModel):
    head: Person
    tree: Node


def test_references_are_written_out() -> None:
    schema = Person.model_json_schema()
    assert "$ref" in json.dumps(schema)
    before = copy.deepcopy(schema)
    written = inline(schema)
    assert schema == before
    text = json.dumps(written)
    assert "$ref" not in text
    assert "$defs" not in text
    assert written["properties"]["home"]["properties"]["city"]["description"] == "where"
    assert written["properties"]["others"]["items"]["required"] == ["street", "city"]


def test_words_beside_a_reference_win() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/A", "description": "mine"}},
        "$defs": {"A": {"type": "string", "description": "theirs"}},
    }
    assert inline(schema) == {"properties": {"a": {"type": "string", "description": "mine"}}}


def test_a_reference_to_itself_stays_with_its_definition() -> None:
    written = inline(Family.model_json_schema())
    assert set(written["$defs"]) == {"Node"}
    assert written["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert "$ref" not in json.dumps(written["properties"]["head"])


def test_a_schema_that_is_its_own_definition() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert inline(schema) == schema


def test_a_property_named_like_a_keyword_is_a_property() -> None:
    schema = {"type": "object", "properties": {"definitions": {"type": "string"}, "$ref": {"type": "string"}}}
    assert inline(schema) == schema


def test_other_documents_and_broken_references_stay() -> None:
    schema = {"anyOf": [{"$ref": "https://example.com/s"}, {"$ref": "#/$defs/Missing"}]}
    assert inline(schema) == schema


def test_old_definitions_and_escaped_names() -> None:
    schema = {"items": {"$ref": "#/definitions/a~1b"}, "definitions": {"a/b": {"type": "integer"}}}
    assert inline(schema) == {"items": {"type": "integer"}}


def test_data_that_looks_like_a_reference_is_data() -> None:
    data = {"$ref": "#/$defs/A"}
    prop = {"type": "object", "default": data, "enum": [data], "const": data, "examples": [data]}
    schema = {"properties": {"a": prop, "default": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "integer"}}}
    written = inline(schema)
    assert written == {"properties": {"a": prop, "default": {"type": "integer"}}}
    written["properties"]["a"]["default"]["$ref"] = "changed"
    assert data == {"$ref": "#/$defs/A"}


def test_a_condition_beside_a_reference_does_not_replace_the_targets() -> None:
    schema = {
        "properties": {
            "a": {"$ref": "#/$defs/A", "required": ["y"], "description": "mine", "allOf": [{"minProperties": 1}]},
            "same": {"$ref": "#/$defs/A", "type": "object", "maxProperties": 2},
        },
        "$defs": {"A": {"type": "object", "required": ["x"], "description": "theirs"}},
    }
    assert inline(schema)["properties"] == {
        "a": {
            "required": ["y"],
            "description": "mine",
            "allOf": [{"type": "object", "required": ["x"]}, {"minProperties": 1}],
        },
        "same": {"type": "object", "required": ["x"], "description": "theirs", "maxProperties": 2},
    }


def test_targets_that_are_true_or_false() -> None:
    schema = {
        "properties": {
            "a": {"$ref": "#/$defs/T", "title": "A"},
            "b": {"$ref": "#/$defs/T"},
            "c": {"$ref": "#/$defs/F"},
        },
        "$defs": {"T": True, "F": False},
    }
    assert inline(schema)["properties"] == {"a": {"title": "A"}, "b": True, "c": False}


def test_a_schema_that_explodes_is_refused() -> None:
    """Each definition uses the next one twice: 40 of them would be 2 to the 40 parts."""
    definitions: dict[str, object] = {
        f"D{level}": {"properties": {side: {"$ref": f"#/$defs/D{level + 1}"} for side in ("left", "right")}}
        for level in range(40)
    }
    with pytest.raises(ConfigurationError, match="more than 100000 parts"):
        inline({"$ref": "#/$defs/D0", "$defs": {**definitions, "D40": {"type": "string"}}})


def test_a_schema_nested_without_end_is_refused() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"items": deep}
    with pytest.raises(ConfigurationError, match="nested deeper than 100"):
        inline(deep)
    endless: dict[str, object] = {}
    endless["items"] = endless
    with pytest.raises(ConfigurationError, match="nested deeper than 100"):
        inline(endless)
