"""Values grown from JSON schemas always fit them, and take what the prompt offers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.emulator.bounds import Impossible
from wx_integrations.emulator.patterns import Unsupported, example
from wx_integrations.emulator.schema import Grower
from wx_integrations.emulator.words import Prompt, embedded, named_keys


def grow(schema: dict[str, Any], prompt: str = "") -> Any:
    return Grower(schema, Prompt(prompt)).grow()


def obj(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}

# --------------------------------------------------------------------------- what the prompt offers


@pytest.mark.parametrize(
    ("schema", "prompt", "value"),
    [
        (obj(city=STRING), "What is the weather in San Francisco, CA?", {"city": "San Francisco, CA"}),
        (obj(city=STRING), "weather in paris please", {"city": "paris"}),
        (obj(city=STRING), "city: new york, now", {"city": "new york"}),
        (obj(name=STRING, age=INTEGER), "Erick is 27 years old", {"name": "Erick", "age": 27}),
        (obj(a=NUMBER, b=NUMBER), "What is 1.5 times -2?", {"a": 1.5, "b": -2}),
        (obj(low=INTEGER, high=INTEGER), "from high 9 to low 3", {"low": 3, "high": 9}),
        (obj(title=STRING), 'Call it "The Long Way"', {"title": "The Long Way"}),
        (obj(name=STRING), "Create a customer named '你好啊集团'", {"name": "你好啊集团"}),
        (obj(query=STRING), "Who was Alan Turing?", {"query": "Who was Alan Turing?"}),
        (obj(expression=STRING), "Compute (3 + 4) * 2 for me", {"expression": "(3 + 4) * 2"}),
        (obj(numbers={"type": "array", "items": INTEGER}), "sum 1, 2 and 3", {"numbers": [1, 2, 3]}),
        (obj(names={"type": "array", "items": STRING}), "invite Ann and Bob", {"names": ["Ann", "Bob"]}),
        (obj(unit={"enum": ["celsius", "fahrenheit"]}), "in Fahrenheit please", {"unit": "fahrenheit"}),
        (obj(unit={"enum": ["celsius", "fahrenheit"], "default": "fahrenheit"}), "x", {"unit": "fahrenheit"}),
        (obj(day={"type": "string", "format": "date"}), "on 2026-11-20", {"day": "2026-11-20"}),
        (obj(mail={"type": "string", "format": "email"}), "write to ann@example.org", {"mail": "ann@example.org"}),
        (obj(code={"type": "string", "pattern": "^[A-Z]{2}\\d$"}), "use AB7 now", {"code": "AB7"}),
        (obj(verbose={"type": "boolean"}), "not verbose", {"verbose": False}),
        (obj(verbose={"type": "boolean"}), "verbose", {"verbose": True}),
        (obj(price=INTEGER), "it costs 1,200 today", {"price": 1200}),
        (obj(tags={"type": "array", "items": {"enum": ["red", "blue"]}}), "blue things", {"tags": ["blue"]}),
    ],
)
def test_the_prompt_fills_the_fields(schema: dict[str, Any], prompt: str, value: Any) -> None:
    assert grow(schema, prompt) == value


def test_optional_fields_come_only_when_spoken_of() -> None:
    joke = obj(["setup"], setup=STRING, punchline={"anyOf": [STRING, {"type": "null"}], "default": None})
    assert set(grow(joke, "a joke about cats")) == {"setup"}
    assert set(grow(joke, "a joke with its punchline")) == {"setup", "punchline"}


def test_numbers_are_used_once_and_within_bounds() -> None:
    schema = obj(big={"type": "integer", "minimum": 100}, small={"type": "integer", "maximum": 10})
    assert grow(schema, "take 5 and 500") == {"big": 500, "small": 5}
    assert grow(schema, "take 50") == {"big": 100, "small": 0}


def test_references_unions_and_merges() -> None:
    schema = {
        "$defs": {
            "Person": obj(name=STRING),
            "Pet": obj(species={"const": "cat"}),
            "Node": obj([], next={"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}),
        },
        **obj(
            owner={"$ref": "#/$defs/Person"},
            kind={"allOf": [{"$ref": "#/$defs/Pet"}, {"properties": {"age": INTEGER}, "required": ["age"]}]},
            either={"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Pet"}]},
            chain={"$ref": "#/$defs/Node"},
        ),
    }
    assert grow(schema, "Ann has a 3 year old") == {
        "owner": {"name": "Ann"},
        "kind": {"species": "cat", "age": 3},
        "either": {"species": "cat"},
        "chain": {},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
        {"$defs": {"A": obj(a={"$ref": "#/$defs/A"})}, "$ref": "#/$defs/A"},
        {"enum": []},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "string", "pattern": "("},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"anyOf": []},
    ],
)
def test_what_cannot_be_grown_is_said(schema: dict[str, Any]) -> None:
    with pytest.raises(Impossible):
        grow(schema)


# --------------------------------------------------------------------------- any schema


def bounded(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    number = st.integers(-50, 50)
    bounds = st.tuples(number, number).map(lambda pair: {"minimum": min(pair), "maximum": max(pair)})
    exclusive = st.tuples(number, number).map(
        lambda pair: {"exclusiveMinimum": min(pair), "exclusiveMaximum": max(pair) + 2}
    )
    one = number.flatmap(
        lambda low: st.sampled_from([{"minimum": low}, {"maximum": low}, {"exclusiveMinimum": low}, {}])
    )
    return st.one_of(bounds, exclusive, one).map(lambda found: {"type": kind, **found})


NAMES = st.sampled_from(["name", "city", "count", "value", "query", "is_open", "customer_id", "类型", "x"])
TEXTS = st.one_of(
    st.just({"type": "string"}),
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
        lambda pair: {"type": "string", "minLength": min(pair), "maxLength": max(pair)}
    ),
    st.sampled_from(["date", "date-time", "email", "uri", "uuid", "time", "ipv4", "hostname"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.sampled_from([r"^\d{3}-\d{4}$", r"^[a-z]+@[a-z]+\.(com|org)$", r"^(yes|no)$", r"[A-F0-9]{4,8}", r"^\w+$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
)
LEAVES = st.one_of(
    TEXTS,
    bounded("integer"),
    bounded("number"),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.lists(st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none()), min_size=1, max_size=4).map(
        lambda options: {"enum": options}
    ),
    st.one_of(st.text(max_size=5), st.integers()).map(lambda value: {"const": value}),
)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.dictionaries(NAMES, inner, max_size=4).flatmap(
        lambda properties: (
            st.lists(st.sampled_from(sorted(properties)), unique=True).map(
                lambda required: {"type": "object", "properties": properties, "required": required}
            )
            if properties
            else st.just({"type": "object", "properties": {}})
        )
    )
    arrays = st.tuples(inner, st.integers(0, 3), st.integers(0, 3)).map(
        lambda made: {"type": "array", "items": made[0], "minItems": made[1], "maxItems": made[1] + made[2]}
    )
    unions = st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches})
    optional = inner.map(lambda schema: {"anyOf": [schema, {"type": "null"}], "default": None})
    return st.one_of(objects, arrays, unions, optional)


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=8)
PROMPTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "What is the weather in Paris and London?",
            "Erick is 27 years old, his id is 555-1234",
            'Add 3 and 4.5, then call it "sum"; yes',
            "城市: 上海, count 7",
        ]
    ),
)
_FORMS = {
    "date": r"\d{4}-\d\d-\d\d",
    "date-time": r"\d{4}-\d\d-\d\dT.+",
    "email": r".+@.+",
    "uri": r"https?://.+",
    "uuid": r"[0-9a-fA-F-]{36}",
    "time": r"\d\d:\d\d:\d\d.*",
    "ipv4": r"[\d.]+",
    "hostname": r"[\w.-]+",
}


def fits(value: Any, schema: Any) -> bool:
    """Whether a value fits a schema of the kinds above; written apart from the code under test."""
    if "anyOf" in schema:
        return any(fits(value, branch) for branch in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return any(value == option and type(value) is type(option) for option in schema["enum"])
    match schema["type"]:
        case "object" if isinstance(value, dict):
            properties = schema["properties"]
            known = all(name in properties and fits(item, properties[name]) for name, item in value.items())
            return known and set(schema.get("required", ())) <= set(value)
        case "array" if isinstance(value, list):
            sized = schema["minItems"] <= len(value) <= schema["maxItems"]
            return sized and all(fits(item, schema["items"]) for item in value)
        case "integer":
            return type(value) is int and _within(value, schema)
        case "number":
            return type(value) in (int, float) and _within(value, schema)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
    if schema["type"] != "string" or not isinstance(value, str):
        return False
    sized = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9)
    formed = "format" not in schema or re.fullmatch(_FORMS[schema["format"]], value) is not None
    return sized and formed and re.search(schema.get("pattern", ""), value) is not None


def _within(value: float, schema: dict[str, Any]) -> bool:
    infinite = float("inf")
    inclusive: bool = schema.get("minimum", -infinite) <= value <= schema.get("maximum", infinite)
    exclusive: bool = schema.get("exclusiveMinimum", -infinite) < value < schema.get("exclusiveMaximum", infinite)
    return inclusive and exclusive


@given(SCHEMAS, PROMPTS)
def test_whatever_is_grown_fits(schema: dict[str, Any], prompt: str) -> None:
    before = json.dumps(schema)
    value = grow(schema, prompt)
    assert fits(value, schema), (value, schema)
    assert json.dumps(schema) == before
    assert grow(schema, prompt) == value


# --------------------------------------------------------------------------- patterns, schemas in prompts


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}-\d{2}$",
        r"(?:foo|bar)+baz?",
        r"[^abc]{3}",
        r"\w+\s\w+\.",
        r"(?P<year>\d{4})",
        r"\+\d{1,3}",
        r"[\d\-x]+",
        r"a{2,}b*c+?",
        r"\u0041|B",
        r"(?=a)a",
        r"(a(b(c)?)*)",
        r"[]x]",
        r"",
    ],
)
def test_examples_match_their_pattern(pattern: str) -> None:
    assert re.search(pattern, example(pattern))


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", r"(?i:a)", r"(?=b)a", "(" * 60 + ")" * 60])
def test_patterns_without_an_example(pattern: str) -> None:
    with pytest.raises(Unsupported):
        example(pattern)


@given(st.text(alphabet=r"ab\d()[]{}*+?|^$.-,01", max_size=12))
def test_any_pattern_gives_an_example_or_says_no(pattern: str) -> None:
    try:
        found = example(pattern)
    except Unsupported:
        return
    assert re.search(pattern, found)


def test_schemas_inside_prompts() -> None:
    schema = obj(name=STRING)
    assert embedded(f"Answer as JSON of this schema:\n```json\n{json.dumps(schema)}\n```\nthanks {{}}") == schema
    assert embedded('Say {"properties": 7} or {"name": "Ann"} or {broken') is None
    whole = {"$defs": {"A": obj(x=STRING)}, **obj(a={"$ref": "#/$defs/A"})}
    assert embedded(json.dumps(whole)) == whole


def test_keys_named_in_prompts() -> None:
    assert named_keys("Return JSON with 'setup' and \"punchline\" keys") == ["setup", "punchline"]
    assert named_keys("He said 'hello'") == []
