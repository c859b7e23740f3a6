"""References in schemas are written out, and the caller's schema stays as it is."""

from __future__ import annotations

import copy
import json

from pydantic import BaseModel, Field

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
